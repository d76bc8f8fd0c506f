"""A release's manifest: every file with its hash, what the release was made from, and the release before it.

What belongs here: the shape of manifest.json, reading it, and checking a folder against it. What does not: building a
release (`warehouse.release`) and the story told to people (`warehouse.verify`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from warehouse.errors import Fault
from warehouse.files import sha256_bytes, sha256_file
from warehouse.ledger import ReleaseRow
from warehouse.paths import Home
from warehouse.pruned import is_data

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "manifest.dsse.json"
BUILDING: Final = ".building-"
_REQUIRED: Final = {
    "release_id",
    "published_at",
    "candidate_id",
    "fingerprint",
    "data_version",
    "inputs",
    "versions",
    "verdict",
    "waivers",
    "files",
    "previous",
    "journal",
}


@dataclass(frozen=True)
class Release:
    """A published folder and its manifest."""

    release_id: str
    path: Path
    candidate_id: str
    fingerprint: str
    manifest: dict[str, Any]
    manifest_sha256: str

    @property
    def rules_version(self) -> str:
        """Version of the rules its verdict was reached with."""
        return str(self.manifest["verdict"]["rules_version"])

    @property
    def previous_id(self) -> str:
        """Id of the release before it, '' for the first."""
        return str((self.manifest["previous"] or {}).get("release_id", ""))

    def row(self) -> ReleaseRow:
        """What the ledger records of it."""
        return ReleaseRow(
            release_id=self.release_id,
            candidate_id=self.candidate_id,
            fingerprint=self.fingerprint,
            verdict_digest=self.manifest["verdict"]["digest"],
            rules_version=self.rules_version,
            data_version=self.manifest["data_version"],
            manifest_sha256=self.manifest_sha256,
            previous_release_id=self.previous_id,
            published_at=self.manifest["published_at"],
        )


def read_release(path: Path) -> Release:
    """Read a release folder's manifest; hashes of files are not recomputed here. Raises Fault when it is damaged."""
    try:
        data = (path / MANIFEST_NAME).read_bytes()
        content = json.loads(data)
    except (OSError, ValueError) as error:
        raise Fault(f"发布 {path.name} 的清单读不出来。", "请执行 eduplan verify，并从备份恢复该目录。") from error
    if not isinstance(content, dict) or not set(content) >= _REQUIRED or content["release_id"] != path.name:
        raise Fault(f"发布 {path.name} 的清单不完整或不属于它。", "请执行 eduplan verify，并从备份恢复该目录。")
    return Release(path.name, path, content["candidate_id"], content["fingerprint"], content, sha256_bytes(data))


def current(home: Home) -> Release | None:
    """The release readers see, or None before the first. Raises Fault when `current` leads nowhere."""
    if not home.current.is_symlink():
        return None
    return read_release(home.releases / home.current.readlink().name)


def releases(home: Home) -> list[Release]:
    """Every release folder, oldest first by id. Raises Fault when a manifest is damaged."""
    return [read_release(path) for path in release_folders(home)]


def release_folders(home: Home) -> list[Path]:
    """Folders of whole releases, oldest first; what is being built is left out."""
    if not home.releases.is_dir():
        return []
    return sorted(path for path in home.releases.iterdir() if path.is_dir() and not path.name.startswith("."))


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """path below the folder -> sha256 and size, for every file except the manifest and its signature, sorted."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (MANIFEST_NAME, SIGNATURE_NAME):
            found[name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    return found


def file_findings(release: Release, *, cleared: bool = False) -> list[str]:
    """Files that are missing, changed or not in the manifest, in Chinese; empty when the folder is whole. `cleared`:
    the ledger says that its data was cleared away, so none of that need be there."""
    expected, actual = release.manifest["files"], list_files(release.path)
    missing = sorted(name for name in set(expected) - set(actual) if not (cleared and is_data(name)))
    found = [f"发布 {release.release_id} 缺少文件 {name}。" for name in missing]
    found += [
        f"发布 {release.release_id} 多出文件 {name}，不在清单内。" for name in sorted(set(actual) - set(expected))
    ]
    found += [
        f"发布 {release.release_id} 的文件 {name} 内容被改动。"
        for name in sorted(set(expected) & set(actual))
        if expected[name] != actual[name]
    ]
    return found
