"""The cells the disclosure step protects: which there are, which of them are sensitive, what readers know of them, and
which equations tie them together.

What belongs here: reading marts under the policy. What does not: choosing further cells (`warehouse.suppression`) and
changing the marts (`warehouse.disclosure_marks`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import duckdb

from warehouse import duck
from warehouse.disclosure_policy import FACT_KEY, FACTS, Money, Part, Policy, Table
from warehouse.errors import Fault
from warehouse.suppression import Cell, Equation

MARKS: Final = "suppressed"
# Losing a district's cell costs least; the city's and an indicator's value are what people read.
_PRICES: Final = {"district": 0, "municipal": 0, "group": 1, "city": 2}
_ROLLUP_PRICE: Final = 1
_FACT_PRICE: Final = 3

Place = tuple[Any, ...]
Key = tuple[str, Place, str]
Members = Mapping[tuple[int, str], tuple[str, ...]]


@dataclass
class Sheet:
    """All cells of all protected tables, in reading order. `number`: (table, canonical key, column) -> cell."""

    cells: list[Cell] = field(default_factory=list)
    number: dict[Key, int] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    primary: set[int] = field(default_factory=set)

    def add(self, key: Key, cell: Cell, *, sensitive: bool) -> None:
        """Take a cell in; the same number in a second row is the same cell."""
        if key not in self.number:
            self.number[key] = len(self.cells)
            self.cells.append(cell)
        if sensitive:
            self.primary.add(self.number[key])

    def relate(self, whole: Key, parts: Iterable[Key]) -> None:
        """Add whole = sum of parts, as far as the cells exist: an empty cell adds nothing to a sum."""
        found = tuple(self.number[part] for part in parts if part in self.number)
        if whole in self.number and found:
            self.equations.append(Equation(self.number[whole], found))

    def of(self, table: str) -> list[Key]:
        """The cells of one table."""
        return [key for key in self.number if key[0] == table]


@dataclass(frozen=True)
class Earlier:
    """What the standing release says of the protected tables: cell -> value, and the cells it suppressed."""

    known: dict[Key, float] = field(default_factory=dict)
    suppressed: frozenset[Key] = frozenset()


def read_sheet(connection: duckdb.DuckDBPyConnection, book: Policy, earlier: Earlier) -> Sheet:
    """Every cell of a build, with its equations. Raises Fault for an area of an unknown level."""
    sheet = Sheet()
    for table in book.tables:
        _read_table(connection, book, table, earlier, sheet)
    _read_facts(connection, book, earlier, sheet)
    members = _members(connection)
    for table in book.tables:
        _relate_table(table, sheet, members)
    for same in book.same:
        for name, key, column in sheet.of(same.table):
            if column == same.column:
                sheet.relate((name, key, column), [(same.other, key, column)])
    _relate_facts(book, sheet, members)
    return sheet


# -- cells ------------------------------------------------------------------------------------------------------------


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[dict[str, Any]]:
    """The rows of a query by column name."""
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    for row in cursor.fetchall():
        yield dict(zip(names, row, strict=True))


def _read_table(
    connection: duckdb.DuckDBPyConnection, book: Policy, table: Table, earlier: Earlier, sheet: Sheet
) -> None:
    dominated = _dominated(connection, table, book.dominance_percent) if table.money else frozenset()
    order = ", ".join(table.key)
    query = f"SELECT * FROM marts.{duck.ident(table.name)} WHERE {table.where} ORDER BY {order}"
    for row in rows(connection, query):
        place = table.canonical(tuple(row[name] for name in table.key))
        price = _price(row["area_level"], table.name) + (_ROLLUP_PRICE if _is_whole(table, row) else 0)
        for column in table.counts:
            if row[column] is None:
                continue
            key, value = (table.name, place, column), float(row[column])
            sensitive = place in dominated if table.money else _is_small(book, table, row, column)
            # A complement hides an amount of money well when it is as large as the doubt that is to be left.
            need = abs(value) * book.dominance_percent / 100 if table.money else float(book.k)
            cell = Cell(value, price, earlier.known.get(key) == value, need)
            sheet.add(key, cell, sensitive=sensitive or key in earlier.suppressed)


def _price(level: str, table: str) -> int:
    if level not in _PRICES:
        raise Fault(
            f"披露控制：{table} 中有层级为“{level}”的区域，不知道它与其他区域怎样加总，无法防止相减推算。",
            "请在 int_area_member 中写明它是哪些区域之和，并在 warehouse/disclosure_cells.py 中给出层级。",
        )
    return _PRICES[level]


def _is_whole(table: Table, row: Mapping[str, Any]) -> bool:
    return table.rollup is not None and row[table.rollup.column] == table.rollup.whole


def _is_small(book: Policy, table: Table, row: Mapping[str, Any], column: str) -> bool:
    value = row[column]
    if 0 < value < book.k:
        return True
    whole = row.get(table.wholes.get(column, ""))
    if whole is None:
        return False
    if 0 < whole < book.small_group and value in (0, whole):
        return True
    return column in table.complements and 0 < whole - value < book.k


def _dominated(connection: duckdb.DuckDBPyConnection, table: Table, percent: float) -> frozenset[Place]:
    """Keys of the rows whose amount would tell the largest unit's to the second largest within `percent`."""
    money = table.money
    if money is None:
        return frozenset()
    found: set[Place] = set()
    whole = table.rollup.whole if table.rollup is not None else ""
    for measure, column in money.columns.items():
        for area, period, kind, total, first, second in duck.rows(connection, _largest(money, column, whole)):
            if float(total - first - second) < float(first) * percent / 100:
                named = {"area_code": area, "period": period, money.kind: kind, money.measure: measure}
                found.add(tuple(named[name] for name in table.key))
    return frozenset(found)


