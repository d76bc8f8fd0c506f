"""The marked copy: the submitted sheets as .xlsx, with every cell a finding speaks of coloured and commented.

What belongs here: writing the workbook and its limits. What does not: which cells may be seen (`sources.marked_pages`)
and what a finding says. Every cell keeps the address it has in the delivery; rows left out of a large table are hidden.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from sources.contract import load
from sources.findings import Finding
from sources.marked_pages import Page, Shown, pages, place
from sources.parsers.grid import UnreadableError
from warehouse.masking import mask_personal

MARKS: Final = 2_000
_LISTED: Final = 500
_COMMENT: Final = 600
# Cells of a copy that are held in memory until it is written.
_AT_ONCE: Final = 50_000
_FORBIDDEN: Final = re.compile(r"[\[\]:*?/\\'\x00-\x1f]")
_COVER: Final = "回执说明"
_TABLE: Final = "报送件"
_PARTIAL: Final = "报送件较大：只列出表头和有问题的行，其余行已隐藏或略去；全部问题见 JSON 回执。"
# One instant for all: the same delivery must give the same bytes.
_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - written into a document property that has no zone
_SEVERITIES: Final = {"refusal": ("退回", "#FF9C9C"), "quarantine": ("隔离", "#FFC7CE"), "notice": ("提示", "#FFEB9C")}
_ORDER: Final = tuple(_SEVERITIES)

_Marks = Mapping[tuple[int, int], Sequence[Finding]]


@dataclass(frozen=True)
class MarkedCopy:
    """A written copy; `whole` is False when large tables show only their head and the rows with findings, or when
    there were more marks or workbooks than are copied."""

    path: Path
    whole: bool


def write_marked(feed: str, snapshot: Path, findings: Sequence[Finding], target: Path) -> MarkedCopy | None:
    """Write the marked copy of a delivery; None when no finding has a place, or it cannot be shown as a table.

    Deterministic: the same delivery and findings give the same bytes. Raises OSError when the disk fails.
    """
    placed = [found for found in findings if found.row_no is not None]
    if not placed:
        return None
    try:
        found = list(pages(load(feed), snapshot, placed[:MARKS]))
        whole = len(placed) <= MARKS and all(page.whole for page in found) and _covers(found, placed)
        _write(found, findings, placed[:MARKS], target, whole=whole)
    except (UnreadableError, csv.Error, XlsxWriterException):
        # The receipt holds every finding in words; a copy that cannot be made takes nothing from it.
        target.unlink(missing_ok=True)
        return None
    return MarkedCopy(target, whole)


def _covers(found: Iterable[Page], placed: Iterable[Finding]) -> bool:
    return {finding.member for finding in placed} <= {mask_personal(page.member) for page in found}


def _write(
    found: Sequence[Page], findings: Sequence[Finding], placed: Sequence[Finding], target: Path, *, whole: bool
) -> None:
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        # Faster by a quarter as long as it fits; row by row and through files beyond.
        "in_memory" if _cells_of(found) <= _AT_ONCE else "constant_memory": True,
    }
    with xlsxwriter.Workbook(str(target), options) as book:
        book.set_properties({"title": "报送件标注副本", "created": _MADE})
        formats = {name: book.add_format({"bg_color": colour}) for name, (_, colour) in _SEVERITIES.items()}
        names = _sheet_names(found)
        _cover(book, found, names, findings, whole=whole)
        for page, name in zip(found, names, strict=True):
            _sheet(book.add_worksheet(name), page, _marks(page, placed), formats)


def _cells_of(found: Iterable[Page]) -> int:
    return sum(len(row) for page in found for row in page.rows.values())


def _sheet_names(found: Sequence[Page]) -> list[str]:
    """Names Excel allows, each once: the sheet's own, numbered when several workbooks were handed in."""
    taken = {_COVER}
    names: list[str] = []
    for number, page in enumerate(found, start=1):
        own = _FORBIDDEN.sub(" ", mask_personal(page.sheet or _TABLE)).strip() or _TABLE
        name = f"{number}_{own}"[:31] if page.member or own.lower() in taken else own[:31]
        taken.add(name.lower())
        names.append(name)
    return names


