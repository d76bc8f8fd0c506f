"""Publishes one candidate in a forked process that kills itself (SIGKILL) at the n-th step that touches the system.

A step is a Python audit event about files or databases: open, rename, mkdir, chmod, sqlite3 and the like.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support.candidate_kit import REPORT
from tests.support.crash_kit import in_child
from warehouse import candidate as candidates
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.verdict import Verdict

WATCHED = ("open", "os.", "shutil.", "sqlite3.", "tempfile.", "pathlib.")


def publish_and_die(home: Home, candidate_id: str, die_at: int) -> int:
    """Publish, killed at step `die_at`; how the process ended, negative the signal."""
    return in_child(lambda: _publish_watched(home, candidate_id, die_at))


def steps_of(home: Home, candidate_id: str, told: Path) -> list[str]:
    """Publish undisturbed: every step taken, written to the file `told` on the way."""
    assert in_child(lambda: told.write_text("\n".join(_publish_watched(home, candidate_id, 0)), "utf-8")) == 0
    return told.read_text("utf-8").splitlines()


def _publish_watched(home: Home, candidate_id: str, die_at: int) -> list[str]:
    # An audit hook cannot be taken off again: only for a process that ends.
    candidate = candidates.load(home, candidate_id)
    verdict = Verdict.from_json((candidate.path / "verdict.json").read_bytes())
    ledger = Ledger(home.ledger_url)
    steps: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(WATCHED):
            steps.append(f"{event} {arguments[:2]}".replace("\n", " "))
            if len(steps) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    publish(home, ledger, candidate, verdict, artefacts=REPORT)
    return list(steps)
