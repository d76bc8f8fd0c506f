"""The gate: one candidate in, one verdict out, and every doubt counts against publication.

What belongs here: running all rules on exactly one candidate, comparing what Great Expectations said with the gate's
own count, the time limit, and writing the verdict down. What does not: the rules, their SQL, GX itself, and what a
verdict permits (`warehouse.release` refuses without one that passes).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from expectations import gx_runner, waiving
from expectations import sql as rule_sql
from expectations.beforehand import Beforehand
from expectations.carrying import Carrying, Plan, everything
from expectations.catalogue import Catalogue, RowCount, Rule, catalogue
from expectations.gx_runner import GxResult, GxRun
from expectations.known import Cell, Known, views_of
from expectations.memo import KEYS_KEPT, Found
from expectations.privacy import mask
from expectations.sql import Answers, Asked, Count, Place, TextColumns
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

log = logging.getLogger(__name__)


@dataclass
class Evidence:
    """All that was found out about one candidate, rule by rule.

    `answers` and `rows` are of what was examined here; what an earlier check found is in `plan`.
    """

    plan: Plan = field(default_factory=Plan)
    answers: Answers = field(default_factory=Answers)
    rows: dict[str, list[tuple[Place, str]]] = field(default_factory=dict)
    key_errors: dict[str, str] = field(default_factory=dict)
    excused: dict[str, str] = field(default_factory=dict)
    gx: dict[str, list[GxResult]] = field(default_factory=lambda: defaultdict(list))
    whole_run_error: str | None = None

    def examined(self, rule: Rule) -> Count:
        """What was counted here."""
        unasked = Count(0, 0) if self.is_settled(rule) else Count(0, 0, "没有执行")
        return self.answers.counts.get(rule.id, unasked)

    def carried(self, rule: Rule) -> tuple[Found, ...]:
        """What was taken over."""
        return tuple(self.plan.carried.get(rule.id, {}).values())

    def is_settled(self, rule: Rule) -> bool:
        """Whether nothing at all was left to ask."""
        return bool(self.carried(rule)) and rule.id not in self.plan.asked

    def count(self, rule: Rule) -> Count:
        """Both together."""
        here, before = self.examined(rule), self.carried(rule)
        checked, failed = sum(found.checked for found in before), sum(found.failed for found in before)
        return Count(here.checked + checked, here.failed + failed, here.error)

    def is_astray(self, rule: Rule) -> bool:
        """Whether a rule that stands apart found something elsewhere than where it was asked."""
        return self.plan.is_astray(rule.id, self.answers.places.get(rule.id, ()))

    def keys(self, rule: Rule) -> tuple[str, ...]:
        """The failing rows, sorted."""
        here = [key for _, key in self.rows.get(rule.id, [])]
        return tuple(sorted([*here, *(key for found in self.carried(rule) for key in found.keys)]))


def judge(
    home: Home,
    ledger: Ledger,
    candidate: Candidate,
    *,
    rules: Catalogue | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    tell: Callable[[str], None] | None = None,
    before: Beforehand | None = None,
    known: Future[Known] | None = None,
) -> Verdict:
    """Judge a sealed candidate, write `verdict.json` into its folder and its digest into the ledger.

    Results that cannot have changed since an earlier recorded check are carried over (`expectations.carrying`), and
    the verdict says which. Always returns a verdict for this candidate: errors, missing results and the time limit
    become results that do not pass. `tell` is given what people should know; `before` holds answers about the records
    that were asked for while the candidate was finished (`expectations.beforehand`), and `known` what was begun to be
    known of its records while it was built (`expectations.known`). Raises Fault or OSError only when the verdict cannot
    be written down; then there is none, and no publication.
    """
    book = rules if rules is not None else catalogue()
    carrying = Carrying(home, ledger, candidate, book, known)
    evidence = gather(
        candidate.database,
        book,
        timeout_seconds=timeout_seconds,
        runner=gx_runner.run,
        carrying=carrying,
        before=before,
    )
    verdict = conclude(candidate, book, evidence, fully_judged_at=carrying.fully_judged_at)
    write_atomic(home.candidates / candidate.candidate_id / VERDICT_FILE, verdict.to_json())
    ledger.record_verdict(verdict)
    carrying.remember(evidence.plan, verdict, _found(candidate.candidate_id, evidence, verdict))
    if tell is not None:
        for note in carrying.notes:
            tell(note)
    return verdict


def evaluate(
    candidate: Candidate, rules: Catalogue, *, timeout_seconds: float = TIMEOUT_SECONDS, runner: Runner = gx_runner.run
) -> Verdict:
    """The verdict on a candidate, everything examined, without writing anything. `runner` is Great Expectations unless
    a trial says not."""
    evidence = gather(candidate.database, rules, timeout_seconds=timeout_seconds, runner=runner)
    return conclude(candidate, rules, evidence)


def conclude(candidate: Candidate, rules: Catalogue, evidence: Evidence, *, fully_judged_at: str = "") -> Verdict:
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
        fully_judged_at=fully_judged_at if any(result.carried_from for result in judged) else "",
    )


def gather(
    database: Path,
    rules: Catalogue,
    *,
    timeout_seconds: float,
    runner: Runner,
    carrying: Carrying | None = None,
    before: Beforehand | None = None,
) -> Evidence:
    """Run both computations in a thread of their own, which is interrupted when the time is over."""
    evidence, outcome = Evidence(), GxRun()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="eduplan-gate")

    def examine_all() -> None:
        with duck.connect(database, read_only=True) as connection:
            examine(connection, rules, evidence, outcome, runner=runner, carrying=carrying, before=before)

    work = executor.submit(examine_all)
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


def examine(
    connection: duckdb.DuckDBPyConnection,
    rules: Catalogue,
    evidence: Evidence,
    outcome: GxRun,
    *,
    runner: Runner = gx_runner.run,
    carrying: Carrying | None = None,
    before: Beforehand | None = None,
) -> None:
    """Fill the evidence: the gate's own count first, then GX on the same rules. Raises what `runner` raises."""
    outcome.connections.append(connection)
    texts = rule_sql.text_columns(connection)
    if carrying is None:
        evidence.plan = everything(rules)
    else:
        evidence.plan, evidence.answers = carrying.plan(connection, rules, texts), Answers(by_place=True)
    elsewhere = before.rules_for(evidence.plan, views_of(connection)) if before is not None else ()
    asked_there = {rule.id for rule in elsewhere}
    _count(connection, [rule for rule in evidence.plan.whole if rule.id not in asked_there], texts, evidence)
    if carrying is not None and evidence.plan.apart:
        with carrying.narrowed(connection, evidence.plan):
            _count(connection, evidence.plan.apart, texts, evidence)
        if any(evidence.is_astray(rule) for rule in evidence.plan.apart):
            # What it says of one area rests on another after all: what was carried over may be wrong.
            log.error("按地区和年度分别检查的规则得出了别处的结果，全部重新检查。")
            evidence.plan, evidence.answers, evidence.rows = everything(rules), Answers(), {}
            evidence.key_errors.clear()
            elsewhere = ()
            _count(connection, evidence.plan.whole, texts, evidence)
    runner(connection, evidence.answers.asked, outcome)
    if before is not None and elsewhere:
        _take_told(connection, before, elsewhere, texts, evidence, outcome, runner)
    _excuse_all(connection, rules, evidence)
    _take_answers(evidence, outcome)


