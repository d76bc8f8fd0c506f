"""Parsers: bytes of one delivery to typed records, findings and counts, under the feed's contract.

What belongs here: reading formats and applying row rules. What does not: fetching (`sources.connectors`), storing
(`sources.intake`), layouts and rules as facts (`sources/feeds`). A parser writes nothing outside `out_dir`, reads no
clock and no network: the same bytes give the same records.
"""

from __future__ import annotations

from pathlib import Path

from sources.parsers.result import ParseResult
from warehouse.errors import Fault

__all__ = ["ParseResult", "parse"]


def parse(feed: str, snapshot: Path, *, file_name: str, delivery_id: str, key: bytes, out_dir: Path) -> ParseResult:
    """Parse one delivery of a feed. The file's name decides nothing; what cannot be read is a refused result.

    `key` turns identity numbers into pseudonyms. Raises Fault for an unknown feed, OSError when the disk fails.
    """
    del file_name
    if feed == "school_census":
        from sources.parsers.census import parse_census

        return parse_census(snapshot, delivery_id=delivery_id, out_dir=out_dir)
    if feed == "teacher_register":
        from sources.parsers.teacher import parse_teachers

        return parse_teachers(snapshot, delivery_id=delivery_id, key=key, out_dir=out_dir)
    if feed == "education_finance":
        from sources.parsers.finance import parse_finance

        return parse_finance(snapshot, delivery_id=delivery_id, out_dir=out_dir)
    if feed == "official_figures":
        from sources.parsers.official import parse_official

        return parse_official(snapshot, delivery_id=delivery_id, out_dir=out_dir)
    from sources.contract import load
    from sources.parsers.flat import parse_flat

    if load(feed).flat is None:
        raise Fault(f"数据约定 {feed} 没有说明怎样读取（缺少 flat）。")
    return parse_flat(feed, snapshot, delivery_id=delivery_id, out_dir=out_dir)
