"""What an .xlsx holds, looked at before anything reads it: sizes, macros, DTDs, far cells, formulas without a value.

What belongs here: the guards around an Office package and the cells whose formula was never calculated. What does not:
cells that have a value (`sources.parsers.grid`) and archives of several files (`sources.parsers.census_zip`).

Everything in a package is unpacked once here, and never more of a part than the package's directory promises: what lies
about its size fails its checksum instead of filling the memory.
"""

from __future__ import annotations

import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

from sources.parsers.repacked import SHEETS, Repacked, worth_it

ZIP_MAGIC: Final = b"PK\x03\x04"
OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_PARTS: Final = 5_000
MAX_UNPACKED: Final = 512 << 20
# The XML of real sheets shrinks ten- to fortyfold; a part this size that shrinks more was made to be a bomb.
_LARGE: Final = 16 << 20
_MAX_RATIO: Final = 200
_WORKBOOK: Final = "xl/workbook.xml"
_MACROS: Final = re.compile(r"(?:^|/)vbaProject[^/]*\.bin$|^xl/(?:macrosheets|dialogsheets)/", re.IGNORECASE)
# Old .xls files keep macros in a storage of this name (UTF-16 in the compound file's directory).
_OLE_MACROS: Final = "_VBA_PROJECT".encode("utf-16-le")
_DTD: Final = (b"<!DOCTYPE", b"<!ENTITY")
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")
# How far a sheet says it reaches, and how far its last rows do: readers lay out everything up to a stray cell far out.
# (A sheet that lies about both ends at the reading process's memory limit.)
_DIMENSION: Final = re.compile(
    rb"<(?:\w+:)?dimension\s[^>]*\bref=[\"'](?:[A-Z]{1,3}[0-9]+:)?([A-Z]{1,3})([0-9]{1,7})[\"']"
)
_REFERENCE: Final = re.compile(rb"\br=[\"']([A-Z]{0,7})([0-9]{1,7})[\"']")
_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_HEAD, _TAIL = 1 << 10, 8 << 10
_ROWS: Final = b"sheetData"
_END_OF_ROWS: Final = b"sheetData>"
_LAST_REFERENCE: Final = b" r="
_LONGEST_REFERENCE: Final = 32
MAX_COLUMNS: Final = 2_000
MAX_ROWS: Final = 200_000
# Plain searches first: they are much faster than the expressions below, which only sheets with formulas need.
_FORMULA_MARKS: Final = (b"<f>", b"<f ", b"<f/", b":f>", b":f ", b":f/")
_FORMULA: Final = re.compile(rb"<(?:\w+:)?f[\s/>]")
_CELL: Final = re.compile(rb"<(?:\w+:)?c\s([^>]*[^/>])>(.*?)</(?:\w+:)?c>", re.DOTALL)
_VALUE: Final = re.compile(rb"<(?:\w+:)?v[^>]*>[^<]|<(?:\w+:)?is[\s>]")
_PLACE: Final = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{1,3})([0-9]{1,6})[\"']")
_TEXT_RESULT: Final = re.compile(rb"\bt\s*=\s*[\"']str[\"']")
_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION: Final = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"

# What a damaged or crafted zip makes the standard library raise; none of it says more than "broken".
BROKEN_ZIP: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    zlib.error,
    EOFError,
    struct.error,
    OverflowError,
    UnicodeDecodeError,
)

# Sheet name -> 0-based (row, column) of formulas without a result.
Uncalculated = Mapping[str, frozenset[tuple[int, int]]]


@dataclass(frozen=True)
class Inspected:
    """What may be read: the workbook, or a copy of it that is read sooner, and its formulas without a result."""

    readable: io.BytesIO = field(repr=False)
    uncalculated: Uncalculated


class UnreadableError(ValueError):
    """The bytes cannot be read as what they claim to be; the text says why in Chinese."""


def inspect(handle: io.BytesIO) -> Inspected:
    """Refuse what no office needs to hand in, and find formulas without a result. Raises UnreadableError.

    Old .xls files are only looked at for macros: their formulas always hold the last result.
    """
    head = handle.read(8)
    handle.seek(0)
    if head == OLE_MAGIC:
        _guard_old(handle.read())
        handle.seek(0)
        return Inspected(handle, {})
    if not head.startswith(ZIP_MAGIC):
        raise UnreadableError("文件已损坏或不是 Excel 工作簿")
    try:
        with zipfile.ZipFile(handle) as package:
            guard_whole(package)
            parts = package.infolist()
            copy = Repacked() if worth_it(parts) else None
            found = _inspect(handle.getbuffer(), parts, copy)
    except BROKEN_ZIP as error:
        raise UnreadableError("文件已损坏、不完整，或内容与声明的大小不符") from error
    handle.seek(0)
    return Inspected(handle if copy is None else copy.whole(), found)


def guard_whole(package: zipfile.ZipFile) -> None:
    """Raise BadZipFile when something stands before the first member.

    A zip that lost its end shows the directory of the last archive inside it, as if that were all.
    """
    if min((part.header_offset for part in package.infolist()), default=0) != 0:
        raise zipfile.BadZipFile("data before the first member")


def _guard_old(data: bytes) -> None:
    if _OLE_MACROS in data:
        raise UnreadableError("工作簿含有宏，请另存为不含宏的 .xlsx")


