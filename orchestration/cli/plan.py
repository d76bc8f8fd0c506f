"""`eduplan plan verify`, `eduplan plan coverage`: the registry against the plan's text and against what is computed.

What belongs here: reading and writing files, listing what was found. What does not: the comparison
(`warehouse.registry`), the counting and the page (`warehouse.plan_coverage`).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK, REFUSED
from warehouse import plan_coverage, registry
from warehouse.files import write_atomic
from warehouse.paths import project_root

PAGE: Final = Path("docs") / "plan-coverage.md"


def verify(text: Path, plan: str, *, as_json: bool) -> int:
    """Exit code 1 when a statement of the plan does not agree with its text.

    Raises UsageError when the text cannot be read or the registry holds no such plan.
    """
    found = registry.verify_file(text, plan)
    if as_json:
        print_json({"agrees": not found, "problems": [asdict(problem) for problem in found]})
    elif found:
        columns = [("条目", "left"), ("规则", "code"), ("问题", "left"), ("处理办法", "left")]
        rows = [(problem.statement_id, problem.rule, problem.message_zh, problem.remedy_zh) for problem in found]
        out.print(table("与原文不符", columns, rows))
    else:
        count = len(registry.of_plan(registry.load(), plan))
        out.print(f"[green]✓[/] 登记表中 {plan} 的 {count} 条与原文逐条相符。")
    return REFUSED if found else OK


def coverage(output: Path | None, *, check: bool) -> int:
    """Write the page, or only compare it: exit code 1 when `check` finds it old. Raises UsageError, OSError."""
    statements = registry.of_plan(registry.load(), registry.DEFAULT_PLAN)
    table = plan_coverage.coverage(statements, plan_coverage.answers())
    page = plan_coverage.render(table).encode("utf-8")
    path = project_root() / PAGE if output is None else output
    current = path.is_file() and path.read_bytes() == page
    if check and not current:
        out.print(f"[red]✗[/] {path} 不是最新，请执行 eduplan plan coverage。")
        return REFUSED
    if not current:
        write_atomic(path, page)
    out.print(
        f"[green]✓[/] {path}：{table.count()} 条，数据源能够回答 {table.measurable} 条，已经回答 {table.answered} 条。"
    )
    return OK
