"""What of the standing release can stand in the next one as it is: the files of tables that say the same.

What belongs here: deciding which tables and files these are, and linking them. What does not: writing tables and files
(`warehouse.marts_file`), searching them (`warehouse.scan`), and whether to publish (`warehouse.release`).

A file is linked only when table, program and engine are the same and the file is still the one in the standing
release's manifest, whose hash the ledger holds. So the next release's file has the bytes it would have been written
with, and the disk holds them once. Releases are never written again; whoever alters one file alters it in every release
that links it, and each of their manifests says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warehouse.files import sha256_file

if TYPE_CHECKING:
    from warehouse.ledger import ReleaseRow
    from warehouse.manifest import Release


@dataclass(frozen=True)
class Made:
    """What a release tells of its making, for the next one: mart -> SHA-256 of what it says, the digest of the program
    that wrote it, and the digest of the names it was searched for ('': numbers only)."""

    tables: Mapping[str, str]
    program: str
    searched: str


@dataclass(frozen=True)
class Unchanged:
    """The standing release's folder, the tables that say what they say there, and its files' hashes; `searched`: these
    tables and files were searched before, for the same names by the same program."""

    folder: Path
    tables: frozenset[str]
    files: Mapping[str, str]
    searched: bool

    def whole(self, name: str) -> Path | None:
        """A file of the standing release, None when it is not what it was."""
        path = self.folder / name
        return path if name in self.files and path.is_file() and sha256_file(path) == self.files[name] else None

    def link(self, name: str, target: Path) -> bool:
        """Make `target` the same file as `name` in the standing release; False when that is not what it was, or the
        disk knows no links."""
        source = self.folder / name
        try:
            target.hardlink_to(source)
            # Looked at where it now lies: what was put in the other's place meanwhile is another file.
            if sha256_file(target) == self.files.get(name):
                return True
            target.unlink()
        except OSError:
            target.unlink(missing_ok=True)
        return False


NOTHING: Final = Unchanged(Path(), frozenset(), {}, searched=False)


def since(standing: Release | None, made: Made, recorded: Iterable[ReleaseRow]) -> Unchanged:
    """What says the same in the standing release and in the one that is being made; nothing where the standing one was
    made by another program, or its manifest is not the one that was recorded."""
    if standing is None or not _is_recorded(standing, recorded):
        return NOTHING
    told = standing.manifest.get("made")
    if not isinstance(told, dict) or told.get("program") != made.program:
        return NOTHING
    before: Mapping[str, Any] = told.get("tables") or {}
    return Unchanged(
        folder=standing.path,
        tables=frozenset(name for name, digest in made.tables.items() if before.get(name) == digest),
        files={name: str(about["sha256"]) for name, about in standing.manifest["files"].items()},
        searched=told.get("searched") == made.searched,
    )


def _is_recorded(standing: Release, recorded: Iterable[ReleaseRow]) -> bool:
    return any(
        (row.release_id, row.manifest_sha256) == (standing.release_id, standing.manifest_sha256) for row in recorded
    )
