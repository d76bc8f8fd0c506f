"""`eduplan metrics`: the metrics once on standard output, or served to a scraper on this machine.

What belongs here: printing and serving. What does not: the metrics (`orchestration.metrics`).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import generate_latest, start_http_server

from orchestration.cli.console import err
from orchestration.cli.main import OK
from orchestration.metrics import registry
from warehouse.errors import UsageError
from warehouse.paths import Home

ADDRESS = "127.0.0.1"


def show() -> int:
    """Print them in the text format."""
    sys.stdout.write(generate_latest(registry(Home.from_env())).decode("utf-8"))
    return OK


def serve(port: int) -> int:
    """Serve them until the process is told to stop. Raises UsageError when the port is taken."""
    with serving(Home.from_env(), port) as taken:
        err.print(f"指标：http://{ADDRESS}:{taken}/metrics（Ctrl-C 结束）")
        signal.pause()
    return OK


@contextmanager
def serving(home: Home, port: int) -> Iterator[int]:
    """Serve from a thread of this process; yields the port (0 asks for any free one)."""
    try:
        server, thread = start_http_server(port, addr=ADDRESS, registry=registry(home))
    except OSError as error:
        raise UsageError(
            f"端口 {port} 不能使用：{error.strerror}。", "请用 --port（eduplan dev 用 --metrics-port）换一个端口。"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
