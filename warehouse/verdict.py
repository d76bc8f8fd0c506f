"""The verdict on one candidate: results of rules, bound to its id and fingerprint, failing closed.

What belongs here: the type, its canonical bytes and digest, and the reasons why it does not pass. What does not: rules
themselves and how they run (`expectations/`), and what a verdict permits (`warehouse.release`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
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
    `carried_from`: the candidates it was found on, in whole or in part, where what it reads has not changed since;
    `rows_carried`: how many of `rows_checked` were examined there and not here.
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
    carried_from: tuple[str, ...] = ()
    rows_carried: int = 0


# Written only where something was carried over: a verdict without reads as verdicts always did.
_WHERE_CARRIED: Final = {"carried_from": (), "rows_carried": 0}
# A result may be carried over no longer than this after everything was last judged anew.
CARRIED_AT_MOST: Final = timedelta(days=1)


@dataclass(frozen=True)
class Verdict:
    """All results of one judging. `rules_expected` is the size of the rule catalogue, `judged_at` an ISO instant,
    `waivers` the whole text of every waiver that excuses something here, `fully_judged_at` when every rule was last
    judged on all data ('': this time)."""

    candidate_id: str
    fingerprint: str
    rules_version: str
    rules_expected: int
    results: tuple[RuleResult, ...]
    judged_at: str
    waivers: tuple[Waiver, ...] = ()
    fully_judged_at: str = ""

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
        if self.carried and not self._carried_lately():
            found.append(f"有沿用的结果，但上次全部重新检查（{self.fully_judged_at or '未写明'}）不在一日之内。")
        return found

    @property
    def carried(self) -> tuple[RuleResult, ...]:
        """The results that rest on the check of an earlier candidate, in whole or in part."""
        return tuple(result for result in self.results if result.carried_from or result.rows_carried)

    def _carried_lately(self) -> bool:
        try:
            age = datetime.fromisoformat(self.judged_at) - datetime.fromisoformat(self.fully_judged_at)
        except (ValueError, TypeError):
            return False
        return timedelta() <= age <= CARRIED_AT_MOST

    def to_json(self) -> bytes:
        """Canonical UTF-8 JSON; the digest is taken over exactly these bytes."""
        content = {**asdict(self), "waivers": [waiver.content() for waiver in self.waivers]}
        content["results"] = [_without(item, _WHERE_CARRIED) for item in content["results"]]
        return canonical_json(_without(content, {"fully_judged_at": ""}))

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


def _without(content: Mapping[str, Any], unsaid: Mapping[str, Any]) -> dict[str, Any]:
    """The content without what says nothing."""
    return {name: value for name, value in content.items() if name not in unsaid or value != unsaid[name]}


def _rule_result(raw: dict[str, Any]) -> RuleResult:
    known = {field.name for field in fields(RuleResult)}
    if set(raw) | set(_WHERE_CARRIED) != known:
        raise ValueError(f"fields differ: {sorted(set(raw) ^ known)}")
    lists = {name: tuple(raw[name]) for name in ("failing_keys", "waived_by", "carried_from") if name in raw}
    return RuleResult(**{**raw, **lists})


def _reasons_about_rule(result: RuleResult, excused: bool) -> list[str]:
    name = f"规则 {result.rule_id}（{result.title_zh}）"
    found: list[str] = []
    if result.severity not in SEVERITIES:
        found.append(f"{name}的严重程度“{result.severity}”不在约定之内。")
    if result.tier not in TIERS:
        found.append(f"{name}的层级“{result.tier}”不在约定之内。")
    if result.rows_checked < 0 or result.rows_failed < 0:
        found.append(f"{name}的行数为负。")
    if not 0 <= result.rows_carried <= result.rows_checked or (result.rows_carried and not result.carried_from):
        found.append(f"{name}沿用了 {result.rows_carried} 行的结果，与检查的行数或其来处对不上。")
    if result.error is not None:
        found.append(f"{name}执行出错：{result.error}")
    elif not result.passed and result.severity == "critical" and not excused:
        waiver = f"（{result.waiver_problem}。）" if result.waiver_problem else ""
        found.append(f"{name}未通过：{result.rows_failed} 行不合格。{waiver}{result.remedy_zh}")
    return found
