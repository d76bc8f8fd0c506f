"""What this program signs: each release with all its files, and the head of the ledger's chain.

What belongs here: the content of both statements and checking it against a release or a journal. What does not: keys
and envelopes (`warehouse.signing`) and the other checks of an auditor (`warehouse.verify`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warehouse import signing
from warehouse.files import TEMP_PREFIX, sha256_bytes, write_atomic
from warehouse.journal import JournalEntry
from warehouse.ledger import Ledger, ReleaseRow
from warehouse.manifest import MANIFEST_NAME, SIGNATURE_NAME, Release
from warehouse.paths import Home
from warehouse.signing import SignatureError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

RELEASE_TYPE: Final = "urn:eduplan:attestation:release:v1"
HEAD_TYPE: Final = "urn:eduplan:attestation:chain-head:v1"
HEAD_FILE: Final = "chain-head.dsse.json"
# Written under the lock `publish` only, so that whoever holds it may remove what is left of one.
HEAD_TEMP_PREFIX: Final = f"{TEMP_PREFIX}head-"


def sign_release(signer: CryptoSigner, manifest: Mapping[str, Any], manifest_bytes: bytes) -> bytes:
    """The envelope of a release: its manifest and every file in it, what it was made from, the chain behind it."""
    return signing.seal_statement(signer, _subjects(manifest, manifest_bytes), RELEASE_TYPE, _predicate(manifest))


def _subjects(manifest: Mapping[str, Any], manifest_bytes: bytes) -> dict[str, str]:
    files = {name: str(about["sha256"]) for name, about in manifest["files"].items()}
    return {MANIFEST_NAME: sha256_bytes(manifest_bytes), **files}


def _predicate(manifest: Mapping[str, Any]) -> dict[str, Any]:
    previous = manifest["previous"] or {"release_id": "", "manifest_sha256": ""}
    return {
        "release_id": manifest["release_id"],
        "published_at": manifest["published_at"],
        "data_version": manifest["data_version"],
        "fingerprint": manifest["fingerprint"],
        "candidate_id": manifest["candidate_id"],
        "verdict": manifest["verdict"]["digest"],
        "previous": {name: previous[name] for name in ("release_id", "manifest_sha256")},
        "journal": {"seq": str(manifest["journal"]["seq"]), "hash": manifest["journal"]["hash"]},
    }


def signature_findings(release: Release, public_key: bytes) -> list[str]:
    """What is wrong with a release's signature under this public key, in Chinese; empty when it holds.

    Raises KeyError or TypeError when the manifest is not as `publish` writes it.
    """
    name, path = release.release_id, release.path / SIGNATURE_NAME
    if not path.is_file():
        return [f"发布 {name} 缺少签名文件 {SIGNATURE_NAME}。"]
    try:
        subjects, predicate = signing.open_statement(path.read_bytes(), public_key, RELEASE_TYPE)
    except SignatureError as error:
        return [f"发布 {name} 的签名 {SIGNATURE_NAME} 不成立：{error}。"]
    if predicate.get("release_id") != name:
        return [f"发布 {name} 的签名 {SIGNATURE_NAME} 属于另一发布 {predicate.get('release_id')}。"]
    expected = _subjects(release.manifest, (release.path / MANIFEST_NAME).read_bytes())
    if subjects != expected or predicate != _predicate(release.manifest):
        return [f"发布 {name} 的清单不是签名时的清单。"]
    return []


def is_signed(release: Release) -> bool:
    """Whether the release says of itself that it is signed; those made by older programs do not."""
    return "signing" in release.manifest


# -- head of the chain ------------------------------------------------------------------------------------------------


def sign_head(home: Home, ledger: Ledger, signer: CryptoSigner) -> None:
    """Write the signed head of the journal, with the newest release, into the home."""
    seq, head = ledger.journal_head()
    recorded = ledger.releases()
    newest = recorded[-1] if recorded else None
    predicate = {
        "seq": str(seq),
        "releases": str(len(recorded)),
        "release_id": newest.release_id if newest else "",
        "manifest_sha256": newest.manifest_sha256 if newest else "",
    }
    statement = signing.seal_statement(signer, {"journal": head}, HEAD_TYPE, predicate)
    write_atomic(home.root / HEAD_FILE, statement, prefix=HEAD_TEMP_PREFIX)


def head_findings(
    path: Path, public_key: bytes, entries: Iterable[JournalEntry], recorded: Iterable[ReleaseRow]
) -> list[str]:
    """Whether journal and releases still contain what was once signed as their head, in Chinese; empty when so.

    A head signed long ago and kept elsewhere proves the same: what it names must still be there.
    """
    if not path.is_file():
        return [f"缺少签名的链首 {path.name}。"]
    try:
        subjects, told = signing.open_statement(path.read_bytes(), public_key, HEAD_TYPE)
    except SignatureError as error:
        return [f"链首 {path.name} 的签名不成立：{error}。"]
    hashes = {str(entry.seq): entry.hash for entry in entries}
    if hashes.get(told["seq"]) != subjects.get("journal"):
        return [f"台账日志与签名的链首 {path.name}（第 {told['seq']} 条）不符：日志被截断、重写，或换成了旧的一份。"]
    releases = list(recorded)
    place = int(told["releases"]) - 1
    if place >= 0 and (len(releases) <= place or releases[place].manifest_sha256 != told["manifest_sha256"]):
        return [f"台账中没有链首 {path.name} 所记的发布 {told['release_id']}：发布被删除、调换，或回放了旧的一份。"]
    return []