def _cover(book: Any, found: Sequence[Page], names: Sequence[str], findings: Sequence[Finding], *, whole: bool) -> None:
    sheet = book.add_worksheet(_COVER)
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 4, 28)
    lines = [
        ["报送件标注副本"],
        ["单元格位置与报送件相同。红色：隔离或退回；黄色：提示；说明见批注。请改正原文件后整份重报，不要报送本副本。"],
        ["个人信息以及约定之外的列不予显示。"],
        ["有问题的表已全部列出。" if whole else _PARTIAL],
        [],
        ["副本中的表", "报送件中的工作表", "压缩包中的文件"],
        *([name, page.sheet or "—", page.member or "—"] for page, name in zip(found, names, strict=True)),
        [],
        ["程度", "位置", "列", "问题", "处理办法", "规则"],
        *(_line(finding) for finding in findings[:_LISTED]),
    ]
    for row, cells in enumerate(lines):
        for column, text in enumerate(cells):
            sheet.write_string(row, column, mask_personal(text)[:_COMMENT])


def _line(finding: Finding) -> list[str]:
    where = (finding.member, finding.sheet, finding.cell or (f"第 {finding.row_no} 行" if finding.row_no else ""))
    shown = " ".join(part for part in where if part) or "整份文件"
    severity, _ = _SEVERITIES[finding.severity]
    return [severity, shown, finding.column_name or "", finding.message_zh, finding.remedy_zh, finding.rule_id]


def _marks(page: Page, placed: Iterable[Finding]) -> _Marks:
    """0-based (row, column) in the copy -> findings; those of a whole row stand at its first cell."""
    marks: dict[tuple[int, int], list[Finding]] = defaultdict(list)
    for finding in placed:
        if finding.member == mask_personal(page.member) and finding.sheet == page.sheet and finding.row_no is not None:
            column = page.columns.get(finding.column_name or "", 0)
            at = place(finding.cell) if finding.cell else (finding.row_no - 1 + page.offset, column)
            marks[at].append(finding)
    return marks


def _sheet(sheet: Any, page: Page, marks: _Marks, formats: Mapping[str, Any]) -> None:
    if not page.whole:
        sheet.set_default_row(hide_unused_rows=True)
    by_row: dict[int, list[int]] = defaultdict(list)
    for row, column in sorted(marks):
        by_row[row].append(column)
    # In constant memory a row is over once a later one is begun, comments included.
    for row in sorted({*(number - 1 for number in page.rows), *by_row}):
        cells: Sequence[Shown] = page.rows.get(row + 1, ())
        for column in range(max(len(cells), *(at + 1 for at in by_row[row]), 0)):
            value = cells[column] if column < len(cells) else ""
            _put(sheet, row, column, value, _format((row, column), marks, formats))
        for column in by_row[row]:
            text = _comment(marks[row, column])
            sheet.write_comment(row, column, text, {"author": "eduplan", "x_scale": 2.5, "y_scale": 1.5})


def _put(sheet: Any, row: int, column: int, value: Shown, style: Any | None) -> None:
    if isinstance(value, float):
        sheet.write_number(row, column, value, style)
    elif value:
        sheet.write_string(row, column, value, style)
    elif style is not None:
        sheet.write_blank(row, column, None, style)


def _format(at: tuple[int, int], marks: _Marks, formats: Mapping[str, Any]) -> Any | None:
    if at not in marks:
        return None
    return formats[min((finding.severity for finding in marks[at]), key=_ORDER.index)]


def _comment(found: Iterable[Finding]) -> str:
    texts = (f"【{_SEVERITIES[f.severity][0]}】{f.message_zh}{f.remedy_zh}（{f.rule_id}）" for f in found)
    text = mask_personal("\n".join(texts))
    return text if len(text) <= _COMMENT else f"{text[:_COMMENT]}…"
