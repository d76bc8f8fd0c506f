from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import Desk
from warehouse.ledger import Ledger
from warehouse.paths import Home


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    home = Home(tmp_path / "home").ensure()
    ledger = Ledger(home.ledger_url)
    yield Desk(home, ledger)
    ledger.close()
