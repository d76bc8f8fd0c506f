"""A large workbook laid out so that calamine goes through each sheet once.

What belongs here: the copy in memory that calamine is given. What does not: the guards, which see every part before
(`sources.parsers.package`), and cells (`sources.parsers.grid`).

calamine looks for a sheet's merged ranges in a second pass, and stops at them. Office writes them behind the rows, so
that this pass goes through all of it, or to the end where there are none. With a copy of them before the rows it stops
at once; and parts that the guards have unpacked need not be unpacked twice more. No cell is touched.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Final

SHEETS: Final = "xl/worksheets/"
# Below it the copy costs more than the second pass: a school's workbook, 1.0 ms as it is, takes 1.6 so.
LEAST: Final = 256 << 10
# The copy stands in memory twice for a moment, in every reading process.
MOST: Final = 32 << 20
_ROWS: Final = b"<sheetData>"
_END_OF_ROWS: Final = b"</sheetData>"
_MERGES: Final = b"<mergeCells"
_END_OF_MERGES: Final = b"</mergeCells>"
_NO_MERGES: Final = b"<mergeCells/>"
# Where these stand, a tag that is found may be a comment's or a text's.
_UNSURE: Final = (b"<!", b"-->", b"]]>")


class Repacked:
    """Takes in the parts of a package one by one; `whole` is the package to read."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._package = zipfile.ZipFile(self._bytes, "w", zipfile.ZIP_STORED)

    def add(self, name: str, data: bytes) -> None:
        """A part as it was unpacked."""
        self._package.writestr(zipfile.ZipInfo(name), merges_first(data) if name.startswith(SHEETS) else data)

    def whole(self) -> io.BytesIO:
        """The package, from its beginning. Nothing can be added after."""
        self._package.close()
        self._bytes.seek(0)
        return self._bytes


def worth_it(parts: Sequence[zipfile.ZipInfo]) -> bool:
    """Whether a package of these parts is read sooner as a copy, and the copy is of bounded size."""
    names = [part.filename for part in parts]
    if len(set(names)) < len(names) or not all(name.isascii() for name in names):
        return False
    return (
        any(part.filename.startswith(SHEETS) and part.file_size >= LEAST for part in parts)
        and sum(part.file_size for part in parts) <= MOST
    )


def merges_first(sheet: bytes) -> bytes:
    """A sheet's XML with a copy of its merged ranges before its rows; the same bytes where that is not sure to be so.

    They stay behind the rows as well, where nobody looks any more.
    """
    begin, end = sheet.find(_ROWS), sheet.rfind(_END_OF_ROWS)
    if not 0 <= begin < end:
        return sheet
    head, tail = sheet[:begin], sheet[end:]
    merges = _merges(tail)
    if merges is None or _MERGES[1:] in head or any(mark in part for part in (head, tail) for mark in _UNSURE):
        return sheet
    return b"".join((head, merges, sheet[begin:]))


def _merges(tail: bytes) -> bytes | None:
    """The element of merged ranges in what follows the rows; None where it is written in another way than mostly."""
    if _MERGES[1:] not in tail:
        return _NO_MERGES
    begin = tail.find(_MERGES)
    end = tail.find(_END_OF_MERGES, begin)
    return None if begin < 0 or end < 0 else tail[begin : end + len(_END_OF_MERGES)]
