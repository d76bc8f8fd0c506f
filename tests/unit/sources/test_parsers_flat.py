"""Flat deliveries: units, dates, ages, carriers; every spelling of a value is the same value."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.codelists import code_list
from sources.parsers import ParseResult, parse
from sources.parsers.flat_cells import CellError, age_band, area_of, date_of, measure, statement_of
from sources.parsers.units import convertible, unit_of
from sources.reading import Job, _outcome
from tests.support.flat_deliveries import POPULATION_GOOD, POPULATION_HEAD, document
from warehouse.errors import Fault
from warehouse.records import feed_tables

YUAN, WHOLE = pa.decimal128(18, 2), pa.int32()
_WIDE = str.maketrans("0123456789.,", "０１２３４５６７８９．，")


def read(feed: str, data: bytes, folder: Path) -> tuple[ParseResult, dict[str, list[dict[str, Any]]]]:
    folder.mkdir(exist_ok=True)
    (folder / "delivery").write_bytes(data)
    result = parse(feed, folder / "delivery", file_name="", delivery_id="d0", key=b"k" * 32, out_dir=folder)
    return result, {name: pq.read_table(path).to_pylist() for name, path in result.tables.items()}


@given(
    cents=st.integers(0, 10**13),
    unit=st.sampled_from(["元", "万元", "亿元"]),
    style=st.sampled_from(["plain", "grouped", "wide", "blanks"]),
)
@settings(max_examples=200, deadline=None)
def test_money_is_the_same_in_every_unit_and_spelling(cents: int, unit: str, style: str) -> None:
    yuan = Decimal(cents) / 100
    known = unit_of(unit)
    assert known is not None
    written = yuan / known.scale
    text = {
        "plain": f"{written:f}",
        "grouped": f"{written:,f}",
        "wide": f"{written:f}".translate(_WIDE),
        "blanks": f" {written:f}　",
    }[style]
    assert measure(text, YUAN, "万元", unit) == yuan


@given(persons=st.integers(0, 2**31 - 1), agreed=st.sampled_from(["人", "万人"]))
@settings(max_examples=200, deadline=None)
def test_persons_are_whole_in_either_unit(persons: int, agreed: str) -> None:
    assert measure(str(persons), WHOLE, agreed, "人") == persons
    assert measure(f"{Decimal(persons) / 10_000:f}", WHOLE, agreed, "万人") == persons


@given(
    value=st.decimals(min_value=0, max_value=10**6, places=3), unit=st.sampled_from(sorted(code_list("unit").labels))
)
@settings(max_examples=200, deadline=None)
def test_units_convert_within_what_they_measure_and_never_beyond(value: Decimal, unit: str) -> None:
    base = code_list("unit").extras[unit]["base"]
    for agreed in ("人", "万元", "%"):
        known = convertible(unit, agreed)
        if base == code_list("unit").extras[agreed]["base"]:
            assert known is not None
            assert known.to_base(value) / known.scale == value
        else:
            assert known is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("约三千", "not_a_number"),
        ("-1", "negative"),
        ("1.5", "not_whole"),
        ("9" * 12, "not_a_number"),
        ("１e9", "not_a_number"),
    ],
)
def test_what_is_no_count_of_people(text: str, rule: str) -> None:
    with pytest.raises(CellError) as caught:
        measure(text, WHOLE, "人", "")
    assert caught.value.rule == rule


@pytest.mark.parametrize("text", ["", "-", "—", "*", "无"])
def test_marks_for_none_are_no_figure(text: str) -> None:
    assert measure(text, WHOLE, "人", "") is None


@pytest.mark.parametrize(
    "text", ["2024-03-25", "2024/3/25", "2024年3月25日", "20240325", "２０２４.3.25", "2024-03-25T09:00:00"]
)
def test_days_in_every_spelling(text: str) -> None:
    assert date_of(text) == date(2024, 3, 25)


@pytest.mark.parametrize("text", ["19900230", "2024-13-01", "去年", "2024", "2024-03-25-01"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(CellError) as caught:
        date_of(text)
    assert caught.value.rule == "bad_date"


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("3", (3, 3)),
        ("3岁", (3, 3)),
        ("25-29", (25, 29)),
        ("25～29岁", (25, 29)),
        ("65+", (65, None)),
        ("65岁及以上", (65, None)),
        ("１００岁以上", (100, None)),
    ],
)
def test_ages(text: str, band: tuple[int, int | None]) -> None:
    assert age_band(text) == band


@pytest.mark.parametrize("text", ["幼儿", "29-25", "121", "-3", "3-", "3.5"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(CellError):
        age_band(text)


def test_areas_by_code_and_by_old_name() -> None:
    assert area_of("500154", 2023) == area_of("开县", 2023) == area_of("开州区", 2023) == "500154"
    assert area_of("忠　县", 2023) == "500233"
    with pytest.raises(CellError):
        area_of("110101", 2023)


def test_statements_of_the_registry_and_project_codes() -> None:
    pattern = r"[A-Z]{2,8}-\d{4}-\d{1,4}"
    assert statement_of("box3.3.curriculum_bases", pattern) == ("box3.3.curriculum_bases", None)
    assert statement_of("JXCG-2022-015", pattern) == (None, "JXCG-2022-015")
    with pytest.raises(CellError):
        statement_of("box3.3.no_such_thing", pattern)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1, 2]",
        b'{"items": {"age": 3}}',
        b'{"area": ["500103"], "items": []}',
        b'{"items": [], "items": []}',
        b'{"items": [{"age": "3", "residents": NaN}]}',
        b'{"items": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"PAR1 not really PAR1",
        "区县,常住人口\n渝中区,5\n".encode(),
    ],
)
def test_broken_and_foreign_documents_are_refused(data: bytes, tmp_path: Path) -> None:
    result, tables = read("population", data, tmp_path / "out")
    assert result.refused
    assert tables == {}
    assert {finding.rule_id for finding in result.findings} == {"population.unreadable"}


@pytest.mark.parametrize(("number", "table"), [(0, "population__resident"), (1, "population__attainment")])
def test_a_delivery_leaves_one_file_of_the_table_it_is_of(number: int, table: str, tmp_path: Path) -> None:
    """Of a feed with several tables; a file more or less, or a row, is the parser's fault."""
    result, tables = read("population", POPULATION_GOOD[number](), tmp_path / "read")
    assert list(tables) == [table]
    assert len(tables[table]) == result.rows_accepted > 0
    job = Job("population", tmp_path / "read" / "delivery", "", "d0", b"k" * 32, tmp_path / "read")
    assert _outcome(job, result).status == "accepted"
    both = dict.fromkeys(feed_tables("population"), result.tables[table])
    for wrong in (both, {}):
        with pytest.raises(Fault, match="解析结果的记录表是"):
            _outcome(job, dataclasses.replace(result, tables=wrong))
    more = dataclasses.replace(result, rows_in=result.rows_in + 1, rows_accepted=result.rows_accepted + 1)
    with pytest.raises(Fault, match="而接收行数是"):
        _outcome(job, more)


