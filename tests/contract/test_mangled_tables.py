"""Any table the sample writer wrote reads back equal, however its columns are ordered, named, encoded and measured."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.contract import Contract, load
from sources.labels import key
from sources.parsers import ParseResult
from sources.sample import write_sample
from tests.support.desk import read
from tests.support.good_deliveries import catalogue

ENCODINGS = ("gb18030", "utf-8", "utf-8-sig", "utf-16")
_fresh = itertools.count()
many = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    write_sample("small", (2024,), 5, 0.0, out)
    return out / "inbox"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def one(sample: Path, feed: str, pattern: str) -> Path:
    return sorted((sample / feed).glob(pattern))[0]


def content(result: ParseResult) -> dict[str, list[tuple[Any, ...]]]:
    """All records without where they stood and how they were written, in the order of their text."""
    assert not result.refused, [found.message_zh for found in result.findings]
    aside = {"row_no", "sheet", "source_cell", "original"}
    return {
        name: sorted(
            (tuple(row[column] for column in row if column not in aside) for row in pq.read_table(path).to_pylist()),
            key=repr,
        )
        for name, path in result.tables.items()
    }


def reread(feed: str, data: bytes, scratch: Path) -> ParseResult:
    return read(feed, data, scratch / str(next(_fresh)))


def spellings(contract: Contract, label: str) -> tuple[str, ...]:
    columns = [column for table in contract.tables.values() for column in table]
    known = [column.headers for column in columns if key(label) in {key(name) for name in column.headers}]
    return known[0] if known else (label,)


def written(rows: Sequence[Sequence[str]], encoding: str) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode(encoding)


def padded(draw: Callable[[Any], Any], cell: str) -> str:
    return draw(st.sampled_from((cell, cell, cell, f" {cell}", f"{cell}　"))) if cell else cell


@many
@given(st.data())
def test_a_register_reads_back_equal(sample: Path, scratch: Path, data: st.DataObject) -> None:
    original = one(sample, "teacher_register", "*大足区*在编*").read_bytes()
    rows = list(csv.reader(io.StringIO(original.decode("gb18030"), newline="")))
    contract = load("teacher_register")
    order = data.draw(st.permutations(range(len(rows[0]))))
    labels = [data.draw(st.sampled_from(spellings(contract, label))) for label in rows[0]]
    wide = data.draw(st.sampled_from((0, 5, len(rows) - 1)))
    rows[wide] = [padded(data.draw, cell) for cell in rows[wide]] if wide else rows[wide]
    mangled = [[row[at] for at in order] for row in (labels, *rows[1:])]
    encoding = data.draw(st.sampled_from(ENCODINGS))
    assert content(reread("teacher_register", written(mangled, encoding), scratch)) == content(
        reread("teacher_register", original, scratch)
    )


@many
@given(st.data())
def test_accounts_read_back_equal_in_any_unit(sample: Path, scratch: Path, data: st.DataObject) -> None:
    original = one(sample, "fiscal_accounts", "*决算*").read_bytes()
    rows = list(csv.reader(io.StringIO(original.decode("utf-8-sig"), newline="")))
    contract = load("fiscal_accounts")
    at = next(number for number, row in enumerate(rows) if "区县" in row)
    columns = {name: column for column in contract.columns("account") for name in map(key, column.headers)}
    unit, factor = data.draw(st.sampled_from((("元", 10_000), ("万元", 1), ("亿元", Decimal("0.0001")))))
    measured = [
        number
        for number, label in enumerate(rows[at])
        if (column := columns.get(key(label))) is not None and column.info.unit and not column.info.own_unit
    ]
    for row in rows[at + 1 :]:
        if len(row) == len(rows[at]):
            for number in measured:
                row[number] = scaled(row[number], Decimal(factor))
    above = [[cell.replace("万元", unit) for cell in row] for row in rows[:at]]
    order = data.draw(st.permutations(range(len(rows[at]))))
    # Notes and totals are known by their first cell.
    table = [row for row in rows[at:] if len(row) == len(rows[at])]
    shuffled = [[row[number] for number in order] for row in table if row[0] not in {"合计", "总计", "全市"}]
    encoding = data.draw(st.sampled_from(ENCODINGS))
    mangled = written([*above, *shuffled, *(row for row in rows[at:] if len(row) != len(rows[at]))], encoding)
    assert content(reread("fiscal_accounts", mangled, scratch)) == content(reread("fiscal_accounts", original, scratch))


def scaled(text: str, factor: Decimal) -> str:
    try:
        return f"{Decimal(text.replace(',', '')) * factor:f}"
    except ArithmeticError:
        return text


@settings(many, max_examples=5)
@given(st.data())
def test_a_list_reads_back_equal_with_columns_moved_renamed_and_in_ten_thousands(
    sample: Path, scratch: Path, data: st.DataObject
) -> None:
    original = one(sample, "school_census", "*渝中区*.xlsx")
    book = openpyxl.load_workbook(original)
    aliases = catalogue().aliases
    for page in book.worksheets:
        _move(page, data)
        _rename(page, aliases, data)
        if data.draw(st.booleans()):
            _in_ten_thousands(page)
    buffer = io.BytesIO()
    book.save(buffer)
    assert content(reread("school_census", buffer.getvalue(), scratch)) == content(
        reread("school_census", original.read_bytes(), scratch)
    )


def _index_row(page: Any) -> int:
    return next(row for row in range(1, 12) if page.cell(row, 1).value == "甲")


def _move(page: Any, data: st.DataObject) -> None:
    """The last figure column goes to another place, with every label its header shows; merges are lost."""
    last, index = page.max_column, _index_row(page)
    merged = {
        (row, column): page.cell(area.min_row, area.min_col).value
        for area in page.merged_cells.ranges
        for row in range(area.min_row, area.max_row + 1)
        for column in range(area.min_col, area.max_col + 1)
    }
    for area in list(page.merged_cells.ranges):
        page.unmerge_cells(str(area))
    for (row, column), value in merged.items():
        if 2 < row < index:
            page.cell(row, column).value = value
    if last < 4:
        return
    to = data.draw(st.integers(min_value=3, max_value=last))
    for row in range(3, page.max_row + 1):
        if row == index:
            continue
        cells = [page.cell(row, column).value for column in range(3, last + 1)]
        cells.insert(to - 3, cells.pop())
        for column, value in enumerate(cells, start=3):
            page.cell(row, column).value = value


def _rename(page: Any, aliases: dict[str, tuple[str, ...]], data: st.DataObject) -> None:
    for row in range(3, _index_row(page)):
        for column in range(3, page.max_column + 1):
            label = key(str(page.cell(row, column).value))
            others = next((found for name, found in aliases.items() if key(name) == label), ())
            if others:
                page.cell(row, column).value = data.draw(st.sampled_from((page.cell(row, column).value, *others)))


def _in_ten_thousands(page: Any) -> None:
    """People are told in 万人 instead."""
    for row in range(1, 4):
        for column in range(1, 3):
            text = page.cell(row, column).value
            if isinstance(text, str) and text.endswith("单位：人"):
                page.cell(row, column).value = text.replace("单位：人", "单位：万人")
                break
        else:
            continue
        for line in page.iter_rows(min_row=_index_row(page) + 1, min_col=3):
            for cell in line:
                if isinstance(cell.value, int | float):
                    cell.value = cell.value / 10_000
        return
