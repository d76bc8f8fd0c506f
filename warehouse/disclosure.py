"""The disclosure step: cells that could tell about single persons leave the marts before anybody judges or sees them.

What belongs here: which cells are sensitive under the policy (`disclosure.yaml`), how cells hang together, what earlier
releases already said, and taking the cells out of a build's database. What does not: the linear algebra
(`warehouse.suppression`) and the rule that checks the result (`expectations`).

A suppressed number is NULL, and the text column `suppressed` of its row names the column; CSV and report show the
symbol. What an earlier release suppressed stays suppressed, and what it published counts as known: so two releases
subtracted from each other give no more than each of them alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import duckdb
import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from warehouse import duck
from warehouse.errors import Fault, Refused
from warehouse.suppression import Cell, Equation, complete

POLICY_FILE: Final = Path(__file__).with_name("disclosure.yaml")
MARKS: Final = "suppressed"
FACTS: Final = "fct_indicator_value"
FACT_KEY: Final = ("indicator_id", "area_code", "period")
# Losing a district's cell costs least; the city's and an indicator's value are what people read.
_PRICES: Final = {"district": 0, "municipal": 0, "group": 1, "city": 2}
_FACT_PRICE: Final = 3

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Key = tuple[str, tuple[Any, ...], str]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sum(_Strict):
    """Within a row, `whole` = sum of `parts`."""

    whole: Name
    parts: tuple[Name, ...]


class Table(_Strict):
    """A mart whose `counts` are persons. `wholes`: the group a count is part of; `complements`: counts whose rest of
    the group is told as well (boys beside girls); `derived`: columns that give a count away, with the counts."""

    name: Name
    key: tuple[Name, ...]
    counts: tuple[Name, ...]
    sums: tuple[Sum, ...] = ()
    wholes: dict[Name, Name] = Field(default_factory=dict)
    complements: tuple[Name, ...] = ()
    derived: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)


class Same(_Strict):
    """The same number stands in two tables of the same key."""

    table: Name
    other: Name
    column: Name


class Indicator(_Strict):
    """`part` of an indicator's value is the sum of `column` of `table` over `stages`."""

    indicator: Name
    part: Name
    column: Name
    stages: tuple[Name, ...]
    table: Name = "mart_teacher_quality"


class Copy(_Strict):
    """A mart that repeats indicator values; `columns` are its own names of value, numerator and denominator."""

    table: Name
    key: tuple[Name, Name, Name]


class Policy(_Strict):
    """The whole of `disclosure.yaml`."""

    k: int = Field(ge=2)
    small_group: int = Field(ge=0)
    symbol: str
    tables: tuple[Table, ...]
    same: tuple[Same, ...] = ()
    indicators: tuple[Indicator, ...] = ()
    copies: tuple[Copy, ...] = ()


