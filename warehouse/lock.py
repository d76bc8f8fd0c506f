"""Locks between processes that release themselves when their owner dies.

What belongs here: named exclusive locks of a home, and leases on work directories. What does not: locks inside a
process (use threading) and database locks (the ledger has its own).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from warehouse.errors import Refused
from warehouse.paths import Home

_POLL_SECONDS: Final = 0.05
LEASE_NAME: Final = ".lease"

# Leases this process holds. The handle must outlive the function that took it; the lock dies with the process.
_leases: dict[Path, IO[str]] = {}


@contextmanager
def exclusive(home: Home, name: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock `name` of this home. Waits up to `wait` seconds, then raises Refused naming the owner's pid."""
    home.locks.mkdir(parents=True, exist_ok=True)
    path = home.locks / f"{name}.lock"
    # "a+" neither truncates the owner's name nor needs the file to exist.
    with path.open("a+", encoding="utf-8") as handle:
        deadline = time.monotonic() + wait
        while not _try(handle):
            if time.monotonic() >= deadline:
                raise Refused(
                    f"另一个进程（进程号 {_owner(handle)}）正在执行“{name}”，本次没有开始。",
                    "请等它结束后再试；进程若已消失，锁会自动释放，无需手工清理。",
                )
            time.sleep(_POLL_SECONDS)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def take_lease(folder: Path) -> None:
    """Mark a work directory as in use by this process. Raises Refused when another process holds it."""
    handle = (folder / LEASE_NAME).open("a+", encoding="utf-8")
    if not _try(handle):
        handle.close()
        raise Refused(f"工作目录 {folder.name} 正由另一个进程使用。", "请等它结束后再试。")
    _leases[folder] = handle


def drop_lease(folder: Path) -> None:
    """Give a work directory back; without effect when this process does not hold it."""
    handle = _leases.pop(folder, None)
    if handle is not None:
        (folder / LEASE_NAME).unlink(missing_ok=True)
        handle.close()


def is_leased(folder: Path) -> bool:
    """True while a living process, this one included, works in the directory."""
    lease = folder / LEASE_NAME
    if folder in _leases:
        return True
    if not lease.is_file():
        return False
    with lease.open("a+", encoding="utf-8") as handle:
        return not _try(handle)


def _try(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(handle: IO[str]) -> str:
    handle.seek(0)
    return handle.read().strip() or "未知"
