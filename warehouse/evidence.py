"""From a published value to the delivered rows behind it, and from a delivery to the values that rest on it.

What belongs here: questions put to the evidence views of a sealed candidate and to the audit tables of a release. What
does not: how a row comes to count (`dbt_project/models/evidence/`), and how an answer is shown (`orchestration.cli`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import duck
from warehouse.candidate import DATABASE_NAME
from warehouse.errors import Fault
from warehouse.manifest import Release
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home

# indicator, area, year
Value = tuple[str, str, int]

EVIDENCE_SCHEMA: Final = "evidence"
CONTRIBUTIONS: Final = "evi_contribution"
LINEAGE: Final = "evi_lineage"
VALUE_LINEAGE: Final = "value_lineage"

# Sums of a reporting area are divided once, with the ten decimals its formula carries, before areas are added up.
_EXACT: Final = Decimal("0.0000000001")

_ROWS: Final = """
    WITH counted AS (
        SELECT e.*
        FROM evidence.evi_contribution AS e
        WHERE e.indicator_id = $indicator AND e.period = $period
            -- Where a published figure stands for incomplete records, its row alone is behind the value.
            AND (e.role = 'value') = (
                SELECT max(v.method) = 'official' FROM marts.fct_indicator_value AS v
                WHERE v.indicator_id = $indicator AND v.area_code = $area AND v.period = $period
            )
            AND (e.area_code = $area OR e.area_code IN (
                SELECT part_area_code FROM intermediate.int_area_member WHERE area_code = $area AND period = $period
            ))
    ),
    by_row AS (
        SELECT area_code, delivery_id, member, sheet, role, row_no, sum(amount) AS amount, max(divisor) AS divisor,
            list_sort(list(DISTINCT regexp_replace(source_cell, '^([A-Z]+)[0-9]+$', '\\1'))) AS columns
        FROM counted
        GROUP BY ALL
    ),
    runs AS (
        SELECT *, row_no - row_number() OVER (
            PARTITION BY area_code, delivery_id, member, sheet, role, columns ORDER BY row_no
        ) AS run
        FROM by_row
    )
    SELECT area_code, delivery_id, member, sheet, role, columns, min(row_no) AS first_row, max(row_no) AS last_row,
        count(*) AS rows, sum(amount) AS amount, max(divisor) AS divisor
    FROM runs
    GROUP BY area_code, delivery_id, member, sheet, role, columns, run
    ORDER BY area_code, delivery_id, role DESC, member, sheet, first_row, columns
"""


@dataclass(frozen=True)
class RowRange:
    """Neighbouring rows of one sheet that count in one part of a value, and what they add to it before division.

    `role`: numerator, denominator, or value for a published figure; `columns`: letters (or field names) of the cells
    read, empty where the whole row counts as one; `first_row` is None where the whole delivery is the proof. `amount`
    is in the indicator's own units before the area's sum is divided by `divisor` (12 for twelfths of a year).
    """

    area_code: str
    delivery_id: str
    member: str
    sheet: str
    role: str
    columns: tuple[str, ...]
    first_row: int | None
    last_row: int | None
    rows: int
    amount: Decimal
    divisor: int


def candidate_database(home: Home, release: Release) -> Path | None:
    """The database a release was copied from, or None when it is no longer kept."""
    path = home.candidates / release.candidate_id / DATABASE_NAME
    return path if path.is_file() else None


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A candidate's database, read-only; its views name it `candidate`, as dbt knew it. Raises Fault."""
    with duck.connect(path, read_only=True) as connection:
        try:
            yield connection
        except duckdb.IOException as error:
            raise Fault(
                "记录文件缺失或已移走，追不到行。", "请执行 eduplan verify 查明原因，再用 eduplan rebuild 重建。"
            ) from error


