"""Takes in what waits in a home, with the real parsers, in a process of its own; prints how many seconds that took."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sources import intake
from warehouse.ledger import Ledger
from warehouse.paths import Home


def main(root: str) -> None:
    home = Home(Path(root))
    ledger = Ledger(home.ledger_url)
    begin = time.monotonic()
    waiting = [found for found in intake.scan(home, ledger, settle=0) if found.connector != intake.SHIPPED]
    report = intake.take_in(home, ledger, waiting, workers=1)
    sys.stdout.write(f"{time.monotonic() - begin}\n" + "\n".join(report.problems))


if __name__ == "__main__":
    main(sys.argv[1])
