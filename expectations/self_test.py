"""The gate tried on itself: one seeded fault for every critical rule, planted into a copy, and each must bite.

What belongs here: reading `faults.yaml`, planting, and saying which rules bit. What does not: the rules, how they are
judged (`expectations.gate`), and the candidate itself, which is never written to.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from expectations import sql as rule_sql
from expectations.catalogue import HERE, Catalogue, Rule, catalogue
from expectations.gate import Evidence, conclude, examine
from expectations.gx_runner import GxRun
from warehouse import duck
from warehouse.candidate import Candidate
from warehouse.errors import Fault
from warehouse.verdict import RuleResult

Outcome = Literal["bites", "silent", "not_planted", "not_applicable"]
OUTCOME_ZH: Final[dict[Outcome, str]] = {
    "bites": "咬住",
    "silent": "没有咬住",
    "not_planted": "缺陷植入不了",
    "not_applicable": "本候选不适用",
}
FAULTS_FILE: Final = "faults.yaml"
_PICK = re.compile(r"\$\{(\w+)\}")
Progress = Callable[[int, int, str], None]


class Faults(BaseModel):
    """`faults.yaml`: picks in order, and for each rule id one damaging statement in exactly one of the two parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    picks: dict[str, str]
    faults: dict[str, str]
    emptied: dict[str, str]

    @model_validator(mode="after")
    def _sound(self) -> Faults:
        both = sorted(set(self.faults) & set(self.emptied))
        if both:
            raise ValueError(f"two faults for one rule: {both}")
        known: set[str] = set()
        for name, query in self.picks.items():
            if not set(_PICK.findall(query)) <= known:
                raise ValueError(f"pick {name} uses a pick that comes later or does not exist")
            known.add(name)
        statements = {**self.faults, **self.emptied}
        unknown = sorted(rule for rule, text in statements.items() if not set(_PICK.findall(text)) <= known)
        if unknown:
            raise ValueError(f"faults with unknown picks: {unknown}")
        return self

    def statement(self, rule_id: str, picked: Mapping[str, str]) -> str | None:
        """The rule's fault with everything picked put in; None when the rule has none."""
        text = self.faults.get(rule_id) or self.emptied.get(rule_id)
        return None if text is None else _fill(text, picked)


@dataclass(frozen=True)
class Trial:
    """What became of one rule's fault; `detail_zh` says what was seen."""

    rule_id: str
    title_zh: str
    outcome: Outcome
    detail_zh: str

    @property
    def proven(self) -> bool:
        """False when the rule could have failed and did not."""
        return self.outcome in ("bites", "not_applicable")


@cache
def faults() -> Faults:
    """The shipped faults, read once. Raises Fault when the file is not valid."""
    try:
        return Faults.model_validate(yaml.safe_load((HERE / FAULTS_FILE).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Fault(f"缺陷清单 {FAULTS_FILE} 不合规：{error}", "请修改 expectations/faults.yaml。") from error


def self_test(
    database: Path, *, rules: Catalogue | None = None, seeded: Faults | None = None, progress: Progress | None = None
) -> list[Trial]:
    """Try every critical rule on a copy of `database`, in catalogue order. Raises Fault when it cannot be opened.

    A rule bites when it passes before and fails after, or fails for more rows than before, by the gate's own count and
    by Great Expectations alike. It does not apply when it has nothing to examine here and says why.
    """
    book = rules if rules is not None else catalogue()
    critical = [rule for rule in book.rules if rule.severity == "critical"]
    with TemporaryDirectory(prefix="eduplan-self-test-") as folder:
        copy = Path(shutil.copyfile(database, Path(folder) / "copy.duckdb"))
        with duck.connect(copy, copy_of=database) as connection:
            make_tables(connection)
            bench = _Bench(connection, book, seeded if seeded is not None else faults())
            trials = []
            for number, rule in enumerate(critical, start=1):
                trials.append(bench.trial(rule))
                if progress is not None:
                    progress(number, len(critical), rule.id)
            return trials


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Turn the record views of a copied candidate into tables, so that faults can be planted there too."""
    views = duck.rows(
        connection,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'records' AND table_type = 'VIEW'"
        " ORDER BY table_name",
    )
    for (name,) in views:
        table = duck.ident(str(name))
        connection.execute(f"CREATE TABLE records.made AS SELECT * FROM records.{table}")
        connection.execute(f"DROP VIEW records.{table}")
        connection.execute(f"ALTER TABLE records.made RENAME TO {table}")


def pick(connection: duckdb.DuckDBPyConnection, seeded: Faults) -> dict[str, str]:
    """The rows this candidate offers, as SQL literals; `null` where it offers none. Raises duckdb.Error."""
    picked: dict[str, str] = {}
    for name, query in seeded.picks.items():
        found = duck.rows(connection, _fill(query, picked))
        value = found[0][0] if found else None
        picked[name] = _literal(value)
    return picked


def _literal(value: object) -> str:
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else duck.literal(str(value))


def _fill(text: str, picked: Mapping[str, str]) -> str:
    return _PICK.sub(lambda match: picked[match.group(1)], text)


class _Bench:
    """A copy of the candidate on which faults are planted and taken back."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, book: Catalogue, seeded: Faults) -> None:
        self._connection, self._book, self._seeded = connection, book, seeded
        self._picked = pick(connection, seeded)

    def trial(self, rule: Rule) -> Trial:
        before = self._judge(rule)
        statement = self._seeded.statement(rule.id, self._picked)
        if statement is None:
            return Trial(rule.id, rule.title_zh, "not_planted", "faults.yaml 中没有这条规则的缺陷")
        self._connection.execute("BEGIN")
        try:
            problem = self._plant(statement)
            after = before if problem else self._judge(rule)
        finally:
            self._connection.execute("ROLLBACK")
        return _conclude(rule, before, after, problem)

    def _plant(self, statement: str) -> str | None:
        try:
            hit = self._connection.execute(statement).fetchall()
        except duckdb.Error as error:
            return rule_sql.describe(error)
        return "没有可以改坏的行" if hit == [(0,)] else None

    def _judge(self, rule: Rule) -> RuleResult:
        only = Catalogue.model_construct(rules=(rule,), conditions=self._book.conditions)
        evidence = Evidence()
        examine(self._connection, only, evidence, GxRun())
        nobody = Candidate("self-test", Path(), Path(), "-", {})
        return conclude(nobody, only, evidence).results[0]


def _conclude(rule: Rule, before: RuleResult, after: RuleResult, problem: str | None) -> Trial:
    outcome: Outcome
    if problem is not None:
        outcome = "not_applicable" if before.passed and before.rows_checked == 0 else "not_planted"
        return Trial(rule.id, rule.title_zh, outcome, before.observed if outcome == "not_applicable" else problem)
    bites = not after.passed and (before.passed or after.rows_failed > before.rows_failed)
    # Emptiness is an error by design; any other error would mean that the rule broke and not that it bit.
    broke = after.error is not None and after.rows_checked > 0
    outcome = "bites" if bites and not broke else "silent"
    return Trial(rule.id, rule.title_zh, outcome, after.error or after.observed)


def unproven(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that prove nothing."""
    return [trial for trial in trials if not trial.proven]
