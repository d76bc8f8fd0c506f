"""The anatomy of a plan's text: its clauses and boxes, and where a quotation stands in it.

What belongs here: headings, offsets, occurrences. What does not: what the plan states (that is `warehouse.registry`).

Conventions. Offsets are 0-based characters of the text as decoded from UTF-8 with line ends as LF and without a byte
order mark. A quotation is compared with line breaks removed, because a page break may fall inside a sentence; blanks
and tabs are kept.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_NUMERAL = "一二三四五六七八九十"
_CHAPTER = re.compile(rf"^([{_NUMERAL}]+)、\S")
_PART = re.compile(rf"^[（(]([{_NUMERAL}]+)[）)]\s*\S")
_BOX = re.compile(r"^专栏\s*(\d+)(?:\s|$)")
_STOP = re.compile("[。；;]")
# No clause of a plan is longer than this many characters; it keeps the search for its ends short.
_REACH = 400
_ITEM = re.compile(r"^(\d+)[.．、]\s*\S")


@dataclass(frozen=True)
class Span:
    """Characters start (included) to end (excluded) of the text."""

    start: int
    end: int


@dataclass
class _Heading:
    """Where the reader of the text stands while walking down the lines."""

    chapter: str = ""
    part: str = ""
    item: str = ""
    box: str = ""
    box_item: str = ""

    def advance(self, line: str) -> bool:
        """Take a line in; True if it is a heading (or a numbered item) and the section changed."""
        if match := _CHAPTER.match(line):
            self.chapter, self.part, self.item, self.box, self.box_item = match[1], "", "", "", ""
        elif match := _PART.match(line):
            self.part, self.item, self.box, self.box_item = match[1], "", "", ""
        elif match := _BOX.match(line):
            self.box, self.box_item = match[1], ""
        elif match := _ITEM.match(line):
            if self.box:
                self.box_item = match[1]
            else:
                self.item = match[1]
        else:
            return False
        return True

    def label(self) -> str:
        """The section's name, such as 一, 三(四)2, 三(四)专栏5.3 or 四(二)."""
        part = f"({self.part})" if self.part else ""
        if not self.box:
            return f"{self.chapter}{part}{self.item}"
        box_item = f".{self.box_item}" if self.box_item else ""
        return f"{self.chapter}{part}专栏{self.box}{box_item}"


def section_label(chapter_and_part: str, box: str, box_item: str) -> str:
    """The name a section of a box must have."""
    return f"{chapter_and_part}专栏{box}" + (f".{box_item}" if box_item else "")


def normalise_lines(text: str) -> str:
    """The text the offsets count: no byte order mark, LF line ends."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


@dataclass
class PlanText:
    """A plan's text, read once: `raw` with line ends, `flat` without, and the sections by position."""

    raw: str
    flat: str = field(init=False)
    _position: list[int] = field(init=False)
    _starts: list[int] = field(init=False)
    _labels: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.raw = normalise_lines(self.raw)
        self._position = [index for index, char in enumerate(self.raw) if char != "\n"]
        self.flat = self.raw.replace("\n", "")
        self._starts, self._labels = [0], [""]
        heading, offset = _Heading(), 0
        for line in self.raw.split("\n"):
            if heading.advance(line):
                self._starts.append(offset)
                self._labels.append(heading.label())
            offset += len(line) + 1

    def slice(self, span: Span) -> str:
        """What stands at the span, with line breaks removed; shorter than asked if the span leaves the text."""
        return self.raw[max(span.start, 0) : max(span.end, 0)].replace("\n", "")

    def section_at(self, offset: int) -> str:
        """The name of the section that holds the character at the offset ('' before the first heading)."""
        return self._labels[bisect.bisect_right(self._starts, offset) - 1]

    def occurrences(self, quote: str) -> list[Span]:
        """Every place where the quotation stands (overlaps included), in order; [] for an empty quotation."""
        return list(self._find(quote)) if quote else []

    def sentence_around(self, span: Span) -> str:
        """The clause that holds the span, from one full stop or semicolon to the next, line breaks removed."""
        before = _STOP.split(self.raw[max(0, span.start - _REACH) : span.start])[-1]
        after = _STOP.split(self.raw[span.end : span.end + _REACH])[0]
        return (before + self.raw[span.start : span.end] + after).replace("\n", "")

    def neighbours(self, span: Span) -> tuple[str, str]:
        """The characters right before and right after the span ('' at the ends of the text)."""
        before = self.raw[span.start - 1 : span.start] if span.start > 0 else ""
        return before, self.raw[span.end : span.end + 1]

    def _find(self, quote: str) -> Iterator[Span]:
        at = self.flat.find(quote)
        while at >= 0:
            yield Span(self._position[at], self._position[at + len(quote) - 1] + 1)
            at = self.flat.find(quote, at + 1)
