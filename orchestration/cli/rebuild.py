"""`eduplan rebuild`: a release once more from the archived originals, and whether it came out the same.

What belongs here: asking for it and showing the answer. What does not: doing it (`orchestration.rebuild`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from rich.progress import Progress

from orchestration.cli.console import err, out, print_json
from orchestration.cli.main import OK, REFUSED
from orchestration.rebuild import Rebuilt
from orchestration.rebuild import rebuild as build_again
from warehouse.errors import UsageError
from warehouse.manifest import read_release
from warehouse.paths import Home

_SHOWN: Final = 10


def rebuild(release_id: str, *, as_json: bool) -> int:
    """Exit code 1 when the content differs. Raises UsageError for an unknown release, Refused, Fault."""
    home = Home.from_env()
    if not release_id or not (home.releases / release_id).is_dir():
        raise UsageError(f"没有发布 {release_id}。", "请用 eduplan releases 查看现有发布。")
    release = read_release(home.releases / release_id)
    with Progress(console=err, transient=True) as shown:
        task = shown.add_task("从存档读取报送件", total=None)
        found = build_again(home, release, lambda done, total: shown.update(task, completed=done, total=total))
    if as_json:
        print_json({**asdict(found), "equal": found.equal, "same_code": found.same_code})
    else:
        _print(found)
    return OK if found.equal else REFUSED


def _print(found: Rebuilt) -> None:
    if found.equal:
        out.print(f"[green]✓[/] 重建结果与发布 {found.release_id} 一致：内容指纹 {found.fingerprint}。", soft_wrap=True)
    else:
        out.print(f"[bold red]✗[/] 重建结果与发布 {found.release_id} 不一致。")
        out.print(f"  发布的内容指纹 {found.published}，重建的 {found.fingerprint}", soft_wrap=True)
        for name in found.differing:
            count = found.counts.get(name)
            text = f"：新增 {count['added']}，删除 {count['removed']}，改变 {count['changed']}" if count else ""
            out.print(f"  {name} 不同{text}")
    if not found.same_code:
        told = f"该发布由代码 {found.code_then[:12]} 生成，现在的代码是 {found.code_now[:12]}"
        out.print(f"{told}；不同的代码可能得出不同结果，要严格复现请切换到当时的代码。", soft_wrap=True)
    if found.reread:
        shown = "、".join(found.reread[:_SHOWN])
        out.print(f"{len(found.reread)} 件报送件这次读出的行数或状态与收取时不同：{shown}。", soft_wrap=True)
    if found.cleared:
        out.print("该发布的数据已按留存规则清理，只能比较内容指纹；重建的指标在 candidates/ 下它的候选里。")
    elif found.restored:
        out.print("候选版本已放回，可用 eduplan explain 追到行。")
