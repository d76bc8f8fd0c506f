"""Edits delivered workbooks as an office would: opens the collated list, changes cells, saves it under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
from openpyxl.worksheet.worksheet import Worksheet

FIRST_FIGURE = 3
Edit = Callable[[openpyxl.Workbook], None]


@dataclass(frozen=True)
class Place:
    """Where an edit was made, as the receipt must name it."""

    sheet: str
    row: int
    column: int


def list_of(inbox: Path, area_name: str, year: int) -> Path:
    """The collated list of an area and year, found by its title, as nobody may rely on its name."""
    title = f"{area_name}{year}/{year + 1}学年初"
    for path in sorted((inbox / "school_census").rglob("*.xlsx")):
        book = openpyxl.load_workbook(path, read_only=True)
        first = book[book.sheetnames[0]]["A1"].value
        book.close()
        if isinstance(first, str) and title in first:
            return path
    raise AssertionError(f"no list {title} in {inbox}")


def sheet(book: openpyxl.Workbook, name: str) -> Worksheet:
    return next(book[title] for title in book.sheetnames if title.strip() == name)


def first_school_row(page: Worksheet) -> int:
    return next(school_rows(page))


def school_rows(page: Worksheet) -> Iterator[int]:
    for row in range(1, page.max_row + 1):
        code = str(page.cell(row, 1).value or "").strip()
        if len(code) == 10 and code.isdigit():
            yield row


def figure(page: Worksheet, number: int) -> int:
    """The sheet column (1-based) of the figure with this number in the index row 甲 乙 1 2 3 …"""
    return FIRST_FIGURE + number - 1


def edited(source: Path, target: Path, edit: Edit) -> Path:
    """A copy of `source` under `target` with `edit` applied."""
    book = openpyxl.load_workbook(source)
    edit(book)
    target.parent.mkdir(parents=True, exist_ok=True)
    book.save(target)
    return target


def more_pupils(by: int) -> Edit:
    """The first primary school reports `by` more pupils in grade one, with totals that agree."""
    return _more(by, 7, 9)


def more_graduates(by: int) -> Edit:
    """It reports `by` more pupils who left it, from which no indicator follows."""
    return _more(by, 1)


def _more(by: int, *figures: int) -> Edit:
    def edit(book: openpyxl.Workbook) -> None:
        page = sheet(book, "教基3112")
        row = first_school_row(page)
        total = next(r for r in range(1, row) if str(page.cell(r, 1).value or "").strip() == "总计")
        for number in figures:
            column = figure(page, number)
            for line in (row, total):
                page.cell(line, column).value = _number(page.cell(line, column).value) + by

    return edit


def _number(value: object) -> int:
    # Some cells hold a number as text, with separators, spaces or full-width digits.
    return int(float(str(value).replace(",", "").strip()))


def telephone_in_name(book: openpyxl.Workbook) -> None:
    """The first school writes a contact's telephone number (made up) behind its name."""
    page = sheet(book, "教基1001")
    cell = page.cell(first_school_row(page), 2)
    cell.value = f"{cell.value}（联系人13812345678）"
