"""The auditor's question: is everything published and recorded still what it was?

What belongs here: recomputing hashes of releases, archive, records, the manifest chain and the journal chain. What does
not: repairing anything.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from warehouse.archive import is_intact, snapshot_path
from warehouse.attestation import HEAD_FILE, head_findings, is_signed, signature_findings
from warehouse.errors import EduplanError, Fault, Refused
from warehouse.files import sha256_file
from warehouse.fingerprint import fingerprint
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current, file_findings, read_release, release_folders
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home
from warehouse.pruned import ORIGINAL, RECORDS, RELEASE, is_data, reading_name
from warehouse.records import DeliveryRow
from warehouse.signing import PUBLIC_KEY
from warehouse.verdict import Verdict

LEDGER_FILE: Final = "ledger.db"
VERDICT_FILE: Final = "quality/verdict.json"


@dataclass(frozen=True)
class Trust:
    """What an auditor brought along: a public key (PEM) of their own, a signed head of the chain kept elsewhere."""

    public_key: bytes | None = None
    head: Path | None = None


def verify(home: Home, release_id: str | None = None, trust: Trust | None = None) -> list[str]:
    """What is wrong, in Chinese, worst first; empty when all is whole.

    With a release id only that release, its inputs and the chains are checked; without a key in `trust` the home's own
    is taken, which proves nothing against whoever could replace it. Raises Refused when the release does not exist.
    """
    held = trust or Trust()
    ledger = Ledger(home.ledger_url)
    try:
        if release_id is not None and release_id not in {path.name for path in release_folders(home)}:
            raise Refused(f"没有发布 {release_id}。", "请用 eduplan releases 查看现有发布。")
        found = _read_or_told("台账日志", ledger.findings)
        found += _read_or_told("发布链", lambda: _chain_findings(home, ledger))
        found += _read_or_told("current", lambda: _current_findings(home, ledger))
        found += _read_or_told("签名", lambda: _signing_findings(home, ledger, release_id, held))
        for path in release_folders(home):
            if release_id in (None, path.name):
                found += _read_or_told(f"发布 {path.name}", partial(_folder_findings, ledger, path))
        return found + _read_or_told("存档与记录", lambda: _archive_findings(home, ledger, release_id))
    finally:
        ledger.close()


def verify_copy(root: Path, trust: Trust | None = None) -> list[str]:
    """The same for a home copied to `root`; nothing there is written, the ledger is read from a copy of its own.

    Raises Fault when the copy holds no ledger file.
    """
    if not (root / LEDGER_FILE).is_file():
        raise Fault(f"{root} 中没有台账 {LEDGER_FILE}，无法核对发布链。", "请连同台账一起复制，或只核对单个发布目录。")
    with tempfile.TemporaryDirectory(prefix="eduplan-verify-") as scratch:
        for name in (LEDGER_FILE, f"{LEDGER_FILE}-wal"):
            if (root / name).is_file():
                shutil.copyfile(root / name, Path(scratch) / name)
        return verify(Home(root, ledger_setting=f"sqlite:///{Path(scratch) / LEDGER_FILE}"), trust=trust)


def verify_folder(path: Path, public_key: bytes | None = None) -> list[str]:
    """What is wrong with one release folder, wherever it lies, by itself alone: files, content, verdict, signature.

    Without a key the folder's own is taken: that shows damage, not who signed.
    """
    return _read_or_told(f"发布 {path.name}", lambda: _alone_findings(path, public_key))


def _alone_findings(path: Path, public_key: bytes | None) -> list[str]:
    release = read_release(path)
    found = _key_findings(release, public_key) if is_signed(release) else [f"发布 {path.name} 没有签名。"]
    if not any((path / name).exists() for name in release.manifest["files"] if is_data(name)):
        found.append(
            f"发布 {path.name} 的数据文件都不在。若是按留存规则清理的，只有台账能够证明：请核对整个状态目录或其副本。"
        )
        return found + file_findings(release, cleared=True)
    found += file_findings(release)
    if not any(MARTS_FILE in finding for finding in found):
        found += _content_findings(release)
    return found


def _key_findings(release: Release, public_key: bytes | None) -> list[str]:
    enclosed = release.path / PUBLIC_KEY
    if public_key is None and not enclosed.is_file():
        return [f"发布 {release.release_id} 缺少公钥 {PUBLIC_KEY}，无法核对签名。"]
    return signature_findings(release, public_key or enclosed.read_bytes())


def _signing_findings(home: Home, ledger: Ledger, release_id: str | None, trust: Trust) -> list[str]:
    """Signatures of the releases and of the chain's head; unsigned ones are left only from before the first signed."""
    recorded = ledger.releases()
    found: list[str] = []
    public = home.root / PUBLIC_KEY
    signed = False
    for row in recorded:
        release = _recorded(home.releases / row.release_id, row.manifest_sha256)
        if release is None:
            # Reported with the release itself.
            continue
        if not is_signed(release):
            found += [f"发布 {row.release_id} 没有签名，而更早的发布有签名。"] if signed else []
            continue
        signed = True
        if release_id in (None, row.release_id):
            found += _home_signature(release, public, trust)
    if not signed:
        return found
    key = trust.public_key or (public.read_bytes() if public.is_file() else b"")
    entries = ledger.journal_entries()
    for head in filter(None, (home.root / HEAD_FILE, trust.head)):
        found += head_findings(head, key, entries, recorded)
    return found


