"""The cells the disclosure step protects: which there are, which of them are sensitive, and what readers know of them.

What belongs here: reading marts under the policy. What does not: how cells hang together
(`warehouse.disclosure_equations`), choosing further cells (`warehouse.suppression`) and changing the marts
(`warehouse.disclosure_marks`). Half a million cells are read, so everything is done a column at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, overload

import duckdb
import numpy as np

from warehouse import duck
from warehouse.disclosure_grid import Block, Flags, Floats, Grid, Ints, Place, Told, read
from warehouse.disclosure_policy import FACT_KEY, FACTS, Money, Part, Policy, Table
from warehouse.errors import Fault
from warehouse.suppression import Cell

# Losing a district's cell costs least; the city's and an indicator's value are what people read.
_PRICES: Final = {"district": 0, "municipal": 0, "group": 1, "city": 2}
_ROLLUP_PRICE: Final = 1
_FACT_PRICE: Final = 3
_FACT_TABLE: Final = Table(
    name=FACTS, key=FACT_KEY, counts=("numerator", "denominator"), where="method = 'computed'", additive=False
)

Key = tuple[str, Place, str]


@dataclass
class Found:
    """Cells of one table as they are come across: where they stand, their numbers, and what is known of them."""

    keys: Ints
    value: Floats
    price: Ints
    need: Floats
    sensitive: Flags


@dataclass
class Sheet:
    """All cells of all protected tables, numbered in reading order: table by table, row by row of the key."""

    grids: dict[str, Grid] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    value: Floats = field(default_factory=lambda: np.empty(0))
    price: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    need: Floats = field(default_factory=lambda: np.empty(0))
    known: Flags = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    sensitive: Flags = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    @property
    def primary(self) -> set[int]:
        """The numbers of the sensitive cells."""
        return set(np.flatnonzero(self.sensitive).tolist())

    @property
    def cells(self) -> Cells:
        """What choosing needs to know of each cell."""
        return Cells(self)

    def named(self, cell: int) -> Key:
        """Table, canonical key and column of a cell."""
        [(name, block)] = [item for item in self.blocks.items() if 0 <= cell - item[1].first < len(item[1].keys)]
        [(place, column)] = block.named(np.array([cell]))
        return name, place, column

    def add(self, grid: Grid, columns: tuple[str, ...], found: Found, told: Told | None) -> None:
        """Take the cells of a table in; the same place and column in a second row is the same cell."""
        keys, first, owner = np.unique(found.keys, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty(len(keys), dtype=np.int64)
        number[order] = np.arange(len(keys))
        own = first[order]
        block = Block(grid.axes, columns, len(self.value), found.keys[own])
        sensitive = np.zeros(len(keys), dtype=np.bool_)
        sensitive[number[owner[found.sensitive]]] = True
        known, hidden = _as_told(block, found.value[own], told)
        self.grids[grid.table.name], self.blocks[grid.table.name] = grid, block
        self.value = np.concatenate([self.value, found.value[own]])
        self.price = np.concatenate([self.price, found.price[own]])
        self.need = np.concatenate([self.need, found.need[own]])
        self.known = np.concatenate([self.known, known])
        self.sensitive = np.concatenate([self.sensitive, sensitive | hidden])


@dataclass(frozen=True)
class Cells(Sequence[Cell]):
    """The cells of a sheet, each made when it is asked for: few of them are."""

    sheet: Sheet

    def __len__(self) -> int:
        return len(self.sheet.value)

    @overload
    def __getitem__(self, index: int) -> Cell: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Cell]: ...
    def __getitem__(self, index: int | slice) -> Cell | Sequence[Cell]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        sheet = self.sheet
        return Cell(
            float(sheet.value[index]), int(sheet.price[index]), bool(sheet.known[index]), float(sheet.need[index])
        )


def read_sheet(connection: duckdb.DuckDBPyConnection, told: duckdb.DuckDBPyConnection | None, book: Policy) -> Sheet:
    """Every cell of a build; `told`: the standing release. Raises Fault for an area of an unknown level."""
    sheet = Sheet()
    for table in book.tables:
        _read_table(connection, told, book, table, sheet)
    _read_facts(connection, told, book, sheet)
    return sheet


def _as_told(block: Block, value: Floats, told: Told | None) -> tuple[Flags, Flags]:
    """For each cell: whether readers know this number, and whether it was kept from them."""
    known, hidden = np.zeros((2, len(block.keys)), dtype=np.bool_)
    if told is None:
        return known, hidden
    for column in block.columns:
        cells = block.find(told.places, column) - block.first
        there = cells >= 0
        out, before = told.hidden[column], told.columns[column]
        hidden[cells[there & out]] = True
        shown = there & ~out & ~np.isnan(before)
        known[cells[shown]] = before[shown] == value[cells[shown]]
    return known, hidden


# -- tables -----------------------------------------------------------------------------------------------------------


def _read_table(
    connection: duckdb.DuckDBPyConnection,
    told: duckdb.DuckDBPyConnection | None,
    book: Policy,
    table: Table,
    sheet: Sheet,
) -> None:
    spread = table.spread
    further = ["area_level", *table.wholes.values()]
    further += [spread.column, spread.weight, spread.limit] if spread is not None else []
    grid, earlier = read(connection, told, table, further)
    price = _prices(grid, np.ones(grid.rows.num_rows, dtype=np.bool_)) + _ROLLUP_PRICE * _is_whole(grid)
    dominated = _dominated(connection, grid, book.dominance_percent)
    values = np.stack([grid.numbers(column) for column in table.counts], axis=1)
    small = [
        dominated if dominated is not None else _is_small(book, grid, column, values[:, at])
        for at, column in enumerate(table.counts)
    ]
    there = ~np.isnan(values)
    width = len(table.counts)
    value = values[there]
    # A complement hides an amount of money well when it is as large as the doubt that is to be left.
    need = np.abs(value) * book.dominance_percent / 100 if table.money else np.full(len(value), float(book.k))
    found = Found(
        keys=(grid.canonical[:, None] * width + np.arange(width))[there],
        value=value,
        price=np.repeat(price[:, None], width, axis=1)[there],
        need=need,
        sensitive=np.stack(small, axis=1)[there],
    )
    sheet.add(grid, table.counts, found, earlier)


def _prices(grid: Grid, asked: Flags) -> Ints:
    """What losing a cell costs by the level of its row's area. Raises Fault for an unknown one among `asked`."""
    coded = grid.rows.column("area_level").combine_chunks().dictionary_encode("encode")
    levels, codes = [str(level) for level in coded.dictionary.to_pylist()], coded.indices.to_numpy()
    for level in (levels[code] for code in np.unique(codes[asked])):
        if level not in _PRICES:
            raise Fault(
                f"披露控制：{grid.table.name} 中有层级为“{level}”的区域，不知道它与其他区域怎样加总，"
                "无法防止相减推算。",
                "请在 int_area_member 中写明它是哪些区域之和，并在 warehouse/disclosure_cells.py 中给出层级。",
            )
    prices: Ints = np.array([_PRICES.get(level, 0) for level in levels], dtype=np.int64)[codes]
    return prices


