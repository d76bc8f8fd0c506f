"""Runs the real command line in a process of its own, as a person or a scheduler would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MAIN = "import sys; from orchestration.cli import main; sys.exit(main())"


def environment(home: Path, **extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EDUPLAN_", "DAGSTER_", "DBT_"))}
    return kept | {"EDUPLAN_HOME": str(home), "PYTHONUTF8": "1"} | extra


def eduplan(
    home: Path, *arguments: str, expect: int | None = 0, limit: int = 300, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `eduplan ARGUMENTS` on `home`; `expect` is the exit code demanded, None to leave it to the caller. `limit`:
    seconds after which it hangs."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env=environment(home, **extra),
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def start(home: Path, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
    """Start `eduplan ARGUMENTS` in a session of its own, so that it can be killed with all its children."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        env=environment(home, **extra),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
