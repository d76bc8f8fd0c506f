"""When to ask for a run: pure decisions over what waits, what was asked for before, and the time.

What belongs here: the cursor of a sensor and the one function that moves it. What does not: looking (`sources.watch`),
Dagster (`orchestration.sensors`).

Nothing is remembered but what was asked last: what waits is asked of the ledger and the source each time, so an event
that was missed, a daemon that died and a run that failed all lead to the same place, the next look.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Cursor:
    """What was asked for last: the key of what waited, how often, and not before when it is asked for again."""

    key: str = ""
    asked: int = 0
    again_at: str = ""

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """The reverse of `text`; a fresh one where nothing or nothing readable is stored."""
        try:
            return cls(**json.loads(text or "{}"))
        except (ValueError, TypeError):
            return cls()

    def text(self) -> str:
        """As a sensor stores it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Decision:
    """Whether to ask for a run, under which name, and the cursor to keep."""

    ask: bool
    cursor: Cursor

    @property
    def run_key(self) -> str:
        """A name for this asking; a repetition after a failure has another one."""
        return f"{self.cursor.key}-{self.cursor.asked}"


def decide(key: str, cursor: Cursor, at: datetime) -> Decision:
    """Ask at once for something new, again after 30 s, 1 min, 2 min … one hour for what still waits unchanged.

    `key` names what waits ('' for nothing). A clock that stepped back cannot silence it for longer than one pause.
    """
    if not key:
        return Decision(ask=False, cursor=Cursor())
    if key != cursor.key:
        return Decision(ask=True, cursor=Cursor(key, 1, _after(at, 1)))
    again = datetime.fromisoformat(cursor.again_at) if cursor.again_at else at
    if at < again <= at + LONGEST_PAUSE:
        return Decision(ask=False, cursor=cursor)
    asked = cursor.asked + 1
    return Decision(ask=True, cursor=Cursor(key, asked, _after(at, asked)))


def _after(at: datetime, asked: int) -> str:
    # The exponent is bounded: a source that is away for a year must not overflow.
    doublings: int = 2 ** min(asked - 1, 10)
    return (at + min(FIRST_PAUSE * doublings, LONGEST_PAUSE)).isoformat()
