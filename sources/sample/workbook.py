"""What is shared around XlsxWriter by every workbook of the sample.

Belongs here: opening a workbook that is the same on every run, merged headers, and the note that all is synthetic.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import xlsxwriter
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

SYNTHETIC_ZH = "合成样例数据"
NOTE_ZH = f"注：{SYNTHETIC_ZH}，由 eduplan 生成，不是任何学校或个人的真实资料。"
_PROPERTIES = {
    "title": f"教育事业统计 {SYNTHETIC_ZH}",
    "comments": f"{SYNTHETIC_ZH}。Synthetic sample data made by eduplan; no real school or person.",
    "company": SYNTHETIC_ZH,
    # A fixed moment: the same seed must give the same bytes.
    "created": datetime(2020, 1, 1),  # noqa: DTZ001 - the format stores a naive time
}


@contextmanager
def workbook(target: Path | IO[bytes]) -> Iterator[Workbook]:
    """A workbook whose bytes depend on its content only; says in its properties that it is synthetic."""
    book = xlsxwriter.Workbook(str(target) if isinstance(target, Path) else target, {"in_memory": True})
    book.set_properties(_PROPERTIES)
    yield book
    book.close()


def merge(sheet: Worksheet, row: int, first: int, last: int, text: str, *, down: int = 0) -> None:
    """Write ``text`` over columns first..last (and ``down`` more rows), merged when that is more than one cell."""
    if first == last and not down:
        sheet.write_string(row, first, text)
    else:
        sheet.merge_range(row, first, row + down, last, text)


def two_row_header(sheet: Worksheet, row: int, paths: Sequence[tuple[str, ...]]) -> None:
    """Two header rows: a path of one label is merged downwards, equal upper labels of neighbours are merged across."""
    column = 0
    while column < len(paths):
        path = paths[column]
        if len(path) == 1:
            merge(sheet, row, column, column, path[0], down=1)
            column += 1
            continue
        last = column
        while last + 1 < len(paths) and len(paths[last + 1]) == 2 and paths[last + 1][0] == path[0]:
            last += 1
        merge(sheet, row, column, last, path[0])
        for place in range(column, last + 1):
            sheet.write_string(row + 1, place, paths[place][1])
        column = last + 1
