"""A rule that was dropped, weakened or rewritten since the last release is named, the weakening first."""

from __future__ import annotations

from typing import Any

import pytest

from expectations.catalogue import Between, Catalogue, InSet, Rows, Rule, catalogue, rules
from expectations.rule_changes import LOOSER_WHEN_HIGHER, LOOSER_WHEN_LOWER, RuleChange, compare, record, thresholds
from warehouse.errors import Fault

JUMP, RANGE, SET = "fct_value.city_jump", "dim_area.population_plausible", "coverage.status_known"


def _book(*members: Rule) -> Catalogue:
    return Catalogue.model_construct(rules=members, conditions=catalogue().conditions)


def _rule(rule_id: str, **changes: Any) -> Rule:
    return next(rule for rule in rules() if rule.id == rule_id).model_copy(update=changes)


def _changes(before: Rule, after: Rule) -> list[RuleChange]:
    return list(compare(record(_book(before)), _book(after)))


def test_the_same_rules_show_no_change() -> None:
    assert compare(record(catalogue()), catalogue()) == ()


def test_words_alone_are_no_change() -> None:
    assert _changes(_rule(JUMP), _rule(JUMP, remedy_zh="换一种说法", title_en="Other words")) == []


@pytest.mark.parametrize(
    ("before", "after", "kind", "what", "texts"),
    [
        (_rule(JUMP), _rule(JUMP, parameters={"limit": 0.2}), "loosened", "threshold limit", ("0.1", "0.2")),
        (_rule(JUMP), _rule(JUMP, parameters={"limit": 0.05}), "tightened", "threshold limit", ("0.1", "0.05")),
        (_rule(JUMP, severity="critical"), _rule(JUMP), "loosened", "severity", ("critical", "warning")),
        (_rule(JUMP), _rule(JUMP, severity="critical"), "tightened", "severity", ("warning", "critical")),
        (
            _rule(RANGE),
            _rule(RANGE, check=Between(kind="between", low=1, high=3_000_000)),
            "loosened",
            "threshold low",
            ("100000", "1"),
        ),
        (
            _rule(RANGE),
            _rule(RANGE, check=Between(kind="between", low=100_000)),
            "loosened",
            "threshold high",
            ("3000000", ""),
        ),
        (
            _rule(SET, check=InSet(kind="in_set", values=("missing", "received"))),
            _rule(SET, check=InSet(kind="in_set", values=("anything", "missing", "received"))),
            "loosened",
            "threshold values",
            ("missing、received", "anything、missing、received"),
        ),
    ],
)
def test_a_changed_threshold_or_severity_says_which_way(
    before: Rule, after: Rule, kind: str, what: str, texts: tuple[str, str]
) -> None:
    (change,) = _changes(before, after)
    assert (change.kind, change.what_en, (change.before, change.after)) == (kind, what, texts)


@pytest.mark.parametrize(
    "changes",
    [{"scope": "false"}, {"check": Rows(kind="rows", fails="false")}, {"vacuous_zh": "无所谓"}, {"keys": ("period",)}],
)
def test_a_rewritten_check_is_named_for_people_to_judge(changes: dict[str, Any]) -> None:
    (change,) = _changes(_rule(JUMP), _rule(JUMP, **changes))
    assert (change.kind, change.what_zh) == ("changed", "检查的写法")


def test_a_renamed_rule_is_one_gone_and_one_new_and_the_loss_comes_first() -> None:
    found = compare(record(_book(_rule(JUMP), _rule(RANGE))), _book(_rule(JUMP, id="fct_value.renamed"), _rule(RANGE)))
    assert [(change.kind, change.rule_id) for change in found] == [("removed", JUMP), ("added", "fct_value.renamed")]


def test_every_threshold_says_by_its_name_which_way_it_loosens() -> None:
    names = {name for rule in rules() for name in thresholds(rule)}
    assert names <= LOOSER_WHEN_HIGHER | LOOSER_WHEN_LOWER
    assert not LOOSER_WHEN_HIGHER & LOOSER_WHEN_LOWER


def test_a_record_that_cannot_be_read_is_a_fault() -> None:
    with pytest.raises(Fault, match=r"rules\.json"):
        compare(b'{"rules": 3}', catalogue())
