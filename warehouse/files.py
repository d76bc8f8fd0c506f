"""Files that survive a power cut, and the hashes that name them.

What belongs here: atomic writes, fsync, SHA-256, canonical JSON. What does not: any knowledge of what a file means.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

TEMP_PREFIX = ".tmp-"
_counter = itertools.count()
# How many files wait for the disk at a time: they share its round trips.
_SYNCING = 8
_noted: ContextVar[dict[Path, None] | None] = ContextVar("noted", default=None)


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content as 64 lower-case hex digits. Raises OSError."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _plain(value: object) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"not canonical JSON: {type(value).__name__}")


def canonical_json(value: object) -> bytes:
    """One spelling for one value: sorted keys, no blanks, UTF-8, no NaN. Raises TypeError or ValueError."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    return text.encode("utf-8")


def pretty_json(value: object) -> bytes:
    """The same value for people: indented, UTF-8, keys in the order given. Raises TypeError or ValueError."""
    return (json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=_plain) + "\n").encode("utf-8")


def unique_suffix() -> str:
    """`<pid>-<n>`: no two living attempts on this machine share it."""
    return f"{os.getpid()}-{next(_counter)}"


class SyncLater:
    """Many small files, forced to disk together: beside each other, and each directory once.

    For files that count only when something written after them says so: `sync` comes before that.
    """

    def __init__(self) -> None:
        self._paths: dict[Path, None] = {}

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Within the block nothing waits for the disk; what would have is noted."""
        token = _noted.set(self._paths)
        try:
            yield
        finally:
            _noted.reset(token)

    def sync(self) -> None:
        """Force everything noted to disk, and forget it. Raises OSError; then nothing may be said to count."""
        with ThreadPoolExecutor(_SYNCING) as pool:
            for _ in pool.map(fsync_file, self._paths):
                pass
        self._paths.clear()


def fsync_file(path: Path) -> None:
    """Force a file's content to disk, now or with the others (`SyncLater`). Raises OSError."""
    noted = _noted.get()
    if noted is not None:
        noted[path] = None
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# On Linux a directory is opened and synced like a file; the second name says which is meant.
fsync_dir: Callable[[Path], None] = fsync_file


def fsync_tree(folder: Path) -> None:
    """Force every file and directory below `folder`, and itself, to disk. Symlinks are not followed."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent) / name
            if not path.is_symlink():
                fsync_file(path)
        fsync_dir(Path(parent))


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, prefix: str = TEMP_PREFIX) -> None:
    """Write all of `data` or nothing: temporary file, fsync, rename, fsync of the directory. Raises OSError.

    `prefix` begins the temporary's name, for whoever removes what a killed process left among files of others.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{prefix}{unique_suffix()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            if _noted.get() is None:
                os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if _noted.get() is not None:
        fsync_file(path)
    fsync_dir(path.parent)


def replace_symlink(link: Path, target: str) -> None:
    """Point `link` at `target` in one step; readers see the old or the new, never none. Raises OSError."""
    temporary = link.parent / f"{TEMP_PREFIX}{unique_suffix()}"
    temporary.symlink_to(target)
    try:
        temporary.replace(link)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_dir(link.parent)