def _home_signature(release: Release, public: Path, trust: Trust) -> list[str]:
    if trust.public_key is None and not public.is_file():
        return [f"缺少公钥 {PUBLIC_KEY}，无法核对发布 {release.release_id} 的签名。"]
    return signature_findings(release, trust.public_key or public.read_bytes())


def _read_or_told(what: str, look: Callable[[], list[str]]) -> list[str]:
    """The findings of one part, or the one that it cannot be read; the other parts are still to be checked."""
    try:
        return look()
    except EduplanError as error:
        return [str(error)]
    except (KeyError, TypeError, ValueError) as error:
        # Shapes that this program never writes: somebody else did.
        return [f"{what}的内容不成形（{type(error).__name__}），被改动过。"]


def _folder_findings(ledger: Ledger, path: Path) -> list[str]:
    return release_findings(ledger, read_release(path))


def release_findings(ledger: Ledger, release: Release) -> list[str]:
    """Manifest, files, fingerprint and verdict of one release. Raises Fault when its marts cannot be opened, KeyError
    or TypeError when the manifest of an unrecorded release is not as `publish` writes it."""
    name = release.release_id
    rows = [row for row in ledger.releases() if row.release_id == name]
    found = [] if rows else [f"发布 {name} 不在台账中。"]
    if rows and rows[0].manifest_sha256 != release.manifest_sha256:
        # Nothing that an altered manifest says can be held against the files.
        return [f"发布 {name} 的清单与台账登记的不一致，清单被改动或替换。"]
    cleared = (RELEASE, name) in _pruned(ledger)
    found += file_findings(release, cleared=cleared)
    if rows and rows[0] != release.row():
        found.append(f"发布 {name} 在台账中的登记与其清单不一致，登记被改动。")
    gone = cleared and not (release.path / MARTS_FILE).is_file()
    if not gone and not any(MARTS_FILE in finding for finding in found):
        found += _content_findings(release)
    return found


def _pruned(ledger: Ledger) -> set[tuple[str, str]]:
    return {(item.kind, item.name) for item in ledger.pruned()}


def notes(home: Home, release_id: str | None = None) -> list[str]:
    """What is not there and need not be: cleared away under the retention policy, in Chinese."""
    ledger = Ledger(home.ledger_url)
    try:
        entries = ledger.pruned()
    finally:
        ledger.close()
    if release_id is not None:
        return [
            f"发布 {release_id} 的数据已按留存规则清理（{item.at[:10]}，{item.rule}）；清单、签名与报告仍在，"
            f"执行 eduplan rebuild {release_id} 可从存档重建。"
            for item in entries
            if (item.kind, item.name) == (RELEASE, release_id)
        ]
    counts = Counter(item.kind for item in entries)
    words = {RELEASE: "次发布的数据", RECORDS: "件记录文件", ORIGINAL: "件原件"}
    told = "，".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts[kind])
    return [f"已按留存规则清理：{told}；台账中有记载。"] if told else []


