"""The rules that look at records and nothing else, asked while the candidate is still being finished.

What belongs here: which rules these are, asking them on a connection of their own, and whether what was told then is
told of the candidate that came of it. What does not: counting (`expectations.sql`), what need not be asked at all
(`expectations.carrying`), Great Expectations and judging (`expectations.gate`).

Records stand from the moment a build begins, the marts only when it is sealed; most of the gate's work is on records.
Where a check of today says most of it, the rules asked here are those that nothing is known of. Nothing is decided
here: an answer that broke, or that was given about other records, is asked for again by the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from expectations import memo
from expectations import sql as rule_sql
from expectations.carrying import Earlier, Plan
from expectations.catalogue import Catalogue, Rule, catalogue
from expectations.known import Known, create_views, tables_read, views_of
from expectations.sql import Answers, Place, TextColumns
from warehouse import duck
from warehouse.clock import now
from warehouse.errors import EduplanError
from warehouse.records import RECORD_SCHEMAS, DeliveryRow

if TYPE_CHECKING:
    from warehouse.ledger import Ledger
    from warehouse.paths import Home

_FAILURES: Final = (EduplanError, duckdb.Error, OSError)
_STEP_SECONDS: Final = 0.05


# Given the text columns of the records and the record views (name -> text) that are asked, the rules to ask of them.
Wanting = Callable[[TextColumns, Mapping[str, str]], tuple[Rule, ...]]


@dataclass(frozen=True)
class Questions:
    """The `rules` that are asked beforehand, the text columns of the records, and the `views` (name -> text) that are
    asked."""

    rules: tuple[Rule, ...]
    texts: TextColumns
    views: Mapping[str, str]


@dataclass(frozen=True)
class Told:
    """What was answered, and for each rule with failing rows which these are."""

    answers: Answers
    rows: Mapping[str, list[tuple[Place, str]]]


class Beforehand:
    """The work begun, in a thread of its own; closed by whoever began it."""

    def __init__(self, home: Home, database: Path, deliveries: Sequence[DeliveryRow], wanting: Wanting) -> None:
        """Begin; `database` is where the candidate is being built, which is not opened. Raises Fault."""
        self.connection = duck.connect(copy_of=database)
        # Beside it the sensitive cells are taken out of the build, which needs as much again.
        duck.halve_memory(self.connection)
        pool = ThreadPoolExecutor(1, thread_name_prefix="eduplan-ask")
        self._asked = pool.submit(_prepare, self.connection, home, deliveries, wanting)
        self._told = pool.submit(self._ask)
        pool.shutdown(wait=False)

    def _ask(self) -> Told:
        asked = self._asked.result()
        answers = rule_sql.ask(self.connection, asked.rules, asked.texts, Answers(by_place=True))
        rows = {
            rule.id: rule_sql.failing_rows(self.connection, rule, rule_sql.compose(rule, asked.texts, answers.tables))
            for rule in asked.rules
            if answers.counts[rule.id].failed
        }
        return Told(answers, rows)

    def rules_for(self, plan: Plan, views: Mapping[str, str]) -> tuple[Rule, ...]:
        """The rules whose answers will hold for a candidate with these record `views`, which a check by this plan need
        not ask itself; none where it would not ask each of them as a whole."""
        try:
            asked = self._asked.result()
        except _FAILURES:
            return ()
        same = asked.views == {name: text for name, text in views.items() if name in asked.views}
        whole = {rule.id: rule for rule in plan.whole}
        return asked.rules if same and all(whole.get(rule.id) == rule for rule in asked.rules) else ()

    def told(self) -> Told | None:
        """The answers, once there are all of them; None when something broke: others had the memory then, say."""
        try:
            found = self._told.result()
        except _FAILURES:
            return None
        return None if any(count.error is not None for count in found.answers.counts.values()) else found

    def close(self) -> None:
        """Interrupt what is under way until it has ended, for one query ends with it, and close the connection."""
        while not self._told.done():
            self.connection.interrupt()
            wait([self._told], timeout=_STEP_SECONDS)
        self.connection.close()


def _prepare(
    connection: duckdb.DuckDBPyConnection, home: Home, deliveries: Sequence[DeliveryRow], wanting: Wanting
) -> Questions:
    # Rules on what nobody handed in take no time.
    there = sorted({name for row in deliveries for name in row.tables} & RECORD_SCHEMAS.keys())
    create_views(connection, home, there, deliveries)
    texts, views = rule_sql.text_columns(connection), views_of(connection)
    return Questions(wanting(texts, views), texts, views)


def all_of(rules: Catalogue) -> Wanting:
    """All of the rules that look at records alone."""

    def wanting(texts: TextColumns, views: Mapping[str, str]) -> tuple[Rule, ...]:
        records, reads = {f"records.{name}" for name in views}, tables_read(rules.rules)
        return tuple(rule for rule in rules.rules if reads[rule.id] and reads[rule.id] <= records)

    return wanting


def begin(home: Home, database: Path, deliveries: Sequence[DeliveryRow]) -> Beforehand | None:
    """Begin where everything will have to be asked; None where much can be carried over from a check of today. Raises
    Fault."""
    if memo.is_of_today(home, now()):
        return None
    return Beforehand(home, database, deliveries, all_of(catalogue()))


def begin_with_the_rest(
    home: Home,
    ledger: Ledger,
    database: Path,
    deliveries: Sequence[DeliveryRow],
    *,
    code_digest: str,
    known: Future[Known],
    rules: Catalogue | None = None,
) -> Beforehand | None:
    """Begin where much can be carried over from a check of today, with the rules that nothing can be carried over of;
    None where everything will have to be asked. `code_digest` as the candidate will have it, `known` what is found out
    about its records meanwhile. Raises Fault."""
    if not memo.is_of_today(home, now()):
        return None
    book = rules if rules is not None else catalogue()
    earlier = Earlier.read(home, ledger, book, code_digest)

    def wanting(texts: TextColumns, views: Mapping[str, str]) -> tuple[Rule, ...]:
        return earlier.unanswered(book.rules, texts, known.result(), views)

    return Beforehand(home, database, deliveries, wanting)
