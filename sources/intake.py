"""Intake: from something that arrived to records, quarantine, receipt and one entry in the ledger.

What belongs here: the order of steps and what a crash between any two of them leaves (nothing that counts). What does
not: fetching (`sources.connectors`), reading a format (`sources.parsers`), wording a receipt (`sources.receipts`).

The ledger's entry is the last step and the only one that counts: files written before it are written again by a rerun.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sources import contract, known_names
from sources.claims import Claims, Sent
from sources.connectors import folder, remote, sql
from sources.connectors.arrival import Arrival
from sources.connectors.config import SourceSettings, configured
from sources.reading import Job, Outcome, ParseFunction, Readers
from sources.reading_store import place_quarantine, place_tables, quarantine_path
from sources.receipts import write_receipt
from warehouse import archive
from warehouse.archive import Snapshot, snapshot_path, store_file
from warehouse.clock import now
from warehouse.entering import ArrivalEvent, Reading
from warehouse.errors import EduplanError, Refused
from warehouse.files import TEMP_PREFIX, SyncLater, canonical_json, sha256_bytes, sha256_file, unique_suffix
from warehouse.home_key import load_or_create_key
from warehouse.ledger import DUPLICATE, VANISHED, Ledger
from warehouse.lock import exclusive
from warehouse.paths import Home, package_root, project_root
from warehouse.records import DeliveryRow

__all__ = ["Arrival", "IntakeReport", "await_rest", "contract_versions", "delivery_id", "drain", "scan", "take_in"]

INTAKE_LOCK: Final = "intake"
REREAD: Final = "archive"
SHIPPED: Final = "project"
SHIPPED_FEED: Final = "official_figures"
WORK: Final = ".work-"
# How many messages one intake takes from a stream; what is left waits for the next.
STREAM_LIMIT: Final = 10_000
# Readings are entered together: at most so many, or those that have ended when one ends this many seconds after the
# last entry. None is entered before its files are on disk.
BATCH: Final = 32
BATCH_SECONDS: Final = 1.0
# Files copied into the archive at a time: they share the disk's round trips.
COPYING: Final = 4
# However long files keep coming: then what has rested is taken in, and what has not is left to the next.
LONGEST_REST: Final = 20.0

# (done, total, what is being done)
Progress = Callable[[int, int, str], None]

# Code that decides what a record says; a change of it reads every delivery again under a new version.
_NOT_READING: Final = {
    "__init__.py",
    "claims.py",
    "intake.py",
    "marked.py",
    "marked_pages.py",
    "receipts.py",
    "reading_store.py",
    "rereading.py",
    "watch.py",
}
_CODE_LISTS: Final = ("code_*.csv", "area*.csv", "plan_registry.csv")


@dataclass
class IntakeReport:
    """What one intake did: new deliveries in order, arrivals that brought nothing new, and what could not be read."""

    deliveries: list[DeliveryRow] = field(default_factory=list)
    duplicates: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: IntakeReport) -> None:
        """Append what another intake of the same run did."""
        self.deliveries += other.deliveries
        self.duplicates += other.duplicates
        self.problems += other.problems

    def count(self, status: str) -> int:
        """Number of new deliveries with this status."""
        return sum(row.status == status for row in self.deliveries)

    def to_dict(self) -> dict[str, Any]:
        """For machines: counts, ids and problems."""
        return {
            "accepted": self.count("accepted"),
            "partly": self.count("partly"),
            "refused": self.count("refused"),
            "duplicates": self.duplicates,
            "deliveries": [row.delivery_id for row in self.deliveries],
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class _Taken:
    """An arrival whose bytes are archived."""

    arrival: Arrival
    snapshot: Snapshot
    delivery_id: str
    version: str
    at: datetime


def delivery_id(feed: str, sha256: str) -> str:
    """'d' and 16 hex digits: the same bytes for the same feed are one delivery."""
    return "d" + sha256_bytes(f"{feed}\n{sha256}".encode())[:16]


def contract_versions() -> dict[str, str]:
    """feed -> version under which deliveries are read now: the contract's own version and a digest of what reads it.

    This is what `Ledger.active_set` wants: records read by other code or under another contract do not count.
    """
    return {feed: f"{contract.load(feed).version}+{_reading_digest(feed)[:12]}" for feed in contract.feeds()}


@cache
def _reading_digest(feed: str) -> str:
    root = package_root() / "sources"
    found = [root / "feeds" / f"{feed}.odcs.yaml"]
    found += sorted(path for path in root.glob("*.py") if path.name not in _NOT_READING)
    found += sorted((root / "parsers").rglob("*.py"))
    seeds = project_root() / "dbt_project" / "seeds"
    found += sorted(path for pattern in _CODE_LISTS for path in seeds.glob(pattern))
    return sha256_bytes(canonical_json([[path.name, sha256_file(path)] for path in found]))


# -- scan -------------------------------------------------------------------------------------------------------------


def await_rest(home: Home, *, settle: float | None = None) -> float:
    """Let the inbox come to rest, LONGEST_REST seconds at most; returns how many it took. Raises OSError."""
    return folder.await_rest(home.inbox, contract.feeds(), settle=settle, longest=LONGEST_REST)


def await_window(until: float) -> None:
    """Let more come until an instant (seconds since 1970), LONGEST_REST seconds at most."""
    left = until - now().timestamp()
    if left > 0:
        time.sleep(min(left, LONGEST_REST))


def scan(home: Home, ledger: Ledger, *, settle: float | None = None, compare: bool = False) -> list[Arrival]:
    """What has arrived and is not in the ledger: files, finance rows, what the configured sources hold (message streams
    aside, see `drain`), the shipped official figures, and deliveries to be read again because contract or parsers
    changed. A source that cannot be looked at comes back as an arrival with a problem; the others are not held up.
    `settle` overrides how long a file must have rested (seconds); `compare` fetches from databases what was seen before
    too, so that an edit no watermark shows is found by its content. Raises UsageError for a bad EDUPLAN_SOURCES."""
    feeds = contract.feeds()
    found = _shipped(ledger) if SHIPPED_FEED in feeds else []
    found += folder.list_arrivals(home.inbox, feeds, ledger.seen(folder.CONNECTOR), settle=settle)
    found += [
        Arrival(
            folder.CONNECTOR, name, "", "", problem=f"收件箱中的“{name}”不属于任何报送类别，未收取；请移到对应目录。"
        )
        for name in folder.strays(home.inbox, feeds)
    ]
    found += [
        Arrival(folder.CONNECTOR, name, "", "", problem=f"“{name}”是链接或特殊文件，不予收取；请放入文件本身。")
        for name in folder.special_files(home.inbox, feeds)
    ]
    found += _from_database(home, ledger, compare=compare)
    found += remote.list_arrivals(configured(), ledger.seen, compare=compare, patience=remote.Patience(home.sightings))
    return _without_settled(found, ledger) + _to_read_again(home, ledger)


def _without_settled(arrivals: Sequence[Arrival], ledger: Ledger) -> list[Arrival]:
    """Without what vanished at its source and was withdrawn here since: nobody need be told again."""
    if not any(arrival.vanished for arrival in arrivals):
        return list(arrivals)
    withdrawn = {row.delivery_id for row in ledger.withdrawals() if row.withdrawn}
    last = {(event.connector, event.source): event.delivery_id for event in ledger.events()}
    return [
        arrival
        for arrival in arrivals
        if not (arrival.vanished and last.get((arrival.connector, arrival.source)) in withdrawn)
    ]


def _shipped(ledger: Ledger) -> list[Arrival]:
    path = package_root() / "sources" / "official" / "official_figures.csv"
    if not path.is_file():
        return []
    arrival = Arrival(SHIPPED, "official/official_figures.csv", sha256_file(path), SHIPPED_FEED, path.name, path=path)
    return [] if (arrival.source, arrival.version) in ledger.seen(SHIPPED) else [arrival]


def _from_database(home: Home, ledger: Ledger, *, compare: bool) -> list[Arrival]:
    url = home.finance_url
    if url is None:
        return []
    try:
        return sql.list_arrivals(url, ledger.seen(sql.CONNECTOR), compare=compare, memory=home.looks)
    except EduplanError as error:
        return [Arrival(sql.CONNECTOR, sql.TABLE, "", sql.FEED, problem=str(error))]


def _to_read_again(home: Home, ledger: Ledger) -> list[Arrival]:
    versions = contract_versions()
    return [again(home, row, versions) for row in ledger.unread(versions)]


def again(home: Home, row: DeliveryRow, versions: Mapping[str, str]) -> Arrival:
    """A delivery of old as an arrival to be read under these contract versions; it keeps its time and its submitter."""
    return Arrival(
        REREAD,
        row.delivery_id,
        versions[row.feed],
        row.feed,
        row.file_name,
        row.submitter,
        path=snapshot_path(home, row.sha256),
        received_at=row.received_at,
    )


# -- take in ----------------------------------------------------------------------------------------------------------


def take_in(
    home: Home,
    ledger: Ledger,
    arrivals: Sequence[Arrival],
    *,
    progress: Progress | None = None,
    parse: ParseFunction | None = None,
    workers: int | None = None,
) -> IntakeReport:
    """Archive, read, store and record every arrival, in the order given; the same twice has one effect.

    Killed anywhere, a rerun of `scan` and `take_in` converges: an arrival counts from its ledger entry on. A parser
    that crashes refuses its delivery, never the run. Raises Refused when another intake is under way, Fault or OSError
    when ledger or disk fail (nothing is half recorded then).
    """
    home.ensure()
    with exclusive(home, INTAKE_LOCK):
        _sweep(home)
        work = home.records / f"{WORK}{unique_suffix()}"
        work.mkdir()
        try:
            intake = _Intake(home, ledger, work=work, progress=progress or _silent, parse=parse, workers=workers)
            return intake.run(arrivals)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def drain(home: Home, ledger: Ledger, *, limit: int = STREAM_LIMIT) -> IntakeReport:
    """Take in what waits in the configured message streams, at most `limit` messages from each.

    A message is acknowledged only after its delivery stands in the ledger, so a crash leads to a redelivery, which has
    no second effect. A stream that is away is a problem in the report. Raises as `take_in` does.
    """
    report = IntakeReport()

    def commit(_snapshot: Snapshot, arrival: Arrival) -> None:
        report.add(take_in(home, ledger, [arrival]))

    def documents(name: str) -> list[Path]:
        events = [event for event in ledger.events() if event.source.startswith(f"{name}/")]
        found = dict.fromkeys(event.sha256 for event in events if event.connector == "nats")
        return [snapshot_path(home, sha256) for sha256 in found]

    _, failed = remote.drain(home, configured(), commit, limit, seen=ledger.seen, documents=documents)
    report.problems += [str(error) for error in failed]
    return report


def _alternating(many: Iterator[_Taken], few: Iterator[_Taken], every: int) -> Iterator[_Taken]:
    """All of both, each in its order: after `every` of the many one of the few."""
    while batch := list(islice(many, every)):
        yield from batch
        yield from islice(few, 1)
    yield from few


def _clear(folder_: Path) -> None:
    """Remove a reader's directory: most are empty by now."""
    try:
        folder_.rmdir()
    except OSError:
        shutil.rmtree(folder_, ignore_errors=True)


