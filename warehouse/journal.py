"""The journal: an append-only chain of hashes over everything the ledger was told.

What belongs here: the shape of an entry, how its hash is made, and how a chain is checked. What does not: storing it
(`warehouse.ledger`) and deciding what a break means (`warehouse.verify`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from warehouse.files import canonical_json, sha256_bytes

GENESIS: Final = "0" * 64


@dataclass(frozen=True)
class JournalEntry:
    """One line: running number from 1, ISO instant, kind, canonical JSON payload, the hash before and its own."""

    seq: int
    at: str
    kind: str
    payload: str
    prev_hash: str
    hash: str

    def expected_hash(self) -> str:
        """What `hash` must be, from all other fields."""
        return sha256_bytes(canonical_json([self.seq, self.at, self.kind, self.payload, self.prev_hash]))


def next_entry(last: tuple[int, str] | None, *, at: str, kind: str, payload: object) -> JournalEntry:
    """The entry that follows `last` (seq, hash), or the first one."""
    seq, prev_hash = (last[0] + 1, last[1]) if last else (1, GENESIS)
    text = canonical_json(payload).decode("utf-8")
    draft = JournalEntry(seq, at, kind, text, prev_hash, "")
    return JournalEntry(seq, at, kind, text, prev_hash, draft.expected_hash())


def check_chain(entries: Iterable[JournalEntry]) -> list[str]:
    """What is wrong with the chain, in Chinese; empty when it is whole. Entries come in stored order."""
    found: list[str] = []
    expected_seq, previous = 1, GENESIS
    for entry in entries:
        if entry.seq != expected_seq:
            found.append(f"台账日志序号应为 {expected_seq}，实为 {entry.seq}：有记录被删除或调换。")
        if entry.prev_hash != previous:
            found.append(f"台账日志第 {entry.seq} 条与前一条的哈希接不上。")
        if entry.hash != entry.expected_hash():
            found.append(f"台账日志第 {entry.seq} 条（{entry.kind}）内容被改动。")
        expected_seq, previous = entry.seq + 1, entry.hash
    return found