def _take_told(  # noqa: PLR0917 - each is told apart by its type
    connection: duckdb.DuckDBPyConnection,
    before: Beforehand,
    rules: Sequence[Rule],
    texts: TextColumns,
    evidence: Evidence,
    outcome: GxRun,
    runner: Runner,
) -> None:
    """Add the answers that were asked for elsewhere, and let GX see them there; ask here what broke there."""
    outcome.connections.append(before.connection)
    told = before.told()
    if told is None:
        done = len(evidence.answers.asked)
        _count(connection, rules, texts, evidence)
        runner(connection, evidence.answers.asked[done:], outcome)
        return
    evidence.answers.counts |= told.answers.counts
    evidence.answers.places |= told.answers.places
    evidence.rows |= told.rows
    runner(before.connection, told.answers.asked, outcome)


def _count(
    connection: duckdb.DuckDBPyConnection, asked: Sequence[Rule], texts: TextColumns, evidence: Evidence
) -> None:
    answers = evidence.answers
    rule_sql.ask(connection, asked, texts, answers)
    for rule in asked:
        if answers.counts[rule.id].error is None and answers.counts[rule.id].failed:
            try:
                sql = rule_sql.compose(rule, texts, answers.tables)
                evidence.rows[rule.id] = rule_sql.failing_rows(connection, rule, sql)
            except duckdb.Error as error:
                evidence.key_errors[rule.id] = rule_sql.describe(error)


