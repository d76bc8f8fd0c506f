"""Holds: deliveries set aside because critical rules failed on rows that lead back to them.

What belongs here: the record of a hold, which holds stand, and the active set that is left without the held ones. What
does not: which delivery a failing row leads to (`expectations.attribution`), building again and judging once more
(`orchestration.isolation`), storage (`warehouse.ledger`).

A hold stands until a newer delivery of the same key arrives, or until code, rules or waivers change: then the delivery
is tried again. Nothing is deleted; lifting is a record of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from warehouse.files import canonical_json, sha256_bytes
from warehouse.records import DeliveryRow
from warehouse.waivers import Waiver


@dataclass(frozen=True)
class Hold:
    """One delivery set aside. `candidate_id` is the candidate whose verdict failed, `rules` the ids of the critical
    rules that led to the delivery, `rows` how many failing rows, `context` what the judgement depended on."""

    delivery_id: str
    feed: str
    area_code: str
    period: int
    part: str
    candidate_id: str
    rules: str
    rows: int
    context: str

    @property
    def key(self) -> tuple[str, str, int, str]:
        """The key of the delivery: (feed, area_code, period, part)."""
        return (self.feed, self.area_code, self.period, self.part)

    @property
    def reason_zh(self) -> str:
        """Why, for people."""
        return f"严重规则 {self.rules} 有 {self.rows} 行不合格，追溯到本件"


@dataclass(frozen=True)
class Selection:
    """What a candidate is made from: the active deliveries, and what was set aside in their favour."""

    active: tuple[DeliveryRow, ...]
    held: tuple[Hold, ...] = ()

    def replaced_by(self, hold: Hold) -> str | None:
        """The delivery that stands in for a held one: its predecessor, or None when there is none."""
        found = (row.delivery_id for row in self.active if row.key == hold.key and row.counts)
        return next(found, None)

    def held_contents(self) -> list[dict[str, Any]]:
        """The holds as they stand in a candidate's inputs and a release's manifest, sorted by key."""
        ordered = sorted(self.held, key=lambda hold: (*hold.key, hold.delivery_id))
        return [
            {**asdict(hold), "replaced_by": self.replaced_by(hold), "reason_zh": hold.reason_zh} for hold in ordered
        ]


def context_digest(code_digest: str, rules_version: str, waivers: Iterable[Waiver]) -> str:
    """What a judgement depends on beside the deliveries; when it changes, a held delivery deserves a new trial."""
    contents = [waiver.content() for waiver in sorted(waivers, key=lambda item: item.id)]
    return sha256_bytes(canonical_json([code_digest, rules_version, contents]))


def lapsed(holds: Iterable[Hold], newest: Iterable[DeliveryRow], context: str) -> list[tuple[Hold, str]]:
    """Holds that no longer stand, with the reason in Chinese. `newest` is the active set as if nothing was held."""
    wanted = {row.delivery_id for row in newest}
    found = []
    for hold in holds:
        if hold.delivery_id not in wanted:
            found.append((hold, "同一地区、年度、材料有更新的报送件，或本件需按新约定重读"))
        elif hold.context != context:
            found.append((hold, "代码、规则或豁免有变，重新检查"))
    return found


def without(newest: Sequence[DeliveryRow], fallback: Sequence[DeliveryRow], held: Sequence[Hold]) -> Selection:
    """The selection when `held` are set aside. `newest` is the active set with, `fallback` without the held ones."""
    if not held:
        return Selection(tuple(newest))
    keys = {hold.key for hold in held}
    # A refused delivery must not stand in for a held one: the held one is what the area is waiting for.
    active = tuple(row for row in fallback if row.counts or row.key not in keys)
    return Selection(active, tuple(held))
