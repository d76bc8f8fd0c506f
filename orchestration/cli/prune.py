"""`eduplan prune`: clear away what the retention policy no longer keeps, or say what would go.

What belongs here: asking for it and showing it. What does not: doing it (`orchestration.pruning`).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from typing import Final

from orchestration.cli.console import out, print_json
from orchestration.cli.main import OK
from orchestration.instance import open_instance
from orchestration.logs import logging_to
from orchestration.pruning import KIND_ZH, Pruning
from orchestration.pruning import prune as clear_away
from warehouse.errors import Refused
from warehouse.paths import Home

_SHOWN: Final = 20
_MIB: Final = 1 << 20


def prune(*, by: str, dry_run: bool, as_json: bool) -> int:
    """Exit code 0 also when nothing had to go. Raises Refused while a run, publication or back-up is under way."""
    home = Home.from_env()
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 不存在，无可清理。", "请检查环境变量 EDUPLAN_HOME。")
    person = by or os.environ.get("USER") or f"uid {os.getuid()}"
    with logging_to(home), open_instance(home, with_output=True) as instance:
        found = clear_away(home, instance, person=person, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": found.dry_run, "entries": [asdict(item) for item in found.entries]})
    else:
        _print(found)
    return OK


def _print(found: Pruning) -> None:
    verb = "将清理" if found.dry_run else "已清理"
    if not found.entries:
        out.print("没有需要清理的内容。")
        return
    for item in found.entries[:_SHOWN]:
        out.print(f"{verb} {KIND_ZH[item.kind]} {item.name}（{item.rule}）", soft_wrap=True, markup=False)
    if len(found.entries) > _SHOWN:
        out.print(f"其余 {len(found.entries) - _SHOWN} 项用 --json 查看。")
    counts = Counter(item.kind for item in found.entries)
    total = sum(item.bytes for item in found.entries) / _MIB
    parts = "，".join(f"{KIND_ZH[kind]} {number} 项" for kind, number in sorted(counts.items()))
    out.print(f"合计{verb}：{parts}；{total:.1f} MiB。")
    if not found.dry_run:
        out.print("清理已记入台账；被清理的发布可用 eduplan rebuild 从存档重建。")
