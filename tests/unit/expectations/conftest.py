"""A home that trials of carried results work on, each on a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from expectations.carrying import SETTING
from tests.support.carrying_kit import NOON, Bench, make_home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two candidates, the second after one corrected delivery; neither is judged. Copy it."""
    return make_home(tmp_path_factory.mktemp("carrying") / "home")


@pytest.fixture
def bench(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("EDUPLAN_NOW", NOON)
    monkeypatch.delenv(SETTING, raising=False)
    opened = Bench(Path(shutil.copytree(made, tmp_path / "home")))
    yield opened
    opened.ledger.close()
