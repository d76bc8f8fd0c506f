"""`kill -9` at random moments of a run: readers keep a whole release, and the next run converges.

In the ordinary test run one home is killed in dbt, where nothing but the whole program can be killed
(`test_crash_matrix.py` kills at each single step of all other stations): the home with the correction that all pipeline
tests share, of which `test_rebuild.py` shows that it is what ledger and archive give on an empty machine. `make soak`
(EDUPLAN_SOAK=1) kills a fresh home fifty times in all (EDUPLAN_SOAK_ROUNDS).
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import Corrected
from tests.support.command import eduplan
from tests.support.homes import copied
from tests.support.killing import STATIONS, kill_during

# Rounds of the long trial at each of three stations; 50 in all unless the environment says otherwise.
ROUNDS = -(-int(os.environ.get("EDUPLAN_SOAK_ROUNDS") or 50) // 3)
SOAK = bool(os.environ.get("EDUPLAN_SOAK"))


def hand_in(home: Path, corrected: Corrected) -> None:
    # The same bytes: a workbook saved twice differs, and so would its delivery.
    shutil.copy(corrected.workbook, home / "inbox" / "school_census")


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


def test_a_run_killed_in_dbt_leaves_a_whole_release_and_the_next_converges(corrected: Corrected) -> None:
    assert corrected.after_kill == corrected.before, "killed, and readers saw nothing of it"
    assert corrected.after != corrected.before
    assert not list((corrected.home / "candidates").glob(".building-*"))
    assert not list((corrected.home / "releases").glob(".building-*"))
    eduplan(corrected.home, "verify")


@pytest.fixture(scope="module")
def undisturbed(released: Path, corrected: Corrected, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint after the correction in a home where nothing was killed."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    copied(released, home)
    hand_in(home, corrected)
    eduplan(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    return fingerprint(home)


@pytest.mark.skipif(not SOAK, reason="long: fifty kills; make soak")
@pytest.mark.parametrize("station", STATIONS)
def test_a_killed_run_leaves_a_whole_release_and_the_next_converges(
    copy_home: Callable[[str], Path], corrected: Corrected, undisturbed: str, station: str
) -> None:
    rng = random.Random(f"kill {station}")
    assert fingerprint(corrected.home) == undisturbed, "killed as well, once"
    killed = 0
    for attempt in range(ROUNDS):
        home = copy_home(f"{station}{attempt}")
        old = fingerprint(home)
        hand_in(home, corrected)
        killed += kill_during(home, station, rng)
        whole(home, {old, undisturbed})
        converges(home, undisturbed)
    assert killed, "every run was over before it could be killed"
