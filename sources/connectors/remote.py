"""All configured sources under one roof, whatever their kind.

What belongs here: asking each source in turn, so that one that fails holds up no other, and handing over snapshots.
What does not: how a kind works (one module a kind) and what becomes of the bytes (`sources.intake`).

Every arrival's `source` begins with the configured name, so it leads back to its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sources.connectors import folder, sql
from sources.connectors.arrival import Arrival
from sources.connectors.config import FolderSource, NatsSource, S3Source, SftpSource, SourceSettings, SqlSource
from sources.connectors.credentials import read_secret
from sources.connectors.problems import Unreachable
from warehouse.archive import Snapshot, store_file
from warehouse.errors import EduplanError, Fault, Refused
from warehouse.paths import Home

if TYPE_CHECKING:
    from sources.connectors.bus import Commit

# connector -> (source, version) of what has its outcome. A connector's name in the ledger is the kind of its sources.
Seen = Callable[[str], Collection[tuple[str, str]]]
# name of a stream's source -> the documents archived from it
Documents = Callable[[str], Iterable[Path]]


class _Session(Protocol):
    def fetch(self, home: Home, arrival: Arrival) -> Snapshot: ...


class _Connector(Protocol):
    """What the modules for SFTP, S3 and REST have in common; files on a server must have rested as well."""

    def list_arrivals(self, settings: Any, seen: Collection[tuple[str, str]]) -> list[Arrival]: ...

    def opened(self, settings: Any) -> AbstractContextManager[_Session]: ...


def _connector(kind: str) -> _Connector:
    """The module of this kind. Their client libraries take a second to load: only those that are configured do."""
    return cast("_Connector", import_module(f"sources.connectors.{kind}"))


@dataclass(frozen=True)
class Failed:
    """An arrival that could not be fetched now; it is listed again next time."""

    arrival: Arrival
    error: EduplanError


@dataclass(frozen=True)
class Fetched:
    """An arrival whose bytes are durable in the archive."""

    arrival: Arrival
    snapshot: Snapshot


@dataclass(frozen=True)
class Patience:
    """How long files on a server must have stayed as they are: a `share` of what their source says, counted from the
    first time anybody saw them so, which is remembered in the folder `memory`."""

    memory: Path | None = None
    share: float = 1.0


def list_arrivals(
    sources: Sequence[SourceSettings], seen: Seen, *, compare: bool = False, patience: Patience = Patience()
) -> list[Arrival]:
    """What is new at every source but message streams (see `drain`), in the order of the configuration; with `compare`
    what databases had before, too.

    `seen(connector)` gives (source, version) of what has its outcome. A source that cannot be looked at comes back as
    one arrival with a problem.
    """
    found: list[Arrival] = []
    for settings in sources:
        if isinstance(settings, NatsSource):
            continue
        try:
            found += _listed(settings, seen(settings.kind), compare, patience)
        except EduplanError as error:
            found.append(Arrival(settings.kind, settings.name, "", settings.feed, problem=str(error)))
    return found


def fetch(home: Home, sources: Sequence[SourceSettings], arrivals: Sequence[Arrival]) -> Iterator[Fetched | Failed]:
    """Archive these arrivals, in the order given as far as one connection serves neighbours. Raises OSError (our disk).

    A source that stays away fails its remaining arrivals at once, without a wait for each.
    """
    by_name = {settings.name: settings for settings in sources}
    for name, group in groupby(arrivals, key=lambda arrival: arrival.source.partition("/")[0]):
        settings = by_name.get(name)
        if settings is None:
            gone = Fault(f"来源“{name}”已不在配置中，未收取。", "请检查来源配置文件。")
            yield from (Failed(arrival, gone) for arrival in group)
        elif isinstance(settings, SqlSource):
            yield from _from_database(home, settings, list(group))
        elif isinstance(settings, FolderSource):
            yield from (_from_folder(home, arrival) for arrival in group)
        else:
            yield from _from_service(home, settings, list(group))


def drain(
    home: Home,
    sources: Sequence[SourceSettings],
    commit: Commit,
    limit: int,
    *,
    seen: Seen,
    documents: Documents = lambda _: (),
) -> tuple[int, list[EduplanError]]:
    """Take in what waits in every configured message stream: how many messages were new, and which streams failed.

    A stream of announcements brings what it announces: `commit` gets each object. `documents(name)` gives what was
    archived earlier from the source of that name. Each source takes at most `limit` messages. Raises OSError (our disk)
    and what `commit` raises, errors of this house excepted: those are returned.
    """
    new = 0
    failed: list[EduplanError] = []
    streams = [settings for settings in sources if isinstance(settings, NatsSource)]
    for settings in streams:
        from sources.connectors.bus import drain as drain_stream

        try:
            if settings.announces:
                new += _announced(home, settings, sources, commit, limit, failed)
                continue
            new += drain_stream(
                home, settings, commit, limit, seen=seen(settings.kind), documents=partial(documents, settings.name)
            )
        except EduplanError as error:
            failed.append(error)
    return new, failed


def _announced(  # noqa: PLR0917 - the parts of one `drain`
    home: Home,
    stream: NatsSource,
    sources: Sequence[SourceSettings],
    commit: Commit,
    limit: int,
    failed: list[EduplanError],
) -> int:
    """Fetch what S3 event notifications announce. What is no event, or names what is gone or changed, is told and done
    with: a listing finds what is there. A bucket that is away is raised, so that the event comes again."""
    from sources.connectors import bus, s3

    bucket = next(found for found in sources if isinstance(found, S3Source) and found.name == stream.announces)

    def tell(event: bytes, turn: str) -> None:
        try:
            arrivals = s3.arrivals_from_event(bucket, event, delivery=turn)
        except Refused as error:
            failed.append(error)
            return
        for found in fetch(home, sources, arrivals):
            if isinstance(found, Fetched):
                commit(found.snapshot, replace(found.arrival, path=found.snapshot.path))
            elif isinstance(found.error, Unreachable):
                raise found.error
            else:
                failed.append(found.error)

    return bus.notices(stream, tell, limit)


def _listed(
    settings: SourceSettings, seen: Collection[tuple[str, str]], compare: bool, patience: Patience
) -> list[Arrival]:
    if isinstance(settings, FolderSource):
        return _in_folder(settings, seen)
    if isinstance(settings, SqlSource):
        return _in_database(settings, seen, compare=compare)
    if isinstance(settings, SftpSource):
        from sources.connectors import sftp

        memory = patience.memory / f"{settings.name}.json" if patience.memory is not None else None
        return sftp.list_arrivals(settings, seen, share=patience.share, memory=memory)
    return _connector(settings.kind).list_arrivals(settings, seen)


def _in_folder(settings: FolderSource, seen: Collection[tuple[str, str]]) -> list[Arrival]:
    """The inbox's own rules, for one folder beside it."""
    place = settings.path
    if not place.is_dir():
        raise Fault(f"目录来源“{settings.name}”不存在：{place}", "请检查配置中的 path；目录出现后会自动收取。")
    found = folder.list_arrivals(place.parent, [place.name], set(), settle=settings.settle_seconds)
    renamed = [
        replace(arrival, feed=settings.feed, source=f"{settings.name}/{arrival.source.partition('/')[2]}")
        for arrival in found
    ]
    return [arrival for arrival in renamed if (arrival.source, arrival.version) not in seen]


