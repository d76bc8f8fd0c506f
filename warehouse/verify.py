"""The auditor's question: is everything published and recorded still what it was?

What belongs here: recomputing hashes of releases, archive, records, the manifest chain and the journal chain. What does
not: repairing anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from warehouse.archive import is_intact
from warehouse.errors import EduplanError, Refused
from warehouse.fingerprint import fingerprint
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current, file_findings, read_release, release_folders
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home
from warehouse.verdict import Verdict


def verify(home: Home, release_id: str | None = None) -> list[str]:
    """What is wrong, in Chinese, worst first; empty when all is whole.

    With a release id only that release, its inputs and the chains are checked. Raises Refused when it does not exist.
    """
    ledger = Ledger(home.ledger_url)
    try:
        if release_id is not None and not (home.releases / release_id).is_dir():
            raise Refused(f"没有发布 {release_id}。", "请用 eduplan releases 查看现有发布。")
        found = [*ledger.findings(), *_chain_findings(home, ledger), *_current_findings(home, ledger)]
        for path in release_folders(home):
            if release_id in (None, path.name):
                found += _guarded(path.name, home, ledger)
        return found + _archive_findings(home, ledger, release_id)
    finally:
        ledger.close()


def _guarded(release_id: str, home: Home, ledger: Ledger) -> list[str]:
    try:
        return release_findings(ledger, read_release(home.releases / release_id))
    except EduplanError as error:
        # A damaged release is the finding; the others are still to be checked.
        return [str(error)]


def release_findings(ledger: Ledger, release: Release) -> list[str]:
    """Files, fingerprint, verdict and ledger entry of one release. Raises Fault when its marts cannot be opened."""
    found = file_findings(release)
    if any(MARTS_FILE in finding for finding in found):
        return found
    name = release.release_id
    if fingerprint(release.path / MARTS_FILE) != release.fingerprint:
        found.append(f"发布 {name} 的数据内容与其指纹不符。")
    verdict = Verdict.from_json((release.path / "quality" / "verdict.json").read_bytes())
    if verdict.digest() != release.manifest["verdict"]["digest"] or verdict.fingerprint != release.fingerprint:
        found.append(f"发布 {name} 的裁决与清单不符。")
    if not verdict.passed:
        found.append(f"发布 {name} 的裁决并未通过。")
    rows = [row for row in ledger.releases() if row.release_id == name]
    if not rows:
        found.append(f"发布 {name} 不在台账中。")
    elif rows[0] != release.row():
        found.append(f"发布 {name} 的清单与台账登记的不一致，清单被改动或替换。")
    return found


def _chain_findings(home: Home, ledger: Ledger) -> list[str]:
    """Each manifest names the hash of the one before it and the head of the journal at its time."""
    found: list[str] = []
    journal = {entry.seq: entry.hash for entry in ledger.journal_entries()}
    manifests = {row.release_id: row.manifest_sha256 for row in ledger.releases()}
    for row in ledger.releases():
        path = home.releases / row.release_id
        if not path.is_dir():
            found.append(f"台账中的发布 {row.release_id} 没有对应目录。")
            continue
        try:
            manifest = read_release(path).manifest
        except EduplanError:
            # Reported with the release itself.
            continue
        anchor = manifest["journal"]
        if anchor["seq"] and journal.get(anchor["seq"]) != anchor["hash"]:
            found.append(f"台账日志与发布 {row.release_id} 所记的第 {anchor['seq']} 条不符：日志被截断或重写。")
        previous = manifest["previous"]
        if previous and manifests.get(previous["release_id"]) != previous["manifest_sha256"]:
            found.append(f"发布 {row.release_id} 与其前一发布 {previous['release_id']} 的清单接不上。")
    return found


def _current_findings(home: Home, ledger: Ledger) -> list[str]:
    recorded = ledger.releases()
    try:
        standing = current(home)
    except EduplanError as error:
        return [f"current 指向的发布不可用：{error}"]
    newest = recorded[-1].release_id if recorded else None
    shown = standing.release_id if standing else None
    if shown != newest:
        return [f"current 指向 {shown or '空'}，而台账中最新的发布是 {newest or '空'}。"]
    return []


def _archive_findings(home: Home, ledger: Ledger, release_id: str | None) -> list[str]:
    """Snapshots and record files behind the deliveries (of one release, or all)."""
    wanted = _deliveries_of(home, release_id)
    found: list[str] = []
    for row in ledger.deliveries():
        if wanted is not None and row.delivery_id not in wanted:
            continue
        if not is_intact(home, row.sha256):
            found.append(f"报送件 {row.delivery_id}（{row.feed}）的原件缺失或被改动。")
        missing = [path for path in row.tables.values() if not (home.root / path).is_file()]
        found += [f"报送件 {row.delivery_id} 的记录文件 {path} 缺失。" for path in missing]
    return found


def _deliveries_of(home: Home, release_id: str | None) -> set[str] | None:
    if release_id is None:
        return None
    try:
        inputs: Iterable[dict[str, str]] = read_release(home.releases / release_id).manifest["inputs"]["deliveries"]
    except EduplanError:
        # Its inputs cannot be known any more; the release itself is already reported.
        return set()
    return {item["delivery_id"] for item in inputs}