def _largest(money: Money, column: str, whole: str) -> str:
    """SQL: area, period, kind (and `whole` for all of them), total, largest and second largest amount of a unit."""
    amount, kind = f"abs(u.{duck.ident(column)})", f"u.{duck.ident(money.kind)}"
    return f"""
        SELECT m.area_code, m.period, coalesce({kind}, {duck.literal(whole)}) AS kind, sum({amount}) AS total,
            max({amount}) AS first, coalesce(max({amount}, 2)[2], 0) AS second
        FROM {money.relation} AS u
        INNER JOIN intermediate.int_area_member AS m ON m.period = u.period AND m.part_area_code = u.area_code
        WHERE u.{duck.ident(column)} <> 0
        GROUP BY GROUPING SETS ((m.area_code, m.period, {kind}), (m.area_code, m.period))
    """


def _read_facts(connection: duckdb.DuckDBPyConnection, book: Policy, earlier: Earlier, sheet: Sheet) -> None:
    parts: dict[str, list[Part]] = defaultdict(list)
    for item in book.indicators:
        parts[item.indicator].append(item)
    order = ", ".join(FACT_KEY)
    for row in rows(connection, f"SELECT * FROM marts.{FACTS} WHERE method = 'computed' ORDER BY {order}"):
        place = tuple(row[name] for name in FACT_KEY)
        for item in parts.get(str(row["indicator_id"]), ()):
            if row[item.part] is None:
                continue
            key, value = (FACTS, place, item.part), float(row[item.part])
            money = item.table is not None and book.table(item.table).money is not None
            sensitive = not money and _is_small_part(book, item, row)
            price = _FACT_PRICE + _price(row["area_level"], FACTS)
            need = abs(value) * book.dominance_percent / 100 if money else float(book.k)
            cell = Cell(value, price, earlier.known.get(key) == value, need)
            sheet.add(key, cell, sensitive=sensitive or key in earlier.suppressed)


def _is_small_part(book: Policy, item: Part, row: Mapping[str, Any]) -> bool:
    value, whole = row[item.part], row["denominator"]
    if 0 < value < book.k:
        return True
    return item.is_share and whole is not None and 0 < whole < book.small_group and value in (0, whole)


# -- what readers know ------------------------------------------------------------------------------------------------