def _in_database(settings: SqlSource, seen: Collection[tuple[str, str]], *, compare: bool) -> list[Arrival]:
    prefix = f"{settings.name}/"
    known = {(source.removeprefix(prefix), version) for source, version in seen if source.startswith(prefix)}
    found = sql.list_arrivals(read_secret(settings.url).get_secret_value(), known, compare=compare)
    return [replace(arrival, feed=settings.feed, source=prefix + arrival.source) for arrival in found]


def _from_folder(home: Home, arrival: Arrival) -> Fetched | Failed:
    gone = Failed(arrival, Fault(f"文件“{arrival.file_name}”在收取前被移走。", "重新放入后会自动收取。"))
    try:
        return gone if arrival.path is None else Fetched(arrival, store_file(home, arrival.path))
    except FileNotFoundError:
        return gone
    except EduplanError as error:
        return Failed(arrival, error)


def _from_database(home: Home, settings: SqlSource, arrivals: list[Arrival]) -> Iterator[Fetched | Failed]:
    """All groups in one pass over the table, as the SQL connector reads them."""
    waiting = {arrival.group: arrival for arrival in arrivals}
    error: EduplanError = Fault("数据库中的这组数据在收取前被删除。", "若属误删，请财务部门恢复；之后会自动重收。")
    try:
        for found, snapshot in sql.fetch(home, read_secret(settings.url).get_secret_value(), arrivals):
            yield Fetched(waiting.pop(found.group), snapshot)
    except EduplanError as failure:
        error = failure
    yield from (Failed(arrival, error) for arrival in waiting.values())


def _from_service(home: Home, settings: SourceSettings, arrivals: list[Arrival]) -> Iterator[Fetched | Failed]:
    waiting = iter(arrivals)
    try:
        with _connector(settings.kind).opened(settings) as session:
            for arrival in waiting:
                try:
                    yield Fetched(arrival, session.fetch(home, arrival))
                except EduplanError as error:
                    yield Failed(arrival, error)
                    if isinstance(error, Unreachable):
                        yield from (Failed(rest_of_them, error) for rest_of_them in waiting)
    except EduplanError as error:
        yield from (Failed(arrival, error) for arrival in waiting)
