"""Record files: stored in the cheapest way, and read back as exactly the rows and types that were written."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.parsers.result import CHOSEN_BY, FEW_ROWS, SCATTERED, write_table
from warehouse.candidate import duck_type
from warehouse.records import RECORD_SCHEMAS, check_schema

LENGTHS = (0, 1, FEW_ROWS - 1, FEW_ROWS, 3 * FEW_ROWS)


def value(kind: pa.DataType, row: int) -> Any:
    if pa.types.is_decimal(kind):
        return Decimal(row).scaleb(-kind.scale)
    by_type: dict[pa.DataType, Any] = {
        pa.string(): f"字{row % 7}",
        pa.int32(): row,
        pa.bool_(): row % 2 == 0,
        pa.date32(): date(2024, 9, 1) + timedelta(days=row % 30),
        pa.timestamp("us"): datetime(2024, 9, 1, 12) + timedelta(microseconds=row),  # noqa: DTZ001 - as in the records
    }
    return by_type[kind]


def rows_of(name: str, count: int) -> pa.Table:
    schema = RECORD_SCHEMAS[name]
    columns = [
        pa.array([None if c.nullable and row % 3 == 0 else value(c.type, row) for row in range(count)], c.type)
        for c in schema
    ]
    return pa.table(columns, schema=schema)


@pytest.mark.parametrize("name", sorted(RECORD_SCHEMAS))
@pytest.mark.parametrize("count", LENGTHS)
def test_a_record_file_holds_its_rows_and_types(name: str, count: int, tmp_path: Path) -> None:
    table = rows_of(name, count)
    path = write_table(tmp_path, name, table)
    assert pq.read_table(path).equals(table)
    assert pq.read_schema(path).equals(RECORD_SCHEMAS[name])
    check_schema(name, pq.read_schema(path))


@pytest.mark.parametrize("name", sorted(RECORD_SCHEMAS))
def test_duckdb_reads_the_agreed_types(name: str, tmp_path: Path) -> None:
    for count in (1, FEW_ROWS):
        path = write_table(tmp_path, name, rows_of(name, count))
        relation = duckdb.read_parquet(str(path))
        found = dict(zip(relation.columns, (str(kind) for kind in relation.types), strict=True))
        assert found == {column.name: duck_type(column.type) for column in RECORD_SCHEMAS[name]}
        assert relation.fetchall() == [tuple(row.values()) for row in rows_of(name, count).to_pylist()]


@pytest.mark.parametrize("count", LENGTHS)
def test_the_same_rows_give_the_same_bytes(count: int, tmp_path: Path) -> None:
    name = "school_census__figure"
    first = write_table(tmp_path, name, rows_of(name, count)).read_bytes()
    assert write_table(tmp_path, name, rows_of(name, count)).read_bytes() == first


def test_the_named_columns_exist() -> None:
    assert {column for schema in RECORD_SCHEMAS.values() for column in schema.names} >= SCATTERED | CHOSEN_BY


@pytest.mark.parametrize("count", [1, FEW_ROWS])
def test_files_can_be_left_out_of_a_query_by_year_area_and_delivery(count: int, tmp_path: Path) -> None:
    name = "education_finance__line"
    group = pq.read_metadata(write_table(tmp_path, name, rows_of(name, count))).row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    known = {column.path_in_schema for column in columns if column.is_stats_set}
    assert known == {"fiscal_year", "area_code", "delivery_id"}
