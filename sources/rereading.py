"""Reading archived originals again: under a new contract or parser where they were not yet, or to confirm and restore.

What belongs here: choosing deliveries, reading them again, comparing with what the ledger says was left. What does not:
taking in what is new (`sources.intake`). Nothing is replaced that is whole: a record file is put back only when it is
missing or damaged and the new reading gives exactly the bytes that the ledger recorded.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sources import intake
from sources.reading import Job, Readers
from warehouse import archive
from warehouse.files import fsync_dir, fsync_file, sha256_file, unique_suffix
from warehouse.home_key import load_or_create_key
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.paths import Home
from warehouse.pruned import ORIGINAL, RECORDS, reading_name
from warehouse.records import DeliveryRow

_WORK: Final = intake.WORK


@dataclass(frozen=True)
class Selection:
    """Which deliveries: empty means all. Years are statistical or fiscal ones; areas are codes."""

    years: frozenset[int] = frozenset()
    areas: frozenset[str] = frozenset()
    feeds: frozenset[str] = frozenset()

    def holds(self, row: DeliveryRow) -> bool:
        """Whether a delivery belongs to it."""
        asked = ((self.years, row.period), (self.areas, row.area_code), (self.feeds, row.feed))
        return all(not wanted or value in wanted for wanted, value in asked)


@dataclass
class Reread:
    """What came of it: read under a new version, confirmed unchanged, restored, and what could not be (Chinese)."""

    renewed: int = 0
    confirmed: int = 0
    restored: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_again(home: Home, ledger: Ledger, selection: Selection, *, progress: intake.Progress | None = None) -> Reread:
    """Read the selected deliveries again, in order of arrival.

    Raises Refused when an intake is under way, Fault or OSError when ledger or disk fail.
    """
    report = Reread()
    versions = intake.contract_versions()
    new = [row for row in ledger.unread(versions) if selection.holds(row)]
    if new:
        taken = intake.take_in(home, ledger, [intake.again(home, row, versions) for row in new], progress=progress)
        report.renewed, report.problems = len(taken.deliveries), list(taken.problems)
    done = {row.delivery_id for row in new}
    away = _cleared(home, ledger)
    rows = [
        row
        for row in ledger.deliveries()
        if selection.holds(row) and row.delivery_id not in done and row.tables and row.delivery_id not in away
    ]
    with exclusive(home, intake.INTAKE_LOCK), _work(home) as work:
        _confirm(home, ledger, rows, work=work, report=report, progress=progress)
    return report


def _cleared(home: Home, ledger: Ledger) -> set[str]:
    """Deliveries that do not count and whose records or original the retention policy cleared away: they stay away."""
    gone = {(item.kind, item.name) for item in ledger.pruned()}
    active = {row.delivery_id for row in ledger.active_set()}
    return {
        row.delivery_id
        for row in ledger.deliveries()
        if row.delivery_id not in active
        and ((RECORDS, reading_name(row.delivery_id, row.contract_version)) in gone or (ORIGINAL, row.sha256) in gone)
    }


def bring_back(home: Home, ledger: Ledger, rows: Collection[DeliveryRow]) -> Reread:
    """Read those of these deliveries again whose records were cleared away and that count again (a newer one was taken
    back or set aside). Raises Refused, Fault, OSError as `read_again`."""
    report = Reread()
    missing = [row for row in rows if any(not (home.root / path).is_file() for path in row.tables.values())]
    if missing and ledger.pruned():
        with exclusive(home, intake.INTAKE_LOCK), _work(home) as work:
            _confirm(home, ledger, missing, work=work, report=report, progress=None)
    return report


@contextmanager
def _work(home: Home) -> Iterator[Path]:
    work = home.records / f"{_WORK}{unique_suffix()}"
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _confirm(
    home: Home,
    ledger: Ledger,
    rows: Sequence[DeliveryRow],
    *,
    work: Path,
    report: Reread,
    progress: intake.Progress | None,
) -> None:
    key, recorded = load_or_create_key(home.key_file), ledger.record_files()
    with Readers() as readers:
        for number, row in enumerate(rows, 1):
            if not archive.is_intact(home, row.sha256):
                report.problems.append(f"存档原件 {row.sha256[:12]}…（{row.file_name}）缺失或被改动，无法重读。")
                continue
            snapshot = archive.snapshot_path(home, row.sha256)
            job = Job(row.feed, snapshot, row.file_name, row.delivery_id, key=key, out_dir=work / row.delivery_id)
            job.out_dir.mkdir()
            readers.submit(job)
            _compare(home, row, readers.result(job).tables, recorded.get(row.delivery_id, {}), report)
            shutil.rmtree(job.out_dir, ignore_errors=True)
            if progress is not None:
                progress(number, len(rows), row.file_name)


def _compare(
    home: Home, row: DeliveryRow, read: Mapping[str, Path], recorded: Mapping[str, str], report: Reread
) -> None:
    """Every table of one delivery against the ledger's hash; put back what is missing or damaged."""
    states = [_table(home, path, read.get(table), recorded.get(path)) for table, path in sorted(row.tables.items())]
    if all(state == "whole" for state in states):
        report.confirmed += 1
    elif "lost" in states:
        report.problems.append(
            f"报送件 {row.delivery_id}（{row.file_name}）的记录已损坏，重读的结果与台账登记的不同，未作改动；"
            "请从备份恢复 records/，或执行 eduplan verify 查明原因。"
        )
    else:
        report.restored.append(row.delivery_id)


def _table(home: Home, path: str, read: Path | None, recorded: str | None) -> str:
    target = home.root / path
    if recorded is not None and target.is_file() and sha256_file(target) == recorded:
        return "whole"
    if read is None or recorded is None or sha256_file(read) != recorded:
        return "lost"
    target.parent.mkdir(parents=True, exist_ok=True)
    fsync_file(read)
    read.replace(target)
    fsync_dir(target.parent)
    return "restored"


def selection(years: Collection[int], areas: Collection[str], feeds: Collection[str]) -> Selection:
    """A selection from what somebody asked for."""
    return Selection(frozenset(years), frozenset(areas), frozenset(feeds))
