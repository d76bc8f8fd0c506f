"""From a published figure to the delivered rows: what `explain` names must give the figure, whoever adds it up."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pytest

from tests.support.command import eduplan
from warehouse import evidence
from warehouse.evidence import RowRange
from warehouse.explain import choose_release
from warehouse.ledger import Ledger
from warehouse.paths import Home, project_root
from warehouse.records import RECORD_SCHEMAS

SEED = 20251124
ASKED = 200 if os.environ.get("EDUPLAN_SOAK") else 80
Figure = dict[str, Any]


class Released:
    """A released home, its figures, and the record files behind them."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.release = choose_release(self.home)
        with duckdb.connect(str(self.release.path / "marts.duckdb"), read_only=True) as marts:
            cursor = marts.execute(
                "SELECT * FROM marts.marts.fct_indicator_value WHERE value IS NOT NULL"
                " ORDER BY indicator_id, area_code, period"
            )
            names = [column[0] for column in cursor.description or ()]
            self.figures: list[Figure] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        ledger = Ledger(self.home.ledger_url)
        self.deliveries = {row.delivery_id: row for row in ledger.deliveries()}
        ledger.close()

    def computed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure["method"] == "computed"]


@pytest.fixture(scope="module")
def city(released: Path) -> Released:
    return Released(released)


@pytest.fixture(scope="module")
def candidate(city: Released) -> Iterator[duckdb.DuckDBPyConnection]:
    path = evidence.candidate_database(city.home, city.release)
    assert path is not None
    with evidence.opened(path) as connection:
        yield connection


def ranges_of(candidate: duckdb.DuckDBPyConnection, figure: Figure) -> list[RowRange]:
    return evidence.row_ranges(candidate, figure["indicator_id"], figure["area_code"], figure["period"])


# -- adding up again, from the record files and nothing else ----------------------------------------------------------


RECORDS = {
    "teacher_register": "teacher_register__teacher",
    "education_finance": "education_finance__line",
    "official_figures": "official_figures__figure",
    "school_census": "school_census__school",
    "fiscal_accounts": "fiscal_accounts__account",
    "population": "population__resident",
}
# Feeds with two tables: the one that has the named column.
NAMED = {
    "residents",
    "enrolled",
    "graduates",
    "full_time_teachers",
    "professional_teachers",
    "dual_qualified",
    "fiscal_education_funds",
    "budget_education_spending",
    "general_budget_spending",
}
STAFF_COLUMNS = {"full_time_teachers", "professional_teachers", "dual_qualified"}
# What a row of premises adds for its part of the school's learners: part -> forms of its stages.
PART_FORMS = {"compulsory": ("3112", "3115"), "vocational": ("3221",)}
STAGE_FORMS = ("3111", "3112", "3115", "3118", "3221", "3120")
PREMISES = {
    f"{part}_{what}_per_student": (part, factor)
    for part in PART_FORMS
    for what, factor in (("books", 1), ("building_area", 1), ("equipment", 10_000))
}


def years_of_schooling() -> dict[str, int]:
    with (project_root() / "dbt_project" / "seeds" / "code_attainment.csv").open(encoding="utf-8") as stream:
        return {row["code"]: int(row["years"]) for row in csv.DictReader(stream)}


YEARS = " ".join(f"WHEN '{code}' THEN {years}" for code, years in years_of_schooling().items())
AMOUNTS = {
    # What a row of each record table adds, given the range `a` that names it.
    "teacher_register__teacher": "1",
    "school_census__school": "1",
    "school_census__figure": """
        CASE WHEN list_contains(a.columns, regexp_extract(r.source_cell, '^[A-Z]+')) THEN r.value END""",
    "official_figures__figure": "r.value",
    "population__attainment": f"""
        r.residents * CASE WHEN a.role = 'numerator' THEN CASE r.attainment {YEARS} END ELSE 1 END""",
    "education_finance__line": """
        CASE WHEN a.divisor = 12 THEN coalesce(r.amount_1, 0) * 8 + coalesce(r.amount_2, 0) * 4
             WHEN a.columns = ['amount_1'] THEN r.amount_1 WHEN a.columns = ['amount_3'] THEN r.amount_3 END""",
}


def table_of(city: Released, item: RowRange, indicator: str) -> str:
    feed = city.deliveries[item.delivery_id].feed
    if feed == "population" and indicator.startswith("avg_years_schooling"):
        return "population__attainment"
    if feed == "higher_education":
        return f"higher_education__{'staff' if STAFF_COLUMNS.issuperset(item.columns) else 'enrolment'}"
    return "school_census__figure" if feed == "school_census" and item.columns else RECORDS[feed]


