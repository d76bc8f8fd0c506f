"""The feeds beside the schools: what the sample writes reads back as its truth says, and gives the plan's baselines."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sources.parsers import parse
from sources.parsers.result import ParseResult
from sources.sample import write_sample
from sources.sample.fiscal import AMOUNTS, accounts
from sources.sample.fiscal_files import write_fiscal
from sources.sample.further import FURTHER_FEEDS
from sources.sample.geography import CITY_CODE, areas
from sources.sample.higher import higher_year
from sources.sample.higher_files import write_higher
from sources.sample.population import LEVELS, population_of
from sources.sample.population_files import write_population
from sources.sample.profiles import PRESCHOOL, PROFILES, SENIOR, VOCATIONAL
from sources.sample.programme_files import write_programmes
from sources.sample.programmes import counted, events

SEED, YEARS, DIRT = 4, (2020, 2025), 0.05
CITY = PROFILES["city"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    write_sample("small", YEARS, SEED, DIRT, out)
    return out


@pytest.fixture(scope="module")
def expected(sample: Path) -> dict[str, set[tuple[int, str]]]:
    rows: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for row in _table(sample / "truth" / "further_damaged.csv"):
        rows[f"{row['feed']}/{row['file']}"].add((int(row["row_no"]), row["rule"]))
    return rows


@pytest.fixture(scope="module")
def indicators(sample: Path) -> dict[tuple[str, int], tuple[int, int]]:
    return {
        (row["indicator_id"], int(row["year"])): (int(row["numerator"]), int(row["denominator"] or 0))
        for row in _table(sample / "truth" / "further_indicators.csv")
    }


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _read(sample: Path, feed: str, out: Path) -> Iterator[tuple[str, ParseResult, dict[str, list[dict[str, Any]]]]]:
    """Every delivery of a feed: its name, its result and its records by table."""
    for number, path in enumerate(sorted((sample / "inbox" / feed).iterdir())):
        folder = out / str(number)
        folder.mkdir(parents=True)
        result = parse(feed, path, file_name="", delivery_id=f"d{number}", key=b"k" * 32, out_dir=folder)
        yield path.name, result, {name: pq.read_table(table).to_pylist() for name, table in result.tables.items()}


def _check(name: str, feed: str, result: ParseResult, expected: dict[str, set[tuple[int, str]]]) -> None:
    """Exactly the damaged rows are set aside, each for the reason the truth gives."""
    assert not result.refused, (name, [finding.message_zh for finding in result.findings])
    found = {(f.row_no, f.rule_id) for f in result.findings if f.severity == "quarantine"}
    assert found == expected.get(f"{feed}/{name}", set()), name
    assert result.rows_quarantined == len(found)


def test_population_reads_back_as_the_truth_says(
    sample: Path,
    tmp_path: Path,
    expected: dict[str, set[tuple[int, str]]],
    indicators: dict[tuple[str, int], tuple[int, int]],
) -> None:
    rank = ("preliminary", "final", "census_revised")
    newest: dict[tuple[str, int], tuple[int, list[dict[str, Any]]]] = {}
    units: set[str] = set()
    for name, result, tables in _read(sample, "population", tmp_path):
        _check(name, "population", result, expected)
        assert result.reported_on is not None
        rows = [row for table in tables.values() for row in table]
        units |= {row["original"].split()[-1].strip('"}') for row in rows}
        standing = newest.get((result.area_code, result.period), (-1, []))
        newest[result.area_code, result.period] = max(
            standing, (rank.index(result.part), rows), key=lambda entry: entry[0]
        )
    assert len(newest) == len(areas()) * len(YEARS)
    assert units == {"人", "万人"}
    years = {level[0]: level[1] for level in LEVELS}
    for year in YEARS:
        districts = [
            row for (area, at), (_, rows) in newest.items() if at == year and area != CITY_CODE for row in rows
        ]
        for indicator, first, last in (("pre_gross_enrolment", 3, 5), ("senior_gross_enrolment", 15, 17)):
            people = sum(row["residents"] for row in districts if first <= row["age_from"] <= last)
            assert people == indicators[indicator, year][1]
        groups = newest[CITY_CODE, year][1]
        for indicator, first in (("avg_years_schooling", 15), ("avg_years_schooling_working_age", 16)):
            own = [row for row in groups if row["age_group_from"] == first]
            schooling = sum(row["residents"] * years[row["attainment"]] for row in own)
            assert (schooling, sum(row["residents"] for row in own)) == indicators[indicator, year]


def test_the_population_of_2020_gives_the_baselines_of_the_plan() -> None:
    model = population_of(CITY, SEED, 2020)
    assert model.ages.sum() + model.bands.sum() == 32_054_159
    census = [area.population for area in areas() if not area.municipal]
    assert (model.ages.sum(axis=0) + model.bands.sum(axis=0)).tolist() == pytest.approx(census, abs=1)
    children = int(model.ages[3:6].sum())
    assert round(100 * CITY.learners(PRESCHOOL, 2020) / children, 2) == 90.3
    seniors = CITY.learners(SENIOR, 2020) + CITY.learners(VOCATIONAL, 2020)
    assert round(100 * seniors / int(model.ages[15:18].sum()), 2) == 98.5
    years = [level[1] for level in LEVELS]
    means = [sum(n * y for n, y in zip(group.counts, years, strict=True)) / sum(group.counts) for group in model.groups]
    assert [round(mean, 4) for mean in means] == [9.8, 10.86]
    assert sum(model.groups[0].counts) == model.ages[15:].sum() + model.bands.sum()


@pytest.mark.parametrize("profile", ["city", "small"])
def test_nobody_is_negative_in_any_year(profile: str) -> None:
    for year in range(2020, 2026):
        model = population_of(PROFILES[profile], SEED, year)
        assert model.ages.min() >= 0
        assert model.bands.min() >= 0
        assert min(count for group in model.groups for count in group.counts) > 0


def test_documents_are_as_the_connector_snapshots_them(sample: Path) -> None:
    data = (sample / "inbox" / "population" / "population_2025_500101_final.json").read_bytes()
    assert list(json.loads(data)) == ["area", "items", "version", "year"]
    assert data.endswith(b"}\n")


def test_higher_education_reads_back_as_the_truth_says(
    sample: Path,
    tmp_path: Path,
    expected: dict[str, set[tuple[int, str]]],
    indicators: dict[tuple[str, int], tuple[int, int]],
) -> None:
    enrolled: dict[tuple[int, str], int] = defaultdict(int)
    staff: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    kinds: set[str] = set()
    for name, result, tables in _read(sample, "higher_education", tmp_path):
        _check(name, "higher_education", result, expected)
        assert result.part == f"{name[:5]}-{name.split('_')[2].split('.')[0]}"
        kinds.add(Path(name).suffix)
        for row in tables.get("higher_education__enrolment", []):
            enrolled[row["stat_year"], row["level"]] += row["enrolled"]
        for row in tables.get("higher_education__staff", []):
            counts = (row["full_time_teachers"], row["professional_teachers"] or 0, row["dual_qualified"] or 0)
            for at, count in enumerate(counts):
                staff[str(row["stat_year"]), row["institution_kind"]][at] += count
    assert kinds == {".parquet", ".jsonl"}
    for year in YEARS:
        undergraduates = enrolled[year, "bachelor"] + enrolled[year, "college"]
        assert undergraduates == indicators["he_undergraduate", year][0]
        assert enrolled[year, "doctor"] + enrolled[year, "master"] == indicators["he_postgraduate", year][0]
    truth = _table(sample / "truth" / "further_higher_staff.csv")
    assert {(row["year"], row["institution_kind"]): list(row.values())[2:] for row in truth} == {
        key: [str(count) for count in counts] for key, counts in staff.items()
    }


@pytest.mark.parametrize(
    ("year", "undergraduates", "postgraduates", "total"),
    [
        (2020, 915_600, 83_100, 1_110_000),
        (2021, 1_002_700, None, None),
        (2022, 1_066_100, None, None),
        (2023, 1_100_200, None, None),
        (2024, 1_127_900, 117_000, 1_400_000),
    ],
)
def test_students_are_those_that_were_published(
    year: int, undergraduates: int, postgraduates: int | None, total: int | None
) -> None:
    rows = [row for students in higher_year(CITY, SEED, year).students.values() for row in students]
    levels = {level: sum(row.enrolled for row in rows if row.level == level) for level in {row.level for row in rows}}
    assert levels["bachelor"] + levels["college"] == undergraduates
    assert postgraduates is None or levels["doctor"] + levels["master"] == postgraduates
    assert total is None or sum(levels.values()) == total
    assert all(0 <= row.entrants <= row.enrolled for row in rows)
    assert all(row.graduates >= 0 for row in rows)


def test_programmes_read_back_as_the_truth_says(
    sample: Path, tmp_path: Path, expected: dict[str, set[tuple[int, str]]]
) -> None:
    net: dict[tuple[str, int], int] = defaultdict(int)
    parts: set[str] = set()
    for name, result, tables in _read(sample, "programme_register", tmp_path):
        _check(name, "programme_register", result, expected)
        parts.add(result.part)
        for row in tables["programme_register__event"]:
            assert (row["statement_id"] is None) != (row["project_code"] is None)
            assert row["object_kind"] != "person" or not row["object_name"] + row["object_code"]
            sign = 1 if row["decision"] == "granted" else -1
            target = row["statement_id"] or row["project_code"]
            for year in YEARS:
                if row["decided_on"].year <= year:
                    net[target, year] += sign * row["quantity"]
    assert len(parts) == 2
    assert "catalogue" in parts
    truth = {
        (row["target"], int(row["year"])): int(row["recognised"])
        for row in _table(sample / "truth" / "further_programmes.csv")
    }
    assert truth == {key: net[key] for key in truth}
    assert set(net) <= set(truth)


def test_every_statement_the_register_counts_has_decisions_in_both_directions() -> None:
    made = events(SEED)
    assert {statement.id for statement in counted()} <= {event.target for event in made}
    assert {event.decision for event in made} == {"granted", "withdrawn"}
    assert len({event.event_id for event in made}) == len(made)
    first = {event.object_name + event.target: event.decided_on for event in made if event.decision == "granted"}
    late = [event for event in made if event.decision == "withdrawn"]
    assert all(first[event.object_name + event.target] < event.decided_on for event in late)


def test_fiscal_accounts_read_back_as_the_truth_says(
    sample: Path, tmp_path: Path, expected: dict[str, set[tuple[int, str]]]
) -> None:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    converted: set[str] = set()
    for name, result, tables in _read(sample, "fiscal_accounts", tmp_path):
        _check(name, "fiscal_accounts", result, expected)
        assert result.reported_on is not None
        assert (result.reported_on.year, result.reported_on.month) == (
            result.period + 1,
            7 if result.part == "preliminary" else 11,
        )
        converted |= {finding.masked_value or "" for finding in result.findings if "converted" in finding.rule_id}
        for row in tables["fiscal_accounts__account"]:
            key = row["area_code"], str(row["fiscal_year"])
            if row["status"] == "final" or key not in found:
                found[key] = row
    assert converted == {"亿元"}
    truth = {(row["area_code"], row["fiscal_year"]): row for row in _table(sample / "truth" / "further_fiscal.csv")}
    assert truth.keys() == found.keys()
    for key, row in truth.items():
        assert row["status"] == found[key]["status"]
        for name in (*AMOUNTS, "civil_servant_pay", "teacher_pay"):
            assert Decimal(row[name]) == found[key][name], (key, name)


def test_fiscal_accounts_are_in_the_range_of_what_was_published() -> None:
    rows = accounts(CITY, SEED, 2020)
    spending, education, _, _, _, funds, _, _ = (sum(row.amounts[at] for row in rows) for at in range(len(AMOUNTS)))
    assert education > 72_825_730 * 10 > education * 0.9
    assert round(100 * funds / spending) == 20
    for before, after in pairwise(accounts(CITY, SEED, year) for year in range(2020, 2026)):
        assert sum(row.amounts[1] for row in after) > sum(row.amounts[1] for row in before)


def test_further_feeds_are_the_same_whatever_other_years_are_asked_for(sample: Path, tmp_path: Path) -> None:
    for feed in FURTHER_FEEDS:
        (tmp_path / feed).mkdir()
    wish = (2025,), SEED, DIRT
    write_population("small", *wish, tmp_path / "population")
    write_higher("small", *wish, tmp_path / "higher_education")
    write_programmes(*wish, tmp_path / "programme_register")
    write_fiscal("small", *wish, tmp_path / "fiscal_accounts")
    alone = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(alone) > 90
    assert alone == {path: (sample / "inbox" / path).read_bytes() for path in alone}
