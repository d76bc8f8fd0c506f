"""Building a release once more from the archived originals, and comparing it with what was published.

What belongs here: a scratch home, reading the release's deliveries again, building, comparing. What does not: judging
or publishing anything, and how the answer is shown (`orchestration.cli.rebuild`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from orchestration import dbt
from warehouse import candidate as candidates
from warehouse.archive import is_intact
from warehouse.candidate import Candidate
from warehouse.changes import compare
from warehouse.disclosure import protect
from warehouse.errors import Refused
from warehouse.files import sha256_file, write_atomic
from warehouse.fingerprint import fingerprint, table_fingerprints
from warehouse.holds import Hold, Selection
from warehouse.ledger import Ledger
from warehouse.manifest import Release, read_release
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.waivers import Waiver, parse

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rebuilt:
    """How a release came out the second time. `equal`: same content fingerprint; `differing`: marts that differ,
    `counts` the differing values of the compared ones; `same_code`: made by the code that runs now; `reread`: what
    deliveries read differently than when they were taken in; `restored`: its candidate is in the home again;
    `cleared`: its data was cleared away, so that only fingerprints could be compared."""

    release_id: str
    published: str
    fingerprint: str
    code_then: str
    code_now: str
    differing: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    reread: tuple[str, ...]
    restored: bool
    cleared: bool

    @property
    def equal(self) -> bool:
        """Whether the marts say the same."""
        return self.published == self.fingerprint

    @property
    def same_code(self) -> bool:
        """Whether the release was made by the code that runs now."""
        return self.code_then == self.code_now


def rebuild(home: Home, release: Release, progress: Progress | None = None) -> Rebuilt:
    """Read the release's deliveries from the archive into a scratch home, build, compare; nothing of `home` changes but
    a missing candidate that came out equal, which is put back. Raises Refused when an original is missing, Fault."""
    rows, waivers = _inputs(home, release)
    with _scratch(home) as scratch:
        read = _read_again(home, scratch, rows, progress or (lambda *_: None))
        made = _build(home, scratch, release, read, waivers)
        return _compared(home, release, made, rows, read)


def _inputs(home: Home, release: Release) -> tuple[list[DeliveryRow], list[Waiver]]:
    inputs = release.manifest["inputs"]
    ledger = Ledger(home.ledger_url)
    try:
        known = {row.delivery_id: row for row in ledger.deliveries()}
    finally:
        ledger.close()
    names = [item["delivery_id"] for item in inputs["deliveries"]]
    missing = [name for name in names if name not in known or not is_intact(home, known[name].sha256)]
    if missing:
        raise Refused(
            f"发布 {release.release_id} 所依据的 {len(missing)} 件原件缺失或被改动，例如 {missing[0]}，无法重建。",
            "请执行 eduplan verify 查明原因，并从备份恢复 archive/ 与台账。",
        )
    # As it was then: a delivery read anew since may have another standing.
    rows = [
        replace(known[item["delivery_id"]], **{name: item[name] for name in ("contract_version", "status")}, tables={})
        for item in inputs["deliveries"]
    ]
    return rows, [parse(item, f"（发布 {release.release_id}）") for item in inputs["waivers"]]


@contextmanager
def _scratch(home: Home) -> Iterator[Home]:
    # Inside the home: the same disk, and a kill leaves nothing outside.
    folder = Path(tempfile.mkdtemp(prefix=".rebuilding-", dir=home.root))
    try:
        scratch = Home(folder).ensure()
        if home.key_file.is_file():
            shutil.copy2(home.key_file, scratch.key_file)
        yield scratch
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_again(home: Home, scratch: Home, rows: Sequence[DeliveryRow], progress: Progress) -> list[DeliveryRow]:
    from sources.reading import Job, Readers
    from warehouse.home_key import load_or_create_key

    key = load_or_create_key(scratch.key_file)
    work = scratch.root / "work"
    jobs = [
        (row, Job(row.feed, _original(home, row), row.file_name, row.delivery_id, key, work / row.delivery_id))
        for row in rows
        if row.counts
    ]
    found = [row for row in rows if not row.counts]
    with Readers() as readers:
        waiting = iter(jobs)
        ahead = list(islice(waiting, readers.ahead))
        for _, job in ahead:
            _start(readers, job)
        for done, (row, job) in enumerate(jobs, start=1):
            outcome = readers.result(job)
            for _, following in islice(waiting, 1):
                _start(readers, following)
            found.append(_read_row(scratch, row, outcome))
            progress(done, len(jobs))
    return found


def _original(home: Home, row: DeliveryRow) -> Path:
    return home.archive / row.sha256[:2] / row.sha256


def _start(readers: Any, job: Any) -> None:
    job.out_dir.mkdir(parents=True)
    readers.submit(job)


def _read_row(scratch: Home, row: DeliveryRow, outcome: Any) -> DeliveryRow:
    from sources.reading_store import place_tables

    names = ("status", "rows_in", "rows_accepted", "rows_quarantined", "reported_on")
    tables = place_tables(scratch, row.feed, row.delivery_id, row.contract_version, outcome.tables)
    return replace(row, **{name: getattr(outcome, name) for name in names}, tables=tables)


def _build(
    home: Home, scratch: Home, release: Release, rows: Sequence[DeliveryRow], waivers: Sequence[Waiver]
) -> Candidate:
    from sources.contract import feed_table

    inputs = release.manifest["inputs"]
    held = tuple(Hold(**{name: item[name] for name in Hold.__dataclass_fields__}) for item in inputs.get("held", []))
    chosen = Selection(tuple(rows), held)
    build = candidates.begin(scratch, chosen, feed_table(), waivers, disclosed=str(inputs.get("disclosed", "")))
    dbt.build_models(build)
    protect(build.database, _told_before(home, release))
    return candidates.seal(scratch, build)


def _told_before(home: Home, release: Release) -> Path | None:
    """The marts that readers had before this release: what they were told, the disclosure step must count as known.

    Raises Refused when they are gone.
    """
    previous = release.manifest["previous"]
    if previous is None:
        return None
    name = str(previous["release_id"])
    marts = home.releases / name / MARTS_FILE
    if marts.is_file():
        return marts
    # Cleared away, but built again since: a candidate of the same fingerprint says the same.
    told = read_release(home.releases / name)
    again = candidates.find(home, told.candidate_id)
    if again is not None and fingerprint(again.database) == told.fingerprint:
        return again.database
    raise Refused(
        f"发布 {release.release_id} 之前的发布 {name} 的数据不在，无法按当时已公布的内容重建。",
        f"请先执行 eduplan rebuild {name}，或从备份恢复该发布目录。",
    )


def _compared(
    home: Home, release: Release, made: Candidate, rows: Sequence[DeliveryRow], read: Sequence[DeliveryRow]
) -> Rebuilt:
    published = release.path / MARTS_FILE
    equal = made.fingerprint == release.fingerprint
    differing: list[str] = []
    # Of a release whose data was cleared away only the fingerprint is known.
    if published.is_file():
        then, now = table_fingerprints(published), table_fingerprints(made.database)
        differing = sorted(name for name in set(then) | set(now) if then.get(name) != now.get(name))
    return Rebuilt(
        release_id=release.release_id,
        published=release.fingerprint,
        fingerprint=made.fingerprint,
        code_then=release.manifest["versions"]["code_digest"],
        code_now=made.inputs["code_digest"],
        differing=tuple(differing),
        counts=compare(published, made.database)["counts"] if differing else {},
        reread=_reread(rows, read),
        restored=equal and _restore(home, release, made, rows, read),
        cleared=not published.is_file(),
    )


def _reread(rows: Sequence[DeliveryRow], read: Sequence[DeliveryRow]) -> tuple[str, ...]:
    """Deliveries whose rows count differently than when they were taken in."""
    then = {row.delivery_id: row for row in rows}
    names = ("status", "rows_in", "rows_accepted", "rows_quarantined")
    return tuple(
        sorted(
            row.delivery_id
            for row in read
            if any(getattr(row, name) != getattr(then[row.delivery_id], name) for name in names)
        )
    )


def _restore(
    home: Home, release: Release, made: Candidate, rows: Sequence[DeliveryRow], read: Sequence[DeliveryRow]
) -> bool:
    """Put the candidate of an equal rebuild where `explain` looks for it, over the home's own records."""
    if made.candidate_id != release.candidate_id or (home.candidates / made.candidate_id).exists():
        return False
    ledger = Ledger(home.ledger_url)
    try:
        tables = {row.delivery_id: row.tables for row in ledger.deliveries()}
        recorded = ledger.record_files()
    finally:
        ledger.close()
    _put_back(home, made, read, recorded)
    kept = [replace(row, tables=tables[row.delivery_id]) for row in rows]
    candidates.adopt(home, made, kept)
    return True


def _put_back(
    home: Home, made: Candidate, read: Sequence[DeliveryRow], recorded: Mapping[str, Mapping[str, str]]
) -> None:
    """Record files that were cleared away, where the reading just made gives exactly what the ledger recorded."""
    scratch = made.path.parents[1]
    for row in read:
        for path in row.tables.values():
            target, source = home.root / path, scratch / path
            if not target.is_file() and recorded.get(row.delivery_id, {}).get(path) == sha256_file(source):
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(target, source.read_bytes())