def added_up(city: Released, figures: list[Figure], asked: list[list[RowRange]]) -> list[dict[str, Decimal]]:
    """Role -> what the named cells and rows of the record files come to, for each figure's list of ranges; no view of
    the candidate is asked."""
    sums: list[dict[tuple[str, str, int], Decimal]] = [{} for _ in asked]
    waiting: dict[str, list[dict[str, Any]]] = {}
    for place, ranges in enumerate(asked):
        for item in ranges:
            if item.first_row is None:
                # The delivery itself is what counts.
                sums[place][item.role, item.area_code, 1] = Decimal(item.rows) + sums[place].get(
                    (item.role, item.area_code, 1), Decimal(0)
                )
            else:
                indicator = figures[place]["indicator_id"]
                part, factor = PREMISES.get(indicator, (None, 1)) if item.role == "numerator" else (None, 1)
                told = {**asdict(item), "place": place, "part": part, "factor": factor}
                waiting.setdefault(table_of(city, item, indicator), []).append(told)
    for table, items in waiting.items():
        for place, role, area, divisor, amount in amounts_in_records(city, table, items):
            sums[place][role, area, divisor] = sums[place].get((role, area, divisor), Decimal(0)) + Decimal(amount)
    return [parts_of(found) for found in sums]


def parts_of(sums: dict[tuple[str, str, int], Decimal]) -> dict[str, Decimal]:
    parts: dict[str, Decimal] = {}
    for (role, _, divisor), total in sums.items():
        parts[role] = parts.get(role, Decimal(0)) + total / divisor
    return parts


def amount_in(table: str) -> str:
    """What a row adds: by the map above, or the named column."""
    if table in AMOUNTS:
        return AMOUNTS[table]
    names = [name for name in RECORD_SCHEMAS[table].names if name in NAMED]
    cases = " ".join(f"WHEN a.columns = ['{name}'] THEN r.{name}" for name in names)
    return f"CASE {cases} END"


