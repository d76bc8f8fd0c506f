"""Old .xls workbooks: the tables that the fixtures in tests/fixtures/xls hold, and how these were written.

The fixtures are synthetic and committed, because nothing the project depends on writes .xls. They were made by
`python -m tests.support.old_workbooks` with xlwt 1.3.0 installed for the occasion, and are made anew the same way when
the forms change (the tests say when the tables here and those in the fixtures differ).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.support import good_deliveries as good

FIXTURES: Final = Path(__file__).parent.parent / "fixtures" / "xls"
LIST, WORKBOOK = FIXTURES / "collated_list.xls", FIXTURES / "school_workbook.xls"


def list_sheets() -> list[good.Sheet]:
    """A collated list with a figure that is none, a sum that does not add up, and an unknown organiser."""
    sheets = good.list_sheets()
    sheets["教基2105"].rows[0][2] = "约六十"
    sheets["教基3112"].rows[0][4] = 1
    organiser = [entry.field for entry in good.catalogue().profile.fields].index("organiser_code")
    sheets["教基1001"].rows[3][organiser] = "个人"
    for sheet in sheets.values():
        sheet.total = None
    return list(sheets.values())


def school_pages() -> list[good.Page]:
    """A primary school's workbook; in 教基3112 its second line holds text where a figure belongs."""
    pages = good.school_pages(good.SCHOOLS[1])
    page = next(page for page in pages if page.name == "教基3112")
    page.rows[5][2] = "很多"
    return pages


def main() -> None:
    """Write both fixtures."""
    writer: Any = import_module("xlwt")
    FIXTURES.mkdir(parents=True, exist_ok=True)
    book = writer.Workbook(encoding="utf-8")
    for sheet in list_sheets():
        _write_list(book.add_sheet(sheet.name), sheet)
    book.save(str(LIST))
    book = writer.Workbook(encoding="utf-8")
    for page in school_pages():
        target = book.add_sheet(page.name)
        for row, cells in enumerate(page.rows):
            _write_row(target, row, cells)
    book.save(str(WORKBOOK))


def _write_list(target: Any, sheet: good.Sheet) -> None:
    width = len(sheet.paths)
    target.write_merge(0, 0, 0, width - 1, sheet.title)
    target.write(1, 0, f"{sheet.name}    单位：{sheet.unit}" if sheet.unit else sheet.name)
    for column, path in enumerate(sheet.paths):
        target.write(2, column, path[0])
        if len(path) > 1:
            target.write(3, column, path[1])
    _write_row(target, 4, ["甲", "乙", *(str(number) for number in range(1, width - 1))])
    for row, cells in enumerate(sheet.rows, start=5):
        _write_row(target, row, cells)
    for row, note in enumerate(sheet.notes, start=5 + len(sheet.rows)):
        target.write(row, 0, note)


def _write_row(target: Any, row: int, cells: list[Any]) -> None:
    for column, value in enumerate(cells):
        if value != "":
            target.write(row, column, value)


if __name__ == "__main__":
    main()
