"""Guard coverage: which rules guard which indicator and which mart, read from the rules' own SQL.

What belongs here: deriving the table and naming what nobody guards. What does not: running a rule (`expectations.gate`)
and printing the table (`expectations.rules_page`, `expectations.report`).

A rule guards an indicator when its SQL names it, or when it looks at the indicator table row by row and neither unit,
method nor an exclusion keeps it out. Format checks hold for every row alike and say nothing about the amount,
so an indicator counts as guarded only by rules of the tiers `quality` and `macro` or by ranges of its own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from expectations.catalogue import Between, Rows, Rule
from warehouse.paths import project_root

FACT_TABLE: Final = "marts.fct_indicator_value"
SAID_BEFORE: Final = "records.last_release"
# Marts that carry indicator values over as they are.
COPIES: Final = frozenset({"marts.mart_plan_progress", "marts.mart_preschool_inclusive"})
HEADLINE_KIND: Final = "'headline_indicator'"
_TABLE = re.compile(r"\b(?:marts|records)\.[a-z][a-z0-9_]*")
_QUOTED = re.compile(r"'([a-z][a-z0-9_]*)'")
_EXCLUDED = re.compile(r"indicator_id not in \(([^)]*)\)")
_CONDITION = re.compile(r"\b(?:\w+\.)?(unit|method) (=|<>|in) (\([^)]*\)|'[^']*')")
_ALTERNATIVE = re.compile(r"\([^()]*\bor\b[^()]*\)")
_AMOUNTS = re.compile(r"\b(value|numerator|denominator)\b")


@dataclass(frozen=True)
class Subject:
    """An indicator as far as rules can tell indicators apart."""

    indicator_id: str
    name_zh: str
    unit: str
    methods: tuple[str, ...]
    is_headline: bool


@dataclass(frozen=True)
class Guarded:
    """One indicator or mart and the ids of the rules that guard it, in catalogue order."""

    name: str
    title_zh: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class GuardCoverage:
    """Both tables; `unguarded` names what no rule guards."""

    indicators: tuple[Guarded, ...]
    marts: tuple[Guarded, ...]

    @property
    def unguarded(self) -> tuple[str, ...]:
        """Indicators and marts without any guard, indicators first."""
        return tuple(item.name for item in (*self.indicators, *self.marts) if not item.rules)


def subjects() -> tuple[Subject, ...]:
    """The indicators of the project's seed, in its order. Raises OSError, KeyError when the seed is not as agreed."""
    path = project_root() / "dbt_project" / "seeds" / "indicator.csv"
    with path.open(encoding="utf-8", newline="") as handle:
        return tuple(
            Subject(row["indicator_id"], row["name_zh"], row["unit_zh"], _methods(row), bool(row["headline_no"]))
            for row in csv.DictReader(handle)
        )


def _methods(row: dict[str, str]) -> tuple[str, ...]:
    """How the value may come about: a published figure may stand in for a computed one."""
    return ("computed", "official") if row["official_fallback"] == "true" else (row["method_expected"],)


def mart_names() -> tuple[str, ...]:
    """Names of the marts the project builds, sorted."""
    return tuple(sorted(path.stem for path in (project_root() / "dbt_project" / "models" / "marts").glob("*.sql")))


def guard_coverage(rules: Sequence[Rule]) -> GuardCoverage:
    """Which of `rules` guard which indicator and mart of this project."""
    known = subjects()
    names = frozenset(subject.indicator_id for subject in known)
    # Asked of each rule once: there are a hundred subjects.
    of_amounts = [rule for rule in rules if speaks_of_amount(rule)]
    tables = {rule.id: tables_of(rule) for rule in rules}
    return GuardCoverage(
        indicators=tuple(
            Guarded(s.indicator_id, s.name_zh, tuple(r.id for r in of_amounts if admits(r, s, names))) for s in known
        ),
        marts=tuple(
            Guarded(name, "", tuple(rule.id for rule in rules if f"marts.{name}" in tables[rule.id]))
            for name in mart_names()
        ),
    )


def tables_of(rule: Rule) -> frozenset[str]:
    """`schema.table` of everything the rule reads."""
    return frozenset(_TABLE.findall(_text(rule))) | {rule.relation}


def speaks_of_amount(rule: Rule) -> bool:
    """Whether the rule compares the amounts of indicators with something, or bounds those of chosen ones."""
    # A copy of the value elsewhere that equals it proves the copy and not the value; nor does what was said before.
    tables = tables_of(rule)
    if FACT_TABLE not in tables or SAID_BEFORE in tables or rule.relation in COPIES:
        return False
    if isinstance(rule.check, Between):
        return rule.column == "value" and rule.scope is not None
    fails = rule.check.fails if isinstance(rule.check, Rows) else ""
    return rule.tier in ("quality", "macro") and _AMOUNTS.search(f"{rule.source or ''} {fails}") is not None


def admits(rule: Rule, subject: Subject, names: frozenset[str]) -> bool:
    """Whether the rule's SQL lets the indicator through. `names`: every indicator id, to tell them from other words."""
    text = _text(rule)
    excluded = {name for group in _EXCLUDED.findall(text) for name in _QUOTED.findall(group)}
    if subject.indicator_id in excluded:
        return False
    if HEADLINE_KIND in text and not subject.is_headline:
        return False
    named = names.intersection(_QUOTED.findall(_EXCLUDED.sub("", text)))
    if named and subject.indicator_id not in named:
        return False
    # What stands in brackets with an OR sets limits for some rows and shuts nobody out.
    return all(_holds(found, subject) for found in _CONDITION.findall(_ALTERNATIVE.sub("", text)))


def _holds(condition: tuple[str, str, str], subject: Subject) -> bool:
    column, operator, value = condition
    given = (subject.unit,) if column == "unit" else subject.methods
    listed = re.findall(r"'([^']*)'", value)
    return any((one not in listed) if operator == "<>" else (one in listed) for one in given)


def _text(rule: Rule) -> str:
    fails = rule.check.fails if isinstance(rule.check, Rows) else None
    return " ".join(part for part in (rule.source, rule.scope, fails) if part)
