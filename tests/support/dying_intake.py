"""Takes in what waits in a home, in a process of its own, and kills itself (SIGKILL) at the n-th step.

A step is a Python audit event about files or databases. With n = 0 it lives and prints how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support.dying_publisher import WATCHED


def main(root: str, die_at: int) -> None:
    from sources import intake
    from tests.support import tiny_parser
    from warehouse.ledger import Ledger
    from warehouse.paths import Home

    home = Home(Path(root))
    ledger = Ledger(home.ledger_url)
    steps = [0]
    own = os.getpid()

    def watch(event: str, _arguments: tuple[Any, ...]) -> None:
        if event.startswith(WATCHED) and os.getpid() == own:
            steps[0] += 1
            if steps[0] == die_at:
                os.kill(own, signal.SIGKILL)

    sys.addaudithook(watch)
    waiting = [found for found in intake.scan(home, ledger, settle=0) if found.connector != intake.SHIPPED]
    intake.take_in(home, ledger, waiting, parse=tiny_parser.parse, workers=1)
    sys.stdout.write(str(steps[0]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
