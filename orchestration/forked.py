"""A child made by fork instead of exec, with the part of `subprocess.Popen`'s face that its users need.

What belongs here: forking a single-threaded process, and waiting for what was forked. What does not: what the child
does. A fork copies one thread only: locks that others held would stay locked for ever, so it is refused when there are
others, those of C libraries included.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final, NoReturn

from warehouse.errors import Fault

_TASKS: Final = Path("/proc/self/task")
_POLL_SECONDS: Final = 0.01
# A joined thread leaves the kernel's list within microseconds, on a busy machine when it gets its turn.
_LEAVING_SECONDS: Final = 1.0
_BROKEN: Final = 1


def threads() -> int:
    """Threads of this process as the kernel counts them; 0 where it does not tell."""
    return sum(1 for _ in _TASKS.iterdir()) if _TASKS.is_dir() else 0


def alone() -> bool:
    """Whether this process has one thread, as the kernel counts: then it may be forked.

    A thread that was joined has told Python that it ends, and ends after that: it is waited for.
    """
    end = time.monotonic() + _LEAVING_SECONDS
    while threads() > 1 == threading.active_count() and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return threads() == 1


def check_alone() -> None:
    """Raise Fault unless this process is `alone`."""
    if not alone():
        raise Fault(f"进程有 {threads()} 个线程，不能分叉。")


def fork(work: Callable[[], int]) -> int:
    """Fork; the child does `work` and ends with what that returns. Returns the child's process id.

    Raises Fault when this process has threads, OSError when there can be no more processes.
    """
    check_alone()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_child(work)
    return pid


def _be_child(work: Callable[[], int]) -> NoReturn:
    code = _BROKEN
    try:
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        # Never back into what the parent was doing.
        if code == _BROKEN and sys.exc_info()[0] is not None:
            traceback.print_exc()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class ForkedChild:
    """A forked child that reads what is written to `stdin` and whose standard output and error come from `stdout`."""

    def __init__(self, work: Callable[[], int], args: Sequence[str]) -> None:
        """Fork now. `args` only name it in messages. Raises Fault, OSError."""
        orders_out, orders_in = os.pipe()
        lines_out, lines_in = os.pipe()

        def begin() -> int:
            os.dup2(orders_out, 0)
            os.dup2(lines_in, 1)
            os.dup2(lines_in, 2)
            for number in (orders_out, orders_in, lines_out, lines_in):
                os.close(number)
            return work()

        try:
            self.pid = fork(begin)
        except (Fault, OSError):
            os.close(orders_in)
            os.close(lines_out)
            raise
        finally:
            os.close(orders_out)
            os.close(lines_in)
        self.args = list(args)
        self.stdin: IO[bytes] | None = os.fdopen(orders_in, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(lines_out, "rb")
        self.stderr: IO[bytes] | None = None
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative when a signal ended it; None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[bytes, None]:
        """Close its input, read its output to the end and wait."""
        if self.stdin is not None:
            # What was buffered for a process that is gone has nowhere to go.
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
        rest = b""
        if self.stdout is not None and not self.stdout.closed:
            with self.stdout:
                rest = self.stdout.read()
        self.wait()
        return rest, None
