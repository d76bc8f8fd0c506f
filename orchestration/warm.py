"""The warm process of a home: it has imported everything a run needs, and forks one child for each run.

What belongs here: where it listens, how it is started, how it is asked, and the digest that tells whether it still is
what the files say. What does not: the process itself (`orchestration.warm_server`) and who asks
(`orchestration.warm_launcher`). Nothing depends on it: when it is away, busy starting or out of date, a run starts as a
process of its own, as it always could.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestration import dbt
from warehouse.files import canonical_json, sha256_bytes, sha256_file
from warehouse.paths import Home, package_root, project_root

SWITCH: Final = "EDUPLAN_WARM"
_CHILD: Final = [sys.executable, "-c", "from orchestration.warm_server import main; main()"]
# Libraries that start threads when they are imported: a process with threads must not fork.
SINGLE_THREADED: Final = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_ROOMS: Final = ("orchestration", "sources", "expectations", "warehouse")
_LEFT_OUT: Final = {".pyc", ".pyo"}
# What the kernel takes as the name of a socket.
_LONGEST_NAME: Final = 100
_ANSWER_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 1.0
# After it could not serve for a reason of its own (not for new code) it is left alone for a while.
_PAUSE_SECONDS: Final = 600.0
LONGEST_ORDER: Final = 1 << 20


@dataclass
class _Started:
    """The warm process this process started last, and until when it should not be started again."""

    process: subprocess.Popen[bytes] | None = None
    not_before: float = field(default=0.0)


_started: Final = _Started()


def socket_path(home: Home) -> Path:
    """Where the warm process of a home listens."""
    return home.root / "warm" / "socket"


def wanted(home: Home) -> bool:
    """Whether this home can have a warm process: not switched off (EDUPLAN_WARM=0), and its path fits a socket."""
    return os.environ.get(SWITCH) != "0" and len(os.fsencode(socket_path(home))) <= _LONGEST_NAME


def code_state() -> str:
    """A digest of all code a run executes: our rooms and the dbt project by content, installed packages by the time the
    folder that holds them changed. Raises OSError when files go away while they are read."""
    root = package_root()
    files = {
        path.relative_to(root).as_posix(): sha256_file(path)
        for room in _ROOMS
        for path in sorted((root / room).rglob("*"))
        if path.suffix not in _LEFT_OUT and path.is_file()
    }
    packages = Path(sysconfig.get_paths()["purelib"]).stat().st_mtime_ns
    return sha256_bytes(canonical_json([files, dbt.project_digest(), packages]))


def ensure(home: Home) -> None:
    """Start the warm process unless there is one; returns at once, and it is ready some seconds later.

    It ends with the daemon: the parent of the code server that calls this, as the daemon replaces its code server every
    minute; or with the caller, when that has no parent of its own. Raises OSError when no process can be started.
    """
    if not wanted(home) or _lives() or time.monotonic() < _started.not_before or answers(home):
        return
    owner = os.getppid() if os.getppid() > 1 else os.getpid()
    environment = {**os.environ, **SINGLE_THREADED, "EDUPLAN_HOME": str(home.root)}
    _started.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*_CHILD, str(owner)], stdin=subprocess.DEVNULL, env=environment, cwd=project_root()
    )


def _lives() -> bool:
    process = _started.process
    if process is None:
        return False
    if process.poll() is None:
        return True
    if process.returncode > 0:
        _started.not_before = time.monotonic() + _PAUSE_SECONDS
    _started.process = None
    return False


def answers(home: Home) -> bool:
    """Whether a warm process listens in this home now."""
    return ask(home, {"ask": "state"}) is not None


def ask(home: Home, order: dict[str, Any]) -> dict[str, Any] | None:
    """Its answer to an order; None when nobody listens, or nobody answers in time."""
    if not wanted(home):
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_CONNECT_SECONDS)
            connection.connect(str(socket_path(home)))
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(json.dumps(order).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline(LONGEST_ORDER))
                return answer
    except (OSError, ValueError):
        # Away, killed half-way through its answer, or too slow: whoever asks has another way.
        return None
