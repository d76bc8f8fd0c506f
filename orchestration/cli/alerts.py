"""`eduplan alerts`: what is open, who has been told, and a trial of the ends.

What belongs here: showing and trying out. What does not: opening and resolving (`orchestration.alerting.telling`).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

from orchestration.alerting.ends import Message, senders
from orchestration.alerting.settings import load
from orchestration.alerting.telling import entry
from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK, REFUSED
from warehouse import alerts as state
from warehouse.clock import now
from warehouse.errors import EduplanError, Refused
from warehouse.files import canonical_json, sha256_bytes
from warehouse.ledger import Ledger
from warehouse.paths import Home


def alerts(*, as_json: bool) -> int:
    """Open alerts and the ends. Raises Refused when there is no home, Fault, UsageError."""
    home = _home()
    names = [sender.name for sender in senders(home, load(home))]
    with closing(Ledger(home.ledger_url)) as ledger:
        found = [entry(news) for news in state.standing(ledger)]
        ends = {end.name: end for end in state.ends(ledger)}
    if as_json:
        print_json({"alerts": found, "ends": [asdict(ends[name]) for name in names if name in ends]})
        return OK
    if not found:
        out.print("没有未解除的告警。")
    for one in found:
        grave = "严重" if one["severity"] == "critical" else "一般"
        out.print(f"{one['at'][:16]} [{grave}] {one['title_zh']}", markup=False)
        for line in (one["detail_zh"], one["remedy_zh"], f"手册：{one['runbook']}"):
            out.print(f"  {line}", markup=False, soft_wrap=True)
    rows = [
        (name, ends[name].untold, ends[name].error_zh or None, ends[name].next_at[:16] or None)
        if name in ends
        else (name, None, None, None)
        for name in names
    ]
    columns = [("告警端", "code"), ("未送达", "right"), ("最近错误", "left"), ("下次重试", "code")]
    out.print(table("告警端", columns, rows))
    return OK


def trial(*, as_json: bool) -> int:
    """Send one message to every end now and say how it went; 1 when any failed. Nothing is entered in the ledger."""
    home = _home()
    at = now().isoformat()
    identity = sha256_bytes(canonical_json(["trial", at]))[:16]
    text = "这是 eduplan 告警端的试验消息，无需处理。"
    content = {"id": identity, "at": at, "action": "trial", "kind": "trial", "title_zh": "试验消息", "detail_zh": text}
    message = Message(identity, "【eduplan 试验】告警端试验消息", text, (content,))
    results: dict[str, str] = {}
    for sender in senders(home, load(home)):
        try:
            sender.send(message)
        except EduplanError as error:
            results[sender.name] = str(error)
        else:
            results[sender.name] = ""
    if as_json:
        print_json({name: {"ok": not problem, "problem": problem} for name, problem in results.items()})
    else:
        for name, problem in results.items():
            out.print(f"{'✗' if problem else '✓'} {name} {problem or '已送达'}", markup=False, soft_wrap=True)
    return REFUSED if any(results.values()) else OK


def _home() -> Home:
    home = Home.from_env()
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 还不存在。", "请先执行 eduplan run 或 eduplan demo。")
    return home