def has_evidence(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the candidate was built with evidence views."""
    query = "SELECT count(*) FROM duckdb_views() WHERE schema_name = ? AND view_name = ?"
    return bool(duck.rows(connection, query, [EVIDENCE_SCHEMA, CONTRIBUTIONS])[0][0])


def row_ranges(connection: duckdb.DuckDBPyConnection, indicator_id: str, area_code: str, period: int) -> list[RowRange]:
    """Every row that counts in a value, neighbours together, in the order of delivery, sheet and row."""
    cursor = connection.execute(_ROWS, {"indicator": indicator_id, "area": area_code, "period": period})
    names = [column[0] for column in cursor.description or ()]
    return [_range(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _range(row: Mapping[str, Any]) -> RowRange:
    columns = tuple(name for name in row["columns"] if name)
    return RowRange(**{**row, "columns": columns})


def recompute(ranges: Iterable[RowRange]) -> dict[str, Decimal]:
    """Role -> sum over the rows named; a role of which no row speaks is left out.

    Each reporting area's sum is divided once and rounded to ten decimals, as the formula does; then areas are added.
    """
    sums: dict[tuple[str, str, int], Decimal] = {}
    for item in ranges:
        key = (item.role, item.area_code, item.divisor)
        sums[key] = sums.get(key, Decimal(0)) + item.amount
    parts: dict[str, Decimal] = {}
    for (role, _, divisor), total in sums.items():
        parts[role] = parts.get(role, Decimal(0)) + (total / divisor).quantize(_EXACT)
    return parts


# -- values of a delivery ---------------------------------------------------------------------------------------------

_RESTING: Final = """
    SELECT l.indicator_id, i.name_zh, l.area_code, l.period, v.value, v.unit, v.publish_status
    FROM audit.value_lineage AS l
    INNER JOIN marts.fct_indicator_value AS v
        ON v.indicator_id = l.indicator_id AND v.area_code = l.area_code AND v.period = l.period
    INNER JOIN marts.dim_indicator AS i ON i.indicator_id = l.indicator_id
    WHERE l.delivery_id = ?
    ORDER BY l.indicator_id, l.period, l.area_code
"""


def values_resting_on(release: Release, delivery_id: str) -> list[dict[str, Any]] | None:
    """The values of a release that rest on a delivery: indicator, area, year, value; None when the release was made
    before values named their deliveries. Raises Fault when its marts cannot be opened."""
    with duck.open_database(release.path / MARTS_FILE) as connection:
        if VALUE_LINEAGE not in duck.tables(connection, "audit"):
            return None
        return dicts(connection.execute(_RESTING, [delivery_id]))


def dicts(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of an executed query with their column names."""
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def value_lineage(database: Path) -> pa.Table | None:
    """(indicator_id, area_code, period, feed, delivery_id) of a candidate, sorted; None when it has no evidence views.
    Raises Fault when it cannot be opened."""
    with duck.connect(database, read_only=True) as connection:
        if not has_evidence(connection):
            return None
        return connection.execute(
            "SELECT DISTINCT indicator_id, area_code, period, feed, delivery_id FROM evidence.evi_lineage"
            " ORDER BY indicator_id, area_code, period, feed, delivery_id"
        ).to_arrow_table()


@dataclass(frozen=True)
class Lineage:
    """(indicator, area, period) -> deliveries, and delivery -> (feed, period) of those that are in it."""

    deliveries: dict[Value, frozenset[str]]
    kinds: dict[str, tuple[str, int]]


def lineage_of(database: Path, values: Collection[Value] | None = None) -> Lineage | None:
    """The value lineage of a release's marts file or of a candidate; None when it names none. Raises Fault."""
    with duck.open_database(database) as connection:
        published = VALUE_LINEAGE in duck.tables(connection, "audit")
        found = connection.execute(_LINEAGE).to_arrow_table() if published else None
    return lineage_in(value_lineage(database) if found is None else found, values)


def lineage_in(table: pa.Table | None, values: Collection[Value] | None = None) -> Lineage | None:
    """What `value_lineage` found, for looking things up, of these values alone where they are named; None when it names
    none."""
    if table is None or table.num_rows == 0:
        return None
    kinds: dict[str, tuple[str, int]] = {}
    for row in table.group_by(["delivery_id", "feed", "period"]).aggregate([]).to_pylist():
        # A cohort's first year stands behind a later year too; a delivery is of its own, the earliest.
        kind = (row["feed"], row["period"])
        kinds[row["delivery_id"]] = min(kinds.get(row["delivery_id"], kind), kind)
    sets: dict[Value, set[str]] = {}
    wanted = table if values is None else _about(table, values)
    names = ("indicator_id", "area_code", "period", "delivery_id")
    for *value, delivery in zip(*(wanted.column(name).to_pylist() for name in names), strict=True):
        sets.setdefault(tuple(value), set()).add(delivery)
    return Lineage({key: frozenset(found) for key, found in sets.items()}, kinds)


def _about(table: pa.Table, values: Collection[Value]) -> pa.Table:
    """The rows about these values, and some of others: all combinations of their indicators and areas."""
    mask = [
        pc.is_in(table.column(name), value_set=pa.array(sorted({value[at] for value in values}), pa.string()))
        for at, name in enumerate(("indicator_id", "area_code"))
    ]
    return table.filter(pc.and_(*mask))


_LINEAGE: Final = "SELECT indicator_id, area_code, period, feed, delivery_id FROM audit.value_lineage"


def responsible(old: Lineage, new: Lineage, key: Value) -> list[str]:
    """The deliveries that came or went behind a value between two releases, sorted; empty when none did.

    Where none of its own did, those of its feeds and its year elsewhere: a person counts in one district only, so a
    correction by one may change another.
    """
    before, after = old.deliveries.get(key, frozenset()), new.deliveries.get(key, frozenset())
    if before != after:
        return sorted(before ^ after)
    mine = {old.kinds[name] for name in before}
    moved = set(old.kinds) ^ set(new.kinds)
    return sorted(name for name in moved if (old.kinds.get(name) or new.kinds[name]) in mine)
