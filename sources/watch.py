"""What waits at the door, by kind of connector: a cheap look that opens nothing and takes nothing in.

What belongs here: asking the connectors of one kind. What does not: taking in (`sources.intake`) and deciding what to
do about it (the caller).
"""

from __future__ import annotations

from typing import Final

from sources import contract
from sources.connectors import folder, remote, sql
from sources.connectors.arrival import Arrival
from sources.connectors.config import NatsSource, SourceSettings, configured
from warehouse.errors import EduplanError
from warehouse.files import canonical_json, sha256_bytes
from warehouse.ledger import Ledger
from warehouse.paths import Home

# Kind -> what an office calls it.
KINDS: Final = {
    "folder": "收件箱与目录",
    "sftp": "SFTP",
    "s3": "对象存储",
    "rest": "数据接口",
    "sql": "数据库",
    "nats": "消息流",
}


def waiting(home: Home, ledger: Ledger, kind: str, *, settle: float | None = None, share: float = 1.0) -> list[Arrival]:
    """What has arrived by connectors of this kind and has no outcome yet; of a message stream one entry for all.

    `settle` is how long (seconds) a file of the inbox must have rested, `share` which part of their time files on a
    server.

    A source that cannot be looked at comes back as an arrival with a problem. Raises UsageError for a bad
    EDUPLAN_SOURCES, Fault when the ledger cannot be read, OSError when the inbox cannot be listed.
    """
    sources = [settings for settings in configured() if settings.kind == kind]
    patience = remote.Patience(home.sightings, share)
    found = [*_own(home, ledger, kind, settle), *remote.list_arrivals(sources, ledger.seen, patience=patience)]
    return found + [arrival for settings in sources for arrival in _in_stream(settings)]


def key_of(arrivals: list[Arrival]) -> str:
    """A name for exactly this set of arrivals, whatever their order; '' for none."""
    if not arrivals:
        return ""
    return sha256_bytes(canonical_json(sorted([a.connector, a.source, a.version] for a in arrivals)))[:16]


def _own(home: Home, ledger: Ledger, kind: str, settle: float | None) -> list[Arrival]:
    """The inbox, and the finance database, which need no configuration."""
    if kind == folder.CONNECTOR:
        return folder.list_arrivals(home.inbox, contract.feeds(), ledger.seen(kind), settle=settle)
    if kind != sql.CONNECTOR or home.finance_url is None:
        return []
    try:
        return sql.list_arrivals(home.finance_url, ledger.seen(kind), memory=home.looks)
    except EduplanError as error:
        return [Arrival(kind, sql.TABLE, "", sql.FEED, problem=str(error))]


def _in_stream(settings: SourceSettings) -> list[Arrival]:
    if not isinstance(settings, NatsSource):
        return []
    from sources.connectors import bus

    try:
        state = bus.waiting(settings)
    except EduplanError as error:
        return [Arrival(settings.kind, settings.name, "", settings.feed, problem=str(error))]
    return [Arrival(settings.kind, settings.name, state, settings.feed)] if state else []