def _silent(_done: int, _total: int, _what: str) -> None:
    """No progress shown."""


def _sweep(home: Home) -> None:
    """Remove what a dead intake left; the lock says that no living one is at work."""
    archive.sweep(home)
    for leftover in home.records.glob(f"{WORK}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for folder_ in (home.quarantine, home.receipts):
        for leftover in folder_.rglob(f"{TEMP_PREFIX}*"):
            leftover.unlink(missing_ok=True)


class _Intake:
    """One intake under its lock: archives ahead of the readers, records behind them, both in the order of arrival."""

    def __init__(
        self,
        home: Home,
        ledger: Ledger,
        *,
        work: Path,
        progress: Progress,
        parse: ParseFunction | None,
        workers: int | None,
    ) -> None:
        self._home, self._ledger, self._work, self._progress = home, ledger, work, progress
        self._versions = contract_versions()
        self._feeds = {feed: contract.load(feed).info for feed in contract.feeds()}
        withdrawn = {row.delivery_id for row in ledger.withdrawals() if row.withdrawn}
        self._claims = Claims(ledger.deliveries(), root=home.root, withdrawn=withdrawn)
        self._sources: dict[str, SourceSettings] = {settings.name: settings for settings in configured()}
        self._key = load_or_create_key(home.key_file)
        self._readers = Readers(parse, workers)
        self._waiting: deque[tuple[_Taken, Job | None]] = deque()
        self._started = ledger.readings()
        self._report = IntakeReport()
        self._later = SyncLater()
        self._entries: list[Reading | ArrivalEvent] = []
        self._flushed = time.monotonic()
        self._done = 0
        self._total = 0

    def run(self, arrivals: Sequence[Arrival]) -> IntakeReport:
        self._total = len(arrivals)
        with self._readers:
            for taken in self._archived(arrivals):
                self._waiting.append((taken, self._start(taken)))
                while len(self._waiting) > self._readers.ahead:
                    self._finish_oldest()
            while self._waiting:
                self._finish_oldest()
            self._flush()
        return self._report

    def _archived(self, arrivals: Sequence[Arrival]) -> Iterator[_Taken]:
        for arrival in arrivals:
            if arrival.problem:
                self._note_vanished(arrival)
                self._problem(arrival.problem)
        found = [arrival for arrival in arrivals if not arrival.problem]
        fetched = [arrival for arrival in found if self._is_remote(arrival)]
        near = [arrival for arrival in found if not self._is_remote(arrival)]
        files = [(arrival, arrival.path) for arrival in near if arrival.path is not None]
        groups = [arrival for arrival in near if arrival.group is not None]
        every = max(1, len(files) // max(1, len(groups)))
        # Small files keep this process busy and the readers waiting; large groups of rows do the opposite.
        yield from _alternating(self._from_files(files), self._from_database(groups), every)
        yield from self._from_remote(fetched)

    def _note_vanished(self, arrival: Arrival) -> None:
        """The ledger keeps, once for each delivery, that its source no longer has it: a proposal to withdraw it."""
        if not arrival.vanished:
            return
        of_source = [
            event
            for event in self._ledger.events()
            if (event.connector, event.source) == (arrival.connector, arrival.source)
        ]
        last = of_source[-1]
        version = f"{arrival.version}|{last.delivery_id}"
        self._ledger.record_event(replace(last, version=version, outcome=VANISHED, at=now()))

    def _is_remote(self, arrival: Arrival) -> bool:
        """Whether a configured source has it; what a stream brought is archived already, a file like another."""
        settings = self._sources.get(arrival.source.partition("/")[0])
        fetched = arrival.connector.endswith("_event") and arrival.path is not None
        if settings is None or settings.kind == "nats" or fetched:
            return False
        return arrival.connector in {settings.kind, f"{settings.kind}_event"}

    def _from_remote(self, arrivals: Sequence[Arrival]) -> Iterator[_Taken]:
        for found in remote.fetch(self._home, list(self._sources.values()), arrivals):
            if isinstance(found, remote.Failed):
                self._problem(str(found.error))
            else:
                yield self._taken(found.arrival, found.snapshot)

    def _from_files(self, files: Sequence[tuple[Arrival, Path]]) -> Iterator[_Taken]:
        """Copied a few at a time, for each waits for the disk; handed on in the order given."""
        waiting: deque[tuple[Arrival, Future[Snapshot]]] = deque()
        with ThreadPoolExecutor(COPYING) as pool:
            for arrival, path in files:
                waiting.append((arrival, pool.submit(self._stored, arrival, path)))
                if len(waiting) > COPYING:
                    yield from self._copied(*waiting.popleft())
            while waiting:
                yield from self._copied(*waiting.popleft())

    def _stored(self, arrival: Arrival, path: Path) -> Snapshot:
        """The file in the archive. Raises EduplanError when it is still being written, or an original of old is not
        what it was; OSError."""
        if arrival.connector == REREAD and not archive.is_intact(self._home, path.name):
            raise Refused(f"存档原件 {path.name[:12]}…（{arrival.file_name}）缺失或被改动，无法重读。")
        return store_file(self._home, path)

    def _copied(self, arrival: Arrival, copying: Future[Snapshot]) -> Iterator[_Taken]:
        try:
            yield self._taken(arrival, copying.result())
        except FileNotFoundError:
            self._problem(f"文件“{arrival.file_name}”在收取前被移走。")
        except EduplanError as error:
            # Still being written; the next scan sees it again.
            self._problem(str(error))

    def _from_database(self, arrivals: Sequence[Arrival]) -> Iterator[_Taken]:
        url = self._home.finance_url
        if url is None or not arrivals:
            return
        try:
            for arrival, snapshot in sql.fetch(self._home, url, arrivals):
                yield self._taken(arrival, snapshot)
        except EduplanError as error:
            self._problem(str(error))

    def _taken(self, arrival: Arrival, snapshot: Snapshot) -> _Taken:
        identity = delivery_id(arrival.feed, snapshot.sha256)
        return _Taken(arrival, snapshot, identity, self._versions[arrival.feed], arrival.received_at or now())

    def _start(self, taken: _Taken) -> Job | None:
        """Hand a delivery to the readers, unless it is known or already among those being read."""
        identity = (taken.delivery_id, taken.version)
        if identity in self._started:
            return None
        self._started.add(identity)
        job = Job(
            feed=taken.arrival.feed,
            snapshot=taken.snapshot.path,
            file_name=taken.arrival.file_name,
            delivery_id=taken.delivery_id,
            key=self._key,
            out_dir=self._work / taken.delivery_id,
        )
        job.out_dir.mkdir()
        self._readers.submit(job)
        return job

    def _finish_oldest(self) -> None:
        taken, job = self._waiting.popleft()
        if job is None:
            self._report.duplicates += 1
            self._entries.append(self._event(taken, DUPLICATE))
        else:
            self._record(taken, self._judged(taken, self._readers.result(job)))
            _clear(job.out_dir)
        if len(self._entries) >= BATCH or time.monotonic() - self._flushed > BATCH_SECONDS:
            self._flush()
        self._step(taken.arrival.file_name)

    def _flush(self) -> None:
        """First the files of the readings are on disk, then the ledger says that they count."""
        self._later.sync()
        self._ledger.record_all(self._entries)
        self._entries.clear()
        self._flushed = time.monotonic()

    def _judged(self, taken: _Taken, outcome: Outcome) -> Outcome:
        arrival = taken.arrival
        sent = Sent(arrival.feed, taken.delivery_id, arrival.submitter, taken.at)
        return self._claims.judge(outcome, sent, self._feeds[arrival.feed].period_kind)

    def _record(self, taken: _Taken, outcome: Outcome) -> None:
        with self._later.noting():
            tables = place_tables(self._home, taken.arrival.feed, taken.delivery_id, taken.version, outcome.tables)
            row = self._row(taken, outcome, tables)
            place_quarantine(self._home, taken.delivery_id, outcome.findings)
            title = self._feeds[row.feed].title_zh
            write_receipt(self._home, row, outcome.findings, feed_title_zh=title, marked=outcome.marked)
            if outcome.names is not None:
                known_names.keep(self._home, row.sha256, self._key, outcome.names)
        files = {path: sha256_file(self._home.root / path) for path in self._files(row)}
        self._entries.append(Reading(row, taken.snapshot.size, self._event(taken, row.status), files))
        self._claims.add(row)
        self._report.deliveries.append(row)

    def _files(self, row: DeliveryRow) -> list[str]:
        """What the reading left: record tables, and the quarantine where there is one."""
        quarantine = quarantine_path(self._home, row.delivery_id)
        return [*row.tables.values(), *([self._home.relative(quarantine)] if quarantine.is_file() else [])]

    def _row(self, taken: _Taken, outcome: Outcome, tables: Mapping[str, str]) -> DeliveryRow:
        return DeliveryRow(
            delivery_id=taken.delivery_id,
            feed=taken.arrival.feed,
            area_code=outcome.area_code,
            period=outcome.period,
            part=outcome.part,
            sha256=taken.snapshot.sha256,
            file_name=taken.arrival.file_name,
            submitter=taken.arrival.submitter,
            reported_on=outcome.reported_on,
            received_at=taken.at,
            status=outcome.status,
            rows_in=outcome.rows_in,
            rows_accepted=outcome.rows_accepted,
            rows_quarantined=outcome.rows_quarantined,
            contract_version=taken.version,
            tables=dict(tables),
        )

    def _event(self, taken: _Taken, outcome: str) -> ArrivalEvent:
        arrival = taken.arrival
        # Compared by content: the same content again is no further event.
        version = f"{arrival.version}|{taken.snapshot.sha256[:16]}" if arrival.compare else arrival.version
        return ArrivalEvent(
            connector=arrival.connector,
            source=arrival.source,
            version=version,
            feed=arrival.feed,
            sha256=taken.snapshot.sha256,
            delivery_id=taken.delivery_id,
            outcome=outcome,
            submitter=arrival.submitter,
            at=now(),
        )

    def _problem(self, text: str) -> None:
        self._report.problems.append(text)
        self._step(text)

    def _step(self, what: str) -> None:
        self._done += 1
        self._progress(self._done, self._total, what)
