"""Marts column by column for the disclosure step: a place in a table is one number, a cell another.

What belongs here: numbering keys and cells, finding them again, and reading the columns. What does not: which cells
are sensitive (`warehouse.disclosure_cells`) and how they hang together (`warehouse.disclosure_equations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warehouse import duck
from warehouse.disclosure_policy import Table

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Place = tuple[Any, ...]
# The text column of a row that names which of its cells were taken out.
MARKS: Final = "suppressed"
# What stands for a value, place or cell that is not there.
ABSENT: Final = -1


@dataclass(frozen=True)
class Axes:
    """The key columns of a table: each value has a code, and the codes of a key make one number, its place."""

    key: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @cached_property
    def _code(self) -> tuple[dict[Any, int], ...]:
        return tuple({value: code for code, value in enumerate(values)} for values in self.values)

    @cached_property
    def _stride(self) -> tuple[int, ...]:
        sizes = [len(values) for values in self.values]
        return tuple(int(np.prod(sizes[at + 1 :], dtype=np.int64)) for at in range(len(sizes)))

    def code(self, name: str, value: object) -> int:
        """The code of a value of a key column, ABSENT where no row has it."""
        return self._code[self.key.index(name)].get(value, ABSENT)

    def places(self, codes: Sequence[Ints]) -> Ints:
        """The places of keys given by the codes of their parts; ABSENT where one of these is."""
        missing = np.zeros(len(codes[0]), dtype=np.bool_)
        total = np.zeros(len(codes[0]), dtype=np.int64)
        for stride, part in zip(self._stride, codes, strict=True):
            total += part * stride
            missing |= part == ABSENT
        return np.where(missing, ABSENT, total)

    def codes(self, places: Ints, name: str) -> Ints:
        """The codes of one part of the keys of places, none of them ABSENT."""
        at = self.key.index(name)
        return places // self._stride[at] % max(len(self.values[at]), 1)

    def moved(self, places: Ints, name: str, codes: Ints | int) -> Ints:
        """The places with other codes in one part of their keys; ABSENT where the code is."""
        stride = self._stride[self.key.index(name)]
        return np.where(np.equal(codes, ABSENT), ABSENT, places + (codes - self.codes(places, name)) * stride)

    def named(self, places: Ints) -> list[Place]:
        """The keys of places."""
        parts = []
        for name, values in zip(self.key, self.values, strict=True):
            parts.append([values[code] for code in self.codes(places, name).tolist()])
        return list(zip(*parts, strict=True))

    def in_other(self, name: str, other: Axes, other_name: str) -> Ints:
        """Code of a value here -> code of the same value in a key column of another table."""
        values = self.values[self.key.index(name)]
        return np.array([other.code(other_name, value) for value in values], dtype=np.int64)

    def canonical(self, table: Table, places: Ints) -> Ints:
        """The places of the rows whose amounts these rows repeat; mostly their own."""
        if table.alias is None:
            return places
        name, same = table.alias.column, table.alias.same
        values = self.values[self.key.index(name)]
        turned = np.array([self.code(name, same.get(str(value), value)) for value in values], dtype=np.int64)
        return self.moved(places, name, turned[self.codes(places, name)])


@dataclass(frozen=True)
class Grid:
    """The rows of a table in the order of their keys: the place of each, and the columns that were asked for."""

    table: Table
    axes: Axes
    rows: pa.Table
    places: Ints

    def numbers(self, column: str) -> Floats:
        """A column of numbers, NaN for NULL."""
        return _floats(self.rows, column)

    @cached_property
    def canonical(self) -> Ints:
        """For each row the place of the row whose amount it repeats; mostly its own."""
        return self.axes.canonical(self.table, self.places)


@dataclass(frozen=True)
class Told:
    """The same table in what readers have: places (canonical), numbers, and which of them were taken out."""

    places: Ints
    columns: Mapping[str, Floats]
    hidden: Mapping[str, Flags]


@dataclass(frozen=True)
class Block:
    """The cells of one table, numbered from `first` in reading order: of each its place and which of `columns`."""

    axes: Axes
    columns: tuple[str, ...]
    first: int
    keys: Ints = field(repr=False)

    @cached_property
    def places(self) -> Ints:
        """Where each cell stands."""
        return self.keys // len(self.columns)

    @cached_property
    def at(self) -> Ints:
        """Which column each cell stands in."""
        return self.keys % len(self.columns)

    @property
    def cells(self) -> Ints:
        """The numbers of all cells."""
        return np.arange(self.first, self.first + len(self.keys), dtype=np.int64)

    @cached_property
    def _order(self) -> Ints:
        return np.argsort(self.keys)

    def find(self, places: Ints, column: str | None) -> Ints:
        """The cells at these places in a column; ABSENT where there is none."""
        if column not in self.columns or not len(self.keys):
            return np.full(len(places), ABSENT, dtype=np.int64)
        wanted = places * len(self.columns) + self.columns.index(column)
        ordered = self.keys[self._order]
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        found = (ordered[at] == wanted) & (places != ABSENT)
        return np.where(found, self._order[at] + self.first, ABSENT)

    def named(self, cells: Ints) -> list[tuple[Place, str]]:
        """Key and column of cells."""
        at = cells - self.first
        return [
            (place, self.columns[column])
            for place, column in zip(self.axes.named(self.places[at]), self.at[at].tolist(), strict=True)
        ]


# -- reading ----------------------------------------------------------------------------------------------------------


def read(
    connection: duckdb.DuckDBPyConnection,
    told: duckdb.DuckDBPyConnection | None,
    table: Table,
    further: Iterable[str] = (),
    told_where: str | None = None,
) -> tuple[Grid, Told | None]:
    """A table of a build, and what the standing release (`told`) says of it, None where it has no such table.

    `further`: columns besides key and counts, texts but for the numbers a policy names. `told_where`: which rows of
    the standing release speak of it, unless the same as here.
    """
    relation = f"marts.{duck.ident(table.name)}"
    kinds = dict(duck.columns(connection, "marts")[table.name])
    key = ", ".join(duck.ident(name) for name in table.key)
    chosen = [key, *(f"CAST({duck.ident(name)} AS DOUBLE) AS {duck.ident(name)}" for name in table.counts)]
    chosen += [duck.ident(name) for name in dict.fromkeys(further) if name not in (*table.key, *table.counts)]
    query = f"SELECT {', '.join(chosen)} FROM {relation} WHERE {table.where} ORDER BY {key}"
    rows = connection.execute(query).to_arrow_table()
    earlier = None
    if told is not None and table.name in duck.tables(told, "marts"):
        earlier = _told(told, table, {name: kinds[name] for name in table.key}, told_where or table.where)
    values, codes = [], []
    for name in table.key:
        columns = [rows.column(name), *([earlier.column(name)] if earlier is not None else [])]
        repeated = table.alias.same.values() if table.alias is not None and table.alias.column == name else ()
        found, numbered = _coded(columns, repeated)
        values.append(found)
        codes.append(numbered)
    axes = Axes(table.key, tuple(values))
    count = rows.num_rows
    grid = Grid(table, axes, rows, axes.places([part[:count] for part in codes]))
    return grid, None if earlier is None else _as_told(table, axes, earlier, [part[count:] for part in codes])


def _told(connection: duckdb.DuckDBPyConnection, table: Table, kinds: Mapping[str, str], where: str) -> pa.Table:
    """Key, counts and whether each was taken out; an older release may lack a column."""
    there = dict(duck.columns(connection, "marts")[table.name])
    marks = duck.ident(MARKS) if MARKS in there else "NULL"
    chosen = [
        f"TRY_CAST({duck.ident(name) if name in there else 'NULL'} AS {kind}) AS {duck.ident(name)}"
        for name, kind in kinds.items()
    ]
    for at, name in enumerate(table.counts):
        chosen.append(f"CAST({duck.ident(name) if name in there else 'NULL'} AS DOUBLE) AS n{at}")
        chosen.append(f"coalesce(list_contains(string_split({marks}, ','), {duck.literal(name)}), false) AS h{at}")
    query = f"SELECT {', '.join(chosen)} FROM marts.{duck.ident(table.name)} WHERE {where}"
    return connection.execute(query).to_arrow_table()


def _as_told(table: Table, axes: Axes, rows: pa.Table, codes: Sequence[Ints]) -> Told:
    return Told(
        axes.canonical(table, axes.places(codes)),
        {name: _floats(rows, f"n{at}") for at, name in enumerate(table.counts)},
        {name: rows.column(f"h{at}").to_numpy().astype(np.bool_) for at, name in enumerate(table.counts)},
    )


def _coded(columns: Sequence[pa.ChunkedArray[Any]], further: Iterable[Any]) -> tuple[tuple[Any, ...], Ints]:
    """The distinct values of some columns taken together, and the code of each row's value."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    coded = pa.chunked_array(chunks, type=columns[0].type).combine_chunks().dictionary_encode("encode")
    values = coded.dictionary.to_pylist()
    known = set(values)
    return (*values, *sorted(set(further) - known)), coded.indices.to_numpy().astype(np.int64)


def _floats(rows: pa.Table, column: str) -> Floats:
    found = rows.column(column)
    if pa.types.is_decimal(found.type):
        found = found.cast(pa.float64())
    return found.to_numpy().astype(np.float64)
