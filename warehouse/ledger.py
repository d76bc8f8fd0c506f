"""The ledger: who handed in what and when, what became of it, what was judged and what was published.

What belongs here: recording and reading back, each record in one transaction with its journal entry. What does not: the
tables themselves (`warehouse.ledger_tables`), the chain's arithmetic (`warehouse.journal`), files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from warehouse import ledger_tables as t
from warehouse.clock import now
from warehouse.entering import ArrivalEvent, Reading, enter
from warehouse.errors import Fault, Refused, Transient
from warehouse.files import canonical_json
from warehouse.holds import Hold
from warehouse.journal import JournalEntry, check_chain, next_entry
from warehouse.paths import Home
from warehouse.pruned import ORIGINAL, Pruned
from warehouse.readings import Line, readings_of
from warehouse.records import WITHDRAWN, DeliveryRow
from warehouse.verdict import Verdict

if TYPE_CHECKING:
    from warehouse.lease import Fence

DUPLICATE: Final = "duplicate"
VANISHED: Final = "vanished"
_TAIL_OPTION: Final = "eduplan_tail"
# With and without the deliveries set aside, before and after an intake.
_ACTIVE_SETS: Final = 4


def _nothing() -> None:
    """Nothing to make visible: it is already."""


@dataclass(frozen=True)
class ReleaseRow:
    """A publication as the ledger knows it."""

    release_id: str
    candidate_id: str
    fingerprint: str
    verdict_digest: str
    rules_version: str
    data_version: str
    manifest_sha256: str
    previous_release_id: str
    published_at: str


@dataclass(frozen=True)
class Withdrawal:
    """A delivery taken back (`withdrawn`) or let count again (not `withdrawn`): by whom, why and when."""

    delivery_id: str
    withdrawn: bool
    reason: str
    person: str
    at: str


class _Tail:
    """The last entry of the journal as one transaction knows it: it appends alone."""

    last: tuple[int, str] | None = None


class Ledger:
    """One ledger database. Safe for several processes; every method is its own transaction. Raises Fault when the
    database cannot be reached or stays locked."""

    def __init__(self, url: str) -> None:
        self._engine = t.open_engine(url)
        self._readings = readings_of(url)
        with self.writing() as connection:
            t.create_schema(connection)

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One reading transaction; for `warehouse` itself."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One writing transaction, alone among all writers of this ledger; for `warehouse` itself."""
        with self._translated(), self._engine.connect() as connection:
            writing = connection.execution_options(**{t.WRITE_OPTION: True, _TAIL_OPTION: _Tail()})
            with writing.begin():
                t.serialise_writers(writing)
                yield writing

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            kind = Transient if isinstance(error, OperationalError) else Fault
            # `orig` is the driver's own message; the URL with its password is never part of it.
            raise kind(
                f"台账数据库读写失败：{error.orig}", "请检查磁盘空间、数据库是否可达、是否被长时间锁定，然后重试。"
            ) from error

    # -- deliveries ---------------------------------------------------------------------------------------------------

    def record_delivery(
        self,
        row: DeliveryRow,
        *,
        size: int,
        event: ArrivalEvent | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Record snapshot, delivery, arrival and journal entries in one transaction; recorded once, repeated in vain.

        `files` maps each file the reading left (path below the home) to its SHA-256, for `warehouse.verify`.
        """
        self.record_all([Reading(row, size, event, files or {})])

    def record_all(self, entries: Iterable[Reading | ArrivalEvent]) -> None:
        """Record readings, and arrivals that brought nothing new, in one transaction and in this order; each is
        recorded once and repeated in vain."""
        with self.writing() as connection:
            tail: _Tail = connection.get_execution_options()[_TAIL_OPTION]
            tail.last = enter(connection, list(entries), tail.last or _head(connection), _instant)

    def record_event(self, event: ArrivalEvent) -> None:
        """Record an arrival that brought nothing new; the same arrival twice is one row."""
        self.record_all([event])

    def record_files(self) -> dict[str, dict[str, str]]:
        """delivery id -> files of its last reading with their SHA-256. Raises Fault when an entry is damaged."""
        return {delivery_id: files for (delivery_id, _), files in self.reading_files().items()}

    def reading_files(self) -> dict[tuple[str, str], dict[str, str]]:
        """(delivery id, contract version) -> files that this reading left with their SHA-256; all readings, in order.

        Raises Fault when an entry is damaged.
        """
        columns = t.record_file.c
        query = sa.select(columns.delivery_id, columns.contract_version, columns.files).order_by(columns.journal_seq)
        with self.reading() as connection:
            found = connection.execute(query).tuples().all()
        try:
            return {(delivery_id, version): dict(json.loads(files)) for delivery_id, version, files in found}
        except (ValueError, TypeError) as error:
            raise Fault("台账中记录文件的校验值读不出来，有人改动过。", "请执行 eduplan verify。") from error

    def readings(self) -> set[tuple[str, str]]:
        """(delivery id, contract version) of every reading."""
        return set(self._line().done)

    def deliveries(self) -> list[DeliveryRow]:
        """Every delivery as last read, in order of arrival."""
        return list(self._line().newest.values())

    def deliveries_of(self, ids: Iterable[str]) -> list[DeliveryRow]:
        """The deliveries with these ids as last read, in the order of the ids; those nobody knows are left out."""
        newest = self._line().newest
        return [newest[name] for name in ids if name in newest]

    def _line(self) -> Line:
        with self.reading() as connection:
            return self._readings.all(connection)

    def active_set(
        self, contract_versions: Mapping[str, str] | None = None, *, without: Collection[str] = ()
    ) -> list[DeliveryRow]:
        """The deliveries that count, sorted by key: for each (feed, area, period, part) the newest one taken in and not
        withdrawn, or the newest refused or withdrawn one (with that status, and no tables) when there is none.
        `contract_versions` (feed -> version) limits to what was read under exactly these versions
        (`sources.intake.contract_versions`); None takes each delivery as last read. For the keys of deliveries set
        aside (`without`) the predecessors count."""
        withdrawn = frozenset(row.delivery_id for row in self.withdrawals() if row.withdrawn)
        versions = None if contract_versions is None else tuple(sorted(contract_versions.items()))
        return list(_active(self._line(), versions, withdrawn, frozenset(without)))

    def unread(self, contract_versions: Mapping[str, str]) -> list[DeliveryRow]:
        """Deliveries of these feeds not yet read under the given versions, in order of arrival; without those whose
        originals were cleared away."""
        gone = {item.name for item in self.pruned() if item.kind == ORIGINAL}
        line = self._line()
        return [
            row
            for row in line.newest.values()
            if row.feed in contract_versions
            and (row.delivery_id, contract_versions[row.feed]) not in line.done
            and row.sha256 not in gone
        ]

    def seen(self, connector: str) -> set[tuple[str, str]]:
        """(source, version) of every arrival of a connector that has its outcome."""
        query = sa.select(t.event.c.source, t.event.c.version).where(t.event.c.connector == connector)
        with self.reading() as connection:
            return {(source, version) for source, version in connection.execute(query).tuples()}

    def events(self) -> list[ArrivalEvent]:
        """Every arrival, by time and key."""
        names = [name for name in ArrivalEvent.__dataclass_fields__ if name != "at"]
        query = sa.select(t.event).order_by(t.event.c.at, t.event.c.event_key)
        with self.reading() as connection:
            return [
                ArrivalEvent(**{name: row[name] for name in names}, at=datetime.fromisoformat(row["at"]))
                for row in connection.execute(query).mappings()
            ]

    def withdraw(self, delivery_id: str, *, reason: str, person: str, withdrawn: bool = True) -> bool:
        """Take a delivery back, or (`withdrawn=False`) let it count again; False when that is how it stands already.

        Recorded and journaled, never deleted: records and receipt stay. Raises Refused for a delivery nobody knows.
        """
        with self.writing() as connection:
            if connection.execute(sa.select(t.delivery).where(t.delivery.c.delivery_id == delivery_id)).first() is None:
                raise Refused(f"台账中没有报送件 {delivery_id}。", "编号见回执或 eduplan explain。")
            standing = next((row for row in _withdrawals(connection) if row.delivery_id == delivery_id), None)
            if (standing is not None and standing.withdrawn) == withdrawn:
                return False
            row = Withdrawal(delivery_id, withdrawn, reason, person, _instant())
            seq = _append(connection, "withdrawal", asdict(row))
            connection.execute(t.withdrawal.insert().values(**asdict(row), journal_seq=seq))
            return True

    def withdrawals(self) -> list[Withdrawal]:
        """How every delivery that was ever withdrawn stands now, in the order of these decisions."""
        with self.reading() as connection:
            return _withdrawals(connection)

    # -- candidates, verdicts, releases -------------------------------------------------------------------------------

    def record_candidate(self, candidate_id: str, fingerprint: str) -> None:
        """Record a sealed candidate once. Raises Fault when it was recorded with another fingerprint."""
        with self.writing() as connection:
            query = sa.select(t.candidate.c.fingerprint).where(t.candidate.c.candidate_id == candidate_id)
            known = connection.execute(query).scalar_one_or_none()
            if known is not None and known != fingerprint:
                raise Fault(f"候选 {candidate_id} 曾以另一内容指纹登记，同一输入不应有两种结果。")
            if known is None:
                values = {"candidate_id": candidate_id, "fingerprint": fingerprint, "recorded_at": _instant()}
                _append(connection, "candidate", values)
                connection.execute(t.candidate.insert().values(**values))

    def record_verdict(self, verdict: Verdict) -> None:
        """Record a verdict's digest; the last one recorded for a candidate is the one `publish` accepts."""
        values = {
            "candidate_id": verdict.candidate_id,
            "fingerprint": verdict.fingerprint,
            "digest": verdict.digest(),
            "rules_version": verdict.rules_version,
            "passed": verdict.passed,
            "judged_at": verdict.judged_at,
        }
        with self.writing() as connection:
            if _last_verdict(connection, verdict.candidate_id) == values["digest"]:
                return
            seq = _append(connection, "verdict", values)
            connection.execute(t.verdict.insert().values(**values, journal_seq=seq))

    def verdict_digest(self, candidate_id: str) -> str | None:
        """Digest of the last verdict recorded for a candidate, or None."""
        with self.reading() as connection:
            return _last_verdict(connection, candidate_id)

    def record_hold(self, hold: Hold) -> None:
        """Set a delivery aside; one that is already held for the same reason is left alone."""
        self._record_hold(hold, "held", hold.reason_zh)

    def lift_hold(self, hold: Hold, reason_zh: str) -> None:
        """Take a held delivery up again; one that is not held is left alone."""
        self._record_hold(hold, "lifted", reason_zh)

    def _record_hold(self, hold: Hold, action: str, reason_zh: str) -> None:
        with self.writing() as connection:
            standing = _standing_holds(connection)
            if (standing.get(hold.delivery_id) == hold) if action == "held" else (hold.delivery_id not in standing):
                return
            values = {**asdict(hold), "action": action, "reason_zh": reason_zh, "at": _instant()}
            seq = _append(connection, "hold", values)
            connection.execute(t.hold.insert().values(**values, journal_seq=seq))

    def holds(self) -> list[Hold]:
        """The deliveries that are set aside now, sorted by key."""
        with self.reading() as connection:
            return sorted(_standing_holds(connection).values(), key=lambda hold: (*hold.key, hold.delivery_id))

    def record_release(
        self, row: ReleaseRow, *, fences: Sequence[Fence] = (), flip: Callable[[], None] = _nothing
    ) -> None:
        """Record a publication once; `flip` makes it visible, in the same transaction that asks the fences.

        So nobody can take a fence over between the question and the deed. Raises Fault when the id was recorded with
        another manifest, Refused when a fence was taken over (nothing was flipped then), and what `flip` raises.
        """
        with self.writing() as connection:
            for fence in fences:
                fence.check(connection)
            flip()
            query = sa.select(t.release.c.manifest_sha256).where(t.release.c.release_id == row.release_id)
            known = connection.execute(query).scalar_one_or_none()
            if known is not None and known != row.manifest_sha256:
                raise Fault(f"发布 {row.release_id} 已登记，但清单不同。", "请执行 eduplan verify 查明原因。")
            if known is None:
                seq = _append(connection, "release", asdict(row))
                connection.execute(t.release.insert().values(**asdict(row), journal_seq=seq))

    def releases(self) -> list[ReleaseRow]:
        """Every publication, oldest first."""
        query = sa.select(t.release).order_by(t.release.c.journal_seq)
        with self.reading() as connection:
            return [_release_row(row) for row in connection.execute(query).mappings()]

    def record_pruned(self, entries: Sequence[Pruned], *, fences: Sequence[Fence] = ()) -> None:
        """Record what is about to be cleared away; what was recorded before is recorded once.

        Raises Refused when a fence was taken over: then nothing may be deleted.
        """
        with self.writing() as connection:
            for fence in fences:
                fence.check(connection)
            known = set(connection.execute(sa.select(t.pruned.c.kind, t.pruned.c.name)).tuples())
            for entry in entries:
                if (entry.kind, entry.name) not in known:
                    seq = _append(connection, "pruned", asdict(entry))
                    connection.execute(t.pruned.insert().values(**asdict(entry), journal_seq=seq))

    def pruned(self) -> list[Pruned]:
        """Everything that was cleared away, in this order."""
        names = list(Pruned.__dataclass_fields__)
        with self.reading() as connection:
            found = connection.execute(sa.select(t.pruned).order_by(t.pruned.c.journal_seq)).mappings()
            return [Pruned(**{name: row[name] for name in names}) for row in found]

    def reconcile(self, home: Home) -> list[str]:
        """Finish or remove what a dead process left under way; returns what was done, in Chinese. Safe to repeat."""
        from warehouse.reconcile import reconcile

        return reconcile(home, self)

    # -- journal ------------------------------------------------------------------------------------------------------

    def journal_entries(self) -> list[JournalEntry]:
        """The whole journal in stored order."""
        with self.reading() as connection:
            found = connection.execute(sa.select(t.journal).order_by(t.journal.c.seq)).mappings()
            return [JournalEntry(**row) for row in found]

    def journal_head(self) -> tuple[int, str]:
        """(seq, hash) of the last entry; (0, '') of an empty journal."""
        with self.reading() as connection:
            return _head(connection) or (0, "")

    def began_at(self) -> str | None:
        """When the first entry was made (ISO instant), or None of an empty journal."""
        with self.reading() as connection:
            return connection.execute(sa.select(t.journal.c.at).where(t.journal.c.seq == 1)).scalar()

    def findings(self) -> list[str]:
        """What is wrong with the journal or with rows that differ from it, in Chinese; empty when all is whole."""
        entries = self.journal_entries()
        found = check_chain(entries)
        with self.reading() as connection:
            for kind, table, payload_of in _JOURNALED:
                told = {entry.seq: entry.payload for entry in entries if entry.kind == kind}
                stored = connection.execute(sa.select(table)).mappings().all()
                found += _differences(kind, told, {row["journal_seq"]: payload_of(row) for row in stored})
            for kind, table, key in _KEYED:
                payloads = [entry.payload for entry in entries if entry.kind == kind]
                rows = connection.execute(sa.select(table)).mappings().all()
                found += _keyed_differences(kind, key, payloads, [dict(row) for row in rows])
        return found


@lru_cache(maxsize=_ACTIVE_SETS)
def _active(
    line: Line, versions: tuple[tuple[str, str], ...] | None, withdrawn: frozenset[str], without: frozenset[str]
) -> tuple[DeliveryRow, ...]:
    """`Ledger.active_set`, found out once for as long as nothing is added to the line."""
    found: Iterable[DeliveryRow] = line.newest.values()
    if versions is not None:
        version_of = dict(versions)
        found = (row for row in line.in_line if version_of.get(row.feed) == row.contract_version)
    return tuple(select_active((row for row in found if row.delivery_id not in without), withdrawn))


def select_active(deliveries: Iterable[DeliveryRow], withdrawn: Collection[str] = ()) -> list[DeliveryRow]:
    """Choose the active deliveries from all, given in order of arrival; sorted by key.

    A later arrival wins unless both sides know their reporting date and its own is older. A winner without a date
    stands in for the date it displaced, so that no chain of corrections can go in a circle. Refused ones count only
    where nothing else did, and only when they could be attributed to an area; those withdrawn likewise, and what they
    displaced counts again as if they had never come.

    A single school's delivery is measured by the same rule against the district's too: where the district's is newer,
    or the school's was refused or withdrawn, the district's speaks for the school and the school's is left out.
    """
    winners: dict[tuple[str, str, int, str], DeliveryRow] = {}
    dates: dict[tuple[str, str, int, str], date] = {}
    refused: dict[tuple[str, str, int, str], DeliveryRow] = {}
    turns: dict[tuple[str, str, int, str], int] = {}
    for turn, row in enumerate(deliveries):
        if row.status == "refused" or row.delivery_id in withdrawn:
            refused[row.key] = row if row.status == "refused" else _taken_back(row)
            continue
        standing = dates.get(row.key)
        if row.reported_on is not None and standing is not None and row.reported_on < standing:
            continue
        winners[row.key], turns[row.key] = row, turn
        if row.reported_on is not None:
            dates[row.key] = row.reported_on
    visible = {key: row for key, row in refused.items() if row.area_code}
    chosen = {**visible, **winners}

    def stands(row: DeliveryRow) -> bool:
        district = row.lies_over
        if district not in winners:
            return True
        return row.counts and _is_newer((turns[row.key], dates.get(row.key)), (turns[district], dates.get(district)))

    return [row for _, row in sorted(chosen.items()) if stands(row)]


def _is_newer(one: tuple[int, date | None], other: tuple[int, date | None]) -> bool:
    """Whether of two (turn of arrival, reporting date) the first wins: by date where both have one, else by arrival;
    on the same day the later arrival."""
    (turn, day), (other_turn, other_day) = one, other
    if day is not None and other_day is not None and day != other_day:
        return day > other_day
    return turn > other_turn


def _taken_back(row: DeliveryRow) -> DeliveryRow:
    return replace(row, status=WITHDRAWN, rows_accepted=0, rows_quarantined=row.rows_in, tables={})


def _withdrawals(connection: sa.Connection) -> list[Withdrawal]:
    names = list(Withdrawal.__dataclass_fields__)
    last: dict[str, Withdrawal] = {}
    for row in connection.execute(sa.select(t.withdrawal).order_by(t.withdrawal.c.journal_seq)).mappings():
        last.pop(row["delivery_id"], None)
        last[row["delivery_id"]] = Withdrawal(**{name: row[name] for name in names})
    return list(last.values())


def _instant() -> str:
    return now().isoformat()


def _head(connection: sa.Connection) -> tuple[int, str] | None:
    query = sa.select(t.journal.c.seq, t.journal.c.hash).order_by(t.journal.c.seq.desc()).limit(1)
    found = connection.execute(query).tuples().first()
    return (int(found[0]), str(found[1])) if found else None


def _append(connection: sa.Connection, kind: str, payload: object) -> int:
    tail: _Tail = connection.get_execution_options()[_TAIL_OPTION]
    entry = next_entry(tail.last or _head(connection), at=_instant(), kind=kind, payload=payload)
    connection.execute(t.journal.insert(), asdict(entry))
    tail.last = (entry.seq, entry.hash)
    return entry.seq


def journaled(connection: sa.Connection, kind: str, payload: object) -> int:
    """Append to the journal inside a writing transaction and return the entry's number; for modules of `warehouse`
    that keep a table of their own."""
    return _append(connection, kind, payload)


def _standing_holds(connection: sa.Connection) -> dict[str, Hold]:
    found: dict[str, Hold] = {}
    for row in connection.execute(sa.select(t.hold).order_by(t.hold.c.journal_seq)).mappings():
        found.pop(row["delivery_id"], None)
        if row["action"] == "held":
            found[row["delivery_id"]] = Hold(**{name: row[name] for name in Hold.__dataclass_fields__})
    return found


def _last_verdict(connection: sa.Connection, candidate_id: str) -> str | None:
    columns = t.verdict.c
    query = sa.select(columns.digest).where(columns.candidate_id == candidate_id)
    return connection.execute(query.order_by(columns.journal_seq.desc()).limit(1)).scalar_one_or_none()


def _release_row(row: Mapping[Any, Any]) -> ReleaseRow:
    return ReleaseRow(**{name: row[name] for name in ReleaseRow.__dataclass_fields__})


def _plain_payload(row: Mapping[Any, Any]) -> str:
    return canonical_json({name: value for name, value in row.items() if name != "journal_seq"}).decode("utf-8")


def _delivery_text(row: Mapping[Any, Any]) -> str:
    return _with_json(row, "tables")


def _files_text(row: Mapping[Any, Any]) -> str:
    return _with_json(row, "files")


def _with_json(row: Mapping[Any, Any], column: str) -> str:
    try:
        return _plain_payload({**row, column: json.loads(row[column])})
    except ValueError:
        # Not what was written, whatever it is now: it differs from the journal, and that is the finding.
        return _plain_payload(row)


_JOURNALED: Final[Sequence[tuple[str, sa.Table, Any]]] = (
    ("delivery", t.delivery, _delivery_text),
    ("verdict", t.verdict, _plain_payload),
    ("release", t.release, _plain_payload),
    ("records", t.record_file, _files_text),
    ("withdrawal", t.withdrawal, _plain_payload),
    ("hold", t.hold, _plain_payload),
    ("pruned", t.pruned, _plain_payload),
    ("alert", t.alert, _plain_payload),
)
# Journaled rows that are known by a key of their own: kind, table, key column.
_KEYED: Final[Sequence[tuple[str, sa.Table, str]]] = (
    ("event", t.event, "event_key"),
    ("snapshot", t.snapshot, "sha256"),
    ("candidate", t.candidate, "candidate_id"),
)


def _keyed_differences(kind: str, key: str, payloads: Iterable[str], stored: Iterable[Mapping[str, Any]]) -> list[str]:
    told = Counter(payloads)
    held = {canonical_json(row).decode("utf-8"): str(row[key]) for row in stored}
    found = [
        f"台账中的 {kind} 记录 {name} 与日志不一致，有人增添或改动过。"
        for text, name in held.items()
        if text not in told
    ]
    # The payload may hold a file name, which is nobody's business here.
    missing = sum(count for text, count in told.items() if text not in held)
    return sorted(found) + ([f"台账缺少日志所记的 {missing} 条 {kind} 记录。"] if missing else [])


def _differences(kind: str, told: Mapping[int, str], stored: Mapping[int, str]) -> list[str]:
    found = [f"台账缺少第 {seq} 条日志所记的 {kind} 记录。" for seq in sorted(set(told) - set(stored))]
    found += [f"台账中有一条 {kind} 记录不在日志里（序号 {seq}）。" for seq in sorted(set(stored) - set(told))]
    found += [
        f"台账中的 {kind} 记录与第 {seq} 条日志不一致，有人改动过。"
        for seq in sorted(set(told) & set(stored))
        if told[seq] != stored[seq]
    ]
    return found
