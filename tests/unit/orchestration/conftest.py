from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse.ledger import Ledger
from warehouse.paths import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own that the environment names too."""
    monkeypatch.setenv("EDUPLAN_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger_url)
    yield opened
    opened.close()
