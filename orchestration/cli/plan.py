"""`eduplan plan verify`: the registry against the plan's own text.

What belongs here: reading the file and listing what was found. What does not: the comparison (`warehouse.registry`).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK, REFUSED
from warehouse import registry


def verify(text: Path, *, as_json: bool) -> int:
    """Exit code 1 when a statement does not agree with the text. Raises UsageError when the text cannot be read."""
    found = registry.verify_file(text)
    if as_json:
        print_json({"agrees": not found, "problems": [asdict(problem) for problem in found]})
    elif found:
        columns = [("条目", "left"), ("规则", "code"), ("问题", "left"), ("处理办法", "left")]
        rows = [(problem.statement_id, problem.rule, problem.message_zh, problem.remedy_zh) for problem in found]
        out.print(table("与原文不符", columns, rows))
    else:
        count = len(registry.of_plan(registry.load(), registry.DEFAULT_PLAN))
        out.print(f"[green]✓[/] 登记表 {count} 条与原文逐条相符。")
    return REFUSED if found else OK
