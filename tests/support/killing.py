"""`kill -9` of a run with everything it started, within one of its stations.

What belongs here: knowing that a station has begun, and the blow. What does not: what must hold afterwards (the tests).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support.command import start

DEADLINE = 180.0
Marks = frozenset[tuple[Path, int]]


def _work_directory(home: Path) -> Marks:
    found = [*home.glob("candidates/.building-*/target*"), *home.glob("candidates/.building-*/dbt*")]
    return frozenset((path, 0) for path in found)


def _written(name: str) -> Callable[[Path], Marks]:
    """Files of that name beside candidates; one that is written again is a new one."""

    def marks(home: Path) -> Marks:
        found = set()
        for path in home.glob(f"candidates/c*/{name}"):
            # The run under way may tidy up at any moment.
            with suppress(FileNotFoundError):
                found.add((path, path.stat().st_mtime_ns))
        return frozenset(found)

    return marks


# station -> (what shows that it has begun, the longest wait after that before the kill, in seconds)
STATIONS: dict[str, tuple[Callable[[Path], Marks], float]] = {
    "dbt": (_work_directory, 1.5),
    "gate": (_written("candidate.json"), 2.0),
    "publication": (_written("verdict.json"), 0.6),
}


def kill_during(home: Path, station: str, rng: random.Random) -> bool:
    """Start a run, kill it with all its children within `station`; False when it was over before."""
    marks, longest = STATIONS[station]
    known = marks(home)
    process = start(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    end = time.monotonic() + DEADLINE
    while process.poll() is None and not marks(home) - known:
        assert time.monotonic() < end, f"station {station} never began"
        time.sleep(0.005)
    time.sleep(rng.uniform(0, longest))
    over = process.poll() is not None
    if not over:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not over
