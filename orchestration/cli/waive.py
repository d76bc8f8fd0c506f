"""`eduplan waive`: write one waiver into the home, after checking that it can ever apply.

What belongs here: reading the arguments. What does not: what a waiver is (`warehouse.waivers`) and which rules may be
waived (`expectations.waiving`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from orchestration.cli.console import out, print_json
from orchestration.cli.main import OK
from warehouse.clock import now
from warehouse.errors import UsageError
from warehouse.paths import Home
from warehouse.waivers import make_id, parse, write_waiver


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `scope` holds one text `key=value key=value` a row."""

    rule: str
    scope: tuple[str, ...]
    max_rows: int
    reason: str
    evidence: str
    requested_by: str
    approved_by: str
    days: int


def waive(request: Request, *, as_json: bool) -> int:
    """Write `waivers/<id>.yaml`. Raises UsageError for a scope that cannot be read, Refused for an unsound waiver."""
    from expectations.catalogue import catalogue
    from expectations.waiving import check_request

    issued: date = now().date()
    content = {
        "rule": request.rule,
        "scope": [_entry(text) for text in request.scope],
        "max_rows": request.max_rows,
        "reason": request.reason,
        "evidence": request.evidence,
        "requested_by": request.requested_by,
        "approved_by": request.approved_by,
        "issued": issued.isoformat(),
        "expires": (issued + timedelta(days=request.days)).isoformat(),
    }
    waiver = parse({"id": make_id(content), **content}, "申请")
    check_request(waiver, catalogue())
    path = write_waiver(Home.from_env().ensure(), waiver)
    if as_json:
        print_json({**waiver.content(), "file": str(path)})
    else:
        out.print(f"已写入豁免 {waiver.id}，有效至 {waiver.expires}：{path}", soft_wrap=True)
        out.print("下次 eduplan run 时生效，并写入质量报告、发布清单和 audit.waivers。")
    return OK


def _entry(text: str) -> dict[str, str]:
    parts = [part.partition("=") for part in text.split()]
    if not parts or not all(name and mark and value for name, mark, value in parts):
        raise UsageError(f"豁免范围写法不对：{text!r}。", "请写成 --scope 'area_code=500101 period=2022' 的样子。")
    return {name: value for name, _, value in parts}
