"""Signs of life: who looked last and when, which sources could not be looked at, and how much waited.

What belongs here: writing and reading the small files under `<home>/heartbeat/`, one a sensor and one of the last run.
What does not: what silence means (`orchestration.alerting.conditions`), and the ledger, which may be what is away.

The files are read without Dagster and without the ledger, so that silence can be noticed from outside. They are
replaced whole and not forced to disk: one that is lost is written again within seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sources.watch import KINDS
from warehouse.clock import now
from warehouse.files import unique_suffix
from warehouse.masking import mask_personal
from warehouse.paths import Home

if TYPE_CHECKING:
    from sources.connectors.arrival import Arrival

# Names of sensors: here and not among the keys, so that reading signs of life needs no Dagster.
INPUTS_SENSOR: Final = "inputs_changed"
WATCH_SENSOR: Final = "watch"
# The look of a run, from the daemon or from the command line.
RUN: Final = "run"
# Kinds a run looks at by listing them; a message stream is drained instead.
_LISTED: Final = tuple(kind for kind in KINDS if kind != "nats")
# Beats further apart than this do not belong to one stretch of life.
_GAP: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Away:
    """A source that could not be looked at: since when (ISO instant), and why (Chinese)."""

    since: str
    problem_zh: str


@dataclass(frozen=True)
class Beat:
    """What one looker said last. `at` and `since` (of this stretch of life) are ISO instants; `kinds` are those it
    looked at by `looked_at`; `away` maps kind/source to why it could not be looked at; `waiting` counts arrivals."""

    at: str
    since: str
    looked_at: str = ""
    kinds: tuple[str, ...] = ()
    away: dict[str, Away] = field(default_factory=dict)
    waiting: int = 0

    def age(self, at: datetime) -> timedelta:
        """How long ago; a clock that stepped back makes it no younger than zero."""
        return max(at - datetime.fromisoformat(self.at), timedelta())


def arrivals_sensor(kind: str) -> str:
    """The sensor that looks at sources of this kind."""
    return f"{kind}_arrivals"


def expected() -> tuple[str, ...]:
    """The sensors that beat under a daemon."""
    return (*(arrivals_sensor(kind) for kind in KINDS), INPUTS_SENSOR, WATCH_SENSOR)


def beat(home: Home, name: str) -> None:
    """Say that this looker is alive, before it asks anything that may be away."""
    _write(home, name, _alive(read_one(home, name)))


def looked(home: Home, name: str, kind: str, arrivals: Iterable[Arrival]) -> None:
    """Say what this sensor saw of the sources of its kind."""
    _note(home, name, (kind,), list(arrivals))


def looked_all(home: Home, arrivals: Iterable[Arrival]) -> None:
    """Say what a run saw when it listed all sources (streams are not listed)."""
    _note(home, RUN, _LISTED, list(arrivals))


def _note(home: Home, name: str, kinds: tuple[str, ...], arrivals: list[Arrival]) -> None:
    before = read_one(home, name)
    known = away(beats(home))
    at = now().isoformat()
    # A single item that is no good has a version, a stray file has no feed; a source as a whole is the other way round.
    problems = {f"{a.connector}/{a.source}": a.problem for a in arrivals if a.problem and a.feed and not a.version}
    found = {
        source: Away(known[source].since if source in known else at, mask_personal(problem))
        for source, problem in sorted(problems.items())
        if source.partition("/")[0] in kinds
    }
    waiting = sum(not arrival.problem for arrival in arrivals)
    _write(home, name, replace(_alive(before), looked_at=at, kinds=kinds, away=found, waiting=waiting))


def _alive(before: Beat | None) -> Beat:
    at = now()
    if before is None or not timedelta() <= at - datetime.fromisoformat(before.at) <= _GAP:
        fresh = Beat(at.isoformat(), at.isoformat())
        return fresh if before is None else replace(before, at=fresh.at, since=fresh.since)
    return replace(before, at=at.isoformat())


def beats(home: Home) -> dict[str, Beat]:
    """Name -> last sign of life of everybody who ever gave one. A file that cannot be read counts as none."""
    folder = _folder(home)
    names = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    found = {name: read_one(home, name) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def read_one(home: Home, name: str) -> Beat | None:
    """The last sign of life of this looker, or None."""
    try:
        content = json.loads((_folder(home) / f"{name}.json").read_bytes())
        sources = {str(source): Away(**why) for source, why in content.pop("away").items()}
        found = Beat(**{**content, "kinds": tuple(content["kinds"])}, away=sources)
        datetime.fromisoformat(found.at)
        datetime.fromisoformat(found.since)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found


def away(found: Mapping[str, Beat]) -> dict[str, Away]:
    """Kind/source -> why and since when it is away, by whoever looked at that kind last."""
    newest: dict[str, Beat] = {}
    for one in found.values():
        for kind in one.kinds:
            if kind not in newest or newest[kind].looked_at < one.looked_at:
                newest[kind] = one
    return {
        source: why
        for kind, one in sorted(newest.items())
        for source, why in one.away.items()
        if source.partition("/")[0] == kind
    }


def _write(home: Home, name: str, content: Beat) -> None:
    folder = _folder(home)
    # One that cannot be written is silence, and silence is noticed; it must not stop the work.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{name}-{unique_suffix()}"
        temporary.write_text(json.dumps(asdict(content), ensure_ascii=False), encoding="utf-8")
        temporary.replace(folder / f"{name}.json")


def _folder(home: Home) -> Path:
    return home.root / "heartbeat"
