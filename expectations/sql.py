"""A rule as SQL: which rows it examines, which of them fail, and the gate's own count of both.

What belongs here: composing SQL from the catalogue's own text and running it on a read-only connection. What does not:
Great Expectations (`expectations.gx_runner`) and judging (`expectations.gate`), which compares the two counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

import duckdb

from expectations.catalogue import Between, InSet, NotNull, RowCount, Rows, Rule, Text
from expectations.privacy import forbidden_sql, mask
from warehouse import duck

# What the columns say that tell a row's area and year, as text.
Place = tuple[str | None, ...]
TextColumns = Mapping[str, tuple[str, ...]]
Tables = Mapping[str, str]
NO_TABLES: Final[Tables] = MappingProxyType({})


@dataclass(frozen=True)
class RuleSql:
    """`relation`: what follows FROM, in brackets; `scope` and `fails`: predicates over its rows."""

    relation: str
    scope: str
    fails: str


@dataclass(frozen=True)
class Count:
    """Rows a rule examined and rows that fail; `error` says why there is no count."""

    checked: int
    failed: int
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """The answers of every row of one relation to the rules about it: a temporary table with a column a rule."""

    table: str
    rules: tuple[Rule, ...]


@dataclass
class Answers:
    """What `ask` found: counts of all rules, the tables of answers, and which relations lie in one of them whole.

    `places`: for rules that stand apart, the counts by what their `place` columns say; only when asked `by_place`.
    """

    by_place: bool = False
    counts: dict[str, Count] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    places: dict[str, dict[Place, Count]] = field(default_factory=dict)


def text_columns(connection: duckdb.DuckDBPyConnection) -> TextColumns:
    """Text columns by `schema.table`, in column order."""
    found = duck.rows(
        connection,
        "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns()"
        " WHERE NOT internal AND data_type = 'VARCHAR' ORDER BY schema_name, table_name, column_index",
    )
    return {
        relation: tuple(column for _, column in columns)
        for relation, columns in groupby(found, key=lambda row: str(row[0]))
    }


def compose(rule: Rule, texts: TextColumns, tables: Tables = NO_TABLES) -> RuleSql:
    """The SQL of a rule, on the table in `tables` that already holds its relation where there is one.

    Raises LookupError when a text rule's table holds no text column.
    """
    relation = f"({rule.fill(rule.source) if rule.source else f'SELECT * FROM {rule.relation}'})"
    if relation in tables:
        relation = f"(SELECT * FROM {tables[relation]})"
    scope = f"({rule.fill(rule.scope)})" if rule.scope else "(true)"
    column = duck.ident(rule.column) if rule.column else ""
    check = rule.check
    if isinstance(check, InSet | Between):
        # An all-null column has nothing to compare: those rows are not examined, so they cannot make a rule look run.
        scope = f"{scope} and {column} is not null"
    return RuleSql(relation=relation, scope=scope, fails=f"({_fails(rule, column, texts)})")


def _fails(rule: Rule, column: str, texts: TextColumns) -> str:
    check = rule.check
    match check:
        case NotNull():
            return f"{column} is null"
        case InSet():
            return f"{column} not in ({', '.join(duck.literal(value) for value in check.values)})"
        case Between():
            low = [f"{column} < {check.low!r}"] if check.low is not None else []
            high = [f"{column} > {check.high!r}"] if check.high is not None else []
            return " or ".join([*low, *high])
        case Rows():
            return rule.fill(check.fails)
        case Text():
            columns = texts.get(rule.relation, ())
            if not columns:
                raise LookupError(f"{rule.relation} 不存在或没有文本列")
            return " or ".join(forbidden_sql(duck.ident(name), check.forbids) for name in columns)
        case RowCount():
            return "false"


def ask(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], texts: TextColumns, answers: Answers | None = None
) -> Answers:
    """Ask every rule of every row once: one scan a relation, and rule by rule where that scan breaks.

    The answers lie in temporary tables of this connection; the candidate stays untouched. `answers`: those of other
    rules, to which these are added.
    """
    answers = answers if answers is not None else Answers()
    composed: dict[str, list[tuple[Rule, RuleSql]]] = {}
    for rule in rules:
        try:
            sql = compose(rule, texts)
        except LookupError as error:
            answers.counts[rule.id] = Count(0, 0, str(error.args[0]))
            continue
        composed.setdefault(sql.relation, []).append((rule, sql))
    for relation, group in composed.items():
        _ask_group(connection, relation, group, answers)
    return answers


def _ask_group(
    connection: duckdb.DuckDBPyConnection, relation: str, group: list[tuple[Rule, RuleSql]], answers: Answers
) -> None:
    members = tuple(rule for rule, _ in group)
    asked = Asked(f"asked_{len(answers.asked):03d}", members)
    made = ", ".join(f"{_answer(rule, sql)} AS {duck.ident(column_of(rule))}" for rule, sql in group)
    # What a rule's own SELECT computed is kept beside the answers: failing rows are found without doing it again.
    place = members[0].place if answers.by_place else ()
    # The records as they are would be too much; of these, only what tells where a row belongs.
    kept = "examined.*, " if members[0].source else "".join(f"examined.{duck.ident(name)}, " for name in place)
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMPORARY TABLE {asked.table} AS SELECT {kept}{made} FROM {relation} AS examined"
        )
        counted = _tally(connection, asked, place)
    except duckdb.Error as error:
        if len(group) == 1:
            answers.counts[members[0].id] = Count(0, 0, describe(error))
        else:
            for item in group:
                _ask_group(connection, relation, [item], answers)
        return
    answers.asked.append(asked)
    for rule, places in zip(members, counted, strict=True):
        answers.counts[rule.id] = _sum(rule, places)
        if place:
            answers.places[rule.id] = places
    if members[0].source:
        answers.tables[relation] = asked.table


def _answer(rule: Rule, sql: RuleSql) -> str:
    """What a row says to a rule: true or false, or the value in question; NULL for a row out of scope."""
    if isinstance(rule.check, RowCount):
        return f"CASE WHEN {sql.scope} THEN true END"
    if isinstance(rule.check, InSet | Between):
        return f"CASE WHEN {sql.scope} THEN {duck.ident(rule.column or '')} END"
    return f"CASE WHEN {sql.scope} THEN NOT coalesce({sql.fails}, false) END"


def column_of(rule: Rule) -> str:
    """The column of the answers to a rule."""
    return rule.id.replace(".", "__")


def _tally(connection: duckdb.DuckDBPyConnection, asked: Asked, by: Sequence[str]) -> list[dict[Place, Count]]:
    """The gate's own count, by its own SQL, of rows examined and failing: of each rule, by what these columns say."""
    measures = []
    for rule in asked.rules:
        column = duck.ident(column_of(rule))
        fails = _fails(rule, column, {}) if isinstance(rule.check, InSet | Between) else f"NOT {column}"
        measures.append(f"count({column}), count(*) FILTER (WHERE {fails})")
    place = [f"CAST({duck.ident(name)} AS VARCHAR)" for name in by]
    grouped = " GROUP BY ALL" if place else ""
    found = duck.rows(connection, f"SELECT {', '.join([*place, *measures])} FROM {asked.table}{grouped}")
    return [
        {row[: len(place)]: Count(*row[len(place) + 2 * n :][:2]) for row in found} for n in range(len(asked.rules))
    ]


