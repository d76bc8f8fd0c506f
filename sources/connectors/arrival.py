"""What every connector announces: one arrival, named so that the same one is recognised again.

What belongs here: the type. What does not: how a connector finds arrivals, and what becomes of them (`sources.intake`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """Something handed in, not yet fetched.

    (connector, source, version) identifies it. `path` is where the bytes lie, or None when they must be queried for
    `group` (area code and year, as the database holds them). An arrival with a `problem` (Chinese) could not be looked
    at and is only reported. `received_at` is set when it is an old delivery to be read again.
    `compare`: seen before under this version, and fetched once more to see whether its content is still the same.
    `vanished`: what was once here is gone at its source; nothing is fetched, the ledger keeps that it was noticed.
    """

    connector: str
    source: str
    version: str
    feed: str
    file_name: str = ""
    submitter: str = ""
    path: Path | None = None
    group: tuple[Any, Any] | None = None
    problem: str = ""
    received_at: datetime | None = None
    compare: bool = False
    vanished: bool = False
