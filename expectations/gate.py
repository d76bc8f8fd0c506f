"""The gate: one candidate in, one verdict out, and every doubt counts against publication.

What belongs here: running all rules on exactly one candidate, comparing what Great Expectations said with the gate's
own count, the time limit, and writing the verdict down. What does not: the rules, their SQL, GX itself, and what a
verdict permits (`warehouse.release` refuses without one that passes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from expectations import gx_runner, waiving
from expectations import sql as rule_sql
from expectations.catalogue import Catalogue, RowCount, Rule, catalogue
from expectations.gx_runner import GxResult, GxRun
from expectations.privacy import mask
from expectations.sql import Asked, Count
from warehouse import duck
from warehouse.clock import now
from warehouse.files import write_atomic
from warehouse.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from warehouse.candidate import Candidate
    from warehouse.ledger import Ledger
    from warehouse.paths import Home

TIMEOUT_SECONDS: Final = 600.0
# After an interrupt DuckDB returns at its next check; more than this means a thread that will not come back.
GRACE_SECONDS: Final = 10.0
STOP_STEP_SECONDS: Final = 0.05
VERDICT_FILE: Final = "verdict.json"
Runner = Callable[[duckdb.DuckDBPyConnection, Sequence[Asked], GxRun], None]


@dataclass
class Evidence:
    """All that was found out about one candidate, rule by rule."""

    counts: dict[str, Count] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    key_errors: dict[str, str] = field(default_factory=dict)
    excused: dict[str, str] = field(default_factory=dict)
    gx: dict[str, list[GxResult]] = field(default_factory=lambda: defaultdict(list))
    whole_run_error: str | None = None


def judge(
    home: Home,
    ledger: Ledger,
    candidate: Candidate,
    *,
    rules: Catalogue | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Verdict:
    """Judge a sealed candidate, write `verdict.json` into its folder and its digest into the ledger.

    Always returns a verdict for this candidate: errors, missing results and the time limit become results that do not
    pass. Raises Fault or OSError only when the verdict cannot be written down; then there is none, and no publication.
    """
    verdict = evaluate(candidate, rules if rules is not None else catalogue(), timeout_seconds=timeout_seconds)
    write_atomic(home.candidates / candidate.candidate_id / VERDICT_FILE, verdict.to_json())
    ledger.record_verdict(verdict)
    return verdict


def evaluate(
    candidate: Candidate, rules: Catalogue, *, timeout_seconds: float = TIMEOUT_SECONDS, runner: Runner = gx_runner.run
) -> Verdict:
    """The verdict on a candidate, without writing anything. `runner` is Great Expectations unless a trial says not."""
    evidence = gather(candidate.database, rules, timeout_seconds=timeout_seconds, runner=runner)
    return conclude(candidate, rules, evidence)


def conclude(candidate: Candidate, rules: Catalogue, evidence: Evidence) -> Verdict:
    """The verdict that follows from the evidence: one result a rule, and one for each answer nobody asked for."""
    results = [_result(rule, evidence) for rule in rules.rules]
    results += [_stranger(rule_id) for rule_id in sorted(set(evidence.gx) - {rule.id for rule in rules.rules})]
    instant = now()
    offered = waiving.offered(candidate.inputs)
    judged = waiving.apply(results, rules, offered, instant)
    used = {name for result in judged for name in result.waived_by}
    return Verdict(
        candidate_id=candidate.candidate_id,
        fingerprint=candidate.fingerprint,
        rules_version=rules.version,
        rules_expected=len(rules.rules),
        results=judged,
        judged_at=instant.isoformat(timespec="seconds"),
        waivers=tuple(waiver for waiver in offered if waiver.id in used),
    )


def gather(database: Path, rules: Catalogue, *, timeout_seconds: float, runner: Runner) -> Evidence:
    """Run both computations in a thread of their own, which is interrupted when the time is over."""
    evidence, outcome = Evidence(), GxRun()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="eduplan-gate")
    work = executor.submit(_work, database, rules, evidence, outcome, runner)
    try:
        fault = work.exception(timeout_seconds)
    except TimeoutError:
        # The thread may still write into its own evidence; the verdict is built from a fresh one.
        return Evidence(whole_run_error=f"质量检查超过 {timeout_seconds:g} 秒未完成，已中止")
    finally:
        _stop(work, outcome)
        executor.shutdown(wait=False)
    if fault is not None:
        lines = str(fault).splitlines() or [""]
        evidence.whole_run_error = f"质量检查中断：{type(fault).__name__}: {mask(lines[0])}"
    return evidence


def _stop(work: Future[None], outcome: GxRun) -> None:
    """Interrupt until the thread has come back: GX books an interrupted query as a failed metric and goes on."""
    for _ in range(int(GRACE_SECONDS / STOP_STEP_SECONDS)):
        if work.done():
            return
        outcome.stop()
        wait([work], timeout=STOP_STEP_SECONDS)


def _work(database: Path, rules: Catalogue, evidence: Evidence, outcome: GxRun, runner: Runner) -> None:
    with duck.connect(database, read_only=True) as connection:
        examine(connection, rules, evidence, outcome, runner)


def examine(
    connection: duckdb.DuckDBPyConnection,
    rules: Catalogue,
    evidence: Evidence,
    outcome: GxRun,
    runner: Runner = gx_runner.run,
) -> None:
    """Fill the evidence: the gate's own count first, then GX on the same rules. Raises what `runner` raises."""
    outcome.connection = connection
    _count(connection, rules, evidence)
    runner(connection, evidence.asked, outcome)
    _take_answers(evidence, outcome)


