"""Large workbooks are read from a copy with the merged ranges first; whatever calamine finds stays as it was."""

from __future__ import annotations

import io
import zipfile
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook as Written
from python_calamine import CalamineError, CalamineWorkbook

from sources.parsers.grid import Workbook
from sources.parsers.repacked import LEAST, MOST, Repacked, merges_first, worth_it

BEGIN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
ROWS = (
    b'<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B2"><v>2</v></c></row></sheetData>',
    b"<sheetData></sheetData>",
    b"<sheetData/>",
    b'<x:sheetData><row r="1"><c r="A1"><v>1</v></c></row></x:sheetData>',
    b'<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t><![CDATA[</sheetData>]]></t></is></c></row></sheetData>',
    b'<sheetData><row r="1"><c r="A1"><v>1</v></c></row><!-- </sheetData> --></sheetData>',
)
AROUND = (
    b'<dimension ref="A1:C3"/>',
    b'<mergeCells count="1"><mergeCell ref="A1:B2"/></mergeCells>',
    b'<mergeCells count="2"><mergeCell ref="A3:C3"/><mergeCell ref="A1:A2"/></mergeCells>',
    b'<mergeCells count="0"/>',
    b'<x:mergeCells><mergeCell ref="B1:B2"/></x:mergeCells>',
    b'<!-- <mergeCells><mergeCell ref="C1:C2"/></mergeCells> -->',
    b"<!-- <sheetData> -->",
    b"<!-- </sheetData> -->",
    b'<pageMargins left="0.7"/>',
)


@cache
def workbook() -> dict[str, bytes]:
    """The parts of a workbook of one sheet."""
    written = Written()
    written.worksheets[0].title = "s"
    target = io.BytesIO()
    written.save(target)
    with zipfile.ZipFile(target) as read:
        return {name: read.read(name) for name in read.namelist()}


def package(sheet: bytes) -> bytes:
    """A workbook with this sheet."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in workbook().items():
            made.writestr(name, sheet if name.startswith("xl/worksheets/") else data)
    return target.getvalue()


def found(whole: io.BytesIO) -> object:
    """Cells and merged ranges as calamine gives them, or that it does not."""
    try:
        sheet = CalamineWorkbook.from_filelike(whole).get_sheet_by_name("s")
    except CalamineError as error:
        return type(error)
    return sheet.to_python(skip_empty_area=False), sheet.merged_cell_ranges or []


def copied(data: bytes) -> io.BytesIO:
    copy = Repacked()
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        for name in read.namelist():
            copy.add(name, read.read(name))
    return copy.whole()


@given(st.lists(st.sampled_from(AROUND), max_size=3), st.sampled_from(ROWS), st.lists(st.sampled_from(AROUND)))
def test_calamine_finds_the_same(before: list[bytes], rows: bytes, after: list[bytes]) -> None:
    data = package(b"".join((BEGIN, *before, rows, *after, b"</worksheet>")))
    assert found(copied(data)) == found(io.BytesIO(data))


def test_ranges_stand_before_the_rows() -> None:
    sheet = BEGIN + ROWS[0] + AROUND[8] + AROUND[1] + b"</worksheet>"
    moved = merges_first(sheet)
    assert moved.startswith(BEGIN + AROUND[1] + ROWS[0]) and moved.endswith(sheet[len(BEGIN) :])
    assert merges_first(BEGIN + ROWS[0] + b"</worksheet>") == BEGIN + b"<mergeCells/>" + ROWS[0] + b"</worksheet>"
    assert found(io.BytesIO(package(moved))) == ([["a", ""], ["", 2.0]], [((0, 0), (1, 1))])


@pytest.mark.parametrize("part", [AROUND[3], AROUND[4], AROUND[5], AROUND[7], b"<a><![CDATA[</sheetData>]]></a>"])
def test_a_sheet_written_in_another_way_stays_as_it_is(part: bytes) -> None:
    sheet = BEGIN + ROWS[0] + part + b"</worksheet>"
    assert merges_first(sheet) == sheet


@pytest.mark.parametrize("part", [AROUND[1], AROUND[6]])
def test_a_sheet_whose_beginning_is_odd_stays_as_it_is(part: bytes) -> None:
    sheet = BEGIN + part + ROWS[0] + b"</worksheet>"
    assert merges_first(sheet) == sheet


def part(name: str, size: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.file_size = size
    return made


def test_only_large_sheets_of_bounded_packages_are_copied() -> None:
    sheet = "xl/worksheets/sheet1.xml"
    assert worth_it([part("xl/workbook.xml", 1), part(sheet, LEAST)])
    assert not worth_it([part("xl/sharedStrings.xml", LEAST), part(sheet, LEAST - 1)])
    assert worth_it([part(sheet, MOST)]) and not worth_it([part(sheet, MOST), part("xl/workbook.xml", 1)])
    assert not worth_it([part(sheet, LEAST), part(sheet, LEAST)])
    assert not worth_it([part(sheet, LEAST), part("xl/worksheets/表.xml", 1)])


def test_a_workbook_of_thousands_of_rows_reads_as_calamine_reads_it() -> None:
    written = Written()
    sheet = written.worksheets[0]
    sheet.title = "s"
    sheet.append(["标题", None, None])
    sheet.merge_cells("A1:C1")
    for number in range(6_000):
        sheet.append([f"单位{number}", number, number / 8])
    target = io.BytesIO()
    written.save(target)
    data = target.getvalue()
    with zipfile.ZipFile(target) as read:
        assert worth_it(read.infolist())
    grid = Workbook(data).grid("s")
    assert (grid.rows, list(grid.merged)) == found(io.BytesIO(data))
    assert grid.merged == (((0, 0), (0, 2)),) and len(grid.rows) == 6_001
