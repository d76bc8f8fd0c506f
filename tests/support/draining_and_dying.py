"""Drains a message stream in a process of its own and kills itself (SIGKILL) once the commit is done or just before."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from sources.connectors import bus
from sources.connectors.arrival import Arrival
from sources.connectors.config import NatsSource
from warehouse.archive import Snapshot
from warehouse.clock import now
from warehouse.entering import ArrivalEvent
from warehouse.ledger import Ledger
from warehouse.paths import Home


def record(ledger: Ledger, snapshot: Snapshot, arrival: Arrival) -> None:
    """What intake writes down last of all."""
    ledger.record_event(
        ArrivalEvent(
            connector=arrival.connector,
            source=arrival.source,
            version=arrival.version,
            feed=arrival.feed,
            sha256=snapshot.sha256,
            delivery_id=f"d{snapshot.sha256[:16]}",
            outcome="accepted",
            submitter=arrival.submitter,
            at=now(),
        )
    )


def main(root: str, settings: str, moment: str) -> None:
    home = Home(Path(root))
    ledger = Ledger(home.ledger_url)

    def commit(snapshot: Snapshot, arrival: Arrival) -> None:
        if moment == "after commit":
            record(ledger, snapshot, arrival)
        os.kill(os.getpid(), signal.SIGKILL)

    bus.drain(home, NatsSource.model_validate(json.loads(settings)), commit, 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
