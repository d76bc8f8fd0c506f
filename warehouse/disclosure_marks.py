"""Taking suppressed cells out of the marts: in their own rows, in what is derived from them, and in every mart that
repeats them.

What belongs here: changing schema `marts` of a build. What does not: deciding which cells go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import duck
from warehouse.disclosure_cells import Sheet
from warehouse.disclosure_grid import ABSENT, MARKS, Block, Flags, Floats, Grid, Ints, Place
from warehouse.disclosure_policy import FACTS, Copy, Policy, Spread

# canonical key -> columns taken out
Hidden = Mapping[Place, set[str]]
# column -> which rows it is to be emptied in
Marks = dict[str, Flags]
_NOTHING: Final[frozenset[str]] = frozenset()


def take_out(connection: duckdb.DuckDBPyConnection, book: Policy, sheet: Sheet, cells: Iterable[int]) -> None:
    """Empty these cells and whatever tells them, and name in each row what was emptied."""
    gone = np.zeros(len(sheet.value), dtype=np.bool_)
    gone[np.fromiter(cells, dtype=np.int64)] = True
    repeated = {name: _by_place(sheet.blocks[name], gone) for name in {copy.of for copy in book.copies}}
    copied = {copy.table: copy.key for copy in book.copies}
    marks: dict[str, dict[Place, set[str]]] = {name: defaultdict(set) for name in copied}
    for copy in book.copies:
        if repeated[copy.of]:
            _mark_copies(connection, book, copy, repeated[copy.of], marks[copy.table])
    for table in book.tables:
        grid, block = sheet.grids[table.name], sheet.blocks[table.name]
        own = _marks_of(grid, block, gone)
        if table.spread is not None:
            # Parts are still there to compare with.
            _narrow(connection, grid, table.spread, _any(_out(grid.canonical, block, gone)), own)
        _blank(connection, table.name, grid.rows.select(table.key), own)
    facts, block = sheet.grids[FACTS], sheet.blocks[FACTS]
    out = dict(zip(block.columns, _out(facts.places, block, gone).T, strict=True))
    _blank(
        connection, FACTS, facts.rows.select(facts.table.key), {**out, "value": np.logical_or.reduce([*out.values()])}
    )
    for mart, key in copied.items():
        if marks[mart]:
            _blank(connection, mart, *_as_columns(key, marks[mart]))


def _out(places: Ints, block: Block, gone: Flags) -> npt.NDArray[np.bool_]:
    """For places (canonical, or ABSENT) and each column of their cells: whether the cell is taken out."""
    found = np.zeros((len(places), len(block.columns)), dtype=np.bool_)
    for at, column in enumerate(block.columns):
        cells = block.find(places, column)
        there = cells != ABSENT
        found[there, at] = gone[cells[there]]
    return found


def _marks_of(grid: Grid, block: Block, gone: Flags) -> Marks:
    """What to empty: the cells themselves, what is derived, and what next year's row carries on."""
    table = grid.table
    own = _out(grid.canonical, block, gone)
    marks: Marks = {name: own[:, at] for at, name in enumerate(block.columns)}
    for name, given in table.derived.items():
        _mark(marks, name, _any(own[:, [at for at, column in enumerate(block.columns) if column in given]]))
    if table.carried:
        before = _out(_year_before(grid), block, gone)
        for carried in table.carried:
            for name in carried.into:
                _mark(marks, name, before[:, block.columns.index(carried.column)])
    return marks


def _mark(marks: Marks, name: str, rows: Flags) -> None:
    marks[name] = marks[name] | rows if name in marks else rows


def _any(flags: Flags) -> Flags:
    """For each row whether any of its columns is set."""
    found: Flags = np.logical_or.reduce(flags, axis=1)
    return found


