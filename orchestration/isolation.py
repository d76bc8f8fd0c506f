"""Isolation: one bad delivery does not freeze the city.

What belongs here: choosing what counts when some deliveries are set aside, setting aside those that critical failures
lead back to, and taking them up again when that did not help. What does not: which rows lead to which delivery
(`expectations.attribution`), the record of a hold (`warehouse.holds`), running dbt (`orchestration.dbt`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warehouse import candidate as candidates
from warehouse.holds import Hold, Selection, context_digest, lapsed, without
from warehouse.ledger import Ledger
from warehouse.records import SCHOOL_PART
from warehouse.verdict import Verdict
from warehouse.waivers import Waiver, read_waivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestration.steps import Workbench
    from warehouse.candidate import Candidate
    from warehouse.paths import Home
    from warehouse.records import DeliveryRow

DID_NOT_HELP_ZH: Final = "暂缓采用后质量检查仍未通过，恢复采用"


def context_now(waivers: Sequence[Waiver]) -> str:
    """What a judgement made now depends on, beside the deliveries."""
    from expectations import rules_version

    return context_digest(candidates.code_digest(), rules_version(), waivers)


def selection(home: Home, ledger: Ledger) -> Selection:
    """The deliveries that count now and those set aside, read under the contracts in force. Writes nothing."""
    newest, standing, _ = _holds_now(home, ledger)
    return _without(ledger, newest, standing)


def settle(bench: Workbench) -> Selection:
    """The same, after lifting the holds that no longer stand; says which."""
    newest, standing, gone = _holds_now(bench.home, bench.ledger)
    for hold, reason in gone:
        bench.ledger.lift_hold(hold, reason)
        bench.record.reporter.note(f"报送件 {hold.delivery_id} 不再暂缓：{reason}。")
    return _without(bench.ledger, newest, standing)


def _holds_now(home: Home, ledger: Ledger) -> tuple[list[DeliveryRow], list[Hold], list[tuple[Hold, str]]]:
    from sources.intake import contract_versions

    newest = ledger.active_set(contract_versions())
    holds = ledger.holds()
    gone = lapsed(holds, newest, context_now(read_waivers(home))) if holds else []
    lifted = {hold for hold, _ in gone}
    return newest, [hold for hold in holds if hold not in lifted], gone


def _without(ledger: Ledger, newest: Sequence[DeliveryRow], held: Sequence[Hold]) -> Selection:
    from sources.intake import contract_versions

    if not held:
        return Selection(tuple(newest))
    ids = {hold.delivery_id for hold in held}
    return without(newest, ledger.active_set(contract_versions(), without=ids), held)


def set_aside(bench: Workbench, candidate: Candidate, verdict: Verdict) -> list[Hold]:
    """Hold every delivery that critical failures of this verdict lead back to; empty when none does.

    Recorded before anything is built anew: a run killed here goes on with the same selection.
    """
    from expectations.attribution import attribute

    if verdict.passed:
        return []
    found = attribute(candidate.database, verdict)
    context = context_now(read_waivers(bench.home))
    rows = {row.delivery_id: row for row in selection(bench.home, bench.ledger).active}
    holds = [
        Hold(
            delivery_id=delivery_id,
            feed=rows[delivery_id].feed,
            area_code=rows[delivery_id].area_code,
            period=rows[delivery_id].period,
            part=rows[delivery_id].part,
            candidate_id=candidate.candidate_id,
            rules="、".join(rules),
            rows=sum(rules.values()),
            context=context,
        )
        for delivery_id, rules in found.deliveries.items()
        if delivery_id in rows
    ]
    for hold in holds:
        bench.ledger.record_hold(hold)
    return holds


def take_back(bench: Workbench, holds: Sequence[Hold]) -> None:
    """Lift holds that did not help: what failed belongs to no delivery, so nobody's delivery is to blame."""
    for hold in holds:
        bench.ledger.lift_hold(hold, DID_NOT_HELP_ZH)


def _nothing_instead(part: str) -> str:
    if part.startswith(SCHOOL_PART):
        return "该校以区县成套报送为准。"
    return "没有可沿用的报送件，按缺报处理。"


def notices(held: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """One sentence for each delivery set aside (`Selection.held_contents`), for the report."""
    return tuple(
        f"暂缓采用：{item['feed']} {item['area_code']} {item['period'] or ''} {item['part']}"
        f" 报送件 {item['delivery_id']}，{item['reason_zh']}；"
        + (f"沿用报送件 {item['replaced_by']}。" if item["replaced_by"] else _nothing_instead(item["part"]))
        for item in held
    )
