"""Homes of the small sample city, made once: one with a release, one with a correction published after it.

The run that would have published the correction first was killed in dbt: the home is what the next one made of it.

What belongs here: what many tests look at. Tests that change a home work on a copy of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import lists
from tests.support.command import eduplan
from tests.support.homes import copied
from tests.support.killing import kill_during

YEARS = "2023-2024"
# The correction: one school of this district reports more pupils for this year.
DISTRICT, CODE, GROUP, YEAR, MORE = "万州区", "500101", "G2", 2024, 7


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one worker of a parallel test run makes the shared home; the others wait for it."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EDUPLAN_HOME after `eduplan demo` on the small sample city. Read it; copy it to change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = shared / "released"
    with _alone(shared / "released.lock"):
        if not (home / "done").exists():
            eduplan(home, "demo", "--profile", "small", "--years", YEARS)
            (home / "done").touch()
    return home


@dataclass(frozen=True)
class Corrected:
    """A home in which a correction was published: the workbook, the release before, the one that stood when a first run
    had been killed in dbt (None: it was over before), and what a reader saw meanwhile."""

    home: Path
    workbook: Path
    before: str
    after_kill: str | None
    reads: int
    read_errors: str

    @property
    def after(self) -> str:
        return (self.home / "current").resolve(strict=True).name


# A BI tool in another process that opens the marts again and again; a mix of two releases breaks it.
READER = """
import pathlib, sys, time
import duckdb
path, stop = sys.argv[1], sys.argv[2]
reads = 0
while not pathlib.Path(stop).exists():
    with duckdb.connect(path, read_only=True) as con:
        total, parts, release = con.execute('''
            select
                (select numerator from marts.marts.fct_indicator_value
                 where indicator_id = 'primary_enrolment' and area_code = '500000' and period = 2024),
                (select sum(numerator) from marts.marts.fct_indicator_value
                 where indicator_id = 'primary_enrolment' and area_level in ('district', 'municipal')
                   and period = 2024),
                (select max(release_id) from audit.releases)
        ''').fetchone()
        assert total == parts, (release, total, parts)
    reads += 1
    # Without a breath it takes one of two processors from the run it watches.
    time.sleep(0.1)
print(reads)
"""


@pytest.fixture(scope="session")
def corrected(released: Path) -> Corrected:
    """A copy of `released` after one `eduplan run` with a corrected workbook was killed and the next was not, under the
    eyes of a reader."""
    home, told = released.with_name("corrected"), released.with_name("corrected.json")
    with _alone(released.with_name("corrected.lock")):
        if not told.exists():
            told.write_text(json.dumps(_correct(released, home)), encoding="utf-8")
    return Corrected(home, home / "inbox" / "school_census" / "更正.xlsx", **json.loads(told.read_text("utf-8")))


def _correct(released: Path, home: Path) -> dict[str, object]:
    copied(released, home)
    source = lists.list_of(home / "inbox", DISTRICT, YEAR)
    lists.edited(source, home / "inbox" / "school_census" / "更正.xlsx", lists.more_pupils(MORE))
    before = (home / "current").resolve(strict=True).name
    stop = home.with_name("corrected.stop")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(home / "current" / "marts.duckdb"), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        killed = kill_during(home, "dbt", random.Random("kill them all"))
        after_kill = (home / "current").resolve(strict=True).name if killed else None
        # Whole to the last byte, before anybody tidies up.
        eduplan(home, "verify")
        eduplan(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    finally:
        stop.touch()
        out, errors = reader.communicate(timeout=60)
    return {"before": before, "after_kill": after_kill, "reads": int(out or 0), "read_errors": errors}


@pytest.fixture
def copy_home(released: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A function that gives a fresh, independent copy of the released home."""

    def copy(name: str = "home") -> Path:
        return copied(released, tmp_path / name)

    return copy


@pytest.fixture
def home(copy_home: Callable[[str], Path]) -> Path:
    return copy_home("home")
