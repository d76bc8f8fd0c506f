"""Snapshots: the bytes of every delivery, untouched, under their SHA-256, before anything is parsed.

What belongs here: storing and finding them. What does not: who handed them in (the ledger) or what they say (parsers).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warehouse.errors import Fault
from warehouse.files import TEMP_PREFIX, fsync_dir, sha256_file, unique_suffix
from warehouse.paths import Home

_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """Archived bytes: their SHA-256, their number, and where they lie."""

    sha256: str
    size: int
    path: Path


def snapshot_path(home: Home, sha256: str) -> Path:
    """Where the bytes with this hash lie (or would lie)."""
    return home.archive / sha256[:2] / sha256


def store_file(home: Home, path: Path) -> Snapshot:
    """Copy a file into the archive, hashing what is copied. Raises OSError; Fault when the file changes meanwhile.

    A copy and never a hard link: a later edit in the inbox must not reach the archive.
    """
    with path.open("rb") as source:
        before = os.fstat(source.fileno())

        def chunks() -> Iterator[bytes]:
            while chunk := source.read(_CHUNK):
                yield chunk
            after = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Fault(f"文件“{path.name}”在收取过程中被改动。", "等文件写完后会自动重收，无需处理。")

        return store_stream(home, chunks())


def store_bytes(home: Home, data: bytes) -> Snapshot:
    """Archive bytes that are already in memory. Raises OSError."""
    return store_stream(home, [data])


def store_stream(home: Home, chunks: Iterable[bytes]) -> Snapshot:
    """Archive bytes as they come; nothing remains when the stream breaks off. Raises OSError, and as `chunks` does."""
    home.archive.mkdir(parents=True, exist_ok=True)
    temporary = home.archive / f"{TEMP_PREFIX}{unique_suffix()}"
    digest = hashlib.sha256()
    try:
        with temporary.open("xb") as target:
            for chunk in chunks:
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        return _settle(home, temporary, digest.hexdigest())
    finally:
        temporary.unlink(missing_ok=True)


def is_intact(home: Home, sha256: str) -> bool:
    """True when the archived bytes exist and still have this hash."""
    path = snapshot_path(home, sha256)
    return path.is_file() and sha256_file(path) == sha256


def sweep(home: Home) -> None:
    """Remove what a dead process left half written. Call only while no intake is under way."""
    for leftover in home.archive.glob(f"{TEMP_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def _settle(home: Home, temporary: Path, sha256: str) -> Snapshot:
    target = snapshot_path(home, sha256)
    size = temporary.stat().st_size
    known = target.is_file() and target.stat().st_size == size
    if not known:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o444)
        temporary.replace(target)
        fsync_dir(target.parent)
        fsync_dir(home.archive)
    return Snapshot(sha256, size, target)
