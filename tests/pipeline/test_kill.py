"""`kill -9` at random moments of a run: readers keep a whole release, and the next run converges.

In the ordinary test run one home is killed in dbt, where nothing but the whole program can be killed
(`test_crash_matrix.py` kills at each single step of all other stations); `make soak` (EDUPLAN_SOAK=1) kills a fresh
home fifty times in all (EDUPLAN_SOAK_ROUNDS).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pipeline.conftest import Corrected
from tests.support.command import eduplan, start

# Rounds of the long trial at each of three stations; 50 in all unless the environment says otherwise.
ROUNDS = -(-int(os.environ.get("EDUPLAN_SOAK_ROUNDS") or 50) // 3)
SOAK = bool(os.environ.get("EDUPLAN_SOAK"))
DEADLINE = 180.0
Marks = frozenset[tuple[Path, int]]


def hand_in(home: Path, corrected: Corrected) -> None:
    # The same bytes: a workbook saved twice differs, and so would its delivery.
    shutil.copy(corrected.workbook, home / "inbox" / "school_census")


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
    "dbt": (_work_directory, 4.0),
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


def fingerprint(home: Path) -> str:
    return (home / "current").resolve(strict=True).name.rsplit("-", 1)[1]


def whole(home: Path, allowed: set[str]) -> None:
    """Readers see one of these releases, and everything verifies."""
    assert fingerprint(home) in allowed
    eduplan(home, "verify")


def converges(home: Path, undisturbed: str) -> None:
    """The next run leads to what an undisturbed one leads to, and leaves nothing lying about."""
    eduplan(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    whole(home, {undisturbed})
    assert not list((home / "candidates").glob(".building-*"))
    assert not list((home / "releases").glob(".building-*"))


def test_a_run_killed_in_dbt_leaves_a_whole_release_and_the_next_converges(home: Path, corrected: Corrected) -> None:
    rng = random.Random("kill them all")
    old, undisturbed = fingerprint(home), fingerprint(corrected.home)
    hand_in(home, corrected)
    assert kill_during(home, "dbt", rng), "the run was over before it could be killed"
    whole(home, {old})
    converges(home, undisturbed)


@pytest.mark.skipif(not SOAK, reason="long: fifty kills; make soak")
@pytest.mark.parametrize("station", STATIONS)
def test_a_killed_run_leaves_a_whole_release_and_the_next_converges(
    copy_home: Callable[[str], Path], corrected: Corrected, station: str
) -> None:
    rng = random.Random(f"kill {station}")
    undisturbed = fingerprint(corrected.home)
    killed = 0
    for attempt in range(ROUNDS):
        home = copy_home(f"{station}{attempt}")
        old = fingerprint(home)
        hand_in(home, corrected)
        killed += kill_during(home, station, rng)
        whole(home, {old, undisturbed})
        converges(home, undisturbed)
    assert killed, "every run was over before it could be killed"
