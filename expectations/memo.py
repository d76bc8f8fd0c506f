"""What earlier checks found, kept in the home and believed only as it was written and recorded.

What belongs here: the file `gate/memo`, its seal, and which of its entries still count. What does not: what may be
carried over (`expectations.carrying`). Whoever deletes the file loses time and nothing else.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warehouse.clock import SHANGHAI
from warehouse.errors import Fault
from warehouse.files import canonical_json
from warehouse.home_key import load_or_create_key, read_sealed, write_sealed

if TYPE_CHECKING:
    from warehouse.ledger import Ledger
    from warehouse.paths import Home

# Some judgings, not all: a candidate set aside, the one without the deliveries to blame, and what went before.
KEPT: Final = 3
# A rule that fails everywhere is quicker asked again than its rows are written down.
KEYS_KEPT: Final = 500
_PLACE: Final = Path("gate") / "memo"
_PURPOSE: Final = "gate memo, version 1"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What was found of a rule on some part of a candidate: rows examined and failing, the failing rows, and the id of
    the candidate on which they were examined."""

    checked: int
    failed: int
    keys: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Entry:
    """One recorded verdict: its digest, what it rests on beside the data, when everything was last judged, findings."""

    candidate_id: str
    verdict: str
    basis: str
    fully_judged_at: str
    found: Mapping[str, Found]

    def is_of(self, day: datetime) -> bool:
        """Whether everything was last judged on this day of Shanghai, and not later than now."""
        full = datetime.fromisoformat(self.fully_judged_at)
        return full <= day and full.astimezone(SHANGHAI).date() == day.astimezone(SHANGHAI).date()


def is_of_today(home: Home, today: datetime) -> bool:
    """Whether something was written down on this day of Shanghai: what it says, and whether it may be believed, is not
    asked."""
    path = home.root / _PLACE
    return path.is_file() and datetime.fromtimestamp(path.stat().st_mtime, SHANGHAI).date() == today.date()


def read(home: Home, ledger: Ledger) -> tuple[Entry, ...]:
    """The entries whose verdicts the ledger knows, oldest first; none when there is no file or it was altered."""
    path = home.root / _PLACE
    try:
        if not home.key_file.is_file() or not path.is_file():
            return ()
        content = read_sealed(path, load_or_create_key(home.key_file), _PURPOSE)
    except (Fault, OSError) as error:
        log.warning("上次检查的记录读不出来，全部重新检查：%s", error)
        return ()
    if content is None:
        log.warning("上次检查的记录 %s 被改动或已损坏，弃用并全部重新检查。", _PLACE)
        path.unlink(missing_ok=True)
        return ()
    entries = tuple(_entry(raw) for raw in json.loads(content))
    return tuple(entry for entry in entries if ledger.verdict_digest(entry.candidate_id) == entry.verdict)


def _entry(raw: dict[str, Any]) -> Entry:
    found = {key: Found(checked, failed, tuple(keys), origin) for key, (checked, failed, keys, origin) in raw["found"]}
    return Entry(**{**raw, "found": found})


def add(home: Home, before: Iterable[Entry], entry: Entry) -> None:
    """Write `entry` down after those before, of which only the last few stay. A memo that cannot be written is none."""
    if not home.key_file.is_file():
        return
    others = [other for other in before if other.candidate_id != entry.candidate_id]
    content = canonical_json([_raw(item) for item in [*others, entry][-KEPT:]])
    try:
        write_sealed(home.root / _PLACE, load_or_create_key(home.key_file), _PURPOSE, content)
    except (Fault, OSError) as error:
        log.warning("本次检查的记录没有写成，下次全部重新检查：%s", error)


def _raw(entry: Entry) -> dict[str, Any]:
    found = sorted((key, (one.checked, one.failed, one.keys, one.origin)) for key, one in entry.found.items())
    names = ("candidate_id", "verdict", "basis", "fully_judged_at")
    return {**{name: getattr(entry, name) for name in names}, "found": found}