def _excuse_all(connection: duckdb.DuckDBPyConnection, rules: Catalogue, evidence: Evidence) -> None:
    for rule in rules.rules:
        count = evidence.count(rule)
        if count.error is None and count.checked == 0 and count.failed == 0:
            try:
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
    count, carried = evidence.count(rule), evidence.carried(rule)
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
        failing_keys=evidence.keys(rule),
        title_zh=rule.title_zh,
        meaning_zh=rule.fill(rule.meaning_zh),
        remedy_zh=rule.remedy_zh,
        observed=_observed(rule, count, evidence),
        error=error,
        carried_from=tuple(sorted({found.origin for found in carried})),
        rows_carried=sum(found.checked for found in carried),
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
    if count.failed != len(evidence.keys(rule)):
        return f"不合格 {count.failed} 行，却列出 {len(evidence.keys(rule))} 行"
    answers = evidence.gx.get(rule.id, [])
    if evidence.is_settled(rule):
        return f"结果沿用，GX 却返回 {len(answers)} 个结果" if answers else None
    return _gx_doubt(rule, evidence.examined(rule), answers)


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


def _found(candidate_id: str, evidence: Evidence, verdict: Verdict) -> dict[str, Found]:
    """What the next check may take over, by key: nothing of a rule whose result is in doubt."""
    kept: dict[str, Found] = {}
    for result in verdict.results:
        keys = evidence.plan.keys.get(result.rule_id, {}) if result.error is None else {}
        found = {**evidence.plan.carried.get(result.rule_id, {}), **_examined(candidate_id, evidence, result)}
        kept.update({keys[cell]: one for cell, one in found.items() if cell in keys and len(one.keys) <= KEYS_KEPT})
    return kept


def _examined(candidate_id: str, evidence: Evidence, result: RuleResult) -> dict[Cell | None, Found]:
    """What was found here, by area and year where the rule stands apart (None: of the whole)."""
    rule_id, cells = result.rule_id, evidence.plan.cells
    asked = evidence.plan.asked.get(rule_id, frozenset())
    if asked <= {None}:
        whole = Found(result.rows_checked, result.rows_failed, result.failing_keys, candidate_id)
        return dict.fromkeys(asked, whole)
    places = evidence.answers.places[rule_id]
    if evidence.plan.is_astray(rule_id, places):
        return {}
    checked: Counter[Cell | None] = Counter()
    failed: Counter[Cell | None] = Counter()
    keys: dict[Cell | None, list[str]] = {cell: [] for cell in asked}
    for place, count in places.items():
        checked[cells[place]] += count.checked
        failed[cells[place]] += count.failed
    for place, key in evidence.rows.get(rule_id, []):
        keys[cells[place]].append(key)
    return {cell: Found(checked[cell], failed[cell], tuple(keys[cell]), candidate_id) for cell in asked}


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