def _is_whole(grid: Grid) -> Flags:
    rollup = grid.table.rollup
    if rollup is None:
        return np.zeros(grid.rows.num_rows, dtype=np.bool_)
    return np.equal(grid.axes.codes(grid.places, rollup.column), grid.axes.code(rollup.column, rollup.whole))


def _is_small(book: Policy, grid: Grid, column: str, value: Floats) -> Flags:
    """Which numbers of persons of a column tell too much. Comparisons with NULL (NaN) are false."""
    small: Flags = (value > 0) & (value < book.k)
    name = grid.table.wholes.get(column)
    if name is None:
        return small
    whole = grid.numbers(name)
    small |= (whole > 0) & (whole < book.small_group) & ((value == 0) | (value == whole))
    if column in grid.table.complements:
        small |= (whole - value > 0) & (whole - value < book.k)
    return small


def _dominated(connection: duckdb.DuckDBPyConnection, grid: Grid, percent: float) -> Flags | None:
    """The rows whose amount would tell the largest unit's to the second largest within `percent`; None where the table
    holds no money."""
    money = grid.table.money
    if money is None:
        return None
    whole = grid.table.rollup.whole if grid.table.rollup is not None else ""
    named = {"area_code": "area_code", "period": "period", money.kind: "kind", money.measure: "measure"}
    found = duck.rows(connection, _telling(money, whole), [percent])
    order = ["area_code", "period", "kind", "measure"]
    codes = [
        np.array([grid.axes.code(name, row[order.index(named[name])]) for row in found], dtype=np.int64)
        for name in grid.table.key
    ]
    return np.isin(grid.canonical, grid.axes.places(codes))


