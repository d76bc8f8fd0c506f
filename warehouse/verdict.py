"""The verdict on one candidate: results of rules, bound to its id and fingerprint, failing closed.

What belongs here: the type, its canonical bytes and digest, and the reasons why it does not pass. What does not: rules
themselves and how they run (`expectations/`), and what a verdict permits (`warehouse.release`).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from warehouse.errors import Fault, Refused
from warehouse.files import canonical_json, sha256_bytes
from warehouse.waivers import Waiver, assess, parse

TIERS: Final = ("syntax", "validity", "quality", "macro", "forensic")
SEVERITIES: Final = ("critical", "warning", "info")


@dataclass(frozen=True)
class RuleResult:
    """What one rule found. `observed` and `failing_keys` never hold personal data.

    `waived_by`: ids of the waivers that excuse a failure; `waiver_problem`: why a waiver that speaks of it does not.
    """

    rule_id: str
    tier: str
    severity: str
    mart: str
    column: str | None
    passed: bool
    rows_checked: int
    rows_failed: int
    failing_keys: tuple[str, ...]
    title_zh: str
    meaning_zh: str
    remedy_zh: str
    observed: str
    error: str | None
    waived_by: tuple[str, ...] = ()
    waiver_problem: str | None = None


@dataclass(frozen=True)
class Verdict:
    """All results of one judging. `rules_expected` is the size of the rule catalogue, `judged_at` an ISO instant,
    `waivers` the whole text of every waiver that excuses something here."""

    candidate_id: str
    fingerprint: str
    rules_version: str
    rules_expected: int
    results: tuple[RuleResult, ...]
    judged_at: str
    waivers: tuple[Waiver, ...] = ()

    @property
    def passed(self) -> bool:
        """True only when no reason speaks against publication."""
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Why this verdict does not pass, in Chinese; empty when it does."""
        return [
            *self._reasons_about_whole(),
            *(reason for result in self.results for reason in _reasons_about_rule(result, self._is_excused(result))),
        ]

    def _is_excused(self, result: RuleResult) -> bool:
        """Whether the waivers in this very verdict cover the failure; what a result claims of itself counts nothing."""
        if not result.waived_by or len(result.failing_keys) != result.rows_failed:
            return False
        try:
            judged = datetime.fromisoformat(self.judged_at)
        except ValueError:
            return False
        names, problem = assess(result.rule_id, result.failing_keys, self.waivers, judged)
        return problem is None and names == result.waived_by

    def _reasons_about_whole(self) -> list[str]:
        found: list[str] = []
        if not (self.candidate_id and self.fingerprint and self.rules_version):
            found.append("裁决没有写明候选版本、内容指纹或规则版本。")
        if self.rules_expected <= 0 or not self.results:
            found.append("没有执行任何规则。")
        if len(self.results) != self.rules_expected:
            found.append(f"应有 {self.rules_expected} 条规则的结果，实有 {len(self.results)} 条。")
        repeated = sorted(rule for rule, n in Counter(r.rule_id for r in self.results).items() if n > 1)
        if repeated:
            found.append(f"规则结果重复：{'、'.join(repeated)}。")
        if sum(max(r.rows_checked, 0) for r in self.results) == 0:
            found.append("所有规则合计检查了 0 行数据。")
        return found

    def to_json(self) -> bytes:
        """Canonical UTF-8 JSON; the digest is taken over exactly these bytes."""
        return canonical_json({**asdict(self), "waivers": [waiver.content() for waiver in self.waivers]})

    def digest(self) -> str:
        """SHA-256 of `to_json()`."""
        return sha256_bytes(self.to_json())

    @classmethod
    def from_json(cls, data: bytes | str) -> Verdict:
        """Read what `to_json` wrote. Raises Fault on missing, unknown or mistyped fields."""
        try:
            raw = json.loads(data)
            results = tuple(_rule_result(item) for item in raw.pop("results"))
            waivers = tuple(parse(item, "（裁决中）") for item in raw.pop("waivers"))
            return cls(results=results, waivers=waivers, **raw)
        except (Refused, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Fault("裁决文件读不出来，可能已损坏或被改动。", "请重新执行质量检查（eduplan run）。") from error


def _rule_result(raw: dict[str, Any]) -> RuleResult:
    known = {field.name for field in fields(RuleResult)}
    if set(raw) != known:
        raise ValueError(f"fields differ: {sorted(set(raw) ^ known)}")
    return RuleResult(
        **{**raw, "failing_keys": tuple(raw["failing_keys"]), "waived_by": tuple(raw["waived_by"])},
    )


def _reasons_about_rule(result: RuleResult, excused: bool) -> list[str]:
    name = f"规则 {result.rule_id}（{result.title_zh}）"
    found: list[str] = []
    if result.severity not in SEVERITIES:
        found.append(f"{name}的严重程度“{result.severity}”不在约定之内。")
    if result.tier not in TIERS:
        found.append(f"{name}的层级“{result.tier}”不在约定之内。")
    if result.rows_checked < 0 or result.rows_failed < 0:
        found.append(f"{name}的行数为负。")
    if result.error is not None:
        found.append(f"{name}执行出错：{result.error}")
    elif not result.passed and result.severity == "critical" and not excused:
        waiver = f"（{result.waiver_problem}。）" if result.waiver_problem else ""
        found.append(f"{name}未通过：{result.rows_failed} 行不合格。{waiver}{result.remedy_zh}")
    return found
