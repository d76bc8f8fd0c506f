"""The sample against the parsers: what is written as damaged is exactly what they quarantine, and nothing else."""

import csv
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sources.connectors import sql
from sources.parsers import parse
from sources.parsers.result import ParseResult
from sources.sample import write_sample
from tests.support.truth import table
from warehouse.paths import Home

YEARS = (2020, 2024)
# Feed -> how many files there are at least; areas of which the older year is read too (lists, zips, the city's own).
FILES = {
    "school_census": 45,
    "teacher_register": 90,
    "population": 39,
    "higher_education": 12,
    "programme_register": 1,
    "fiscal_accounts": 2,
}
# The small feeds have few rows: with two in a hundred damaged, this one has none in two years.
UNHARMED = "fiscal_accounts"
OLDER = ("丰都县", "忠县", "市直属", "渝北区", "城口县", "巫溪县")
KEY = b"sample key for tests only, 32 b."
Row = tuple[str, str, int]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    write_sample("small", YEARS, 3, 0.02, out)
    return out


@pytest.fixture(scope="module")
def expected(sample: Path) -> dict[str, set[Row]]:
    rows: dict[str, set[Row]] = defaultdict(set)
    for name in ("damaged", "further_damaged"):
        for row in table(sample / "truth", name):
            rows[row["file"]].add((row["member"], row["sheet"], int(row["row_no"])))
    return rows


def _read(feed: str, path: Path, out: Path) -> ParseResult:
    out.mkdir(parents=True)
    return parse(feed, path, file_name=path.name, delivery_id="d" + "0" * 16, key=KEY, out_dir=out)


def _quarantined(result: ParseResult) -> set[Row]:
    found = (item for item in result.findings if item.severity == "quarantine")
    return {(item.member, item.sheet, item.row_no) for item in found}


@pytest.mark.parametrize(("feed", "files"), FILES.items())
def test_files_lose_the_damaged_rows_and_no_others(
    sample: Path, expected: dict[str, set[Row]], tmp_path: Path, feed: str, files: int
) -> None:
    """All files of all areas of the newer year; of the older one, whose forms differ, those of a few areas."""
    paths = sorted(path for path in (sample / "inbox" / feed).rglob("*") if path.is_file())
    chosen = [path for path in paths if str(YEARS[0]) not in path.name or path.name.startswith(OLDER)]
    assert len(chosen) >= files
    damaged = 0
    for number, path in enumerate(chosen):
        result = _read(feed, path, tmp_path / str(number))
        assert not result.refused, [item.message_zh for item in result.findings if item.severity == "refusal"]
        wanted = expected.get(path.name, set())
        assert result.rows_quarantined == len(wanted)
        assert _quarantined(result) == wanted
        damaged += len(wanted)
    assert bool(damaged) == (feed != UNHARMED)


def test_finance_loses_the_damaged_lines_and_no_others(
    sample: Path, expected: dict[str, set[Row]], tmp_path: Path
) -> None:
    home = Home(tmp_path / "home").ensure()
    url = f"sqlite:///{sample / 'finance.db'}"
    arrivals = [one for one in sql.list_arrivals(url, set()) if one.file_name.split("_")[3] in {"500000", "500101"}]
    assert len(arrivals) == 2 * len(YEARS)
    for arrival, snapshot in sql.fetch(home, url, arrivals):
        path = tmp_path / arrival.file_name
        path.write_bytes((home.root / snapshot.path).read_bytes())
        result = _read("education_finance", path, tmp_path / f"out-{path.stem}")
        assert not result.refused
        assert _quarantined(result) == expected[path.name]


def test_truth_of_a_district_is_what_the_records_say(sample: Path, tmp_path: Path) -> None:
    truth: dict[tuple[str, str], int] = {}
    with (sample / "truth" / "indicators.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            if row["area_code"] == "500238" and row["indicator_id"].endswith("enrolment"):
                truth[row["indicator_id"], row["year"]] = int(row["numerator"])
    forms = {"pre_enrolment": "3111", "primary_enrolment": "3112", "junior_enrolment": "3115"}
    for year in YEARS:
        path = next((sample / "inbox" / "school_census").glob(f"巫溪县{year}*"))
        result = _read("school_census", path, tmp_path / str(year))
        figures = pq.read_table(result.tables["school_census__figure"])
        for indicator, form in forms.items():
            chosen = figures.filter((pc.field("form") == form) & (pc.field("measure") == "enrolment"))
            total = pc.sum(chosen["value"]).as_py() or 0
            assert int(total) == truth[indicator, str(year)]
    assert isinstance(figures, pa.Table)
