"""A parser whose format is JSON that says what to do: it reads well, badly, or not at all.

It stands in for the real parsers where intake itself is on trial: real processes, real files, real crashes.
"""

from __future__ import annotations

import json
import os
import signal
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sources.findings import Finding
from sources.parsers.result import ParseResult
from warehouse.records import RECORD_SCHEMAS, feed_tables


def document(area: str = "500103", year: int = 2023, **wishes: Any) -> bytes:
    """A delivery of `rows` rows of which `bad` are quarantined; `do` names a misbehaviour."""
    return json.dumps({"area": area, "year": year, "rows": 3, "bad": 0, "do": "", "salt": "", **wishes}).encode()


def parse(feed: str, snapshot: Path, *, file_name: str, delivery_id: str, key: bytes, out_dir: Path) -> ParseResult:
    wishes = json.loads(snapshot.read_bytes())
    _misbehave(wishes["do"])
    assert len(key) >= 16
    accepted = wishes["rows"] - wishes["bad"]
    names = feed_tables(feed)[: 1 if wishes["do"] == "one_table" else None]
    tables = {name: _table(name, delivery_id, accepted, out_dir, wishes["do"]) for name in names}
    refused = wishes["do"] == "refuse"
    return ParseResult(
        feed=feed,
        area_code=wishes["area"],
        period=wishes["year"],
        part="",
        reported_on=date.fromisoformat(wishes["reported"]) if wishes.get("reported") else None,
        refused=refused,
        rows_in=wishes["rows"] + (wishes["do"] == "miscount"),
        rows_accepted=0 if refused else accepted,
        rows_quarantined=wishes["rows"] if refused else wishes["bad"],
        tables={} if refused else tables,
        findings=[_finding(number, refused, file_name) for number in range(wishes["bad"] + refused)],
    )


def _misbehave(how: str) -> None:
    if how == "crash":
        raise ValueError("身份证号 110101199003078515")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "loop":
        while True:
            pass
    if how == "eat":
        list(range(10**10))
    if how == "disk_full":
        raise OSError(28, "No space left on device")


def _finding(number: int, refused: bool, file_name: str) -> Finding:
    return Finding(
        "", "教基3112", 7 + number, "学校名称", f"B{7 + number}", "tiny.rule", "refusal" if refused else "quarantine",
        f"“{file_name}”中有 110101199003078515", "请改正 <b>", "13812345678",
    )  # fmt: skip


def _table(name: str, delivery_id: str, rows: int, out_dir: Path, do: str) -> Path:
    schema = RECORD_SCHEMAS[name]
    filled = {column.name: [_value(column, delivery_id, number) for number in range(rows)] for column in schema}
    table = pa.table(filled, schema=schema)
    path = out_dir / f"{name}.parquet"
    pq.write_table(table.drop_columns(["row_no"]) if do == "wrong_columns" else table, path)
    return path


def _value(column: Any, delivery_id: str, number: int) -> object:
    if column.name == "delivery_id":
        return delivery_id
    if pa.types.is_decimal(column.type):
        return Decimal(number)
    if pa.types.is_integer(column.type):
        return number
    return None if column.nullable else f"{column.name}{number}"
