"""Runs the real command line: in this process where that is enough, in one of its own where it is killed or watched.

What belongs here: calling `orchestration.cli.main` as a person or a scheduler would, with an environment of its own.
What does not: what a command should do. A fresh process pays for its imports, several seconds of processor time;
only trials of kills, of signals and of a newcomer's first command need that.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

MAIN = "import sys; from orchestration.cli import main; sys.exit(main())"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_OURS = ("EDUPLAN_", "DAGSTER_", "DBT_")

Done = subprocess.CompletedProcess[str]


def environment(home: Path, **extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | {"EDUPLAN_HOME": str(home), "PYTHONUTF8": "1"} | extra


def eduplan(home: Path, *arguments: str, expect: int | None = 0, **extra: str) -> Done:
    """Run `eduplan ARGUMENTS` on `home` in this process; `expect` is the exit code demanded, None to leave it to the
    caller."""
    from orchestration.cli import main

    out, err = io.StringIO(), io.StringIO()
    with _surroundings(home, **extra), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return _checked(Done(list(arguments), code, out.getvalue(), err.getvalue()), expect)


def fresh(home: Path, *arguments: str, expect: int | None = 0, **extra: str) -> Done:
    """Run `eduplan ARGUMENTS` on `home` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env=environment(home, **extra),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return _checked(done, expect)


def start(home: Path, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
    """Start `eduplan ARGUMENTS` in a session of its own, so that it can be killed with all its children."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        env=environment(home, **extra),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _checked(done: Done, expect: int | None) -> Done:
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def _surroundings(home: Path, **extra: str) -> Iterator[None]:
    """The environment a command would be started with, and afterwards the test's own again."""
    before, handlers = dict(os.environ), {number: signal.getsignal(number) for number in _SIGNALS}
    _set_environment(environment(home, **extra))
    try:
        yield
    finally:
        _set_environment(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _set_environment(wanted: dict[str, str]) -> None:
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)
