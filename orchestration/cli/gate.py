"""`eduplan gate …`: looking at the gate itself.

What belongs here: printing what the gate's own room says. What does not: any rule or judgement.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from orchestration.cli.console import err, out, print_error, print_json, table
from orchestration.cli.main import OK, REFUSED
from orchestration.cli.progress import TerminalReporter
from orchestration.logs import logging_to
from orchestration.report import RunRecord
from warehouse import candidate as candidates
from warehouse.candidate import Candidate
from warehouse.errors import Refused
from warehouse.files import write_atomic
from warehouse.manifest import current
from warehouse.paths import Home, project_root

RULES_PAGE: Final = "docs/rules.md"


def rules(*, write: bool, as_json: bool) -> int:
    """Print the rule page, or write it into the checkout. Raises OSError when it cannot be written."""
    from expectations.catalogue import catalogue
    from expectations.guards import guard_coverage
    from expectations.rules_page import render_rules_page

    book = catalogue()
    if as_json:
        guards = guard_coverage(book.rules)
        content = {
            "version": book.version,
            "rules": [rule.model_dump(mode="json") for rule in book.rules],
            "guards": {**asdict(guards), "unguarded": guards.unguarded},
        }
        print_json(content)
        return OK
    page = render_rules_page(book)
    if write:
        path = project_root() / RULES_PAGE
        write_atomic(path, page.encode("utf-8"))
        out.print(f"已写入 {path}", soft_wrap=True)
    else:
        out.print(page, markup=False, soft_wrap=True)
    return OK


def self_test(candidate_id: str | None, *, as_json: bool) -> int:
    """Exit code 1 when a critical rule does not bite. Raises Refused when there is no candidate to try."""
    from expectations.self_test import OUTCOME_ZH, Trial, unproven
    from expectations.self_test import self_test as try_gate

    home, record = Home.from_env(), RunRecord()
    chosen = _candidate(home, candidate_id)
    with logging_to(home), TerminalReporter(err) as record.reporter, record.station("self_test") as station:
        trials = try_gate(chosen.database, progress=station.advance)
        failed = unproven(trials)
        station.summary = f"{len(trials)} 条严重规则，{len(failed)} 条没有咬住"
    if as_json:
        found = [asdict(trial) for trial in trials]
        print_json({"candidate_id": chosen.candidate_id, "proven": bool(trials) and not failed, "trials": found})
    else:
        shown: list[Trial] = [trial for trial in trials if trial.outcome != "bites"]
        columns = [("规则", "code"), ("名称", "left"), ("结果", "left"), ("所见", "left")]
        rows = [(t.rule_id, t.title_zh, OUTCOME_ZH[t.outcome], t.detail_zh) for t in shown]
        biting = len(trials) - len(shown)
        out.print(f"候选 {chosen.candidate_id}：植入 {len(trials)} 处缺陷，{biting} 条严重规则咬住。")
        if shown:
            out.print(table("没有咬住或不适用的规则", columns, rows))
    for trial in failed:
        print_error(f"规则 {trial.rule_id}（{trial.title_zh}）{OUTCOME_ZH[trial.outcome]}：{trial.detail_zh}")
    return OK if trials and not failed else REFUSED


def _candidate(home: Home, candidate_id: str | None) -> Candidate:
    if candidate_id is not None:
        return candidates.load(home, candidate_id)
    standing = current(home)
    if standing is None:
        raise Refused("尚无发布，没有可用来自测的候选版本。", "请先执行 eduplan run，或指明候选编号。")
    return candidates.load(home, standing.candidate_id)
