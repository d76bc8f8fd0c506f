"""What a parser returns, and the collecting of findings while it reads.

What belongs here: `ParseResult`, `Reporter` and the writing of record tables. What does not: any feed's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sources.contract import Contract
from sources.findings import Finding, finding
from sources.parsers import arrow
from sources.parsers.arrow import Array, Bools
from warehouse.records import RECORD_SCHEMAS


@dataclass(frozen=True)
class ParseResult:
    """One delivery as read. rows_in = rows_accepted + rows_quarantined; a refused delivery has no tables.

    `tables` maps record table -> Parquet file below the out_dir given to `parse`.
    """

    feed: str
    area_code: str
    period: int
    part: str
    reported_on: date | None
    refused: bool
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    tables: dict[str, Path]
    findings: list[Finding]


@dataclass
class Reporter:
    """Collects findings under one contract's rules. `member` is the path inside a zip of what is being read."""

    contract: Contract
    member: str = ""
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        rule_id: str,
        *,
        member: str | None = None,
        sheet: str = "",
        row: int | None = None,
        column: str | None = None,
        cell: str | None = None,
        value: object = "",
        detail: object = "",
        personal: bool = False,
    ) -> None:
        """Record one finding of a rule of the contract. Raises KeyError for a rule the contract does not have."""
        self.findings.append(
            finding(
                self.contract.rules[rule_id],
                member=self.member if member is None else member,
                sheet=sheet,
                row=row,
                column=column,
                cell=cell,
                value=value,
                detail=detail,
                personal=personal,
            )
        )

    @property
    def refused(self) -> bool:
        """True when the delivery as a whole must be refused."""
        return any(entry.severity == "refusal" for entry in self.findings)


@dataclass(frozen=True)
class Identity:
    """What a delivery says of itself: whose, for when, which part, reported when."""

    area_code: str = ""
    period: int = 0
    part: str = ""
    reported_on: date | None = None


def finish(
    reporter: Reporter,
    identity: Identity,
    *,
    rows_in: int,
    rows_accepted: int,
    tables: Mapping[str, pa.Table],
    out_dir: Path,
) -> ParseResult:
    """Write the record tables (unless the delivery is refused) and put the result together."""
    refused = reporter.refused
    accepted = 0 if refused else rows_accepted
    return ParseResult(
        feed=reporter.contract.feed,
        area_code=identity.area_code,
        period=identity.period,
        part=identity.part,
        reported_on=identity.reported_on,
        refused=refused,
        rows_in=rows_in,
        rows_accepted=accepted,
        rows_quarantined=rows_in - accepted,
        tables={} if refused else {name: write_table(out_dir, name, table) for name, table in tables.items()},
        findings=reporter.findings,
    )


def refusal(reporter: Reporter, identity: Identity = Identity(), *, rows_in: int = 0) -> ParseResult:
    """The result of a delivery that is refused; the reporter holds the reason."""
    return finish(reporter, identity, rows_in=rows_in, rows_accepted=0, tables={}, out_dir=Path())


def record_table(name: str, by_row: Mapping[str, Array], constant: Mapping[str, object], *, keep: Bools) -> pa.Table:
    """The rows to keep of a record table: columns by row, and values that are the same throughout."""
    schema = RECORD_SCHEMAS[name]
    kept, count = pa.array(keep), int(keep.sum())
    columns = {column: array.filter(kept) for column, array in by_row.items()}
    columns |= {column: arrow.repeat(value, schema.field(column).type, count) for column, value in constant.items()}
    return pa.table([columns[column] for column in schema.names], schema=schema)


# Columns in which hardly any value comes twice (and all amounts): looking for repetitions there costs time and saves
# nothing. Everywhere else a dictionary leaves so little that the quickest compression will do.
SCATTERED: Final = frozenset({"person_key", "source_cell", "original", "row_no"})
# What whole files are left out of a query by. Least and greatest values of other columns would be found for nobody.
CHOSEN_BY: Final = frozenset({"stat_year", "fiscal_year", "area_code", "delivery_id"})
# In a table this short, what is done once for each column takes longer than its rows.
FEW_ROWS: Final = 500


def write_table(out_dir: Path, name: str, table: pa.Table) -> Path:
    """Write one record table as Parquet with exactly its schema; the same rows always give the same bytes. Raises
    ArrowInvalid when it does not fit."""
    schema = RECORD_SCHEMAS[name]
    path = out_dir / f"{name}.parquet"
    fitting = table if table.schema.equals(schema) else table.select(schema.names).cast(schema)
    # Opened here: from a path pyarrow first finds out which file system it may belong to.
    with pa.OSFile(str(path), "wb") as sink:
        pq.write_table(fitting, sink, **_storage(name, short=table.num_rows < FEW_ROWS))
    return path


@cache
def _storage(name: str, *, short: bool) -> dict[str, Any]:
    """How the columns of a record table are stored. Their Parquet types say all there is to their Arrow types."""
    schema = RECORD_SCHEMAS[name]
    scattered = {column.name for column in schema if column.name in SCATTERED or pa.types.is_decimal(column.type)}
    common = {"store_schema": False, "write_statistics": [column for column in schema.names if column in CHOSEN_BY]}
    if short:
        return common | {"compression": "snappy", "use_dictionary": False}
    return common | {
        "compression": {column: "zstd" if column in scattered else "snappy" for column in schema.names},
        "use_dictionary": [column for column in schema.names if column not in scattered],
        "column_encoding": {"row_no": "DELTA_BINARY_PACKED"},
    }
