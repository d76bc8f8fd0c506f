"""Where the outcome of reading a delivery lies: records and quarantine, each written whole or not at all.

What belongs here: names and atomic placing. What does not: what a record or a finding says.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sources.findings import Finding
from warehouse.files import fsync_dir, fsync_tree, sha256_bytes, unique_suffix, write_atomic
from warehouse.masking import mask_personal
from warehouse.paths import Home
from warehouse.records import QUARANTINE_SCHEMA


def place_tables(
    home: Home, feed: str, delivery_id: str, contract_version: str, tables: Mapping[str, Path]
) -> dict[str, str]:
    """Move Parquet files to `records/<feed>/<delivery_id>-<version8>/` and return their paths relative to the home.

    What an earlier attempt left there without reaching the ledger is replaced. Raises OSError.
    """
    if not tables:
        return {}
    folder = home.records / feed
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{delivery_id}-{sha256_bytes(contract_version.encode())[:8]}"
    staging = next(iter(tables.values())).parent / f".placing-{unique_suffix()}"
    staging.mkdir()
    for table, path in tables.items():
        path.rename(staging / f"{table}.parquet")
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    # Nothing counts before the ledger's entry, so the order of name and content does not matter here.
    fsync_tree(target)
    fsync_dir(folder)
    return {table: home.relative(target / f"{table}.parquet") for table in sorted(tables)}


def quarantine_path(home: Home, delivery_id: str) -> Path:
    """Where the findings of a delivery lie."""
    return home.quarantine / f"{delivery_id}.parquet"


def place_quarantine(home: Home, delivery_id: str, findings: Sequence[Finding]) -> None:
    """Write the findings of a delivery as one Parquet, or remove what an earlier reading left. Raises OSError."""
    path = quarantine_path(home, delivery_id)
    if not findings:
        path.unlink(missing_ok=True)
        return
    rows = [{"delivery_id": delivery_id, **_masked(finding)} for finding in findings]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA), sink, compression="zstd")
    write_atomic(path, sink.getvalue())


def _masked(finding: Finding) -> dict[str, object]:
    return {name: mask_personal(value) if isinstance(value, str) else value for name, value in asdict(finding).items()}
