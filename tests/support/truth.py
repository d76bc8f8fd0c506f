"""What a sample city says it damaged, against what a home set aside and published."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import duckdb

from warehouse.ledger import Ledger
from warehouse.paths import Home

# feed, file name, path inside a zip, sheet, row
Row = tuple[str, str, str, str, int]
# indicator, area, year
Key = tuple[str, str, int]
Parts = tuple[Decimal, Decimal | None]


def table(truth: Path, name: str) -> list[dict[str, str]]:
    """The rows of one truth file."""
    with (truth / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def damaged(truth: Path) -> set[Row]:
    """Rows that must be set aside, of all feeds."""
    return {
        (row["feed"], row["file"], row["member"], row["sheet"], int(row["row_no"]))
        for name in ("damaged", "further_damaged")
        for row in table(truth, name)
    }


def set_aside(home: Home) -> set[Row]:
    """Rows that the quarantine of a home names."""
    ledger = Ledger(home.ledger_url)
    names = {row.delivery_id: (row.feed, row.file_name) for row in ledger.deliveries()}
    ledger.close()
    query = (
        "SELECT DISTINCT delivery_id, member, sheet, row_no FROM read_parquet(?)"
        " WHERE severity = 'quarantine' AND row_no IS NOT NULL"
    )
    files = [str(path) for path in sorted(home.quarantine.glob("*.parquet"))]
    with duckdb.connect() as connection:
        rows = connection.execute(query, [files]).fetchall() if files else []
    return {(*names[delivery], member, sheet, row) for delivery, member, sheet, row in rows}


def counted_aside(home: Home) -> int:
    """How many rows the ledger says were set aside."""
    ledger = Ledger(home.ledger_url)
    total = sum(row.rows_quarantined for row in ledger.deliveries())
    ledger.close()
    return total


def indicators(truth: Path, name: str = "") -> dict[Key, Parts]:
    """Numerators and denominators counted over the undamaged rows; with "_clean" over all rows."""
    return {
        (row["indicator_id"], row["area_code"], int(row["year"])): (
            Decimal(row["numerator"]),
            Decimal(row["denominator"]) if row["denominator"] else None,
        )
        for file in (f"indicators{name}", "further_indicators")
        for row in table(truth, file)
    }


def published(marts: Path) -> tuple[dict[Key, Parts], set[Key]]:
    """What a release's marts say of the same, and the values that the disclosure step took out."""
    query = "SELECT indicator_id, area_code, period, numerator, denominator, value, method, suppressed FROM"
    with duckdb.connect(str(marts), read_only=True) as connection:
        rows = connection.execute(f"{query} marts.marts.fct_indicator_value").fetchall()
    values = {row[:3]: (row[3], row[4]) for row in rows if row[6] == "computed" and row[5] is not None}
    return values, {row[:3] for row in rows if row[7] is not None}


def differences(truth: Path, marts: Path) -> dict[Key, tuple[Parts, Parts | None]]:
    """Values that differ from the truth over undamaged rows: (meant, found). A ratio over nobody has no value; what the
    disclosure step took out cannot be compared."""
    values, hidden = published(marts)
    meant = {key: parts for key, parts in indicators(truth).items() if parts[1] != 0 and key not in hidden}
    return {key: (parts, values.get(key)) for key, parts in meant.items() if values.get(key) != parts}