def test_the_original_is_kept_beside_the_converted_value(tmp_path: Path) -> None:
    items = [{"age": "3", "residents": "０.4321", "unit": "万人"}]
    result, tables = read("population", document(POPULATION_HEAD, items), tmp_path / "out")
    record = tables["population__resident"][0]
    assert record["residents"] == 4321
    assert json.loads(record["original"]) == {"residents": "０.4321 万人"}
    assert [finding.rule_id for finding in result.findings] == ["population.unit_converted"]


@given(st.permutations(["age", "residents", "unit", "published_on"]), st.sampled_from([0, 1]))
@settings(max_examples=30, deadline=None)
def test_order_and_names_of_keys_do_not_matter(order: list[str], language: int) -> None:
    names = {
        "age": ("age", "年龄"),
        "residents": ("residents", "常住人口"),
        "unit": ("unit", "单位"),
        "published_on": ("published_on", "发布日期"),
    }
    values = {"age": "4", "residents": 77, "unit": "人", "published_on": "2024-03-25"}
    with tempfile.TemporaryDirectory() as folder:
        item = {names[name][language]: values[name] for name in order}
        result, tables = read("population", document(POPULATION_HEAD, [item]), Path(folder) / "out")
    assert result.findings == []
    assert tables["population__resident"][0]["residents"] == 77
    assert result.reported_on == date(2024, 3, 25)
