"""Rows of a ledger made by hand.

What belongs here: one whole row to start from. What does not: deliveries with files behind them (`candidate_kit`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from warehouse.clock import SHANGHAI
from warehouse.records import DeliveryRow

NOON = datetime(2025, 9, 1, 12, tzinfo=SHANGHAI)


def row(name: str, **changes: Any) -> DeliveryRow:
    """A delivery of the census that was taken in whole."""
    fields: dict[str, Any] = {
        "delivery_id": f"d{name}", "feed": "school_census", "area_code": "500103", "period": 2023, "part": "",
        "sha256": name.ljust(64, "0"), "file_name": "表.xlsx", "submitter": "", "reported_on": None,
        "received_at": NOON, "status": "accepted", "rows_in": 3, "rows_accepted": 3, "rows_quarantined": 0,
        "contract_version": "v1", "tables": {},
    }  # fmt: skip
    return DeliveryRow(**{**fields, **changes})
