"""Taking suppressed cells out of the marts: in their own rows, in what is derived from them, and in every mart that
repeats them.

What belongs here: changing schema `marts` of a build. What does not: deciding which cells go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import duck
from warehouse.disclosure_cells import MARKS, Place, Sheet, rows
from warehouse.disclosure_policy import FACT_KEY, FACTS, Copy, Policy, Spread, Table

# table -> canonical key -> columns taken out
Hidden = dict[str, dict[Place, set[str]]]
Marks = dict[Place, set[str]]
_NOTHING: Final[frozenset[str]] = frozenset()


def take_out(connection: duckdb.DuckDBPyConnection, book: Policy, sheet: Sheet, cells: Iterable[int]) -> None:
    """Empty these cells and whatever tells them, and name in each row what was emptied."""
    names = {number: key for key, number in sheet.number.items()}
    hidden: Hidden = defaultdict(lambda: defaultdict(set))
    for cell in cells:
        name, place, column = names[cell]
        hidden[name][place].add(column)
    copied = {copy.table: copy.key for copy in book.copies}
    marks: dict[str, Marks] = {name: defaultdict(set) for name in copied}
    for copy in book.copies:
        if hidden.get(copy.of):
            _mark_copies(connection, book, copy, hidden[copy.of], marks[copy.table])
    for table in book.tables:
        if hidden.get(table.name):
            own = _marks_of(connection, table, hidden[table.name])
            if table.spread is not None:
                # Parts are still there to compare with.
                _narrow(connection, table, table.spread, hidden[table.name], own)
            _blank(connection, table.name, table.key, own)
    _blank(connection, FACTS, FACT_KEY, {place: {*columns, "value"} for place, columns in hidden[FACTS].items()})
    for mart, key in copied.items():
        _blank(connection, mart, key, marks[mart])


def _marks_of(connection: duckdb.DuckDBPyConnection, table: Table, hidden: Mapping[Place, set[str]]) -> Marks:
    """Row -> columns to empty: the cells themselves, what is derived, and what next year's row carries on."""
    marks: Marks = defaultdict(set)
    at = table.key.index("period")
    chosen = ", ".join(duck.ident(name) for name in table.key)
    for row in rows(connection, f"SELECT {chosen} FROM marts.{duck.ident(table.name)} WHERE {table.where}"):
        place = tuple(row[name] for name in table.key)
        columns = hidden.get(table.canonical(place), _NOTHING)
        if columns:
            marks[place] |= columns
            marks[place] |= {name for name, given in table.derived.items() if columns.intersection(given)}
        before = table.canonical((*place[:at], place[at] - 1, *place[at + 1 :]))
        for carried in table.carried:
            if carried.column in hidden.get(before, _NOTHING):
                marks[place] |= set(carried.into)
    return marks


