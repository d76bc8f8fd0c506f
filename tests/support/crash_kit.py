"""A whole small run on a tiny real candidate, and the ways to strike it: killed, starved or disturbed at any point.

The run is the real thing from lease to flip (`open_workbench`, `begin`, `seal`, the ledger, `publish`); only the marts
are filled by hand instead of by dbt. A struck run lives in a forked child, so a kill is a `kill -9` and costs no start.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import duckdb

from orchestration.steps import Workbench, check_hold, finish_keeping, keep_built, open_workbench
from tests.support import candidate_kit as kit
from warehouse import candidate as candidates
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.verify import verify

OLD, NEW = 1.0, 2.0
PATIENCE_SECONDS = 60.0
VERSIONS = {"official_figures": "v1"}


def small_run(home: Home, value: float = NEW) -> None:
    """Take in one delivery, build, judge and publish what follows from the active set."""
    with open_workbench(home) as bench:
        kit.delivery(home, bench.ledger, f"delivery {value} ")
        carry_on(bench, value)


def carry_on(bench: Workbench, value: float) -> None:
    """The stations behind intake."""
    check_hold(bench)
    bench.build = build = candidates.begin(bench.home, bench.ledger.active_set(VERSIONS), kit.FEEDS)
    kit.fill_marts(build.database, value)
    (build.work_dir / "manifest.json").write_bytes(kit.dbt_manifest())
    keep_built(bench)
    finish_keeping(bench)
    check_hold(bench)
    candidate = candidates.seal(bench.home, build)
    bench.build = None
    bench.ledger.record_candidate(candidate.candidate_id, candidate.fingerprint)
    verdict = kit.judged(bench.ledger, candidate)
    check_hold(bench)
    publish(bench.home, bench.ledger, candidate, verdict, artefacts=kit.REPORT, fences=[bench.fence])


def in_child(work: Callable[[], object]) -> int:
    """Do `work` in a forked child; its wait status as `os.waitstatus_to_exitcode` gives it (negative: the signal)."""
    pid = os.fork()
    if pid == 0:
        # A child that is meant to die does not fill the page with its last words.
        faulthandler.disable()
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return ended(pid)


def ended(pid: int) -> int:
    """Wait for a child, but not for ever."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError("the child hangs")
        time.sleep(0.005)


def die(*_: Any, **__: Any) -> None:
    """`kill -9` of this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def strike(point: str, moment: str, blow: Callable[..., Any]) -> None:
    """Let `blow` fall before or after the function at `point` (module:name or module:Class.name) does its work."""
    module, _, path = point.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def struck(*arguments: Any, **options: Any) -> Any:
        if moment == "before":
            blow()
        result = original(*arguments, **options)
        if moment == "after":
            blow()
        return result

    setattr(owner, name, struck)


def value_of(home: Home) -> float:
    """What readers of `current` see, which must be one value throughout."""
    with duckdb.connect(str(home.current / "marts.duckdb"), read_only=True) as connection:
        values = connection.execute("SELECT DISTINCT value FROM marts.marts.fct_indicator_value").fetchall()
    assert len(values) == 1, "a mix of two releases"
    return float(values[0][0])


def fingerprint_of(home: Home) -> str:
    """Fingerprint of the current release."""
    standing = current(home)
    assert standing is not None
    return standing.fingerprint


def assert_whole(home: Home) -> None:
    """Readers see one whole release, old or new; nothing in ledger, archive and records is broken."""
    assert value_of(home) in {OLD, NEW}
    ledger = Ledger(home.ledger_url)
    assert ledger.findings() == []
    ledger.close()


def assert_converged(home: Home, fingerprint: str) -> None:
    """The state an undisturbed run leaves: its fingerprint, one entry a thing, no leftovers, everything verifies."""
    assert fingerprint_of(home) == fingerprint
    assert verify(home) == []
    ledger = Ledger(home.ledger_url)
    rows = ledger.deliveries()
    assert len({row.delivery_id for row in rows}) == len(rows)
    names = [row.release_id for row in ledger.releases()]
    ledger.close()
    assert sorted(names) == sorted(path.name for path in home.releases.iterdir())
    assert len(set(names)) == len(names)
    leftovers = [path for folder in (home.candidates, home.releases) for path in folder.glob(".*")]
    assert [path for path in leftovers if path.name != ".gitkeep"] == []
    assert list(home.root.glob(".tmp-*")) == []
