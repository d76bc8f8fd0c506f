"""Waivers at the gate: which failures they excuse, and which nothing may excuse.

What belongs here: putting waivers on results, and checking a new waiver against the catalogue. What does not: the shape
of a waiver and whether it covers a row (`warehouse.waivers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from expectations.catalogue import Catalogue, RowCount, Rule, Text
from warehouse.errors import Refused
from warehouse.verdict import RuleResult
from warehouse.waivers import Waiver, assess, parse


def offered(inputs: Mapping[str, object]) -> tuple[Waiver, ...]:
    """The waivers a candidate was made with. Raises Refused when one of them is not sound."""
    found = inputs.get("waivers", [])
    contents = found if isinstance(found, list) else []
    return tuple(parse(content, f"候选中的 {content.get('id')}") for content in contents)


def apply(
    results: Sequence[RuleResult], book: Catalogue, waivers: Iterable[Waiver], at: datetime
) -> tuple[RuleResult, ...]:
    """The results with `waived_by` or `waiver_problem` set where a waiver speaks of a failed critical rule."""
    rules = {rule.id: rule for rule in book.rules}
    asked = tuple(waivers)
    return tuple(_applied(result, rules.get(result.rule_id), asked, at) for result in results)


# What the disclosure step takes out is not for anybody to put back.
_DISCLOSURE: Final = frozenset({"no_small_cells", "no_dominated_cells", "suppressed_are_empty"})


def _applied(result: RuleResult, rule: Rule | None, waivers: Sequence[Waiver], at: datetime) -> RuleResult:
    if rule is None or result.passed or result.severity != "critical":
        return result
    if not any(waiver.rule == rule.id for waiver in waivers):
        return result
    if result.error is not None:
        return replace(result, waiver_problem="规则没有执行成功，不能豁免")
    if reason := never_waived(rule):
        return replace(result, waiver_problem=reason)
    names, problem = assess(rule.id, result.failing_keys, waivers, at)
    return replace(result, waived_by=names, waiver_problem=problem)


def never_waived(rule: Rule) -> str | None:
    """Why nobody may waive this rule; None when somebody may."""
    if isinstance(rule.check, Text) and rule.check.forbids == "person_number":
        return "涉及个人号码的规则不得豁免"
    if rule.id.split(".")[-1] in _DISCLOSURE:
        return "披露控制的规则不得豁免"
    return "整表为空或行数不足的规则不得豁免" if isinstance(rule.check, RowCount) else None


def check_request(waiver: Waiver, book: Catalogue) -> None:
    """Raise Refused when a new waiver could never apply: unknown or harmless rule, or keys the rule does not have."""
    rule = next((rule for rule in book.rules if rule.id == waiver.rule), None)
    if rule is None:
        raise Refused(f"没有规则 {waiver.rule}，无从豁免。", "请用 eduplan gate rules 查看规则编号。")
    if rule.severity != "critical":
        raise Refused(f"规则 {rule.id} 不是严重规则，不会阻止发布。", "不需要豁免。")
    if reason := never_waived(rule):
        raise Refused(f"规则 {rule.id}：{reason}。", "请处理数据本身。")
    unknown = sorted({key for entry in waiver.scope for key in entry} - set(rule.keys))
    if unknown:
        raise Refused(
            f"规则 {rule.id} 的行不以 {'、'.join(unknown)} 命名，豁免范围对不上。",
            f"可用的键：{'、'.join(rule.keys)}。",
        )
