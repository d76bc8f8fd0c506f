"""`kill -9` at random moments of a run: readers keep a whole release, and the next run converges.

One round a station in the ordinary test run; five with `make soak` (EDUPLAN_SOAK=1).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import lists
from tests.support.command import eduplan, start

ROUNDS = 5 if os.environ.get("EDUPLAN_SOAK") else 1
DISTRICT, YEAR = "万州区", 2024
DEADLINE = 180.0


@pytest.fixture(scope="module")
def correction(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corrected workbook, written once: a workbook saved twice differs in its bytes, and so would its delivery."""
    source = lists.list_of(released / "inbox", DISTRICT, YEAR)
    return lists.edited(source, tmp_path_factory.mktemp("correction") / "更正.xlsx", lists.more_pupils(9))


def hand_in(home: Path, correction: Path) -> None:
    shutil.copy(correction, home / "inbox" / "school_census")


def _building(home: Path) -> bool:
    return any((home / "candidates").glob(".building-*/target*")) or any((home / "candidates").glob(".building-*/dbt*"))


def _sealed(home: Path, known: frozenset[str]) -> bool:
    return any(path.parent.name not in known for path in (home / "candidates").glob("c*/candidate.json"))


def _judged(home: Path, known: frozenset[str]) -> bool:
    return any(path.parent.name not in known for path in (home / "candidates").glob("c*/verdict.json"))


# station -> (how to see that it has begun, the longest wait after that before the kill, in seconds)
STATIONS: dict[str, tuple[Callable[[Path, frozenset[str]], bool], float]] = {
    "dbt": (lambda home, _known: _building(home), 4.0),
    "gate": (_sealed, 2.0),
    "publication": (_judged, 0.6),
}


def kill_during(home: Path, station: str, rng: random.Random) -> bool:
    """Start a run, kill it with all its children within `station`; False when it was over before."""
    begun, longest = STATIONS[station]
    known = frozenset(path.name for path in (home / "candidates").glob("c*"))
    process = start(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    end = time.monotonic() + DEADLINE
    while process.poll() is None and not begun(home, known):
        assert time.monotonic() < end, f"station {station} never began"
        time.sleep(0.005)
    time.sleep(rng.uniform(0, longest))
    over = process.poll() is not None
    if not over:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not over


@pytest.fixture(scope="module")
def undisturbed(released: Path, correction: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint that the correction leads to when nobody kills anything."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(released, home, symlinks=True)
    hand_in(home, correction)
    eduplan(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    return fingerprint(home)


def fingerprint(home: Path) -> str:
    return (home / "current").resolve(strict=True).name.rsplit("-", 1)[1]


@pytest.mark.parametrize("station", STATIONS)
def test_a_killed_run_leaves_a_whole_release_and_the_next_converges(
    copy_home: Callable[[str], Path], correction: Path, undisturbed: str, station: str
) -> None:
    rng = random.Random(f"kill {station}")
    killed = 0
    for attempt in range(ROUNDS):
        home = copy_home(f"{station}{attempt}")
        old = fingerprint(home)
        hand_in(home, correction)
        killed += kill_during(home, station, rng)
        assert fingerprint(home) in {old, undisturbed}
        eduplan(home, "verify")
        eduplan(home, "run", EDUPLAN_SETTLE_SECONDS="0")
        assert fingerprint(home) == undisturbed
        eduplan(home, "verify")
        assert not list((home / "candidates").glob(".building-*"))
        assert not list((home / "releases").glob(".building-*"))
    assert killed, "every run was over before it could be killed"
