"""Stations that hang, and errors that may or may not pass."""

# No postponed annotations here: Dagster reads the parameters' types.
import errno
import signal
import subprocess
import sys
import threading
import time

import pytest
from dagster import OpExecutionContext, in_process_executor, job, op

from orchestration.guard import MAX_RETRIES, TimedOut, guarded, limit_seconds, may_pass, time_limit
from warehouse.errors import Fault, Refused, Transient, UsageError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Transient("台账被锁"), True),
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EMFILE, "descriptors"), True),
        (OSError(errno.EACCES, "denied"), False),
        (OSError(errno.EROFS, "read-only"), False),
        (Fault("坏了"), False),
        (Refused("不行"), False),
        (UsageError("用法"), False),
        (ValueError("bug"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: BaseException, expected: bool) -> None:
    assert may_pass(error) is expected


def test_a_station_that_hangs_is_ended_and_the_alarm_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_LIMIT_JUDGE", "0.1")
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimedOut, match="judge"), time_limit("judge"):
        threading.Event().wait(20)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_station_that_ends_in_time_leaves_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_LIMIT_JUDGE", "0.2")
    with time_limit("judge"):
        pass
    time.sleep(0.4)


def test_what_does_not_even_react_is_ended_with_its_process() -> None:
    code = (
        "import os, time; os.environ['EDUPLAN_LIMIT_JUDGE'] = '0.1'; from orchestration import guard;"
        "guard._GRACE = 0.1; import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]);"
        "ctx = guard.time_limit('judge'); ctx.__enter__(); time.sleep(20)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan", "1e9"])
def test_a_senseless_limit_is_wrong_usage(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_LIMIT_BUILD", text)
    with pytest.raises(UsageError, match="EDUPLAN_LIMIT_BUILD"):
        limit_seconds("build")


def attempts(error: BaseException, succeed_at: int, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, int]:
    """Run one step that raises `error` until its n-th attempt: (success, attempts)."""
    monkeypatch.setattr("orchestration.guard._PAUSES", (0.0, 0.0, 0.0))
    count = [0]

    @op
    def station(context: OpExecutionContext) -> None:
        with guarded(context, "seal"):
            count[0] += 1
            if count[0] < succeed_at:
                raise error

    @job(executor_def=in_process_executor)
    def trial() -> None:
        station()

    return trial.execute_in_process(raise_on_error=False).success, count[0]


def test_a_passing_fault_is_tried_again_until_it_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts(Transient("台账被锁"), 3, monkeypatch) == (True, 3)


def test_a_fault_that_does_not_pass_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts(OSError(errno.ENOSPC, "full"), 99, monkeypatch) == (False, MAX_RETRIES + 1)


@pytest.mark.parametrize("error", [Refused("不行"), UsageError("用法"), Fault("坏了"), ValueError("bug")])
def test_what_will_not_pass_is_tried_once(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempts(error, 99, monkeypatch) == (False, 1)
