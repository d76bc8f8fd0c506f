"""The Dagster instance that lives in a home, and running the job in this process.

What belongs here: `<home>/dagster`, executing `release_job`, and turning what Dagster raises back
into errors for people. What does not: the
settings' text (`orchestration.instance_settings`), assets, and the terminal.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from orchestration import instance_settings
from orchestration.logs import logs_dir
from orchestration.report import RunRecord
from warehouse.errors import EduplanError, Fault, Refused
from warehouse.paths import Home

if TYPE_CHECKING:
    from dagster import DagsterInstance

log = logging.getLogger("eduplan")

# Text that steps print is captured by descriptor otherwise, progress bars included.
_NO_CAPTURE: Final = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
}
OUTPUT: Final = "steps.log"
_SHOWN: Final = 8


def dagster_home(home: Home) -> Path:
    """`<home>/dagster`, created with its settings on first use; settings of an older version are brought up to date
    unless somebody changed them. Raises OSError."""
    folder = home.root / "dagster"
    if instance_settings.bring_up_to_date(folder):
        log.info("%s is as this version writes it", folder / instance_settings.FILE)
    return folder


def _event_log(folder: Path) -> dict[str, Any]:
    """The stock log's files under the stock log's names, held open."""
    # Where the stock storage keeps them; the UI and the daemon read the same files.
    base_dir = folder / "history" / "runs"
    return {
        "module": "orchestration.event_log",
        "class": "OpenEventLogStorage",
        "config": {"base_dir": str(base_dir)},
    }


def _keeps_its_own_storage(folder: Path) -> bool:
    """Whether the settings name a storage (PostgreSQL in production) instead of the stock files."""
    settings = yaml.safe_load((folder / instance_settings.FILE).read_text(encoding="utf-8")) or {}
    return not {"storage", "event_log_storage"}.isdisjoint(settings)


def run_overrides(folder: Path) -> dict[str, Any]:
    """What a process that executes one run opens differently: the stock event log, held open. Empty when the settings
    of this folder name a storage of their own, or when there are none."""
    if not (folder / instance_settings.FILE).is_file() or _keeps_its_own_storage(folder):
        return {}
    return {"event_log_storage": _event_log(folder)}


@contextlib.contextmanager
def open_instance(home: Home, *, with_output: bool = False) -> Iterator[DagsterInstance]:
    """The home's instance, for a run in this process. `with_output`: also the kept output of steps is at hand."""
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    folder = dagster_home(home)
    # Dagster reads it where it starts processes of its own.
    os.environ["DAGSTER_HOME"] = str(folder)
    overrides: dict[str, Any] = {} if with_output else dict(_NO_CAPTURE)
    overrides |= run_overrides(folder)
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides)) as instance:
        yield instance


def run_job(home: Home, record: RunRecord, *, settle: float | None = None) -> None:
    """Run `release_job` here and fill `record`. `settle`: seconds a file must have rested (None: as configured).

    Raises Refused when the gate, a test or the lock says no; Fault and other EduplanErrors as the stations raise them.
    """
    if next(_earlier_runs):
        _give_memory_back()
    with record.station("prepare"):
        from dagster import DagsterError, DagsterExecutionInterruptedError, ResourceDefinition

        from orchestration import keys
        from orchestration.build import build_defs
        from orchestration.resources import HomeResource

        told = ResourceDefinition.hardcoded_resource(record)
        job = build_defs(home=HomeResource(settle_seconds=settle), record=told).resolve_job_def(keys.JOB)
    with open_instance(home) as instance, _quiet(home):
        try:
            job.execute_in_process(instance=instance, run_config=_QUIET_CONSOLE, raise_on_error=True)
        except DagsterExecutionInterruptedError:
            # While a step runs Dagster listens to signals itself.
            raise KeyboardInterrupt from None
        except DagsterError as error:
            raise _for_people(error, record) from error
    if record.verdict is not None and not record.verdict.passed:
        raise refusal(record)


_earlier_runs: Final = itertools.count()


def _give_memory_back() -> None:
    """Give the system what allocators hold in reserve since an earlier run of this process: the next one would need it
    beside what it takes anew."""
    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()
    # The C library's, where it has it.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


_QUIET_CONSOLE: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@contextlib.contextmanager
def _quiet(home: Home) -> Iterator[None]:
    """Keep what libraries print off the terminal: dbt's every line passes through here."""
    folder = logs_dir(home)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / OUTPUT).open("w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):
        yield


def _for_people(error: BaseException, record: RunRecord) -> EduplanError:
    """The project's own error behind Dagster's, the gate's refusal, or a fault."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EduplanError):
            return cause
        cause = cause.__cause__ or getattr(cause, "user_exception", None)
    if record.verdict is not None and not record.verdict.passed:
        return refusal(record)
    return Fault(f"作业执行出错：{error}", "请查看日志；修复后重新执行 eduplan run，已发布的版本不受影响。")


def refusal(record: RunRecord) -> Refused:
    """Why the gate refused, in Chinese; the first reasons here, all of them in the report."""
    reasons = record.verdict.reasons() if record.verdict is not None else []
    lines = [f"  {number}. {reason}" for number, reason in enumerate(reasons[:_SHOWN], 1)]
    if len(reasons) > _SHOWN:
        lines.append(f"  其余 {len(reasons) - _SHOWN} 项见质量报告。")
    text = "\n".join([f"质量检查未通过（{len(reasons)} 项），没有发布；原发布不受影响。", *lines])
    return Refused(text, "请按质量报告逐条处理后重新运行。")
