"""How the protected cells hang together: every published sum as an equation between cells.

What belongs here: areas, roll-ups, columns and indicators that add up, as the policy says. What does not: which cells
there are (`warehouse.disclosure_cells`) and what follows from the equations (`warehouse.suppression`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

import duckdb
import numpy as np

from warehouse import duck
from warehouse.disclosure_cells import Sheet
from warehouse.disclosure_grid import ABSENT, Axes, Block, Flags, Ints
from warehouse.disclosure_policy import FACTS, Across, Part, Policy, Table
from warehouse.suppression import Equation

# (period, city or group, an area it is the sum of), by the three of them.
Members = list[tuple[int, str, str]]


def equations(connection: duckdb.DuckDBPyConnection, book: Policy, sheet: Sheet) -> list[Equation]:
    """Every sum that readers could take apart, in the order of the policy and of the cells."""
    members = _members(connection)
    found = _Equations()
    for table in book.tables:
        _relate_table(table, sheet.blocks[table.name], members, found)
    for same in book.same:
        block, other = sheet.blocks[same.table], sheet.blocks[same.other]
        cells = block.cells[block.at == _at(block, same.column)]
        codes = [
            block.axes.in_other(name, other.axes, other_name)[block.axes.codes(block.places, name)]
            for name, other_name in zip(block.axes.key, other.axes.key, strict=True)
        ]
        places = other.axes.places(codes)[cells - block.first]
        found.add(cells, np.arange(len(cells)), other.find(places, same.column))
    _relate_facts(book, sheet, members, found)
    return found.listed


@dataclass(frozen=True)
class _Inside:
    """Which areas a city or group is the sum of, in the codes of a table: sorted (period, area) and an area in it."""

    axes: Axes
    outer: Ints
    inner: Ints

    @classmethod
    def of(cls, axes: Axes, members: Members) -> _Inside:
        """The members in the codes of a table."""
        periods, areas, parts = zip(*members, strict=True) if members else ((), (), ())
        outer = _both(axes, _codes(axes, "period", periods), _codes(axes, "area_code", areas))
        order = np.argsort(outer, kind="stable")
        return cls(axes, outer[order], _codes(axes, "area_code", parts)[order])

    def at(self, places: Ints) -> tuple[Ints, Ints]:
        """For places of cities and groups: (index of the place, the same place in an area inside), by index."""
        here = _both(self.axes, self.axes.codes(places, "period"), self.axes.codes(places, "area_code"))
        first = np.searchsorted(self.outer, here, "left")
        counts = np.searchsorted(self.outer, here, "right") - first
        owner = np.repeat(np.arange(len(places)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, self.axes.moved(places[owner], "area_code", self.inner[first[owner] + within])


def _codes(axes: Axes, name: str, values: Iterable[object]) -> Ints:
    return np.array([axes.code(name, value) for value in values], dtype=np.int64)


def _both(axes: Axes, periods: Ints, areas: Ints) -> Ints:
    size = len(axes.values[axes.key.index("area_code")])
    return np.where((periods == ABSENT) | (areas == ABSENT), ABSENT, periods * size + areas)


@dataclass
class _Equations:
    """Equations as they are found. An empty cell adds nothing to a sum; of one that is not there nothing is said."""

    listed: list[Equation] = field(default_factory=list)

    def add(self, wholes: Ints, owner: Ints, parts: Ints) -> None:
        """For each of `wholes`: it is the sum of those `parts` whose `owner` is its index; in the order of wholes."""
        there = (parts != ABSENT) & (wholes[owner] != ABSENT)
        owner, parts = owner[there], parts[there]
        order = np.argsort(owner, kind="stable")
        owner, parts = owner[order], parts[order]
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        cells, bounds = parts.tolist(), [*starts.tolist(), len(parts)]
        self.listed += [
            Equation(whole, tuple(cells[first:last]))
            for whole, first, last in zip(wholes[owner[starts]].tolist(), bounds, bounds[1:], strict=False)
        ]


def _relate_table(table: Table, block: Block, members: Members, found: _Equations) -> None:
    if table.additive:
        owner, parts = _Inside.of(block.axes, members).at(block.places)
        found.add(block.cells, owner, _beside(block, owner, parts))
    if table.rollup is not None:
        _relate_rollup(block, table.rollup.column, table.rollup.whole, found)
    _relate_rows(table, block, found)


def _at(block: Block, column: str) -> int:
    return block.columns.index(column) if column in block.columns else ABSENT


def _beside(block: Block, owner: Ints, places: Ints) -> Ints:
    """The cells at other places in the columns in which the owners stand."""
    found = np.full(len(owner), ABSENT, dtype=np.int64)
    for at, column in enumerate(block.columns):
        here = block.at[owner] == at
        found[here] = block.find(places[here], column)
    return found


def _relate_rollup(block: Block, name: str, whole: str, found: _Equations) -> None:
    code = block.axes.code(name, whole)
    if code == ABSENT:
        return
    parts = np.flatnonzero(block.axes.codes(block.places, name) != code)
    keys = block.axes.moved(block.places[parts], name, code) * len(block.columns) + block.at[parts]
    found_keys, first, owner = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    wholes = _beside(block, parts[first[order]], found_keys[order] // len(block.columns))
    found.add(wholes, rank[owner], block.cells[parts])


def _relate_rows(table: Table, block: Block, found: _Equations) -> None:
    """Columns of a row, and rows of a key column, that add up: all that a place is the whole of, then the next."""
    _, first = np.unique(block.places, return_index=True)
    places = block.places[np.sort(first)]
    wholes, pieces = [], []
    for total in table.sums:
        wholes.append(block.find(places, total.whole))
        pieces.append([block.find(places, part) for part in total.parts])
    for across in table.across:
        for column in table.counts:
            wholes.append(np.where(_is_at(block.axes, places, across), block.find(places, column), ABSENT))
            pieces.append([block.find(_moved(block.axes, places, across, part), column) for part in across.parts])
    kinds = len(wholes)
    if kinds:
        owners = [np.arange(len(places)) * kinds + kind for kind, parts in enumerate(pieces) for _ in parts]
        found.add(
            np.stack(wholes, axis=1).reshape(-1),
            np.concatenate(owners),
            np.concatenate([part for parts in pieces for part in parts]),
        )


def _is_at(axes: Axes, places: Ints, across: Across) -> Flags:
    return np.equal(axes.codes(places, across.column), axes.code(across.column, across.whole))


def _moved(axes: Axes, places: Ints, across: Across, part: str) -> Ints:
    return axes.moved(places, across.column, axes.code(across.column, part))


# -- indicator values -------------------------------------------------------------------------------------------------


def _relate_facts(book: Policy, sheet: Sheet, members: Members, found: _Equations) -> None:
    facts = sheet.blocks[FACTS]
    indicator = facts.axes.codes(facts.places, "indicator_id")
    areas = _Inside.of(facts.axes, members)
    for item in book.indicators:
        mine = (indicator == facts.axes.code("indicator_id", item.indicator)) & (facts.at == _at(facts, item.part))
        cells, places = facts.cells[mine], facts.places[mine]
        owner, inside = areas.at(places)
        listed = [(owner * 2, facts.find(inside, item.part))]
        listed += [(np.arange(len(cells)) * 2 + 1, part) for part in _summed(book, sheet, item, places)]
        found.add(
            np.repeat(cells, 2),
            np.concatenate([owners for owners, _ in listed]),
            np.concatenate([parts for _, parts in listed]),
        )


def _summed(book: Policy, sheet: Sheet, item: Part, places: Ints) -> Iterable[Ints]:
    """The cells of marts and of other indicators that an indicator's part is the sum of."""
    facts = sheet.blocks[FACTS]
    if item.table is not None:
        table, block = book.table(item.table), sheet.blocks[item.table]
        given = {
            name: facts.axes.in_other(name, block.axes, name)[facts.axes.codes(places, name)]
            for name in ("area_code", "period")
        }
        for values in product(*item.at.values()):
            chosen = dict(zip(item.at, values, strict=True))
            codes = [
                given[name] if name in given else np.full(len(places), block.axes.code(name, chosen[name]))
                for name in table.key
            ]
            yield block.find(_canonical(block.axes, table, block.axes.places(codes)), item.column)
    for other, part in item.plus:
        code = facts.axes.code("indicator_id", other)
        yield facts.find(facts.axes.moved(places, "indicator_id", code), part)


def _canonical(axes: Axes, table: Table, places: Ints) -> Ints:
    there = places != ABSENT
    places[there] = axes.canonical(table, places[there])
    return places


def _members(connection: duckdb.DuckDBPyConnection) -> Members:
    query = (
        "SELECT period, area_code, part_area_code FROM intermediate.int_area_member"
        " WHERE area_level IN ('city', 'group') ORDER BY period, area_code, part_area_code"
    )
    return [(int(period), str(area), str(part)) for period, area, part in duck.rows(connection, query)]
