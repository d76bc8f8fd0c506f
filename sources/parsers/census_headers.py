"""Headers of a collated list: which sheet column carries which figure, whatever was renamed, moved or unmerged.

What belongs here: matching header paths by name, alias and position. What does not: the names (the contract has them)
and the rows below.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sources.catalogue import Catalogue, ListColumn
from sources.contract import load
from sources.labels import key, path_key
from sources.parsers.grid import TOP_ROWS, Grid

Path = tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """Where a list's table begins: 0-based header rows, first data row, the stub columns and the figure columns."""

    rows: range
    first_row: int
    code_column: int
    name_column: int | None
    index: dict[int, int]


def find_header(grid: Grid, stubs: Mapping[str, Iterable[str]]) -> Header | None:
    """The header block of a list: it contains the heading of the school code. None when there is none."""
    wanted = {name: {key(label) for label in labels} for name, labels in stubs.items()}
    for row in range(min(TOP_ROWS, len(grid.rows))):
        columns = {key(grid.text(row, column)): column for column in reversed(range(grid.width))}
        code = _first(columns, wanted["school_code"])
        if code is None:
            continue
        bottom = max(grid.merged_bottom(row, column) for column in range(grid.width) if grid.text(row, column))
        index = grid.index_row
        last = index.row - 1 if index is not None and index.row > row else max(bottom, row)
        figures = index.figures if index is not None else {}
        first_row = (index.row if index is not None else last) + 1
        return Header(range(row, last + 1), first_row, code, _first(columns, wanted["school_name"]), figures)
    return None


def _first(columns: Mapping[str, int], wanted: set[str]) -> int | None:
    return min((columns[label] for label in wanted if label in columns), default=None)


def stub_labels(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """school_code / school_name -> heading and aliases."""
    layout = catalogue.list_layout
    return {name: (label, *layout.stub_aliases.get(name, ())) for name, label in layout.stub_headers.items()}


def paths_by_column(grid: Grid, header: Header) -> dict[int, Path]:
    """0-based column -> header path, the stub columns left out."""
    stubs = {header.code_column, header.name_column}
    return {column: grid.header_path(header.rows, column) for column in range(grid.width) if column not in stubs}


def _spellings(path: Path, aliases: Mapping[str, Iterable[str]]) -> Iterable[Path]:
    known = {key(label): (label, *others) for label, others in aliases.items()}
    choices = [known.get(key(label), (label,)) for label in path]
    return (path_key(tuple(choice)) for choice in itertools.product(*choices))


@lru_cache(maxsize=256)
def _list_table(sheet_name: str, form_year: int) -> tuple[dict[Path, ListColumn], dict[Path, ListColumn]]:
    """(every spelling of a path -> column, spelling of a unique last label -> column) for a sheet of a form year."""
    catalogue = load("school_census").catalogue
    columns = catalogue.layouts(form_year)[sheet_name].list_columns
    full: dict[Path, ListColumn] = {path_key(column.path): column for column in columns}
    leaves: dict[Path, set[int]] = {}
    by_position = {column.position: column for column in columns}
    for column in columns:
        for spelling in _spellings(column.path, catalogue.aliases):
            full.setdefault(spelling, column)
        for leaf in _spellings(column.path[-1:], catalogue.aliases):
            leaves.setdefault(leaf, set()).add(column.position)
    unique = {leaf: by_position[min(found)] for leaf, found in leaves.items() if len(found) == 1}
    return full, unique


@dataclass(frozen=True)
class Matched:
    """What matching found: sheet column -> list column, headings nobody knows, required columns that are missing."""

    columns: dict[int, ListColumn]
    unknown: tuple[tuple[int, str], ...]
    missing: tuple[ListColumn, ...]


def match_columns(paths: Mapping[int, Path], index: Mapping[int, int], sheet_name: str, form_year: int) -> Matched:
    """Match the columns of a list sheet: by whole path, then by a last label only one column has, then, for columns
    without any heading, by the number in the index row."""
    full, unique = _list_table(sheet_name, form_year)
    found: dict[int, ListColumn] = {}
    for table in (full, unique):
        for column, path in paths.items():
            wanted = path_key(path) if table is full else path_key(path)[-1:]
            entry = table.get(wanted)
            if column not in found and entry is not None and entry not in found.values():
                found[column] = entry
    layout = load("school_census").catalogue.layouts(form_year)[sheet_name].list_columns
    for number, column in index.items():
        bare = column not in found and not paths.get(column) and number <= len(layout)
        if bare and layout[number - 1] not in found.values():
            found[column] = layout[number - 1]
    unknown = tuple((column, "/".join(path)) for column, path in paths.items() if path and column not in found)
    missing = tuple(entry for entry in layout if entry.required and entry not in found.values())
    return Matched(dict(sorted(found.items())), unknown, missing)


def match_profile(paths: Mapping[int, Path], catalogue: Catalogue) -> tuple[dict[str, int], Sequence[tuple[int, str]]]:
    """Profile field -> sheet column, and the headings nobody knows."""
    table: dict[Path, str] = {}
    for entry in catalogue.profile.fields:
        for spelling in _spellings(entry.listed, catalogue.profile.aliases):
            table.setdefault(spelling, entry.field)
    found: dict[str, int] = {}
    unknown: list[tuple[int, str]] = []
    for column, path in paths.items():
        field = table.get(path_key(path))
        if field is not None and field not in found:
            found[field] = column
        elif path:
            unknown.append((column, "/".join(path)))
    return found, unknown