@cache
def policy() -> Policy:
    """The shipped policy, read once. Raises Fault when it is not valid."""
    try:
        return Policy.model_validate(yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Fault(f"披露控制配置 {POLICY_FILE.name} 不合规：{error}", "请按文件开头的说明修改。") from error


@dataclass(frozen=True)
class Outcome:
    """How many cells were taken out: sensitive ones, and those beside them."""

    primary: int
    complementary: int


@dataclass
class _Sheet:
    """All cells of all protected tables, numbered in reading order."""

    cells: list[Cell] = field(default_factory=list)
    number: dict[Key, int] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    primary: set[int] = field(default_factory=set)

    def add(self, key: Key, cell: Cell) -> None:
        self.number[key] = len(self.cells)
        self.cells.append(cell)

    def relate(self, whole: Key, parts: Iterable[Key]) -> None:
        """Add whole = sum of parts, as far as the cells exist: an empty cell adds nothing to a sum."""
        found = tuple(self.number[part] for part in parts if part in self.number)
        if whole in self.number and found:
            self.equations.append(Equation(self.number[whole], found))


@dataclass(frozen=True)
class Earlier:
    """What the standing release says of the protected tables: cell -> value, and the cells it suppressed."""

    known: dict[Key, float] = field(default_factory=dict)
    suppressed: frozenset[Key] = frozenset()


def protect(database: Path, previous: Path | None, *, rules: Policy | None = None) -> Outcome:
    """Take sensitive cells out of schema `marts` of a build, in place. `previous`: the standing release's marts file.

    Raises Refused when a suppressed cell could still be computed, Fault when a file cannot be opened.
    """
    book = rules if rules is not None else policy()
    earlier = _read_earlier(previous, book) if previous is not None else Earlier()
    with duck.connect(database) as connection:
        sheet = _Sheet()
        _read_cells(connection, book, earlier, sheet)
        _relate(connection, book, sheet)
        hidden, left = complete(sheet.cells, sheet.equations, sheet.primary, least=book.k)
        open_cells = [cell for cell in left if not sheet.cells[cell].known]
        if open_cells:
            raise Refused(
                f"披露控制：{len(open_cells)} 个应隐去的单元格仍可由公布的合计推算，未构建。",
                "请检查 disclosure.yaml 中的表间关系；不要调低 k。",
            )
        _take_out(connection, book, sheet, hidden)
    return Outcome(len(sheet.primary), len(hidden) - len(sheet.primary))


# -- reading ----------------------------------------------------------------------------------------------------------


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _read_cells(connection: duckdb.DuckDBPyConnection, book: Policy, earlier: Earlier, sheet: _Sheet) -> None:
    for table in book.tables:
        order = ", ".join(table.key)
        for row in _rows(connection, f"SELECT * FROM marts.{duck.ident(table.name)} ORDER BY {order}"):
            key = tuple(row[name] for name in table.key)
            for column in table.counts:
                if row[column] is not None:
                    name = (table.name, key, column)
                    _add(sheet, name, float(row[column]), _PRICES[row["area_level"]], earlier)
                    if _is_sensitive(book, table, row, column) or name in earlier.suppressed:
                        sheet.primary.add(sheet.number[name])
    _read_facts(connection, book, earlier, sheet)


def _add(sheet: _Sheet, name: Key, value: float, price: int, earlier: Earlier) -> None:
    sheet.add(name, Cell(value, price, earlier.known.get(name) == value))


def _read_facts(connection: duckdb.DuckDBPyConnection, book: Policy, earlier: Earlier, sheet: _Sheet) -> None:
    parts: dict[str, list[str]] = defaultdict(list)
    for item in book.indicators:
        parts[item.indicator].append(item.part)
    for row in _rows(
        connection, f"SELECT * FROM marts.{FACTS} WHERE method = 'computed' ORDER BY {', '.join(FACT_KEY)}"
    ):
        key = tuple(row[name] for name in FACT_KEY)
        for part in parts.get(str(row["indicator_id"]), ()):
            if row[part] is not None:
                name = (FACTS, key, part)
                _add(sheet, name, float(row[part]), _FACT_PRICE + _PRICES[row["area_level"]], earlier)
                if 0 < row[part] < book.k or name in earlier.suppressed:
                    sheet.primary.add(sheet.number[name])


def _is_sensitive(book: Policy, table: Table, row: dict[str, Any], column: str) -> bool:
    value = row[column]
    if 0 < value < book.k:
        return True
    whole = row.get(table.wholes.get(column, ""))
    if whole is None:
        return False
    if 0 < whole < book.small_group and value in (0, whole):
        return True
    return column in table.complements and 0 < whole - value < book.k


def _read_earlier(previous: Path, book: Policy) -> Earlier:
    known: dict[Key, float] = {}
    hidden: set[Key] = set()
    wanted = {table.name: (table.key, table.counts) for table in book.tables}
    wanted[FACTS] = (FACT_KEY, ("numerator", "denominator"))
    with duck.connect(previous, read_only=True) as connection:
        # Inside marts.duckdb the schema must be named with its database, which bears the same name.
        database = duck.ident(duck.rows(connection, "SELECT current_database()")[0][0])
        for name, (key, columns) in wanted.items():
            if name not in duck.tables(connection, "marts"):
                continue
            for row in _rows(connection, f"SELECT * FROM {database}.marts.{duck.ident(name)}"):
                marks = str(row.get(MARKS) or "").split(",")
                place = tuple(row.get(part) for part in key)
                for column in columns:
                    if column in marks:
                        hidden.add((name, place, column))
                    elif row.get(column) is not None:
                        known[(name, place, column)] = float(row[column])
    return Earlier(known, frozenset(hidden))


# -- how cells hang together ------------------------------------------------------------------------------------------


def _relate(connection: duckdb.DuckDBPyConnection, book: Policy, sheet: _Sheet) -> None:
    members = _members(connection)
    for table in book.tables:
        for name, key, column in [cell for cell in sheet.number if cell[0] == table.name]:
            place = dict(zip(table.key, key, strict=True))
            parts = members.get((place["period"], place["area_code"]), ())
            sheet.relate(
                (name, key, column),
                ((name, tuple({**place, "area_code": part}[n] for n in table.key), column) for part in parts),
            )
        for key in dict.fromkeys(cell[1] for cell in sheet.number if cell[0] == table.name):
            for total in table.sums:
                sheet.relate((table.name, key, total.whole), ((table.name, key, part) for part in total.parts))
    for same in book.same:
        for name, key, column in list(sheet.number):
            if (name, column) == (same.table, same.column):
                sheet.relate((name, key, column), [(same.other, key, column)])
    _relate_facts(book, sheet, members)


def _relate_facts(book: Policy, sheet: _Sheet, members: dict[tuple[int, str], tuple[str, ...]]) -> None:
    for item in book.indicators:
        for name, key, part in list(sheet.number):
            if name == FACTS and key[0] == item.indicator and part == item.part:
                _, area, period = key
                cells = [(item.table, (area, period, stage), item.column) for stage in item.stages]
                sheet.relate((name, key, part), cells)
                inside = [(name, (key[0], leaf, period), part) for leaf in members.get((period, area), ())]
                sheet.relate((name, key, part), inside)


def _members(connection: duckdb.DuckDBPyConnection) -> dict[tuple[int, str], tuple[str, ...]]:
    """(period, city or group) -> the areas it is the sum of."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    query = (
        "SELECT period, area_code, part_area_code FROM intermediate.int_area_member"
        " WHERE area_level IN ('city', 'group') ORDER BY period, area_code, part_area_code"
    )
    for period, area, part in duck.rows(connection, query):
        found[(period, area)].append(part)
    return {key: tuple(parts) for key, parts in found.items()}


# -- taking out -------------------------------------------------------------------------------------------------------


def _take_out(connection: duckdb.DuckDBPyConnection, book: Policy, sheet: _Sheet, hidden: Iterable[int]) -> None:
    names = {number: key for key, number in sheet.number.items()}
    marks: dict[str, dict[tuple[Any, ...], set[str]]] = defaultdict(lambda: defaultdict(set))
    for cell in hidden:
        table, key, column = names[cell]
        marks[table][key].add(column)
    for table_policy in book.tables:
        for columns in marks[table_policy.name].values():
            columns |= {name for name, given in table_policy.derived.items() if columns.intersection(given)}
        _blank(connection, table_policy.name, table_policy.key, marks[table_policy.name])
    for columns in marks[FACTS].values():
        columns.add("value")
    _blank(connection, FACTS, FACT_KEY, marks[FACTS])
    for copy in book.copies:
        _blank(connection, copy.table, copy.key, marks[FACTS])


def _blank(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    key: Sequence[str],
    marks: dict[tuple[Any, ...], set[str]],
) -> None:
    """Empty the marked cells and name them in the row."""
    if not marks:
        return
    rows = [
        {**{f"k{n}": part for n, part in enumerate(place)}, MARKS: ",".join(sorted(columns))}
        for place, columns in sorted(marks.items())
    ]
    connection.register("incoming", pa.Table.from_pylist(rows))
    target = f"marts.{duck.ident(table)}"
    match = " AND ".join(f"{target}.{duck.ident(name)} = incoming.k{n}" for n, name in enumerate(key))
    connection.execute(f"UPDATE {target} SET {MARKS} = incoming.{MARKS} FROM incoming WHERE {match}")
    for column in sorted(set().union(*marks.values())):
        name = duck.ident(column)
        connection.execute(
            f"UPDATE {target} SET {name} = NULL WHERE list_contains(string_split({MARKS}, ','), {duck.literal(column)})"
        )
    connection.unregister("incoming")
