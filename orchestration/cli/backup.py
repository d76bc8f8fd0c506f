"""`eduplan backup` and `eduplan restore`.

What belongs here: asking for them and telling people what came of it. What does not: doing them (`warehouse.backup`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rich.progress import Progress

from orchestration.cli.console import err, out, print_error, print_json
from orchestration.cli.main import OK, REFUSED
from orchestration.logs import logging_to
from warehouse import backup as backups
from warehouse import backup_notes
from warehouse.errors import Fault, Refused, Transient
from warehouse.paths import Home
from warehouse.verify import verify

_MIB: Final = 1 << 20
_SHOWN: Final = 20


@contextmanager
def _shown(what: str) -> Iterator[backups.Progress]:
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def backup(dest: Path, *, keys: Path | None, as_json: bool) -> int:
    """Exit code 1 when something that belongs in it is missing. Raises UsageError, Refused, Fault, OSError."""
    home = Home.from_env()
    sources = os.environ.get("EDUPLAN_SOURCES")
    settings = Path(sources) if sources else None
    with logging_to(home) if home.root.is_dir() else _nothing(), _shown("备份") as progress, _noting(home, dest):
        made = backups.make(home, dest, keys=keys, settings=settings, progress=progress)
    found = made.backup
    if found.problems:
        # Which files they are stands below and in the back-up itself; an alert names none.
        backup_notes.note_failed(home, dest, f"备份不完整，缺 {len(found.problems)} 处。")
    else:
        backup_notes.note_good(home, dest)
    if as_json:
        print_json(
            {
                "backup": found.name,
                "files": len(found.files),
                "copied": made.copied,
                "copied_bytes": made.copied_bytes,
                "journal": found.journal[0],
                "release_id": found.release_id,
                "keys_saved": keys is not None,
                "problems": found.problems,
            }
        )
    else:
        _print(made, dest, keys)
    return REFUSED if found.problems else OK


@contextmanager
def _noting(home: Home, dest: Path) -> Iterator[None]:
    """Note what ended a back-up. Wrong usage and another one under way are none that failed."""
    try:
        yield
    except (Fault, Transient) as error:
        _note_failed(home, dest, str(error))
        raise
    except OSError as error:
        _note_failed(home, dest, f"读写失败：{error.strerror or type(error).__name__}。")
        raise


def _note_failed(home: Home, dest: Path, problem_zh: str) -> None:
    # On a full disk the note may fail too; what failed first is what is to be told, and an old back-up is noticed.
    with suppress(OSError):
        backup_notes.note_failed(home, dest, problem_zh)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _print(made: backups.Made, dest: Path, keys: Path | None) -> None:
    found = made.backup
    out.print(
        f"备份 {found.name}：{len(found.files)} 个文件，台账至第 {found.journal[0]} 条，写入 {dest}", soft_wrap=True
    )
    out.print(f"本次新增 {made.copied} 个文件，{made.copied_bytes / _MIB:.1f} MiB。")
    if found.keys and keys is None:
        out.print(
            f"[yellow]注意：密钥（{'、'.join(found.keys)}）不在备份中；没有密钥无法恢复。"
            "请用 --keys 另存到与备份分开保管的目录。[/]",
            soft_wrap=True,
        )
    _print_problems(found.problems)


def _print_problems(problems: list[str]) -> None:
    for line in problems[:_SHOWN]:
        print_error(line)
    if len(problems) > _SHOWN:
        print_error(f"其余 {len(problems) - _SHOWN} 项用 --json 查看。")


def restore(source: Path, *, keys: Path | None, name: str, check: bool, as_json: bool) -> int:
    """Exit code 1 when the back-up, or what was restored, is not whole. Raises UsageError, Refused, Fault, OSError."""
    found = backups.read(source, name)
    with _shown("核对备份") as progress:
        problems = backups.check(source, found, progress)
    if check or problems:
        return _checked(found, problems, as_json=as_json, refused=not check)
    home = Home.from_env()
    with _shown("恢复") as progress:
        backups.restore(source, found, home, keys=keys, progress=progress)
    problems = verify(home)
    if as_json:
        print_json({"backup": found.name, "release_id": found.release_id, "whole": not problems, "findings": problems})
        return REFUSED if problems else OK
    if problems:
        _print_problems(problems)
        return REFUSED
    out.print(f"[green]✓[/] 已恢复备份 {found.name} 到 {home.root}，全部核对无误。", soft_wrap=True)
    out.print("候选版本不在备份中：执行 eduplan rebuild <发布编号> 后，eduplan explain 可再追到行。")
    return OK


def _checked(found: backups.Backup, problems: list[str], *, as_json: bool, refused: bool) -> int:
    if as_json:
        print_json({"backup": found.name, "whole": not problems, "findings": problems})
        return REFUSED if problems else OK
    _print_problems(problems)
    if refused:
        raise Refused(
            f"备份 {found.name} 不完整（{len(problems)} 处），没有恢复。", "请用 --backup 取另一次备份，或另一份副本。"
        )
    if problems:
        return REFUSED
    out.print(f"[green]✓[/] 备份 {found.name} 完整：{len(found.files)} 个文件，台账至第 {found.journal[0]} 条。")
    return OK