def _year_before(grid: Grid) -> Ints:
    """For each row the place of the same row of the year before, ABSENT where that year has none at all."""
    axes = grid.axes
    years = axes.values[axes.key.index("period")]
    earlier = np.array([axes.code("period", year - 1) for year in years], dtype=np.int64)
    places = axes.moved(grid.places, "period", earlier[axes.codes(grid.places, "period")])
    there = places != ABSENT
    places[there] = axes.canonical(grid.table, places[there])
    return places


# -- marts that repeat cells ------------------------------------------------------------------------------------------


def _by_place(block: Block, gone: Flags) -> Hidden:
    """Canonical key -> columns of a table that were taken out."""
    hidden: dict[Place, set[str]] = defaultdict(set)
    for place, column in block.named(block.cells[gone[block.cells]]):
        hidden[place].add(column)
    return hidden


def _mark_copies(
    connection: duckdb.DuckDBPyConnection, book: Policy, copy: Copy, hidden: Hidden, marks: dict[Place, set[str]]
) -> None:
    table = next((table for table in book.tables if table.name == copy.of), None)
    known = _whatever_period(hidden) if copy.any_period else hidden
    keys = ", ".join(f"copied.{duck.ident(name)}" for name in copy.key)
    places = ", ".join(f"{expression} AS at{n}" for n, expression in enumerate(copy.at))
    query = f"SELECT {keys}, {places} FROM marts.{duck.ident(copy.table)} AS copied {copy.join}"
    for row in duck.rows(connection, query):
        place = row[len(copy.key) :]
        place = table.canonical(place) if table is not None else place
        gone = known.get(place[:-1] if copy.any_period else place, _NOTHING)
        columns = {name for name, given in copy.columns.items() if gone.intersection(given)}
        if columns:
            marks[row[: len(copy.key)]] |= columns


def _whatever_period(hidden: Hidden) -> Hidden:
    """Cells of a series together: the period is the last part of an indicator's key."""
    found: dict[Place, set[str]] = defaultdict(set)
    for place, columns in hidden.items():
        found[place[:-1]] |= columns
    return found


def _as_columns(key: Sequence[str], marks: Mapping[Place, set[str]]) -> tuple[pa.Table, Marks]:
    places = sorted(marks)
    keys = pa.table({name: [place[at] for place in places] for at, name in enumerate(key)})
    columns = sorted(set().union(*marks.values()))
    return keys, {name: np.array([name in marks[place] for place in places], dtype=np.bool_) for name in columns}


# -- emptying ---------------------------------------------------------------------------------------------------------


def _blank(connection: duckdb.DuckDBPyConnection, table: str, keys: pa.Table, marks: Marks) -> None:
    """Empty the marked cells of the rows with these keys, and name them in the row."""
    columns = sorted(name for name, rows in marks.items() if rows.any())
    if not columns:
        return
    flags = np.stack([marks[name] for name in columns], axis=1)
    touched = _any(flags)
    kinds, kind = np.unique(flags[touched], axis=0, return_inverse=True)
    texts = np.array([",".join(np.array(columns)[row]) for row in kinds], dtype=object)
    incoming = _incoming(keys, touched).append_column(MARKS, pa.array(texts[kind], pa.string()))
    for at in range(len(columns)):
        incoming = incoming.append_column(f"out{at}", pa.array(flags[touched, at]))
    target = f"marts.{duck.ident(table)}"
    emptied = ", ".join(
        f"{name} = CASE WHEN incoming.out{at} THEN NULL ELSE {target}.{name} END"
        for at, name in enumerate(map(duck.ident, columns))
    )
    _update(connection, table, keys, incoming, f"{MARKS} = incoming.{MARKS}, {emptied}")


def _incoming(keys: pa.Table, rows: Flags) -> pa.Table:
    return keys.rename_columns([f"k{at}" for at in range(keys.num_columns)]).filter(pa.array(rows))


