"""Homes made by hand. What many tests begin with is made once in a run of tests; who begins with it gets a copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.candidate_kit import REPORT, copied_home, judged, make_candidate, the_candidate
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.release import publish

# What the marts say throughout: the first candidate and release, and the second.
FIRST, SECOND = 1.5, 1.75


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def once_sealed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one sealed candidate that nobody has judged yet. Copy it."""
    made = Home(tmp_path_factory.mktemp("sealed") / "home").ensure()
    with closing(Ledger(made.ledger_url)) as opened:
        make_candidate(made, opened, FIRST)
    return made


@pytest.fixture(scope="session")
def once_released(once_sealed: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """That candidate published. Copy it."""
    made = copied_home(once_sealed, tmp_path_factory.mktemp("released"))
    with closing(Ledger(made.ledger_url)) as opened:
        candidate = the_candidate(made)
        publish(made, opened, candidate, judged(opened, candidate), artefacts=REPORT)
    return made


@pytest.fixture(scope="session")
def twice_released(once_released: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """And a second one after it. Copy it."""
    made = copied_home(once_released, tmp_path_factory.mktemp("twice"))
    with closing(Ledger(made.ledger_url)) as opened:
        candidate = make_candidate(made, opened, SECOND)
        publish(made, opened, candidate, judged(opened, candidate), artefacts=REPORT)
    return made