def _mark_copies(
    connection: duckdb.DuckDBPyConnection, book: Policy, copy: Copy, hidden: Mapping[Place, set[str]], marks: Marks
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


def _whatever_period(hidden: Mapping[Place, set[str]]) -> dict[Place, set[str]]:
    """Cells of a series together: the period is the last part of an indicator's key."""
    found: dict[Place, set[str]] = defaultdict(set)
    for place, columns in hidden.items():
        found[place[:-1]] |= columns
    return found


def _blank(
    connection: duckdb.DuckDBPyConnection, table: str, key: Sequence[str], marks: Mapping[Place, set[str]]
) -> None:
    """Empty the marked cells and name them in the row."""
    if not marks:
        return
    found = [
        {**{f"k{n}": part for n, part in enumerate(place)}, MARKS: ",".join(sorted(columns))}
        for place, columns in sorted(marks.items())
    ]
    connection.register("incoming", pa.Table.from_pylist(found))
    target = f"marts.{duck.ident(table)}"
    match = " AND ".join(f"{target}.{duck.ident(name)} = incoming.k{n}" for n, name in enumerate(key))
    connection.execute(f"UPDATE {target} SET {MARKS} = incoming.{MARKS} FROM incoming WHERE {match}")
    for column in sorted(set().union(*marks.values())):
        name = duck.ident(column)
        connection.execute(
            f"UPDATE {target} SET {name} = NULL WHERE list_contains(string_split({MARKS}, ','), {duck.literal(column)})"
        )
    connection.unregister("incoming")


# -- how far parts lie apart ------------------------------------------------------------------------------------------


def _narrow(
    connection: duckdb.DuckDBPyConnection, table: Table, spread: Spread, hidden: Mapping[Place, set[str]], marks: Marks
) -> None:
    """Publish the spread over hidden parts with few decimals, or not at all where it would still tell one of them.

    It is a square equation, so the linear system does not see it. A part is told unless one person more in it and one
    less in another hidden part give the same published spread.
    """
    rollup = table.rollup
    if rollup is None:
        return
    at = table.key.index(rollup.column)
    count = table.counts[0]
    parts: dict[Place, list[tuple[float, float, bool]]] = defaultdict(list)
    wholes: dict[Place, tuple[float, float | None]] = {}
    for row in rows(connection, f"SELECT * FROM marts.{duck.ident(table.name)} WHERE {table.where}"):
        place = tuple(row[name] for name in table.key)
        group = (*place[:at], rollup.whole, *place[at + 1 :])
        if place != group and row[count] is not None:
            parts[group].append((float(row[count]), float(row[spread.weight]), place in hidden))
        elif place == group and row[spread.column] is not None:
            wholes[place] = (row[spread.column], row[spread.limit])
    touched = {place: told for place, told in wholes.items() if any(taken for _, _, taken in parts[place])}
    for place, (value, limit) in touched.items():
        turned = limit is not None and (value <= limit) != (round(value, spread.decimals) <= limit)
        if turned or place in hidden or not _is_vague(parts[place], value, spread.decimals):
            marks[place].add(spread.column)
    _round(connection, table, spread, sorted(touched))


def _is_vague(parts: Sequence[tuple[float, float, bool]], value: float, decimals: int) -> bool:
    """Whether every hidden part could be another number by one, the sum and the rounded spread being what they are."""
    total = sum(amount for amount, _, _ in parts)
    weight = sum(pupils for _, pupils, _ in parts)
    amounts = np.array([amount for amount, _, taken in parts if taken])
    pupils = np.array([pupils for _, pupils, taken in parts if taken])
    if not total or not len(amounts):
        return False
    # spread² = (P/A²)·Σ(a²/p) − 1, so a person moved from one part to another changes it by the two squares alone.
    more = (2 * amounts + 1) / pupils
    less = np.where(amounts >= 1, (1 - 2 * amounts) / pupils, np.nan)
    moved: npt.NDArray[np.float64] = value**2 + weight / total**2 * (more[:, None] + less[None, :])
    np.fill_diagonal(moved, np.nan)
    same = np.round(np.sqrt(np.maximum(moved, 0)), decimals) == round(value, decimals)
    same &= ~np.isnan(moved)
    return bool((same.any(axis=0) | same.any(axis=1)).all())


def _round(connection: duckdb.DuckDBPyConnection, table: Table, spread: Spread, places: Sequence[Place]) -> None:
    if not places:
        return
    found: list[dict[str, Any]] = [{f"k{n}": part for n, part in enumerate(place)} for place in places]
    connection.register("incoming", pa.Table.from_pylist(found))
    target, column = f"marts.{duck.ident(table.name)}", duck.ident(spread.column)
    match = " AND ".join(f"{target}.{duck.ident(name)} = incoming.k{n}" for n, name in enumerate(table.key))
    connection.execute(
        f"UPDATE {target} SET {column} = round({column}, {spread.decimals}),"
        f" note = concat_ws('；', note, {duck.literal(spread.note)}) FROM incoming WHERE {match}"
    )
    connection.unregister("incoming")