def _telling(money: Money, whole: str) -> str:
    """SQL: area, period, kind (`whole` for all of them) and measure where all units but the largest two have too
    little."""
    parts = []
    for at, column in enumerate(money.columns.values()):
        amount = f"abs(u.{duck.ident(column)})"
        counts = f"FILTER (WHERE u.{duck.ident(column)} <> 0)"
        parts.append(f"sum({amount}) {counts} AS total{at}, max({amount}, 2) {counts} AS largest{at}")
    kind = f"u.{duck.ident(money.kind)}"
    measures = " UNION ALL ".join(
        f"SELECT area_code, period, kind, {duck.literal(measure)} AS measure, total{at} AS total,"
        f" largest{at}[1] AS first, coalesce(largest{at}[2], 0) AS second FROM summed"
        for at, measure in enumerate(money.columns)
    )
    return f"""
        WITH summed AS (
            SELECT m.area_code, m.period, coalesce({kind}, {duck.literal(whole)}) AS kind, {", ".join(parts)}
            FROM {money.relation} AS u
            INNER JOIN intermediate.int_area_member AS m ON m.period = u.period AND m.part_area_code = u.area_code
            GROUP BY GROUPING SETS ((m.area_code, m.period, {kind}), (m.area_code, m.period))
        )
        SELECT area_code, period, kind, measure FROM ({measures})
        WHERE CAST(total - first - second AS DOUBLE) < CAST(first AS DOUBLE) * ? / 100
    """


# -- indicator values -------------------------------------------------------------------------------------------------


def _read_facts(
    connection: duckdb.DuckDBPyConnection, told: duckdb.DuckDBPyConnection | None, book: Policy, sheet: Sheet
) -> None:
    grid, earlier = read(connection, told, _FACT_TABLE, ["area_level"], told_where="true")
    columns = _FACT_TABLE.counts
    values = {column: grid.numbers(column) for column in columns}
    indicator = grid.axes.codes(grid.places, "indicator_id")
    # (row, which part of the policy), so that cells are numbered row by row.
    listed = [_rows_of(grid, indicator, item, values[item.part]) for item in book.indicators]
    row = np.concatenate([np.empty(0, dtype=np.int64), *listed])
    part = np.repeat(np.arange(len(listed)), [len(found) for found in listed])
    order = np.lexsort((part, row))
    row, part = row[order], part[order]
    at = np.array([columns.index(item.part) for item in book.indicators], dtype=np.int64)[part]
    value = np.stack([values[column] for column in columns], axis=1)[row, at]
    money = np.array([_is_money(book, item) for item in book.indicators], dtype=np.bool_)[part]
    share = np.array([item.is_share for item in book.indicators], dtype=np.bool_)[part]
    whole = values["denominator"][row]
    all_or_none = (whole > 0) & (whole < book.small_group) & ((value == 0) | (value == whole))
    asked = np.zeros(grid.rows.num_rows, dtype=np.bool_)
    asked[row] = True
    found = Found(
        keys=grid.places[row] * len(columns) + at,
        value=value,
        price=_FACT_PRICE + _prices(grid, asked)[row],
        need=np.where(money, np.abs(value) * book.dominance_percent / 100, float(book.k)),
        sensitive=~money & (((value > 0) & (value < book.k)) | (share & all_or_none)),
    )
    sheet.add(grid, columns, found, earlier)


def _rows_of(grid: Grid, indicator: Ints, item: Part, value: Floats) -> Ints:
    """The rows of an indicator in which a part of its value is there."""
    return np.flatnonzero((indicator == grid.axes.code("indicator_id", item.indicator)) & ~np.isnan(value))


def _is_money(book: Policy, item: Part) -> bool:
    return item.table is not None and book.table(item.table).money is not None
