"""Events under a real daemon: a corrected list falls into the inbox, and the clock runs until readers see its release.

Started by `run.py` in a process of its own. Prints one JSON object an event.
Belongs here: the daemon, the events and growing a home's history. What does not: what is compared (`run.py`).

    python benchmarks/latency.py events  HOME EVENTS          # round 0 is not counted
    python benchmarks/latency.py history HOME TIMES           # further reports: TIMES as many deliveries
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from child import emit, lists, mangle

from orchestration import warm
from orchestration.instance import dagster_home
from sources.intake import delivery_id
from warehouse.archive import store_bytes
from warehouse.entering import Reading
from warehouse.files import sha256_file
from warehouse.ledger import Ledger
from warehouse.paths import Home, project_root
from warehouse.records import DeliveryRow

LOOK_SECONDS = 0.05
READY_SECONDS = 300.0
EVENT_SECONDS = 900.0
# Between two events the daemon comes to rest, as it would between two offices.
REST_SECONDS = 6.0
BATCH = 500


@contextmanager
def daemon(home: Home, **more: str) -> Iterator[None]:
    """A code server and a Dagster daemon on the home, as the units start them, ended with everything they started."""
    socket = home.root / "code.sock"
    socket.unlink(missing_ok=True)
    environment = {**os.environ, "DAGSTER_HOME": str(dagster_home(home)), "DAGSTER_DISABLE_TELEMETRY": "1"}
    environment |= {"EDUPLAN_HOME": str(home.root), "PYTHONUTF8": "1", "EDUPLAN_CODE_SOCKET": str(socket)} | more
    code = ["dagster", "api", "grpc", "-m", "orchestration.definitions", "--location-name", "eduplan"]
    with daemon_log(home).open("ab") as log:

        def start(group: int, *words: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", *words]
            root, nothing = project_root(), subprocess.DEVNULL
            return subprocess.Popen(
                command, env=environment, cwd=root, stdin=nothing, stdout=log, stderr=log, process_group=group
            )

        server = start(0, *code, "--socket", str(socket), "--max-workers", "16")
        wait_for(socket.exists, READY_SECONDS, "the code server")
        asking = start(server.pid, "dagster._daemon", "run", "-w", str(project_root() / "deploy" / "workspace.yaml"))
        try:
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                asking.wait(30)
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                asking.wait()
                server.wait()


def daemon_log(home: Home) -> Path:
    """Where the daemon says why a run failed."""
    return home.root.with_name(f"{home.root.name}-daemon.log")


def wait_for(done: Callable[[], bool], limit: float, what: str) -> float:
    """Seconds until `done()` is true. Raises SystemExit after `limit`."""
    started = time.perf_counter()
    while not done():
        if time.perf_counter() - started > limit:
            raise SystemExit(f"{what} took longer than {limit:.0f} s")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - started


def events(home: Home, count: int) -> None:
    """Corrections one after the other; each is timed from its rename into the inbox to a `current` made from it."""
    last_year = max(path.stem.split("学年初")[0][-4:] for path in lists(home))
    by_size = sorted((path for path in lists(home) if last_year in path.name), key=lambda path: path.stat().st_size)
    source = by_size[len(by_size) // 2]
    told = f"an event (see {daemon_log(home)})"
    with daemon(home):
        ready = wait_for(lambda: warm.answers(home), READY_SECONDS, "the warm process")
        for number in range(count + 1):
            part = home.root / f"correction-{number}.part"
            mangle(source, part, number + 1 + int(time.time()) % 100_000)
            holds = Holds(home, delivery_id("school_census", sha256_file(part)))
            part.replace(home.inbox / "school_census" / f"更正{os.getpid()}-{number}.xlsx")
            seconds = wait_for(holds, EVENT_SECONDS, told)
            emit(round=number, seconds=seconds, ready=ready, file=source.name, bytes=source.stat().st_size)
            time.sleep(REST_SECONDS)


class Holds:
    """Whether the release that readers see was made from a delivery; its manifest is read once for each release."""

    def __init__(self, home: Home, delivery: str) -> None:
        self._home, self._delivery, self._seen = home, delivery, Path()

    def __call__(self) -> bool:
        """Look again."""
        current = self._home.current.readlink()
        if current == self._seen:
            return False
        self._seen = current
        inputs = json.loads((self._home.root / current / "manifest.json").read_bytes())["inputs"]
        return any(item["delivery_id"] == self._delivery for item in inputs["deliveries"])


def grow_history(home: Home, times: int) -> None:
    """Give every delivery `times` - 1 further reports: archived, in the ledger, each superseded or refused.

    The bytes of each are its own and lie in the archive. The records it points to are those of the delivery it repeats,
    so growing takes seconds and no space, and what counts is what counted before.
    """
    with closing(Ledger(home.ledger_url)) as ledger:
        rows = [row for row in ledger.deliveries() if row.counts]
        before = ledger.active_set()
        further = [further_report(home, row, number) for row in rows for number in range(1, times)]
        for first in range(0, len(further), BATCH):
            ledger.record_all(further[first : first + BATCH])
        if ledger.active_set() != before:
            raise SystemExit("further reports changed which deliveries count")
        emit(round=0, seconds=0.0, deliveries=len(ledger.deliveries()), active=len(before))


def further_report(home: Home, row: DeliveryRow, number: int) -> Reading:
    """One more report of the same, a day earlier than the last; an attempt that was refused where reports bear no date,
    because there the later arrival would count."""
    stored = store_bytes(home, f"{row.delivery_id} report {number}\n".encode())
    report = replace(
        row,
        delivery_id=delivery_id(row.feed, stored.sha256),
        sha256=stored.sha256,
        file_name=f"{number}-{row.file_name}",
        received_at=row.received_at - timedelta(days=number),
    )
    if row.reported_on is not None:
        report = replace(report, reported_on=row.reported_on - timedelta(days=number))
    else:
        report = replace(report, status="refused", rows_accepted=0, rows_quarantined=row.rows_in, tables={})
    return Reading(report, stored.size, None, {})


def main(arguments: list[str]) -> None:
    """Run one mode."""
    # Ended by its bench, it still ends its daemon: SystemExit unwinds, the signal alone would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    mode, home, number = arguments
    {"events": events, "history": grow_history}[mode](Home(Path(home)), int(number))


if __name__ == "__main__":
    main(sys.argv[1:])
