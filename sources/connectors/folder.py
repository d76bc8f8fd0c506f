"""The inbox: files that offices put into `inbox/<feed>/…`.

What belongs here: listing what is new and complete. What does not: opening files; a name or an extension says nothing
about what a file is.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sources.connectors.arrival import Arrival
from sources.connectors.names import is_temporary
from warehouse.clock import now

CONNECTOR: Final = "folder"
DEFAULT_SETTLE_SECONDS: Final = 2.0


class _Found(NamedTuple):
    # As a text: there are thousands of them at every look, and most are looked at for their age alone.
    path: str
    size: int
    mtime_ns: int


def settle_seconds() -> float:
    """How long a file must have rested before it counts as complete: EDUPLAN_SETTLE_SECONDS, default 2."""
    return float(os.environ.get("EDUPLAN_SETTLE_SECONDS") or DEFAULT_SETTLE_SECONDS)


def list_arrivals(
    inbox: Path, feeds: Collection[str], seen: Collection[tuple[str, str]], *, settle: float | None = None
) -> list[Arrival]:
    """New, complete files in the inbox, oldest first. `seen` holds (source, version) of those already taken in: they
    are skipped without being read. Raises OSError when the inbox cannot be listed."""
    rest = settle_seconds() if settle is None else settle
    moment = now().timestamp()
    found = []
    for feed in sorted(feeds):
        for file in _files(inbox / feed):
            age = moment - file.mtime_ns / 1e9
            key = (_source(inbox, file.path), _version(file))
            # A time stamp in the future says nothing about growth; the archive notices a change while copying.
            if not 0 <= age < rest and key not in seen:
                found.append((file.mtime_ns, key, feed, file))
    # Of thousands of files few are new: only these are described.
    return [_arrival(inbox, feed, file) for _, _, feed, file in sorted(found, key=lambda item: item[:2])]


def resting(inbox: Path, feeds: Collection[str]) -> float:
    """For how many seconds no file in the inbox has changed; infinite when no file tells. A time stamp in the future
    says nothing, as in `list_arrivals`. Raises OSError when the inbox cannot be listed."""
    moment = now().timestamp()
    ages = (moment - file.mtime_ns / 1e9 for feed in sorted(feeds) for file in _files(inbox / feed))
    return min((age for age in ages if age >= 0), default=math.inf)


def await_rest(inbox: Path, feeds: Collection[str], *, settle: float | None = None, longest: float) -> float:
    """Wait until every file of the inbox has rested, `longest` seconds at most, and return how many seconds that took.

    Who was told of a file as it came begins at once and waits here for what would be waited for anyway; files that
    follow it closely are in before anything is taken. One that goes on growing is left to the next. Raises OSError.
    """
    rest = settle_seconds() if settle is None else settle
    began = time.monotonic()
    end = began + longest
    while (left := rest - resting(inbox, feeds)) > 0 and time.monotonic() + left < end:
        time.sleep(left)
    return time.monotonic() - began


def folders(inbox: Path, feeds: Collection[str]) -> frozenset[tuple[str, int]]:
    """The folders of the inbox and when each last changed: cheap to compare, differs when a file came or went."""
    found = (Path(found[0]) for feed in sorted(feeds) for found in os.walk(inbox / feed))
    return frozenset((str(path), path.stat().st_mtime_ns) for path in found)


def strays(inbox: Path, feeds: Collection[str]) -> list[str]:
    """Names directly below the inbox that belong to no feed; nothing handed in may be overlooked in silence."""
    if not inbox.is_dir():
        return []
    names = (entry.name for entry in inbox.iterdir() if not is_temporary(entry.name))
    return sorted(readable_name(name) for name in names if name not in feeds)


def special_files(inbox: Path, feeds: Collection[str]) -> list[str]:
    """Links, pipes and devices in the feeds' folders: they are never opened, and whoever put them there is told."""
    return sorted(
        readable_name((path / name).relative_to(inbox).as_posix())
        for feed in sorted(feeds)
        for path, folders, names in ((Path(found[0]), found[1], found[2]) for found in os.walk(inbox / feed))
        for name in (*names, *folders)
        if not is_temporary(name) and stat.S_IFMT((path / name).lstat().st_mode) not in {stat.S_IFREG, stat.S_IFDIR}
    )


def readable_name(name: str) -> str:
    """A file name as text that any database and terminal can hold; names in GB18030 are decoded, others escaped."""
    raw = os.fsencode(name)
    for encoding in ("utf-8", "gb18030"):
        try:
            return _printable(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    return _printable(raw.decode("utf-8", "backslashreplace"))


def _printable(name: str) -> str:
    # Control characters in a name could forge lines in logs and terminals.
    return "".join(mark if mark.isprintable() else f"\\x{ord(mark):02x}" for mark in name)


def _files(folder: Path) -> Iterator[_Found]:
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not is_temporary(name))
        for name in sorted(names):
            if not is_temporary(name):
                yield from _look(f"{parent}{os.sep}{name}")


def _look(path: str) -> Iterator[_Found]:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        # Taken away between listing and looking: as if it had never been here.
        return
    if stat.S_ISREG(status.st_mode):
        yield _Found(path, status.st_size, status.st_mtime_ns)


def _source(inbox: Path, path: str) -> str:
    """The way from the inbox to the file, as the ledger writes it."""
    return os.fsencode(path[len(str(inbox)) + 1 :]).decode("utf-8", "backslashreplace")


def _version(file: _Found) -> str:
    return f"{file.size}:{file.mtime_ns}"


def _arrival(inbox: Path, feed: str, file: _Found) -> Arrival:
    path = Path(file.path)
    return Arrival(
        connector=CONNECTOR,
        source=_source(inbox, file.path),
        version=_version(file),
        feed=feed,
        file_name=readable_name(path.name),
        submitter="/".join(readable_name(part) for part in path.relative_to(inbox).parts[1:-1]),
        path=path,
    )