def _sum(rule: Rule, places: Mapping[Place, Count]) -> Count:
    checked, failed = (sum(getattr(count, name) for count in places.values()) for name in ("checked", "failed"))
    return _row_count(rule.check, checked) if isinstance(rule.check, RowCount) else Count(checked, failed)


def _row_count(check: RowCount, checked: int) -> Count:
    enough = checked >= check.low and (check.high is None or checked <= check.high)
    return Count(checked, 0 if enough else 1)


def failing_rows(connection: duckdb.DuckDBPyConnection, rule: Rule, sql: RuleSql) -> list[tuple[Place, str]]:
    """Every failing row, as its place and `key=value ...（实际：observed）`, sorted, masked. Raises duckdb.Error."""
    if isinstance(rule.check, RowCount):
        return [((), rule.relation)]
    observed = rule.fill(rule.observed) if rule.observed else (duck.ident(rule.column) if rule.column else "NULL")
    keys = ", ".join(f"CAST({duck.ident(key)} AS VARCHAR)" for key in rule.keys)
    query = (
        f"SELECT {keys}, CAST({observed} AS VARCHAR) FROM {sql.relation} AS examined WHERE {sql.scope} AND {sql.fails}"
    )
    place = [rule.keys.index(name) for name in rule.place]
    found = [(tuple(row[n] for n in place), _named(rule.keys, row)) for row in duck.rows(connection, query)]
    return sorted(found, key=lambda item: item[1])


def _named(keys: Sequence[str], row: tuple[Any, ...]) -> str:
    parts = " ".join(f"{key}={'空' if value is None else value}" for key, value in zip(keys, row[:-1], strict=True))
    return mask(parts if row[-1] is None else f"{parts}（实际：{row[-1]}）")


def holds(connection: duckdb.DuckDBPyConnection, condition: str) -> bool:
    """Whether a condition of the catalogue is true for this candidate. Raises duckdb.Error."""
    return duck.rows(connection, f"SELECT coalesce(({condition}), false)")[0][0] is True


def describe(error: duckdb.Error) -> str:
    """The first line of a database error: later lines quote SQL, and casts quote cell values, so numbers are masked."""
    return f"{type(error).__name__}: {mask(str(error).splitlines()[0])}"
