"""Finance lines and official figures: money is exact, published figures are complete and cited."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.parsers import ParseResult, parse
from tests.support import good_deliveries as good
from warehouse.paths import package_root

OFFICIAL = package_root() / "sources" / "official" / "official_figures.csv"


def read(feed: str, data: bytes, tmp_path: Path) -> tuple[ParseResult, pa.Table]:
    path = tmp_path / "delivery"
    path.write_bytes(data)
    result = parse(feed, path, file_name="x", delivery_id="d0", key=b"k" * 32, out_dir=tmp_path)
    return result, pq.read_table(next(iter(result.tables.values())))


def finance(rows: list[dict[str, str]]) -> bytes:
    return good.table_csv(good.FINANCE_HEADERS, rows, "utf-8")


def test_record(tmp_path: Path) -> None:
    result, table = read("education_finance", finance(good.finance_rows()), tmp_path)
    assert (result.area_code, result.period, result.part) == ("500103", 2023, "")
    assert str(result.reported_on) == "2024-07-22"
    row = table.to_pylist()[1]
    assert (row["form"], row["line_no"], row["school_kind_code"]) == ("jz_3", 1, "61")
    assert row["amount_1"] == Decimal("12345678.90")
    assert row["amount_2"] is None
    assert row["updated_at"] == datetime(2024, 7, 22, 9, 30)  # noqa: DTZ001 - Shanghai wall time by contract
    assert table.column("row_no").to_pylist() == [2, 3, 4]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(min_value=-(10**11), max_value=10**11, places=2), min_size=1, max_size=20))
def test_money_is_exact(tmp_path: Path, amounts: list[Decimal]) -> None:
    base = good.finance_rows()[1]
    spelt = [
        f"{amount:,}" if number % 3 == 0 else f" {amount}" if number % 3 == 1 else str(amount)
        for number, amount in enumerate(amounts)
    ]
    rows = [base | {"行次": str(number + 1), "金额1": text} for number, text in enumerate(spelt)]
    result, table = read("education_finance", finance(rows), tmp_path)
    assert result.findings == []
    assert table.column("amount_1").to_pylist() == amounts


def test_stamps_with_a_zone_become_shanghai_time(tmp_path: Path) -> None:
    rows = [row | {"updated_at": "2024-07-22T16:30:00+00:00"} for row in good.finance_rows()]
    result, table = read("education_finance", finance(rows), tmp_path)
    assert str(result.reported_on) == "2024-07-23"
    assert table.column("updated_at").to_pylist()[0] == datetime(2024, 7, 23, 0, 30)  # noqa: DTZ001


def test_shipped_figures_are_taken_in_whole(tmp_path: Path) -> None:
    result, table = read("official_figures", OFFICIAL.read_bytes(), tmp_path)
    assert result.findings == []
    assert (result.area_code, result.period) == ("500000", 0)
    assert table.num_rows == result.rows_in > 200


def test_shipped_figures_have_no_targets_and_name_their_source(tmp_path: Path) -> None:
    with OFFICIAL.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert all(row["source"] and row["confidence"] and not row["ref_period"].endswith("T") for row in rows)
    assert not [row for row in rows if "plan target" in row["note"]]
    assert all(row["indicator_id"] == "" for row in rows if row["area_code"] != "500000")


def test_baselines_of_the_plan_are_published_values() -> None:
    with OFFICIAL.open(encoding="utf-8", newline="") as handle:
        rows = [
            row for row in csv.DictReader(handle) if row["confidence"] == "official-seed" and row["stat_year"] == "2020"
        ]
    found = {row["indicator_id"]: Decimal(row["value"]) for row in rows if row["indicator_id"]}
    assert found["pre_enrolment"] == Decimal("100.8")
    assert found["avg_years_schooling_working_age"] == Decimal("10.86")
    headline = {
        "pre_enrolment", "pre_gross_enrolment", "pre_public_share", "compulsory_enrolment", "primary_enrolment",
        "junior_enrolment", "compulsory_retention", "senior_enrolment", "senior_general_enrolment",
        "senior_vocational_enrolment", "senior_gross_enrolment", "he_total_scale", "he_postgraduate",
        "he_undergraduate", "he_gross_enrolment", "avg_years_schooling", "avg_years_schooling_working_age",
    }  # fmt: skip
    assert headline <= set(found)


def test_a_figure_of_unknown_reference_date_says_so() -> None:
    with OFFICIAL.open(encoding="utf-8", newline="") as handle:
        doubtful = [row for row in csv.DictReader(handle) if row["ref_period"].startswith("2025-10")]
    assert doubtful
    assert all(row["stat_year"] == "2025" and "2024学年初" in row["note"] for row in doubtful)
