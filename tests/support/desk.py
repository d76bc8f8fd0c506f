"""A reception desk for tests: files are handed in, the real intake with the real parsers takes them in, receipts come
back. Small deliveries for it: the teacher register of any district."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sources import intake
from sources.connectors.arrival import Arrival
from sources.intake import IntakeReport, contract_versions
from sources.parsers import ParseResult, parse
from tests.support import good_deliveries as good
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import DeliveryRow

KEY = b"k" * 32
BEGIN = 1_700_000_000


def read(feed: str, data: bytes, folder: Path, *, file_name: str = "x") -> ParseResult:
    """Parse bytes in this process; `folder` is made and may be any new path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "delivery"
    path.write_bytes(data)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return parse(feed, path, file_name=file_name, delivery_id="d0", key=KEY, out_dir=out)


def rows(result: ParseResult, table: str) -> list[dict[str, Any]]:
    """The records of a table; a refused delivery has none."""
    assert not result.refused, [(found.rule_id, found.message_zh) for found in result.findings]
    records: list[dict[str, Any]] = pq.read_table(result.tables[table]).to_pylist()
    return records


def rules(result: ParseResult) -> list[str]:
    """Rule ids of all findings, in order."""
    return [found.rule_id for found in result.findings]


def teachers(
    change: Mapping[str, str] | None = None,
    *,
    everywhere: Mapping[str, str] | None = None,
    headers: Iterable[str] = good.TEACHER_HEADERS,
    encoding: str = "gb18030",
) -> bytes:
    """The small register as CSV: the first row, or all rows, changed."""
    found = [row | dict(everywhere or {}) for row in good.teacher_rows()]
    found[0] |= dict(change or {})
    return good.table_csv(list(headers), found, encoding)


@dataclass(frozen=True)
class Desk:
    """A home with its ledger."""

    home: Home
    ledger: Ledger

    def put(self, feed: str, name: str, data: bytes, *, at: int = 0) -> Path:
        """Hand in a file at BEGIN + `at` seconds."""
        path = self.home.inbox / feed / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (BEGIN + at, BEGIN + at))
        return path

    def waiting(self, *, settle: float = 0) -> list[Arrival]:
        """What a scan finds, the project's own figures left out."""
        found = intake.scan(self.home, self.ledger, settle=settle)
        return [arrival for arrival in found if arrival.connector != intake.SHIPPED]

    def take_in(self, *, parse_with: Callable[..., ParseResult] | None = None) -> IntakeReport:
        """Take in everything that waits."""
        return intake.take_in(self.home, self.ledger, self.waiting(), parse=parse_with, workers=1)

    def active(self) -> list[DeliveryRow]:
        """The deliveries that count now."""
        return self.ledger.active_set(contract_versions())

    def receipt(self, row: DeliveryRow) -> dict[str, Any]:
        """The receipt of a delivery, as its office finds it."""
        path = self.home.receipts / row.feed / f"{row.delivery_id}.json"
        content: dict[str, Any] = json.loads(path.read_bytes())
        return content

    def letter(self, row: DeliveryRow) -> str:
        """The receipt as text for people."""
        return (self.home.receipts / row.feed / f"{row.delivery_id}.md").read_text("utf-8")

    def told(self, row: DeliveryRow) -> list[str]:
        """Rule ids in a receipt."""
        return [finding["rule_id"] for finding in self.receipt(row)["findings"]]
