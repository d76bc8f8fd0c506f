"""A real Dagster daemon on a home and the code server it asks, as the units start them, ended (or killed) together."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from orchestration.instance import dagster_home
from tests.support.command import environment
from warehouse.paths import Home, project_root

_PATIENCE_SECONDS = 60
# The code server waits for a run it has been asked for, as it should; a test does not.
_STOP_SECONDS = 8


class Daemon:
    """The code server in a session of its own, the daemon in the same group; their log lies beside the home."""

    def __init__(self, home: Path, **extra: str) -> None:
        self._home, self._extra = home, extra
        self._code: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self.log = home.with_name(f"{home.name}-daemon.log")

    def start(self) -> None:
        """Start both; the daemon when the code server listens."""
        settings, socket = dagster_home(Home(self._home)), self._home / "code.sock"
        # One that was killed leaves its socket.
        socket.unlink(missing_ok=True)
        extra = {"DAGSTER_HOME": str(settings), "DAGSTER_DISABLE_TELEMETRY": "1", "EDUPLAN_WINDOW_SECONDS": "1"}
        told = environment(self._home, **(extra | {"EDUPLAN_CODE_SOCKET": str(socket)} | self._extra))
        self._code = self._start(["dagster", *_words("eduplan-code.service")], told, group=0)
        end = time.monotonic() + _PATIENCE_SECONDS
        while not socket.exists():
            assert self._code.poll() is None and time.monotonic() < end, self.log.read_text(errors="replace")[-3000:]
            time.sleep(0.05)
        self._daemon = self._start(["dagster._daemon", *_words("eduplan-daemon.service")], told, group=self._code.pid)

    def _start(self, command: list[str], told: dict[str, str], *, group: int) -> subprocess.Popen[bytes]:
        words = [word.replace("${EDUPLAN_CODE_SOCKET}", told["EDUPLAN_CODE_SOCKET"]) for word in command]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                env=told,
                cwd=project_root(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                process_group=group,
            )

    def alive(self) -> bool:
        return all(one is not None and one.poll() is None for one in (self._code, self._daemon))

    def memory(self) -> int:
        """Bytes held by both and what they started, each page shared by several counted once."""
        found = 0
        for one in filter(None, (self._code, self._daemon)):
            parent = psutil.Process(one.pid)
            for process in (parent, *parent.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    found += process.memory_full_info().pss
        return found

    def kill(self) -> None:
        """`kill -9` of the daemon, its code server and a run under way."""
        if self._code is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._code.pid, signal.SIGKILL)
        for one in filter(None, (self._daemon, self._code)):
            one.wait()
        self._code = self._daemon = None

    def stop(self) -> None:
        """SIGTERM, as a service manager ends them; then whatever is left: a run under way outlives both."""
        for one in filter(None, (self._daemon, self._code)):
            one.terminate()
            with suppress(subprocess.TimeoutExpired):
                one.wait(_STOP_SECONDS)
        self.kill()


def _words(unit: str) -> list[str]:
    """What a unit's program is started with, its paths in this checkout."""
    service = configparser.ConfigParser(strict=False, interpolation=None)
    service.read(project_root() / "deploy" / "systemd" / unit, encoding="utf-8")
    _program, *rest = service["Service"]["ExecStart"].split()
    return [word.replace("/opt/eduplan", str(project_root())) for word in rest]


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, started now and ended in any case."""
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