def _count(connection: duckdb.DuckDBPyConnection, rules: Catalogue, evidence: Evidence) -> None:
    texts = rule_sql.text_columns(connection)
    answers = rule_sql.ask(connection, rules.rules, texts)
    evidence.counts, evidence.asked = answers.counts, answers.asked
    for rule in rules.rules:
        count = evidence.counts[rule.id]
        if count.error is None:
            try:
                if count.failed:
                    sql = rule_sql.compose(rule, texts, answers.tables)
                    evidence.keys[rule.id] = rule_sql.failing_keys(connection, rule, sql)
                elif count.checked == 0:
                    evidence.excused.update(_excuse(connection, rules, rule))
            except duckdb.Error as error:
                evidence.key_errors[rule.id] = rule_sql.describe(error)


def _excuse(connection: duckdb.DuckDBPyConnection, rules: Catalogue, rule: Rule) -> dict[str, str]:
    """Why it is right that a rule had nothing to examine; empty when it is not."""
    if rule.vacuous_zh is not None:
        return {rule.id: rule.vacuous_zh}
    if rule.empty_when is None:
        return {}
    condition = rules.conditions[rule.empty_when]
    return {rule.id: condition.meaning_zh} if rule_sql.holds(connection, condition.sql) else {}


def _take_answers(evidence: Evidence, outcome: GxRun) -> None:
    for result in outcome.results:
        evidence.gx[result.rule_id].append(result)
    failed = {result.severity for result in outcome.results if not result.success}
    if set(outcome.worst) - failed:
        evidence.whole_run_error = f"GX 汇总的最高严重程度 {outcome.worst} 与逐条结果不一致"


def _result(rule: Rule, evidence: Evidence) -> RuleResult:
    count = evidence.counts.get(rule.id, Count(0, 0, "没有执行"))
    error = evidence.whole_run_error or _doubt(rule, count, evidence)
    return RuleResult(
        rule_id=rule.id,
        tier=rule.tier,
        severity=rule.severity,
        mart=rule.relation,
        column=rule.column,
        passed=error is None and count.failed == 0,
        rows_checked=count.checked,
        rows_failed=count.failed,
        failing_keys=evidence.keys.get(rule.id, ()),
        title_zh=rule.title_zh,
        meaning_zh=rule.fill(rule.meaning_zh),
        remedy_zh=rule.remedy_zh,
        observed=_observed(rule, count, evidence),
        error=error,
    )


def _observed(rule: Rule, count: Count, evidence: Evidence) -> str:
    if rule.id in evidence.excused:
        return f"不适用：{evidence.excused[rule.id]}"
    if isinstance(rule.check, RowCount):
        return f"共 {count.checked} 行"
    return f"检查 {count.checked} 行，不合格 {count.failed} 行"


def _doubt(rule: Rule, count: Count, evidence: Evidence) -> str | None:
    """Why the result of a rule cannot be trusted; None when it can."""
    if count.error is not None:
        return count.error
    if rule.id in evidence.key_errors:
        return f"列不出不合格的行：{evidence.key_errors[rule.id]}"
    if count.checked == 0 and rule.id not in evidence.excused:
        return "没有可检查的数据行"
    if count.failed != len(evidence.keys.get(rule.id, ())):
        return f"不合格 {count.failed} 行，却列出 {len(evidence.keys.get(rule.id, ()))} 行"
    return _gx_doubt(rule, count, evidence.gx.get(rule.id, []))


def _gx_doubt(rule: Rule, count: Count, answers: Sequence[GxResult]) -> str | None:
    if len(answers) != 1:
        return f"GX 应返回 1 个结果，实际返回 {len(answers)} 个（可能被合并或漏跑）"
    answer = answers[0]
    if answer.error is not None:
        return f"GX 执行出错：{answer.error}"
    if answer.severity != rule.severity:
        return f"GX 记录的严重程度 {answer.severity} 与规则目录的 {rule.severity} 不一致"
    if answer.success != (count.failed == 0):
        return f"GX 的结论（{'通过' if answer.success else '不通过'}）与自行计数（{count.failed} 行不合格）不一致"
    # GX gives a row count rule no counts, and leaves out a count of nothing.
    counted = (answer.examined or 0, answer.unexpected or 0)
    if not isinstance(rule.check, RowCount) and counted != (count.checked, count.failed):
        return f"GX 检查 {counted[0]} 行、不合格 {counted[1]} 行，自行计数为 {count.checked} 行、{count.failed} 行"
    return None


def _stranger(rule_id: str) -> RuleResult:
    """A result nobody asked for: it makes the number of results wrong, and says which it was."""
    return RuleResult(
        rule_id=rule_id or "(空)",
        tier="macro",
        severity="critical",
        mart="",
        column=None,
        passed=False,
        rows_checked=0,
        rows_failed=0,
        failing_keys=(),
        title_zh="目录之外的结果",
        meaning_zh="GX 返回了规则目录中没有的规则。",
        remedy_zh="请检查 expectations 的代码是否被改动。",
        observed="",
        error="规则目录中没有这条规则",
    )
