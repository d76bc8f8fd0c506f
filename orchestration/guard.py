"""How a station ends that does not end well: what may pass is tried again, what will not is not, and nothing hangs.

What belongs here: time limits, and which errors Dagster should retry. What does not: the stations, and the next run
(the sensor `inputs_changed` asks for it).
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

from warehouse.errors import EduplanError, Fault, Refused, Transient, UsageError

if TYPE_CHECKING:
    from dagster import OpExecutionContext

# Seconds a station may take before it counts as hung, an order of magnitude above the full city on two cores.
LIMITS: Final = {"intake": 7200.0, "build": 3600.0, "seal": 1200.0, "judge": 1200.0, "publish": 1200.0}
# Seconds between the limit and the end of the process, where the station does not even react to the limit.
_GRACE: Final = 30.0
MAX_RETRIES: Final = 3
_PAUSES: Final = (2.0, 8.0, 30.0)

# What an operating system says when it may be otherwise in a minute.
_PASSING: Final = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
}

log = logging.getLogger(__name__)


class TimedOut(Fault):
    """A station took longer than its limit; for the gate that is a failure to pass."""


def may_pass(error: BaseException) -> bool:
    """Whether trying the same again in a few seconds makes sense."""
    return isinstance(error, Transient) or (isinstance(error, OSError) and error.errno in _PASSING)


def limit_seconds(station: str) -> float:
    """The limit of a station: EDUPLAN_LIMIT_<STATION> in seconds, or the default. Raises UsageError."""
    name = f"EDUPLAN_LIMIT_{station.upper()}"
    text = os.environ.get(name) or str(LIMITS[station])
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise UsageError(f"{name} 应为 0 到 86400 之间的秒数，现为 {text!r}。")
    return seconds


@contextmanager
def time_limit(station: str) -> Iterator[None]:
    """Raise TimedOut in the main thread when the block takes too long; a block that does not react ends the process.

    Outside the main thread, where no signal arrives, only the second holds. What such an end leaves is what a `kill -9`
    leaves, and the next run goes on from there.
    """
    seconds = limit_seconds(station)
    last = threading.Timer(seconds + _GRACE, _end_process, (station, seconds))
    last.daemon = True
    last.start()
    try:
        if threading.current_thread() is threading.main_thread():
            with _alarm(station, seconds):
                yield
        else:
            yield
    finally:
        last.cancel()


@contextmanager
def _alarm(station: str, seconds: float) -> Iterator[None]:
    def expired(_number: int, _frame: FrameType | None) -> None:
        raise TimedOut(
            f"{station} 超过时限 {seconds:.0f} 秒，已中止，没有发布；原发布不受影响。",
            f"请检查机器负载与磁盘；确属数据量大时用 EDUPLAN_LIMIT_{station.upper()} 放宽时限。",
        )

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _end_process(station: str, seconds: float) -> None:
    log.critical("station %s did not react to its limit of %.0f s; this process ends", station, seconds)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def guarded(context: OpExecutionContext, station: str) -> Iterator[None]:
    """Run a station under its time limit; tell Dagster to try again, up to three times, what may pass.

    Raises RetryRequested for such, everything else as it came.
    """
    from dagster import RetryRequested

    try:
        with time_limit(station):
            yield
    except (Refused, UsageError):
        raise
    except (EduplanError, OSError) as error:
        attempt = context.retry_number
        if not may_pass(error) or attempt >= MAX_RETRIES:
            raise
        context.log.warning(f"{error} {_PAUSES[attempt]:.0f} 秒后重试（第 {attempt + 1} 次，共 {MAX_RETRIES} 次）。")
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=_PAUSES[attempt]) from error
