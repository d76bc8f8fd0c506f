"""Titles of census sheets: which area, which school year, reported on which day, in which unit.

What belongs here: reading these facts out of free text near the top or below a table. What does not: judging them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from sources.labels import plain

# Text without blanks, half-width: `重庆市渝中区2023/2024学年初教育事业统计一览表`, `(2020/2021学年初)`.
_YEAR: Final = re.compile(r"(20\d{2})[/\-—~至](20\d{2}|\d{2})学?年")
_DATE: Final = re.compile(
    r"(?:填报|填表|上报|报送)(?:日期|时间)[:]?(20\d{2})(?:年|[-/.])(\d{1,2})(?:月|[-/.])(\d{1,2})日?"
)
_UNIT: Final = re.compile(r"单位[:]([^\s()]+)")
_AREA: Final = re.compile(r"([\u4e00-\u9fff()]{2,20}?)$")


@dataclass(frozen=True)
class Title:
    """Area text in front of the year ('' when none) and the statistical year."""

    area: str
    year: int


def find_title(texts: Iterable[str]) -> Title | None:
    """The first text that names a school year; the years must follow each other."""
    for text in texts:
        match = _YEAR.search(plain(text)) if "20" in plain(text) else None
        if match is None:
            continue
        year, following = int(match[1]), int(match[2][-2:])
        if (year + 1) % 100 != following:
            continue
        area = _AREA.search(plain(text)[: match.start()].rstrip("("))
        return Title(area[1] if area else "", year)
    return None


def find_date(texts: Iterable[str]) -> date | None:
    """The latest reporting date named; a date that does not exist is no date."""
    found = []
    for text in texts:
        bare = plain(text)
        # Two plain searches: nearly no text is about a date.
        if "日期" not in bare and "时间" not in bare:
            continue
        for year, month, day in _DATE.findall(bare):
            try:
                found.append(date(int(year), int(month), int(day)))
            except ValueError:
                continue
    return max(found, default=None)


def find_unit(texts: Iterable[str]) -> str:
    """The unit printed above a table (`单位：人`), or ''."""
    for text in texts:
        match = _UNIT.search(plain(text)) if "单位" in plain(text) else None
        if match is not None:
            return match[1]
    return ""
