"""Resources: where the state lies, what a run remembers, and the workbench it works on.

What belongs here: opening and closing. What does not: any step. Nothing is opened, read or created when definitions
are loaded; a home is first touched when a run starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from dagster import ConfigurableResource, DagsterRun, InitResourceContext, ResourceDefinition, resource

from orchestration import keys
from orchestration.logs import logging_to
from orchestration.report import LogReporter, RunRecord
from orchestration.steps import Workbench, open_workbench
from warehouse import outcomes
from warehouse.paths import Home


class HomeResource(ConfigurableResource[Any]):
    """The state directory. `root` empty: EDUPLAN_HOME, read when a run starts.

    `settle_seconds` is how long a file must have rested before it is taken in; None: as the environment says.
    """

    root: str = ""
    lock_wait_seconds: float = 0.0
    settle_seconds: float | None = None

    def home(self) -> Home:
        """The home as configured now."""
        return Home.from_env({**os.environ, "EDUPLAN_HOME": self.root} if self.root else None)


@resource(description="One run's memory: what each station found, and whom to tell.")
def run_record(context: InitResourceContext) -> RunRecord:
    """A fresh record whose reporter writes to the run's log."""
    if context.log is None:
        return RunRecord()
    return RunRecord(reporter=LogReporter(context.log))


@resource(required_resource_keys={"home", "record"}, description="Lock, ledger and the build under way.")
def workbench(context: InitResourceContext) -> Iterator[Workbench]:
    """Open the workbench for the length of the run, with the home's log, and record how that run ended; raises Refused
    when another run holds the home."""
    place: HomeResource = context.resources.home
    record, home = context.resources.record, place.home()
    with (
        logging_to(home),
        open_workbench(home, record, wait=place.lock_wait_seconds, settle=place.settle_seconds) as bench,
    ):
        run = context.run
        if run is not None:
            bench.compare = run.tags.get(keys.SCHEDULE_TAG) == keys.FULL_COMPARISON
            bench.gather_until = float(run.tags.get(keys.GATHER_TAG, 0.0))
        try:
            yield bench
        finally:
            if run is not None and run.job_name == keys.JOB:
                outcomes.record(bench.ledger, record.conclude(run.run_id, asked_by(run)))


def asked_by(run: DagsterRun) -> str:
    """The sensor or schedule that asked for a run; `manual` for a person."""
    return run.tags.get(keys.SENSOR_TAG) or run.tags.get(keys.SCHEDULE_TAG) or "manual"


def default_resources() -> dict[str, ResourceDefinition | HomeResource]:
    """Resource by name; `build_defs(**overrides)` replaces any of them."""
    return {"home": HomeResource(), "record": run_record, "workbench": workbench}