def amounts_in_records(city: Released, table: str, items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    files = sorted({str(city.home.root / city.deliveries[item["delivery_id"]].tables[table]) for item in items})
    # What a school of several stages has is shared by its learners.
    weighed, share = ("", "1") if table != "school_census__figure" else (SHARES, "coalesce(w.share, 1) * a.factor")
    query = f"""
        SELECT a.place, a.role, a.area_code, a.divisor, coalesce(sum({amount_in(table)} * {share}), 0)
        FROM asked AS a
        INNER JOIN read_parquet($files) AS r ON r.delivery_id = a.delivery_id AND r.member = a.member
            AND r.sheet = a.sheet AND r.row_no BETWEEN a.first_row AND a.last_row
        {weighed}
        GROUP BY ALL
    """
    with duckdb.connect() as connection:
        connection.register("asked", pa.Table.from_pylist(items))
        return connection.execute(query, {"files": files}).fetchall()


def learners_in(forms: tuple[str, ...]) -> str:
    return f"sum(enrolled) FILTER (WHERE form IN ({', '.join(map(repr, forms))}))"


SHARES = f"""
    LEFT JOIN (
        SELECT delivery_id, school_code, unnest(['compulsory', 'vocational']) AS part,
            unnest([{learners_in(PART_FORMS["compulsory"])}, {learners_in(PART_FORMS["vocational"])}])
            / {learners_in(STAGE_FORMS)} AS share
        FROM (
            SELECT delivery_id, school_code, form, CAST(max(value) AS DOUBLE) AS enrolled
            FROM read_parquet($files) WHERE measure = 'enrolment' GROUP BY ALL
        )
        GROUP BY ALL
    ) AS w ON w.delivery_id = r.delivery_id AND w.school_code = r.school_code AND w.part = a.part
"""


def disagreements(city: Released, candidate: duckdb.DuckDBPyConnection, chosen: list[Figure]) -> list[Any]:
    found = []
    asked = [ranges_of(candidate, figure) for figure in chosen]
    for figure, ranges, parts in zip(chosen, asked, added_up(city, chosen, asked), strict=True):
        told = evidence.recompute(ranges)
        for role in ("numerator", "denominator"):
            published = figure[role]
            if published is None:
                continue
            independent, named = parts.get(role, Decimal(0)), told.get(role, Decimal(0))
            # Shares have no end; the product carries them to ten decimals, this sum in floating point.
            doubt = Decimal("0.001") if figure["indicator_id"] in PREMISES else Decimal(0)
            if round(named, 4) != published or abs(round(independent, 4) - published) > doubt:
                found.append((figure["indicator_id"], figure["area_code"], figure["period"], role, published, named))
    return found


def drawn(figures: list[Figure], count: int) -> list[Figure]:
    """`count` figures by lot, and at least one of each indicator."""
    lot = random.Random(SEED)
    by_indicator: dict[str, list[Figure]] = {}
    for figure in figures:
        by_indicator.setdefault(figure["indicator_id"], []).append(figure)
    chosen = [lot.choice(group) for group in by_indicator.values()]
    return chosen + lot.sample(figures, count - len(chosen))


def test_figures_by_lot_are_what_their_named_rows_come_to(city: Released, candidate: duckdb.DuckDBPyConnection) -> None:
    chosen = drawn(city.computed(), ASKED)
    assert len(chosen) == ASKED
    told = {figure["indicator_id"] for figure in chosen}
    assert told == {figure["indicator_id"] for figure in city.computed()}
    assert told >= {*PREMISES, "avg_years_schooling", "avg_years_schooling_working_age"}
    assert disagreements(city, candidate, chosen) == []


def test_every_computed_figure_is_the_sum_of_its_rows(city: Released, candidate: duckdb.DuckDBPyConnection) -> None:
    """The same over all figures at once, by the views' own sums."""
    query = """
        WITH areas AS (
            SELECT indicator_id, period, area_code, role, sum(amount) / max(divisor) AS amount
            FROM evidence.evi_contribution WHERE role <> 'value' GROUP BY ALL
        ),
        members AS (
            SELECT period, area_code, part_area_code FROM intermediate.int_area_member
            UNION SELECT period, area_code, area_code FROM intermediate.int_city_part
        )
        SELECT a.indicator_id, m.area_code, a.period,
            sum(amount) FILTER (WHERE role = 'numerator'), sum(amount) FILTER (WHERE role = 'denominator')
        FROM areas AS a
        INNER JOIN members AS m ON m.period = a.period AND m.part_area_code = a.area_code
        GROUP BY ALL
    """
    sums = {row[:3]: row[3:] for row in candidate.execute(query).fetchall()}
    wrong = []
    for figure in city.computed():
        key = (figure["indicator_id"], figure["area_code"], figure["period"])
        pairs = zip(sums.get(key, (0, 0)), (figure["numerator"], figure["denominator"]), strict=True)
        if any(
            published is not None and abs(float(found or 0) - float(published)) > 1e-4 for found, published in pairs
        ):
            wrong.append((key, sums.get(key)))
    assert wrong == []


def test_a_row_that_is_dropped_is_noticed(city: Released, candidate: duckdb.DuckDBPyConnection) -> None:
    """The comparison above can fail: one row less and the sum is another."""
    figure = next(f for f in city.computed() if f["indicator_id"] == "primary_enrolment" and f["area_code"] == "500000")
    ranges = ranges_of(candidate, figure)
    assert evidence.recompute(ranges)["numerator"] == figure["numerator"]
    assert evidence.recompute(ranges[1:])["numerator"] < figure["numerator"]


def test_a_published_figure_leads_to_its_row(city: Released, candidate: duckdb.DuckDBPyConnection) -> None:
    published = [figure for figure in city.figures if figure["method"] == "official"]
    assert published
    asked = [ranges_of(candidate, figure) for figure in published]
    for figure, [item], parts in zip(published, asked, added_up(city, published, asked), strict=True):
        assert item.role == "value"
        assert float(item.amount) == float(parts["value"]) == figure["value"]


# -- down to the delivered file itself --------------------------------------------------------------------------------


def delivered_cells(city: Released, item: RowRange) -> list[Any]:
    row = city.deliveries[item.delivery_id]
    data = (city.home.archive / row.sha256[:2] / row.sha256).read_bytes()
    if item.member:
        data = zipfile.ZipFile(io.BytesIO(data)).read(item.member)
    book = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
    page = next(book[name] for name in book.sheetnames if name.strip() == item.sheet.strip())
    assert item.first_row is not None
    assert item.last_row is not None
    return [page[f"{item.columns[0]}{number}"].value for number in range(item.first_row, item.last_row + 1)]


def test_the_cells_that_are_named_hold_the_numbers_in_the_archived_file(
    city: Released, candidate: duckdb.DuckDBPyConnection
) -> None:
    districts = [f for f in city.computed() if f["area_level"] == "district" and f["numerator"] > 0]
    figures = [f for f in districts if f["indicator_id"] == "junior_enrolment"]
    for figure in random.Random(SEED).sample(figures, 3):
        item = ranges_of(candidate, figure)[0]
        assert sum(Decimal(str(value)) for value in delivered_cells(city, item)) == item.amount


# -- the commands -----------------------------------------------------------------------------------------------------


def test_explain_tells_value_formula_rows_deliveries_checks_and_waivers(released: Path) -> None:
    question = ("explain", "teacher_bachelor_share", "--area", "500101", "--year", "2024")
    told = json.loads(eduplan(released, *question, "--json").stdout)
    assert told["recomputed"]["agrees"] is True
    assert Decimal(told["recomputed"]["numerator"]) == Decimal(told["numerator"])
    assert {item["feed"] for item in told["deliveries"]} == {"teacher_register"}
    assert {item["area_code"] for item in told["deliveries"]} == {"500101"}
    assert {"submitter", "sha256", "received_at", "file_name"} <= set(told["deliveries"][0])
    assert {row["delivery_id"] for row in told["rows"]} <= {item["delivery_id"] for item in told["deliveries"]}
    assert [row["area_code"] for row in told["mart_rows"]["fct_indicator_value"]] == ["500101"]
    assert any(item["guards_amount"] for item in told["checks"])
    assert told["waivers"] == []
    assert told["rests_on_waiver"] is False
    shown = eduplan(released, *question).stdout
    for words in (
        "公式",
        "分子",
        "分母",
        "所依据的报送件",
        "计入的行",
        "与发布的一致",
        "看护它的规则",
        "豁免：无",
        told["release_id"],
    ):
        assert words in shown


def test_explain_as_of_before_the_first_release_says_so(released: Path) -> None:
    question = ("explain", "primary_enrolment", "--as-of", "2000-12-31")
    assert "尚无发布" in eduplan(released, *question, expect=2).stderr


def test_trace_is_the_way_back(released: Path, city: Released) -> None:
    figure = ("junior_enrolment", "500101", 2024)
    told = json.loads(eduplan(released, "explain", figure[0], "--area", figure[1], "--year", "2024", "--json").stdout)
    [delivery] = told["deliveries"]
    back = json.loads(eduplan(released, "trace", delivery["delivery_id"], "--json").stdout)
    [release] = back["releases"]
    values = {(item["indicator_id"], item["area_code"], item["period"]) for item in release["values"]}
    assert figure in values
    assert ("junior_enrolment", "500000", 2024) in values
    assert {item["period"] for item in release["values"]} == {2024}
    assert not any(item["area_code"] == "500102" for item in release["values"])


def test_every_value_names_the_deliveries_its_rows_come_from(
    city: Released, candidate: duckdb.DuckDBPyConnection
) -> None:
    query = """
        SELECT count(*) FROM (
            SELECT DISTINCT indicator_id, area_code, period, delivery_id FROM evidence.evi_contribution
        ) AS c
        ANTI JOIN (SELECT DISTINCT indicator_id, area_code, period, delivery_id FROM evidence.evi_lineage) AS l
        USING (indicator_id, area_code, period, delivery_id)
    """
    assert candidate.execute(query).fetchall() == [(0,)]
    with duckdb.connect(str(city.release.path / "marts.duckdb"), read_only=True) as marts:
        lonely = marts.execute(
            "SELECT count(*) FROM marts.marts.fct_indicator_value AS v ANTI JOIN marts.audit.value_lineage AS l"
            " USING (indicator_id, area_code, period) WHERE v.value IS NOT NULL"
        ).fetchall()
    assert lonely == [(0,)]


@pytest.mark.skipif(os.environ.get("EDUPLAN_SOAK") != "1", reason="city scale: EDUPLAN_SOAK=1")
def test_200_figures_of_the_whole_city(tmp_path: Path) -> None:
    home = tmp_path / "city"
    eduplan(home, "demo", "--profile", "city")
    city = Released(home)
    path = evidence.candidate_database(city.home, city.release)
    assert path is not None
    with evidence.opened(path) as candidate:
        assert disagreements(city, candidate, drawn(city.computed(), ASKED)) == []
