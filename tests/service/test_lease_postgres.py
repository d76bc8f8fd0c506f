"""The lease on PostgreSQL: two machines that share only the ledger."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from warehouse import lease
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.paths import Home


def test_of_many_machines_one_holds_the_lease(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[int] = []
    refused: list[str] = []
    gate = threading.Barrier(4)

    def machine(number: int) -> None:
        # A home of its own has a lock of its own: only the ledger is shared.
        home = Home(tmp_path / str(number), ledger_setting=postgres_url).ensure()
        ledger = Ledger(home.ledger_url)
        gate.wait()
        try:
            with lease.held(home, ledger, "run") as fence:
                tokens.append(fence.token)
                gate.wait()
        except Refused as refusal:
            refused.append(str(refusal))
            gate.wait()
        ledger.close()

    Ledger(postgres_url).close()
    machines = [threading.Thread(target=machine, args=(number,)) for number in range(4)]
    for one in machines:
        one.start()
    for one in machines:
        one.join()
    assert tokens == [1]
    assert len(refused) == 3
    assert all("独占至" in text for text in refused)
