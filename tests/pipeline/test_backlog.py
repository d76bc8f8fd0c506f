"""A backlog drains in one intake, and killed at any moment and started again it loses and doubles nothing.

In the ordinary test run some of the small city's deliveries; with `make soak` (EDUPLAN_SOAK=1) one of every district,
feed and year from 2020 to 2025, more than 1,200 in all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from sources.sample import write_sample
from tests.support.command import eduplan, start
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.verify import verify

SOAK = bool(os.environ.get("EDUPLAN_SOAK"))
KILLS = 6 if SOAK else 2
SHORT_FEEDS, SHORT_YEAR = ("school_census", "fiscal_accounts", "higher_education"), "2024"
DEADLINE = 120.0


@pytest.fixture(scope="module")
def waiting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which nothing was taken in yet."""
    home = tmp_path_factory.mktemp("backlog") / "waiting"
    if SOAK:
        write_sample("small", range(2020, 2026), 20250901, 0.0, home)
        (home / "sources").mkdir()
        (home / "finance.db").rename(home / "sources" / "finance.db")
        return home
    released: Path = request.getfixturevalue("released")
    for feed in SHORT_FEEDS:
        for path in sorted((released / "inbox" / feed).rglob(f"*{SHORT_YEAR}*")):
            target = home / path.relative_to(released)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    return home


def expected_count(home: Path) -> int:
    """Files, groups of the finance database, and the official figures that the project brings."""
    files = sum(path.is_file() for path in (home / "inbox").rglob("*"))
    database = home / "sources" / "finance.db"
    if not database.is_file():
        return files + 1
    with sqlite3.connect(database) as connection:
        query = "SELECT count(*) FROM (SELECT DISTINCT 地区代码, 年度 FROM education_finance_line)"
        [[groups]] = connection.execute(query).fetchall()
    return files + int(groups) + (not (home / "inbox" / "official_figures").is_dir())


def counting(home: Path) -> list[object]:
    """Everything that an intake leaves, its times apart."""
    ledger = Ledger(Home(home).ledger_url)
    found = [
        ledger.findings(),
        sorted(
            (row.delivery_id, row.status, row.rows_in, row.rows_accepted, row.reported_on)
            for row in ledger.deliveries()
        ),
        sorted((event.connector, event.source, event.version, event.outcome) for event in ledger.events()),
        sorted(row.delivery_id for row in ledger.active_set()),
        ledger.record_files(),
    ]
    ledger.close()
    files = sorted(
        path.relative_to(home).as_posix()
        for folder in ("archive", "records", "quarantine", "receipts")
        for path in (home / folder).rglob("*")
        if path.is_file()
    )
    return [*found, files]


def same_secret(home: Path) -> None:
    """Pseudonyms of two homes agree only under one key."""
    (home / "secret.key").write_bytes(b"k" * 32)
    (home / "secret.key").chmod(0o600)


def fresh(waiting: Path, target: Path) -> Path:
    shutil.copytree(waiting, target)
    same_secret(target)
    return target


def recorded(home: Path) -> int:
    """Deliveries in the ledger of an intake under way."""
    try:
        with sqlite3.connect(f"file:{home}/ledger.db?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM delivery").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def kill_when(home: Path, at_least: int, rng: random.Random) -> None:
    """Start an intake, and end it with all its workers some moment after so many deliveries are recorded."""
    process = start(home, "intake", EDUPLAN_SETTLE_SECONDS="0")
    limit = time.monotonic() + DEADLINE
    while recorded(home) < at_least and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.2))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the backlog was over before it could be killed"


def test_a_backlog_drains_in_one_run_and_survives_being_killed(waiting: Path, tmp_path: Path) -> None:
    count = expected_count(waiting)
    assert count > (1200 if SOAK else 45)
    lived = fresh(waiting, tmp_path / "lived")
    told = json.loads(eduplan(lived, "intake", "--json", EDUPLAN_SETTLE_SECONDS="0").stdout)
    # Retired persons who are still listed make some registers partly good; the project's own figures may come twice.
    assert (told["accepted"] + told["partly"], told["refused"]) == (count, 0)
    assert told["duplicates"] == (waiting / "inbox" / "official_figures").is_dir()
    died = fresh(waiting, tmp_path / "died")
    rng = random.Random(7)
    for number in range(KILLS):
        kill_when(died, (number + 1) * count // (KILLS + 2), rng)
    eduplan(died, "intake", EDUPLAN_SETTLE_SECONDS="0")
    assert counting(died) == counting(lived)
    assert verify(Home(died)) == []
    again = json.loads(eduplan(died, "intake", "--json", EDUPLAN_SETTLE_SECONDS="0").stdout)
    assert again["deliveries"] == []
