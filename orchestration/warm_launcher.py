"""How Dagster's daemon starts a run: as a child of the home's warm process, or as ever when there is none.

What belongs here: launching and cancelling. What does not: the warm process. Named in a home's `dagster.yaml`; a home
without these lines there starts its runs the stock way.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.launcher.base import LaunchRunContext
from dagster._core.storage.dagster_run import DagsterRun
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, serialize_value

from orchestration import warm
from orchestration.instance import run_overrides
from warehouse.lease import Owner, this_host
from warehouse.paths import Home

TAG: Final = "eduplan/warm"
_MODULE: Final = "orchestration.definitions"


class WarmRunLauncher(DefaultRunLauncher):
    """The stock launcher with a quicker way before it."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WarmRunLauncher:
        """Made by Dagster from the instance's settings; it has none of its own."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run that was created. Raises what the stock launcher raises."""
        run = context.dagster_run
        answer = self._ask(run) if _is_ours(run) else None
        if answer is None or "pid" not in answer:
            super().launch_run(context)
            return
        self._run_ids.add(run.run_id)
        place = Owner(this_host(), answer["pid"], answer["started"] or 0)
        self._instance.add_run_tags(run.run_id, {TAG: json.dumps(asdict(place))})

    def _ask(self, run: DagsterRun) -> dict[str, Any] | None:
        if run.job_code_origin is None:
            return None
        reference = _reference(self._instance.get_ref())
        arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, reference, set_exit_code_on_failure=True)
        # Behind the interpreter and Dagster's module stands what its command line is given.
        command = list(arguments.get_command_args())
        order = {
            "ask": "run",
            "run_id": run.run_id,
            "instance": serialize_value(reference),
            "arguments": command[command.index("api") + 1 :],
        }
        return warm.ask(Home.from_env(), order)

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run; False when it was over."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or TAG not in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]  # the library has no types here
        place = Owner(**json.loads(run.tags[TAG]))
        if run.is_finished or place.host != this_host() or place.is_dead():
            return False
        self._instance.report_run_canceling(run)
        os.kill(place.pid, signal.SIGINT)
        return True


def _is_ours(run: DagsterRun) -> bool:
    origin = run.job_code_origin
    pointer = origin.repository_origin.code_pointer if origin is not None else None
    return getattr(pointer, "module", None) == _MODULE


def _reference(stock: InstanceRef) -> InstanceRef:
    """The instance as the run opens it: the same files, held open."""
    folder = Path(os.environ.get("DAGSTER_HOME") or "")
    overrides = run_overrides(folder)
    return InstanceRef.from_dir(str(folder), overrides=overrides) if overrides else stock
