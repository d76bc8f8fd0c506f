"""What became of the rules since the last release: a rule that was dropped or loosened must show in the next report.

What belongs here: the record of the rules that a release keeps (`quality/rules.json`), and comparing it with the rules
of today. What does not: the rules (`expectations.catalogue`) and printing the comparison (`expectations.report`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from expectations.catalogue import Between, Catalogue, InSet, RowCount, Rule
from warehouse.errors import Fault
from warehouse.files import pretty_json, sha256_bytes
from warehouse.verdict import SEVERITIES

RULES_FILE: Final = "quality/rules.json"
Kind = Literal["removed", "loosened", "changed", "tightened", "added"]
KINDS: Final[tuple[Kind, ...]] = ("removed", "loosened", "changed", "tightened", "added")
KIND_NAMES: Final[dict[Kind, tuple[str, str]]] = {
    "removed": ("删除", "removed"),
    "loosened": ("放宽", "loosened"),
    "changed": ("改写", "rewritten"),
    "tightened": ("收紧", "tightened"),
    "added": ("新增", "added"),
}
# A threshold's name says which way it loosens; the catalogue's test holds every parameter to these names.
LOOSER_WHEN_HIGHER: Final = frozenset(
    {"enough", "high", "limit", "most", "points", "share", "times", "tolerance", "values"}
)
LOOSER_WHEN_LOWER: Final = frozenset({"k", "least", "low", "rest"})


@dataclass(frozen=True)
class RuleChange:
    """One change of one rule: what it was and what it is, as text ('' where there is none)."""

    rule_id: str
    title_zh: str
    title_en: str
    kind: Kind
    what_zh: str
    what_en: str
    before: str
    after: str


def record(book: Catalogue) -> bytes:
    """The rules as the next release will compare them: severity, thresholds, and a digest of what is checked."""
    return pretty_json({"version": book.version, "rules": [_entry(rule) for rule in book.rules]})


def _entry(rule: Rule) -> dict[str, Any]:
    told = {"title_zh", "title_en", "meaning_zh", "meaning_en", "when_it_matters_zh", "when_it_matters_en"}
    # How much of the data is examined anew is no part of what is checked.
    logic = rule.model_dump(
        mode="json", exclude={*told, "apart", "remedy_zh", "remedy_en", "owner", "severity", "parameters"}
    )
    if isinstance(rule.check, Between | RowCount | InSet):
        logic["check"] = rule.check.kind
    return {
        "id": rule.id,
        "severity": rule.severity,
        "title_zh": rule.title_zh,
        "title_en": rule.title_en,
        "thresholds": thresholds(rule),
        "digest": sha256_bytes(json.dumps(logic, sort_keys=True, ensure_ascii=False).encode("utf-8"))[:16],
    }


def thresholds(rule: Rule) -> dict[str, Any]:
    """Every number and list of values that a rule compares with, by name."""
    found: dict[str, Any] = dict(rule.parameters)
    check = rule.check
    if isinstance(check, Between | RowCount):
        found |= {name: bound for name, bound in (("low", check.low), ("high", check.high)) if bound is not None}
    if isinstance(check, InSet):
        found["values"] = sorted(check.values)
    return found


def compare(before: bytes, book: Catalogue) -> tuple[RuleChange, ...]:
    """What changed since the record `before`, what weakens the gate first. Raises Fault when it cannot be read."""
    try:
        old = {str(entry["id"]): entry for entry in json.loads(before)["rules"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Fault(f"上一次发布的 {RULES_FILE} 读不出来。", "请执行 eduplan verify，并从备份恢复该发布。") from error
    new = {rule.id: _entry(rule) for rule in book.rules}
    found = [_whole(entry, "removed") for name, entry in old.items() if name not in new]
    found += [_whole(entry, "added") for name, entry in new.items() if name not in old]
    found += [change for name, entry in new.items() if name in old for change in _differences(old[name], entry)]
    return tuple(sorted(found, key=lambda change: (KINDS.index(change.kind), change.rule_id, change.what_en)))


def _whole(entry: Mapping[str, Any], kind: Kind) -> RuleChange:
    gone, severity = kind == "removed", str(entry["severity"])
    return _change(entry, kind, ("规则", "rule"), severity if gone else "", "" if gone else severity)


def _change(entry: Mapping[str, Any], kind: Kind, what: tuple[str, str], before: str, after: str) -> RuleChange:
    return RuleChange(str(entry["id"]), str(entry["title_zh"]), str(entry["title_en"]), kind, *what, before, after)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[RuleChange]:
    if old["severity"] != new["severity"]:
        ranks = [SEVERITIES.index(entry["severity"]) if entry["severity"] in SEVERITIES else -1 for entry in (old, new)]
        kind: Kind = "loosened" if ranks[1] > ranks[0] else "tightened"
        yield _change(new, kind, ("严重程度", "severity"), str(old["severity"]), str(new["severity"]))
    for name in sorted({*old["thresholds"], *new["thresholds"]}):
        was, now = old["thresholds"].get(name), new["thresholds"].get(name)
        if was != now:
            yield _change(
                new, _direction(name, was, now), (f"阈值 {name}", f"threshold {name}"), _text(was), _text(now)
            )
    if old["digest"] != new["digest"]:
        yield _change(new, "changed", ("检查的写法", "what is checked"), str(old["digest"]), str(new["digest"]))


def _direction(name: str, was: Any, now: Any) -> Kind:
    """Whether a changed threshold lets more pass. A bound that fell away lets more pass; a new one lets less pass."""
    if was is None or now is None:
        return "loosened" if now is None else "tightened"
    if isinstance(was, list) and isinstance(now, list):
        return "tightened" if set(now) < set(was) else "loosened"
    if name not in LOOSER_WHEN_HIGHER | LOOSER_WHEN_LOWER:
        return "changed"
    return "loosened" if (now > was) == (name in LOOSER_WHEN_HIGHER) else "tightened"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return "、".join(value) if isinstance(value, list) else f"{value:.12g}"