def _content_findings(release: Release) -> list[str]:
    name, verdict_file = release.release_id, release.path / VERDICT_FILE
    found = []
    if fingerprint(release.path / MARTS_FILE) != release.fingerprint:
        found.append(f"发布 {name} 的数据内容与其指纹不符。")
    if not verdict_file.is_file() or sha256_file(verdict_file) != release.manifest["files"][VERDICT_FILE]["sha256"]:
        # Missing or altered: already among the findings about files.
        return found
    verdict = Verdict.from_json(verdict_file.read_bytes())
    if verdict.digest() != release.manifest["verdict"]["digest"] or verdict.fingerprint != release.fingerprint:
        found.append(f"发布 {name} 的裁决与清单不符。")
    if not verdict.passed:
        found.append(f"发布 {name} 的裁决并未通过。")
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
        release = _recorded(path, row.manifest_sha256)
        if release is None:
            # Reported with the release itself.
            continue
        anchor = release.manifest["journal"]
        if anchor["seq"] and journal.get(anchor["seq"]) != anchor["hash"]:
            found.append(f"台账日志与发布 {row.release_id} 所记的第 {anchor['seq']} 条不符：日志被截断或重写。")
        previous = release.manifest["previous"]
        if previous and manifests.get(previous["release_id"]) != previous["manifest_sha256"]:
            found.append(f"发布 {row.release_id} 与其前一发布 {previous['release_id']} 的清单接不上。")
    return found


def _recorded(path: Path, manifest_sha256: str) -> Release | None:
    """The release when its manifest is the recorded one."""
    try:
        release = read_release(path)
    except EduplanError:
        return None
    return release if release.manifest_sha256 == manifest_sha256 else None


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
    """Snapshots, record and quarantine files behind the deliveries (of one release, or all), and snapshots that no
    delivery knows: what remains of deliveries whose entries were cut off."""
    wanted = _deliveries_of(home, release_id)
    recorded, deliveries, gone = ledger.record_files(), ledger.deliveries(), _pruned(ledger)
    found: list[str] = []
    for row in deliveries:
        if wanted is None or row.delivery_id in wanted:
            found += _delivery_findings(home, row, recorded.get(row.delivery_id), gone)
    return found + (_orphans(home, {row.sha256 for row in deliveries}) if release_id is None else [])


def _delivery_findings(
    home: Home, row: DeliveryRow, files: Mapping[str, str] | None, gone: Collection[tuple[str, str]]
) -> list[str]:
    """`gone`: (kind, name) of what the ledger says was cleared away; what is still there of it must be what it was."""
    name = row.delivery_id
    away = (ORIGINAL, row.sha256) in gone and not snapshot_path(home, row.sha256).is_file()
    found = [] if away or is_intact(home, row.sha256) else [f"报送件 {name}（{row.feed}）的原件缺失或被改动。"]
    cleared = (RECORDS, reading_name(name, row.contract_version)) in gone
    if files is None or not set(row.tables.values()) <= set(files):
        found.append(f"报送件 {name} 的记录文件没有登记校验值，无从核对。")
    for path, sha256 in sorted((files or {}).items()):
        actual = home.root / path
        if not actual.is_file():
            if not (cleared and path in row.tables.values()):
                found.append(f"报送件 {name} 的记录文件 {path} 缺失。")
        elif sha256_file(actual) != sha256:
            found.append(f"报送件 {name} 的记录文件 {path} 内容被改动。")
    return found


def _orphans(home: Home, known: set[str]) -> list[str]:
    if not home.archive.is_dir():
        return []
    found = sorted(path.name for path in home.archive.glob("*/*") if path.is_file() and path.name not in known)
    return [
        f"存档 {name[:2]}/{name} 不属于台账中的任何报送件：收取中断（重新执行 eduplan intake 即可），或台账被截断。"
        for name in found
    ]


def _deliveries_of(home: Home, release_id: str | None) -> set[str] | None:
    if release_id is None:
        return None
    try:
        inputs: Iterable[dict[str, str]] = read_release(home.releases / release_id).manifest["inputs"]["deliveries"]
        return {item["delivery_id"] for item in inputs}
    except (EduplanError, KeyError, TypeError):
        # Its inputs cannot be known any more; the release itself is already reported.
        return set()
