"""A real Dagster daemon on a home, in a session of its own, ended (or killed) with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from orchestration.instance import dagster_home
from tests.support.command import environment
from warehouse.paths import Home, project_root

_PATIENCE_SECONDS = 30


class Daemon:
    """`dagster-daemon run` on our definitions; its log lies beside the home."""

    def __init__(self, home: Path, **extra: str) -> None:
        self._home, self._extra = home, extra
        self._running: subprocess.Popen[bytes] | None = None
        self.log = home.with_name(f"{home.name}-daemon.log")

    def start(self) -> None:
        settings = dagster_home(Home(self._home))
        extra = {"DAGSTER_HOME": str(settings), "DAGSTER_DISABLE_TELEMETRY": "1", "EDUPLAN_WINDOW_SECONDS": "1"}
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "orchestration.definitions"]
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                command,
                env=environment(self._home, **extra, **self._extra),
                cwd=project_root(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def memory(self) -> int:
        """Bytes held by the daemon and what it started, each page shared by several counted once."""
        if self._running is None:
            return 0
        daemon = psutil.Process(self._running.pid)
        found = 0
        for process in (daemon, *daemon.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                found += process.memory_full_info().pss
        return found

    def kill(self) -> None:
        """`kill -9` of the daemon, its code server and a run under way."""
        if self._running is not None:
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None

    def stop(self) -> None:
        """SIGTERM, as a service manager ends it; then whatever is left."""
        if self._running is None:
            return
        self._running.terminate()
        try:
            self._running.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._running.pid, signal.SIGKILL)
        finally:
            self._end_the_rest()

    def _end_the_rest(self) -> None:
        """A run under way belongs to the session and outlives the daemon."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, started now and ended in any case."""
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
