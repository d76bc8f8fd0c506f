"""The warm process without what it loads: its own loop, forks and socket, carrying out small orders.

Run as `python -m tests.support.warm_kit HOME CODE [OWNER]`: CODE '' means the code as it stands, OWNER (its
parent) whose end is its own. An order names a file and how
many seconds to work; the child writes its parent's process id into the file when it is done.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from orchestration import warm
from orchestration.warm_server import Server, listen
from warehouse.lease import Owner
from warehouse.paths import Home


def carry_out(order: dict[str, Any]) -> int:
    time.sleep(order["seconds"])
    Path(order["file"]).write_text(str(os.getppid()), encoding="utf-8")
    return 0


def bury(order: dict[str, Any], code: int) -> int:
    Path(order["file"]).write_text(f"ended with {code}", encoding="utf-8")
    return 0


def main(home: Home, code: str) -> None:
    duckdb.default_connection().close()
    owner = Owner.of(int(sys.argv[3]) if len(sys.argv) > 3 else os.getppid())
    with closing(listen(home)) as listener:
        Server(home, listener, owner, code or warm.code_state(), carry_out, bury).run()


if __name__ == "__main__":
    main(Home(Path(sys.argv[1])), sys.argv[2])
