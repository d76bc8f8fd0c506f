"""Keyed marks of the names in register deliveries, so that a release can be searched for them (`warehouse.names`).

What belongs here: taking the columns of names out of an archived original and keeping their marks under the home. What
does not: searching, and anything that keeps a name: they are read, hashed with the home's key and forgotten.

`names/<SHA-256 of the original>-<key>.marks` is a cache: sorted 8-byte marks behind an HMAC over them. Intake writes it
while it reads the delivery anyway. A missing, foreign or damaged file is made again from the archive, so an older home
needs no step and no backup holds it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from sources.contract import Contract, load
from sources.labels import key as label_key
from sources.labels import plain
from sources.parsers.delimited import find_header_line, name_places, open_text, read_columns
from sources.parsers.grid import TOP_ROWS, NameColumns, UnreadableError, kind, names_apart, open_workbook
from warehouse.errors import Fault
from warehouse.files import sha256_bytes, write_atomic
from warehouse.home_key import load_or_create_key
from warehouse.names import NAMED_FEEDS, Marks, NameMarks, marks_of
from warehouse.paths import Home
from warehouse.records import DeliveryRow

FOLDER: Final = "names"
_SEAL_BYTES: Final = 32


def known_names(home: Home, deliveries: Iterable[DeliveryRow]) -> NameMarks:
    """The marks of every name in these deliveries' registers; feeds without names add nothing. Raises Fault when an
    original is missing or cannot be read any more, OSError."""
    key = load_or_create_key(home.root / "secret.key")
    named = [row for row in deliveries if row.feed in NAMED_FEEDS]
    marks = tuple(_marks_of(home, row, key) for row in named)
    return NameMarks(key, marks, frozenset(row.delivery_id for row in named))


def _marks_of(home: Home, row: DeliveryRow, key: bytes) -> Marks:
    kept = _kept(_path(home, row.sha256, key), key)
    if kept is not None:
        return kept
    original = home.archive / row.sha256[:2] / row.sha256
    try:
        marks = marks_in(original, row.feed, key)
    except (FileNotFoundError, UnreadableError) as error:
        raise Fault(
            f"报送件 {row.delivery_id} 的原件缺失或读不出来，无法核对发布内容中有没有名册里的姓名。",
            "请执行 eduplan verify 查明原因，从备份恢复 archive/ 后重试。",
        ) from error
    keep(home, row.sha256, key, marks)
    return marks


def marks_in(original: Path, feed: str, key: bytes) -> Marks:
    """The marks of every name in one delivery, sorted. Raises UnreadableError, FileNotFoundError."""
    return np.unique(marks_of(key, names_in(original, load(feed))))


def keep(home: Home, sha256: str, key: bytes, marks: Marks) -> None:
    """Leave the marks of a delivery for whoever needs them next. Raises OSError."""
    path = _path(home, sha256, key)
    content = marks.astype("<u8").tobytes()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, hmac.digest(key, content, "sha256") + content, mode=0o600)


def _path(home: Home, sha256: str, key: bytes) -> Path:
    return home.root / FOLDER / f"{sha256}-{sha256_bytes(b'names, blake2b' + key)[:8]}.marks"


def _kept(path: Path, key: bytes) -> Marks | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    seal, content = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, hmac.digest(key, content, "sha256")):
        return None
    return np.frombuffer(content, dtype="<u8").astype(np.uint64)


def names_in(original: Path, contract: Contract) -> set[str]:
    """The names in a register, in their one spelling. Raises UnreadableError, FileNotFoundError."""
    wanted = {label_key(label) for label in contract.unread.names}
    with original.open("rb") as handle:
        text = kind(handle.read(8)) in {"text", "empty"}
    raw = _from_csv(original, contract) if text else _from_workbook(original, wanted)
    return {name for name in map(_spelled, raw) if len(name) > 1}


def _spelled(name: str) -> str:
    # Nearly every name is Chinese characters and nothing else: those are spelled in one way only.
    return name if name.isalpha() and len(name) < len(name.encode()) else plain(name)


def _from_csv(original: Path, contract: Contract) -> set[str]:
    """The parser's pass over the same file has taken the columns out already; without one this is done here."""
    columns = (names_apart() or {}).get(original) or _name_columns(original.read_bytes(), contract)
    found: set[str] = set()
    for array in columns.arrays:
        found.update(_decoded(pc.unique(array).to_numpy(zero_copy_only=False).tolist(), columns.encoding))
    return found - {""}


def _decoded(values: Sequence[bytes], encoding: str) -> list[str]:
    """All at once: one by one takes seven times as long. Where that could say something else, one by one."""
    try:
        texts = b"\n".join(values).decode(encoding).split("\n")
    except UnicodeDecodeError:
        texts = []
    return texts if len(texts) == len(values) else [value.decode(encoding, errors="replace") for value in values]


def _name_columns(data: bytes, contract: Contract) -> NameColumns:
    source = open_text(data)
    [table] = contract.tables
    header = find_header_line(source, contract, table)
    places = {} if header is None else name_places(header, contract)
    if header is None or not places:
        return NameColumns([], source.encoding)
    columns = read_columns(source, header, places)
    return NameColumns(list(columns.arrays.values()), columns.encoding)


def _from_workbook(original: Path, wanted: set[str]) -> set[str]:
    book = open_workbook(original)
    return {name for sheet in book.sheet_names for name in _from_rows(book.grid(sheet).rows, wanted)}


def _from_rows(rows: Sequence[Sequence[Any]], wanted: set[str]) -> set[str]:
    for at, row in enumerate(rows[:TOP_ROWS]):
        places = [place for place, cell in enumerate(row) if isinstance(cell, str) and label_key(cell) in wanted]
        if places:
            below = (line[place] for line in rows[at + 1 :] for place in places if place < len(line))
            return {cell for cell in below if isinstance(cell, str) and cell.strip()}
    return set()
