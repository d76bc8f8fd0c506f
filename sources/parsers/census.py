"""The door of the school census: what kind of file is it, whatever it is called.

What belongs here: deciding between collated list, zip of school workbooks and single workbook by content. What does
not: reading any of them.
"""

from __future__ import annotations

from pathlib import Path

from sources.contract import load
from sources.parsers.census_list import looks_like_list, parse_list
from sources.parsers.census_workbook import looks_like_workbook
from sources.parsers.census_zip import parse_single, parse_zip
from sources.parsers.grid import UnreadableError, is_workbook, kind, open_workbook
from sources.parsers.result import ParseResult, Reporter, refusal


def parse_census(snapshot: Path, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Parse a delivery of the school census; content decides the type."""
    reporter = Reporter(load("school_census"))
    try:
        with snapshot.open("rb") as handle:
            found = kind(handle.read(8))
        if found in {"text", "empty"}:
            reporter.add("census.unreadable", detail="文件为空" if found == "empty" else "不是 Excel 工作簿或 .zip")
            return refusal(reporter)
        if found == "zip" and not is_workbook(snapshot):
            return parse_zip(snapshot, reporter, delivery_id=delivery_id, out_dir=out_dir)
        book = open_workbook(snapshot)
        if looks_like_list(book):
            return parse_list(book, reporter, delivery_id=delivery_id, out_dir=out_dir)
        if looks_like_workbook(book, reporter.contract.catalogue):
            return parse_single(book, reporter, delivery_id=delivery_id, out_dir=out_dir)
    except UnreadableError as error:
        reporter.add("census.unreadable", detail=error)
        return refusal(reporter)
    reporter.add("census.unreadable", detail="工作簿中没有以表号命名的教育事业统计表")
    return refusal(reporter)
