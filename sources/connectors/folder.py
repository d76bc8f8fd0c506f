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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sources.connectors.arrival import Arrival
from sources.connectors.names import is_temporary
from warehouse.clock import now

CONNECTOR: Final = "folder"
DEFAULT_SETTLE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class _Found:
    path: Path
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
            # A time stamp in the future says nothing about growth; the archive notices a change while copying.
            if not 0 <= age < rest:
                found.append((file.mtime_ns, _arrival(inbox, feed, file)))
    ordered = sorted(found, key=lambda item: (item[0], item[1].source))
    return [arrival for _, arrival in ordered if (arrival.source, arrival.version) not in seen]


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
            path = Path(parent) / name
            if not is_temporary(name):
                yield from _look(path)


def _look(path: Path) -> Iterator[_Found]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        # Taken away between listing and looking: as if it had never been here.
        return
    if stat.S_ISREG(status.st_mode):
        yield _Found(path, status.st_size, status.st_mtime_ns)


def _arrival(inbox: Path, feed: str, file: _Found) -> Arrival:
    inside = file.path.relative_to(inbox)
    return Arrival(
        connector=CONNECTOR,
        source=os.fsencode(inside.as_posix()).decode("utf-8", "backslashreplace"),
        version=f"{file.size}:{file.mtime_ns}",
        feed=feed,
        file_name=readable_name(file.path.name),
        submitter="/".join(readable_name(part) for part in inside.parts[1:-1]),
        path=file.path,
    )
