"""Record tables that follow from a feed's contract alone: one whose rows are a table needs no schema written by hand.

What belongs here: reading contract documents as data, and the Arrow schema that a flat table's columns come to. What
does not: validating contracts (`sources.contract`, which every contract passes before anything is read under it), and
the tables that models of this house read (`warehouse.records` spells them out).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import yaml

SUFFIX: Final = ".odcs.yaml"
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
# What a column's logical type comes to. Figures keep four places.
_TYPES: Final[dict[str, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int32(),
    "number": pa.decimal128(18, 4),
    "date": pa.date32(),
    "boolean": pa.bool_(),
}


def agreed_tables(folder: Path, *, known: Collection[str], lineage: Sequence[pa.Field[Any]]) -> dict[str, pa.Schema]:
    """`<feed>__<table>` -> schema, for the flat feeds of a folder of contracts that are not `known`, by feed and in the
    order of the contract. A document that is no contract of a flat feed gives nothing: who reads it will say so."""
    found: dict[str, pa.Schema] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        feed = path.name.removesuffix(SUFFIX)
        if feed not in known:
            found |= {f"{feed}__{table}": schema for table, schema in _tables(path, lineage)}
    return found


def _tables(path: Path, lineage: Sequence[pa.Field[Any]]) -> Iterator[tuple[str, pa.Schema]]:
    try:
        document = yaml.load(path.read_bytes(), _LOADER)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError:
        return
    if not isinstance(document, dict):
        return
    custom = {entry.get("property"): entry.get("value") for entry in document.get("customProperties") or []}
    flat = custom.get("flat")
    if not isinstance(flat, dict):
        return
    for table in document.get("schema") or []:
        columns = [
            field
            for column in table.get("properties") or []
            if column.get("name") != flat.get("unit_column")
            for field in _fields(column)
        ]
        yield str(table.get("name")), pa.schema([*columns, pa.field("original", pa.string(), nullable=False), *lineage])


def _fields(column: Mapping[str, Any]) -> list[pa.Field[Any]]:
    """A column's fields: age bands and statements of the plan are kept as two."""
    name, optional = str(column.get("name")), not column.get("required", False)
    kinds = {entry["value"].get("kind", "") for entry in column.get("customProperties") or []}
    if "age_band" in kinds:
        first = pa.field(f"{name}_from", pa.int32(), nullable=optional)
        return [first, pa.field(f"{name}_to", pa.int32(), nullable=True)]
    if "statement" in kinds:
        return [pa.field(part, pa.string(), nullable=True) for part in ("statement_id", "project_code")]
    return [pa.field(name, _TYPES.get(str(column.get("logicalType")), pa.string()), nullable=optional)]
