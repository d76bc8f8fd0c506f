"""Clearing away what the retention policy no longer keeps, without losing the proof of what there was.

What belongs here: deciding what goes from releases, candidates, records and archive, telling the ledger, deleting. What
does not: the policy's numbers (`warehouse.retention_policy`), Dagster's history (`orchestration.pruning`).

The ledger is told before anything is deleted, so a death in the middle leaves nothing unexplained, and the next time
the rest goes. Of a release only the data goes: manifest, signature, report and verdict stay, so the chain still holds.
Who has a file open keeps reading it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from warehouse import candidate as candidates
from warehouse import pruned
from warehouse.archive import snapshot_path
from warehouse.attestation import sign_head
from warehouse.clock import now
from warehouse.errors import EduplanError
from warehouse.files import fsync_dir, unique_suffix
from warehouse.lease import Fence, held
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.manifest import Release, current, read_release
from warehouse.paths import Home
from warehouse.pruned import Pruned, is_data, reading_name
from warehouse.records import DeliveryRow
from warehouse.retention_policy import Policy
from warehouse.signing import load_or_create

RUN_LOCK: Final = "run"
PUBLISH_LOCK: Final = "publish"
BACKUP_LOCK: Final = "backup"
_DAYS_A_YEAR: Final = 366
# Of every (feed, area, period, part) so many deliveries are kept whole: when the newest is taken back, the one before
# it counts again.
_KEPT_OF_A_KEY: Final = 2


@dataclass(frozen=True)
class Doomed:
    """One thing that goes: what it is, by which rule (Chinese), and the files and folders it consists of."""

    kind: str
    name: str
    rule: str
    paths: tuple[Path, ...]

    def size(self) -> tuple[int, int]:
        """(files, bytes) of it."""
        found = [path for given in self.paths for path in _files(given)]
        return len(found), sum(path.stat().st_size for path in found)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (inner for inner in path.rglob("*") if inner.is_file())
    elif path.is_file():
        yield path


@contextmanager
def alone(home: Home, ledger: Ledger, *, wait: float = 0.0) -> Iterator[tuple[Fence, ...]]:
    """Hold everything that somebody might be using while things are cleared away: run, publication and back-up.

    Raises Refused naming who is at work.
    """
    with (
        held(home, ledger, RUN_LOCK, wait=wait) as run,
        held(home, ledger, PUBLISH_LOCK, wait=wait) as publication,
        exclusive(home, BACKUP_LOCK, wait=wait),
    ):
        yield run, publication


# -- deciding ---------------------------------------------------------------------------------------------------------


def doomed(home: Home, ledger: Ledger, policy: Policy, wanted: Collection[str] = ()) -> list[Doomed]:
    """What the policy no longer keeps, of what is still there. `wanted`: ids of candidates that somebody needs beside
    those of the policy (the one a run would publish now). Raises Fault when a manifest is damaged."""
    found = [release for row in ledger.releases() if (release := _release(home, row.release_id)) is not None]
    kept_releases = _kept_releases(home, found, policy)
    going = [
        Doomed(pruned.RELEASE, release.release_id, _release_rule(policy), paths)
        for release in found
        if release.release_id not in kept_releases and (paths := _data_of(release))
    ]
    kept_candidates = _kept_candidates(home, ledger, policy, wanted)
    going += _candidates(home, kept_candidates, policy)
    needed = _needed(ledger)
    read_by = _inputs_of(home, kept_candidates)
    going += _records(home, ledger, policy, needed, read_by)
    going += _originals(home, ledger, policy, needed, [item for item in found if item.release_id in kept_releases])
    return going


def _release(home: Home, release_id: str) -> Release | None:
    path = home.releases / release_id
    return read_release(path) if path.is_dir() else None


def _data_of(release: Release) -> tuple[Path, ...]:
    names = (*pruned.DATA_FILES, *pruned.DATA_FOLDERS)
    return tuple(path for name in names if (path := release.path / name).exists())


def _release_rule(policy: Policy) -> str:
    rule = policy.releases
    monthly = "及每月最后一次" if rule.keep_monthly else ""
    return f"保留最近 {rule.keep_last} 次、{rule.keep_days} 天以内{monthly}的发布"


def _kept_releases(home: Home, found: Sequence[Release], policy: Policy) -> set[str]:
    rule = policy.releases
    since = (now() - timedelta(days=rule.keep_days)).isoformat()
    names = [release.release_id for release in found]
    kept = {*names[:1], *names[-rule.keep_last :]}
    # All stamps are of the city's zone, so they compare as text; the first seven marks are the month.
    kept |= {release.release_id for release in found if release.manifest["published_at"] >= since}
    if rule.keep_monthly:
        kept |= set({release.manifest["published_at"][:7]: release.release_id for release in found}.values())
    kept |= _answered_for(home, found)
    standing = current(home)
    if standing is not None:
        kept.add(standing.release_id)
    # What readers were told before is an input of the disclosure step: without it a kept one cannot be built again.
    return kept | {release.previous_id for release in found if release.release_id in kept}


def _answered_for(home: Home, found: Iterable[Release]) -> set[str]:
    """Releases that an acknowledgement speaks of: the one it let pass and the one it was compared with."""
    cited, by_candidate = set(), {}
    for release in found:
        by_candidate[release.candidate_id] = release.release_id
        if release.manifest.get("acknowledgement"):
            cited |= {release.release_id, release.previous_id}
    for path in sorted((home.root / "acknowledgements").glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            cited |= {by_candidate.get(str(content["candidate_id"]), ""), str(content["previous_release_id"])}
        except (ValueError, KeyError, TypeError):
            # Not as this program writes it; `publish` refuses it, and it protects nothing.
            continue
    return cited


def _kept_candidates(home: Home, ledger: Ledger, policy: Policy, wanted: Collection[str]) -> set[str]:
    order = [
        json.loads(entry.payload)["candidate_id"] for entry in ledger.journal_entries() if entry.kind == "candidate"
    ]
    there = [name for name in order if (home.candidates / name).is_dir()]
    kept = {*there[-policy.candidates.keep_last :], *wanted}
    standing = current(home)
    if standing is not None:
        kept.add(standing.candidate_id)
    # Stamps of folders are the machine's own time, whatever EDUPLAN_NOW pretends; so is the limit.
    limit = time.time() - policy.candidates.keep_days * 86_400
    known = set(order)
    for path in _candidate_folders(home):
        if path.name not in known or path.stat().st_mtime > limit:
            kept.add(path.name)
    return kept


def _candidate_folders(home: Home) -> list[Path]:
    if not home.candidates.is_dir():
        return []
    return sorted(path for path in home.candidates.iterdir() if path.is_dir() and not path.name.startswith("."))


def _candidates(home: Home, kept: Collection[str], policy: Policy) -> list[Doomed]:
    rule = f"保留最近 {policy.candidates.keep_last} 个、{policy.candidates.keep_days} 天以内的候选"
    return [
        Doomed(pruned.CANDIDATE, path.name, rule, (path,)) for path in _candidate_folders(home) if path.name not in kept
    ]


def _needed(ledger: Ledger) -> list[DeliveryRow]:
    """Deliveries that count, with or without those set aside, and the newest two of every key."""
    held_now = {hold.delivery_id for hold in ledger.holds()}
    by_key: dict[tuple[str, str, int, str], list[DeliveryRow]] = defaultdict(list)
    for row in ledger.deliveries():
        by_key[row.key].append(row)
    newest = [row for rows in by_key.values() for row in rows[-_KEPT_OF_A_KEY:]]
    return [*ledger.active_set(), *ledger.active_set(without=held_now), *newest]


def _inputs_of(home: Home, kept: Iterable[str]) -> set[str]:
    """Names of the readings that the record views of kept candidates show."""
    found = set()
    for name in kept:
        try:
            candidate = candidates.find(home, name)
        except EduplanError:
            # Damaged: nobody reads through it any more.
            continue
        inputs = candidate.inputs["deliveries"] if candidate is not None else []
        found |= {reading_name(item["delivery_id"], item["contract_version"]) for item in inputs}
    return found


def _records(
    home: Home, ledger: Ledger, policy: Policy, needed: Iterable[DeliveryRow], read_by: Collection[str]
) -> list[Doomed]:
    """Record files of readings that nobody needs; quarantine and receipts stay."""
    kept = {reading_name(row.delivery_id, row.contract_version) for row in needed} | set(read_by)
    days = policy.records.superseded_days
    limit = now() - timedelta(days=days)
    came = {row.delivery_id: row.received_at for row in ledger.deliveries()}
    tables = {
        reading_name(*reading): [path for path in files if path.startswith(f"{home.records.name}/")]
        for reading, files in ledger.reading_files().items()
    }
    still = {path for name, paths in tables.items() if name in kept for path in paths}
    rule = f"不再采用、收到已逾 {days} 天的记录文件"
    going = []
    for name, paths in sorted(tables.items()):
        if name in kept or came[name.partition("@")[0]] >= limit:
            continue
        there = tuple(home.root / path for path in sorted(paths) if path not in still and (home.root / path).is_file())
        if there:
            going.append(Doomed(pruned.RECORDS, name, rule, there))
    return going


def _originals(
    home: Home, ledger: Ledger, policy: Policy, needed: Iterable[DeliveryRow], kept: Iterable[Release]
) -> list[Doomed]:
    """Originals of deliveries that neither count nor stand behind a release whose data is kept."""
    years = policy.originals.keep_years
    if not years:
        return []
    limit = now() - timedelta(days=years * _DAYS_A_YEAR)
    held_on = {row.sha256 for row in needed}
    held_on |= {item["sha256"] for release in kept for item in release.manifest["inputs"]["deliveries"]}
    rows = ledger.deliveries()
    held_on |= {row.sha256 for row in rows if row.received_at >= limit}
    rule = f"不再采用、收到已逾 {years} 年的原件"
    names = sorted({row.sha256 for row in rows} - held_on)
    return [
        Doomed(pruned.ORIGINAL, name, rule, (path,)) for name in names if (path := snapshot_path(home, name)).is_file()
    ]


# -- doing ------------------------------------------------------------------------------------------------------------


def clear(home: Home, ledger: Ledger, going: Sequence[Doomed], *, person: str, fences: Sequence[Fence]) -> list[Pruned]:
    """Tell the ledger, then delete; the caller holds `alone`. Returns what was cleared away.

    Raises Refused when a fence was taken over (nothing was deleted then), OSError when the disk fails half-way: the
    rest goes the next time.
    """
    if not going:
        return []
    at = now().isoformat(timespec="seconds")
    entries = [Pruned(item.kind, item.name, item.rule, person, at, *item.size()) for item in going]
    ledger.record_pruned(entries, fences=fences)
    sign_head(home, ledger, load_or_create(home))
    for item in going:
        _delete(home, item)
    return entries


def _delete(home: Home, item: Doomed) -> None:
    for path in item.paths:
        if item.kind == pruned.CANDIDATE:
            _delete_candidate(home, path)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        fsync_dir(path.parent)


def _delete_candidate(home: Home, path: Path) -> None:
    """Under a name that `candidates.sweep` knows first: a half deleted one must not be taken for a candidate."""
    with exclusive(home, candidates.LOCK, wait=candidates.LOCK_WAIT):
        leftover = home.candidates / f"{candidates.BUILDING}{path.name}-pruned-{unique_suffix()}"
        path.rename(leftover)
        shutil.rmtree(leftover)


# -- telling ----------------------------------------------------------------------------------------------------------


def gone_from(release: Release) -> bool:
    """Whether any data of this release is no longer in its folder."""
    return any(is_data(name) and not (release.path / name).is_file() for name in release.manifest["files"])