def _update(
    connection: duckdb.DuckDBPyConnection, table: str, keys: pa.Table, incoming: pa.Table, assigned: str
) -> None:
    target = f"marts.{duck.ident(table)}"
    match = " AND ".join(f"{target}.{duck.ident(name)} = incoming.k{at}" for at, name in enumerate(keys.column_names))
    connection.register("incoming", incoming)
    connection.execute(f"UPDATE {target} SET {assigned} FROM incoming WHERE {match}")
    connection.unregister("incoming")


# -- how far parts lie apart ------------------------------------------------------------------------------------------


def _narrow(connection: duckdb.DuckDBPyConnection, grid: Grid, spread: Spread, hidden: Flags, marks: Marks) -> None:
    """Publish the spread over hidden parts with few decimals, or not at all where it would still tell one of them.

    It is a square equation, so the linear system does not see it. A part is told unless one person more in it and one
    less in another hidden part give the same published spread. `hidden`: rows of which a cell is taken out.
    """
    rollup = grid.table.rollup
    if rollup is None:
        return
    amount, weight = grid.numbers(grid.table.counts[0]), grid.numbers(spread.weight)
    value, limit = grid.numbers(spread.column), grid.numbers(spread.limit)
    code = grid.axes.code(rollup.column, rollup.whole)
    is_whole = grid.axes.codes(grid.places, rollup.column) == code
    parts = np.flatnonzero(~is_whole & ~np.isnan(amount))
    groups = grid.axes.moved(grid.places[parts], rollup.column, code)
    order = np.argsort(groups, kind="stable")
    parts, groups = parts[order], groups[order]
    touched = np.zeros(len(grid.places), dtype=np.bool_)
    told = np.zeros(len(grid.places), dtype=np.bool_)
    wholes = np.flatnonzero(is_whole & ~np.isnan(value))
    first = np.searchsorted(groups, grid.places[wholes], "left")
    last = np.searchsorted(groups, grid.places[wholes], "right")
    for row, start, end in zip(wholes.tolist(), first.tolist(), last.tolist(), strict=True):
        inside = parts[start:end]
        if not hidden[inside].any():
            continue
        touched[row] = True
        shown = round(float(value[row]), spread.decimals)
        turned = not np.isnan(limit[row]) and bool(value[row] <= limit[row]) != (shown <= limit[row])
        vague = _is_vague(amount[inside], weight[inside], hidden[inside], float(value[row]), spread.decimals)
        told[row] = turned or hidden[row] or not vague
    _mark(marks, spread.column, told)
    _round(connection, grid, spread, touched)


def _is_vague(amounts: Floats, pupils: Floats, taken: Flags, value: float, decimals: int) -> bool:
    """Whether every hidden part could be another number by one, the sum and the rounded spread being what they are."""
    total, weight = amounts.sum(), pupils.sum()
    if not total or not taken.any():
        return False
    amounts, pupils = amounts[taken], pupils[taken]
    # spread² = (P/A²)·Σ(a²/p) − 1, so a person moved from one part to another changes it by the two squares alone.
    more = (2 * amounts + 1) / pupils
    less = np.where(amounts >= 1, (1 - 2 * amounts) / pupils, np.nan)
    moved: npt.NDArray[np.float64] = value**2 + weight / total**2 * (more[:, None] + less[None, :])
    np.fill_diagonal(moved, np.nan)
    same = np.round(np.sqrt(np.maximum(moved, 0)), decimals) == round(value, decimals)
    same &= ~np.isnan(moved)
    return bool((same.any(axis=0) | same.any(axis=1)).all())


def _round(connection: duckdb.DuckDBPyConnection, grid: Grid, spread: Spread, rows: Flags) -> None:
    if not rows.any():
        return
    table, keys = grid.table, grid.rows.select(grid.table.key)
    column = duck.ident(spread.column)
    assigned = (
        f"{column} = round({column}, {spread.decimals}), note = concat_ws('；', note, {duck.literal(spread.note)})"
    )
    _update(connection, table.name, keys, _incoming(keys, rows), assigned)
