"""The entry point: one place that turns whatever happens into a message for people and an exit code.

What belongs here: signals, the log, exit codes. What does not: commands (`orchestration.cli.app`).
"""

from __future__ import annotations

import atexit
import gc
import logging
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Final

import typer

from orchestration.cli.console import err, print_error
from orchestration.logs import logging_to
from warehouse.errors import EduplanError
from warehouse.paths import Home

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
FAULT: Final = 3

# What typer makes of a KeyboardInterrupt.
_INTERRUPTED: Final = 130

log = logging.getLogger("eduplan")

# Of its family of usage errors typer exports only the youngest; unknown options and commands share its parent.
_UsageError: Final[type[Exception]] = typer.BadParameter.__base__ or typer.BadParameter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; prints what went wrong and never a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    # At its end the interpreter looks through all it holds for what could be freed: nearly two seconds after a run.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    try:
        return _run(arguments)
    except _UsageError as error:
        print_error(f"用法不对：{_usage_text(error)}", "请用 eduplan --help 或 eduplan <命令> --help 查看用法。")
        return USAGE
    except EduplanError as error:
        print_error(error.message_zh, error.remedy_zh)
        return error.exit_code
    except KeyboardInterrupt:
        print_error("已中断。", "已完成的部分都已保存；重新执行同一命令即可继续。")
        return FAULT


def _run(arguments: Sequence[str] | None) -> int:
    from orchestration.cli.app import app

    command = typer.main.get_command(app)
    given = None if arguments is None else list(arguments)
    try:
        result = command.main(args=given, prog_name="eduplan", standalone_mode=False)
    except (EduplanError, _UsageError, KeyboardInterrupt):
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: people get a message and a log, no traceback
        return _unexpected(error)
    if result == _INTERRUPTED:
        raise KeyboardInterrupt
    return result if isinstance(result, int) else OK


def _unexpected(error: Exception) -> int:
    with logging_to(Home.from_env()) as path:
        log.error("unexpected error", exc_info=error)
    print_error(f"程序出错（{type(error).__name__}）。", f"详情已记入 {path}；请把该文件交给维护人员。")
    return FAULT


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """The first signal unwinds everything under way; more of them must not disturb the tidying up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    err.show_cursor(show=True)
    raise KeyboardInterrupt


def _usage_text(error: Exception) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    return str(message)