def read_earlier(previous: Path | None, book: Policy) -> Earlier:
    """What the standing release tells and what it keeps back. Raises Fault when it cannot be opened."""
    known: dict[Key, float] = {}
    hidden: set[Key] = set()
    if previous is None:
        return Earlier()
    facts = Table(name=FACTS, key=FACT_KEY, counts=("numerator", "denominator"))
    with duck.connect(previous, read_only=True) as connection:
        # Inside marts.duckdb the schema must be named with its database, which bears the same name.
        database = duck.ident(duck.rows(connection, "SELECT current_database()")[0][0])
        there = duck.tables(connection, "marts")
        for table in (*book.tables, facts):
            if table.name in there:
                query = f"SELECT * FROM {database}.marts.{duck.ident(table.name)} WHERE {table.where}"
                for row in rows(connection, query):
                    _recall(table, row, known, hidden)
    return Earlier(known, frozenset(hidden))


def _recall(table: Table, row: Mapping[str, Any], known: dict[Key, float], hidden: set[Key]) -> None:
    marks = str(row.get(MARKS) or "").split(",")
    place = table.canonical(tuple(row.get(part) for part in table.key))
    for column in table.counts:
        if column in marks:
            hidden.add((table.name, place, column))
        elif row.get(column) is not None:
            known[(table.name, place, column)] = float(row[column])


# -- how cells hang together ------------------------------------------------------------------------------------------


def _relate_table(table: Table, sheet: Sheet, members: Members) -> None:
    cells = sheet.of(table.name)
    if table.additive:
        _relate_areas(table, cells, sheet, members)
    if table.rollup is not None:
        _relate_rollup(table, cells, sheet)
    for place in dict.fromkeys(key[1] for key in cells):
        for total in table.sums:
            sheet.relate((table.name, place, total.whole), ((table.name, place, part) for part in total.parts))
        for across in table.across:
            if place[table.key.index(across.column)] == across.whole:
                others = [_moved(table, place, across.column, part) for part in across.parts]
                for column in table.counts:
                    sheet.relate((table.name, place, column), ((table.name, other, column) for other in others))


def _relate_areas(table: Table, cells: Iterable[Key], sheet: Sheet, members: Members) -> None:
    period, area = table.key.index("period"), table.key.index("area_code")
    for name, place, column in cells:
        inside = members.get((place[period], place[area]), ())
        sheet.relate(
            (name, place, column), ((name, _moved(table, place, "area_code", part), column) for part in inside)
        )


def _relate_rollup(table: Table, cells: Iterable[Key], sheet: Sheet) -> None:
    rollup = table.rollup
    if rollup is None:
        return
    at = table.key.index(rollup.column)
    parts: dict[Key, list[Key]] = defaultdict(list)
    for name, place, column in cells:
        if place[at] != rollup.whole:
            parts[(name, _moved(table, place, rollup.column, rollup.whole), column)].append((name, place, column))
    for whole, found in parts.items():
        sheet.relate(whole, found)


def _moved(table: Table, place: Place, column: str, value: str) -> Place:
    at = table.key.index(column)
    return (*place[:at], value, *place[at + 1 :])


def _relate_facts(book: Policy, sheet: Sheet, members: Members) -> None:
    cells: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in sheet.of(FACTS):
        cells[(key[1][0], key[2])].append(key)
    for item in book.indicators:
        for key in cells[(item.indicator, item.part)]:
            indicator, area, period = key[1]
            inside = [(FACTS, (indicator, leaf, period), item.part) for leaf in members.get((period, area), ())]
            sheet.relate(key, inside)
            summed = _summed(book, item, area, period)
            summed += [(FACTS, (other, area, period), part) for other, part in item.plus]
            sheet.relate(key, summed)


def _summed(book: Policy, item: Part, area: str, period: int) -> list[Key]:
    """The cells of a mart that an indicator's part is the sum of."""
    if item.table is None or item.column is None:
        return []
    table = book.table(item.table)
    chosen = [
        {"area_code": area, "period": period, **dict(zip(item.at, values, strict=True))}
        for values in product(*item.at.values())
    ]
    return [(table.name, table.canonical(tuple(place[name] for name in table.key)), item.column) for place in chosen]


def _members(connection: duckdb.DuckDBPyConnection) -> Members:
    """(period, city or group) -> the areas it is the sum of."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    query = (
        "SELECT period, area_code, part_area_code FROM intermediate.int_area_member"
        " WHERE area_level IN ('city', 'group') ORDER BY period, area_code, part_area_code"
    )
    for period, area, part in duck.rows(connection, query):
        found[(period, area)].append(part)
    return {key: tuple(parts) for key, parts in found.items()}