def _inspect(whole: memoryview, parts: list[zipfile.ZipInfo], copy: Repacked | None) -> Uncalculated:
    _guard_directory(parts)
    formulas: dict[str, frozenset[tuple[int, int]]] = {}
    small: dict[str, bytes] = {}
    for part in parts:
        data = _unpacked(whole, part)
        name = part.filename
        if name.lower().endswith((".xml", ".rels")):
            _guard_xml(data)
        if copy is not None:
            copy.add(name, data)
        if name.startswith(SHEETS):
            formulas[name] = _sheet(data)
        elif name in {_WORKBOOK, _relations_of(_WORKBOOK)}:
            small[name] = data
    if not any(formulas.values()):
        return {}
    return {sheet: formulas[part] for sheet, part in _sheet_parts(small) if formulas.get(part)}


def _unpacked(whole: memoryview, part: zipfile.ZipInfo) -> bytes:
    """A part's bytes, out of those of the whole package. Raises BadZipFile unless they are exactly as many as the
    directory says, and whole.

    The standard library stops reading at the promised size; other readers do not, so what follows must be known.
    """
    magic, name_length, extra_length = _LOCAL_HEADER.unpack_from(whole, part.header_offset)
    begin = part.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    packed = whole[begin : begin + part.compress_size]
    if magic != ZIP_MAGIC or part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise zipfile.BadZipFile("no local header, or a compression that Office does not write")
    if part.compress_type == zipfile.ZIP_STORED:
        data, ended = bytes(packed), True
    else:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        data = unpacker.decompress(packed, part.file_size + 1)
        ended = unpacker.eof
    if not ended or len(data) != part.file_size or zlib.crc32(data) != part.CRC:
        raise zipfile.BadZipFile("size or checksum differs from the directory")
    return data


def _guard_directory(parts: list[zipfile.ZipInfo]) -> None:
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise UnreadableError("工作簿内部异常庞大")
    if any(part.file_size > _LARGE and part.file_size > _MAX_RATIO * part.compress_size for part in parts):
        raise UnreadableError("工作簿内部异常庞大（疑似压缩炸弹）")
    if any(part.flag_bits & 0x1 for part in parts):
        raise UnreadableError("文件有密码保护")
    if any(_MACROS.search(part.filename) for part in parts):
        raise UnreadableError("工作簿含有宏，请另存为不含宏的 .xlsx")
    if _WORKBOOK not in {part.filename for part in parts}:
        raise UnreadableError("不是 Excel 工作簿（.xlsx）")


def _guard_xml(data: bytes) -> None:
    """Office writes UTF-8 without a DTD; anything else is an attempt at entities."""
    if data.startswith(_UTF16):
        raise UnreadableError("工作簿内部编码异常（UTF-16）")
    # One character is found much faster than a word, and hardly any part has it.
    if b"!" in data and any(mark in data for mark in _DTD):
        raise UnreadableError("工作簿内部含有 DTD 或实体声明")


def _sheet(data: bytes) -> frozenset[tuple[int, int]]:
    columns, rows = _extent(data)
    if columns > MAX_COLUMNS or rows > MAX_ROWS:
        raise UnreadableError(f"工作表过大（{rows}行×{columns}列），或有单元格落在极远处")
    return frozenset(_uncalculated(data)) if _has_formulas(data) else frozenset()


def _has_formulas(data: bytes) -> bool:
    """Whether a mark of formulas stands anywhere in a sheet. Rows of figures have no letter f: then only what stands
    around them is searched (what follows them begins with an s, which no mark has, so that none comes about here)."""
    begin, end = data.find(_ROWS), data.rfind(_END_OF_ROWS)
    if 0 <= begin < end and data.find(b"f", begin, end) < 0:
        data = data[:begin] + data[end:]
    # Two searches spare the six in nearly every sheet.
    maybe = b"<f" in data or b":f" in data
    return maybe and any(mark in data for mark in _FORMULA_MARKS)


def _extent(data: bytes) -> tuple[int, int]:
    """Columns and rows a sheet reaches by its own word, or by its last cell when this goes further."""
    end = data.rfind(_END_OF_ROWS)
    end = end if end >= 0 else len(data)
    at = data.rfind(_LAST_REFERENCE, 0, end)
    last = data[at : at + _LONGEST_REFERENCE] if at >= 0 else data[max(end - _TAIL, 0) : end]
    places = _REFERENCE.findall(last)
    stated = _DIMENSION.search(data, 0, _HEAD)
    if stated:
        places.append(stated.groups())
    return max((_column_number(column) for column, _ in places), default=0), max(
        (int(row) for _, row in places), default=0
    )


def _uncalculated(data: bytes) -> Iterator[tuple[int, int]]:
    for attributes, content in _CELL.findall(data):
        if not _FORMULA.search(content) or _VALUE.search(content) or _TEXT_RESULT.search(attributes):
            continue
        place = _PLACE.search(attributes)
        if place is not None:
            yield int(place[2]) - 1, _column_number(place[1]) - 1


def _column_number(letters: bytes) -> int:
    """A -> 1, AA -> 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - ord("A") + 1
    return number


def _relations_of(part: str) -> str:
    folder, name = posixpath.split(part)
    return f"{folder}/_rels/{name}.rels"


def _sheet_parts(small: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """(sheet name, part) of every sheet of the workbook."""
    try:
        book = _parsed(small[_WORKBOOK])
        relations = _parsed(small[_relations_of(_WORKBOOK)])
    except (KeyError, ElementTree.ParseError) as error:
        raise UnreadableError("文件已损坏或不是 Excel 工作簿") from error
    targets = {entry.get("Id"): entry.get("Target", "") for entry in relations}
    for sheet in book.iter():
        if sheet.tag.rpartition("}")[2] == "sheet":
            target = targets.get(sheet.get(_RELATION) or sheet.get(_STRICT_RELATION) or "", "")
            yield sheet.get("name", ""), posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")


def _parsed(data: bytes) -> Any:
    return ElementTree.fromstring(data)  # noqa: S314 - parts with a DTD were refused before
