"""`eduplan dev`: Dagster's web page and daemon on this home, and its metrics, reachable from this machine only.

What belongs here: starting it. What does not: definitions.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from orchestration.cli.console import err
from orchestration.cli.main import OK
from orchestration.cli.metrics import serving
from orchestration.instance import dagster_home
from warehouse.paths import Home, project_root


def dev(port: int, metrics_port: int) -> int:
    """Run until it is interrupted; the child's exit code otherwise. Raises UsageError when a port is taken."""
    home = Home.from_env().ensure()
    with serving(home, metrics_port) as taken:
        err.print(f"指标：http://127.0.0.1:{taken}/metrics")
        return _dagster(home, port)


def _dagster(home: Home, port: int) -> int:
    err.print(f"Dagster：http://127.0.0.1:{port}（Ctrl-C 结束）")
    environment = {
        **os.environ,
        "EDUPLAN_HOME": str(home.root),
        "DAGSTER_HOME": str(dagster_home(home)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUTF8": "1",
    }
    command = ["-m", "dagster", "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen([sys.executable, *command], env=environment, cwd=project_root()) as process:  # noqa: S603
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            return OK
    return code
