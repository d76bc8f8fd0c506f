"""Publishes one candidate in a process of its own and kills itself (SIGKILL) at the n-th step that touches the system.

A step is a Python audit event about files or databases: open, rename, mkdir, chmod, sqlite3 and the like. With n = 0 it
lives and prints every step.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

WATCHED = ("open", "os.", "shutil.", "sqlite3.", "tempfile.", "pathlib.")


def main(root: str, candidate_id: str, die_at: int) -> None:
    from tests.support.candidate_kit import REPORT
    from warehouse import candidate as candidates
    from warehouse.ledger import Ledger
    from warehouse.paths import Home
    from warehouse.release import publish
    from warehouse.verdict import Verdict

    home = Home(Path(root))
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
    taken = list(steps)
    sys.stdout.write("\n".join(taken))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
