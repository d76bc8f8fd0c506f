"""The tables of a release, written while nobody has judged them yet.

What belongs here: writing them into a folder among the candidates, and giving that folder to the publication or
removing it. What does not: whether to publish, and everything else a release holds (`warehouse.release`).

A draft says nothing about its own worth: it is proven by its rows with everything else, when the release it became is
complete. Its folder is leased like a build's, so that whoever comes after a crash removes it.
"""

from __future__ import annotations

import errno
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from warehouse.candidate import BUILDING, LOCK, LOCK_WAIT, Candidate
from warehouse.files import unique_suffix
from warehouse.lock import drop_lease, exclusive, take_lease
from warehouse.marts_file import Copied, copy_marts
from warehouse.paths import Home
from warehouse.unchanged import Unchanged


@dataclass(frozen=True)
class Draft:
    """A folder with the tables of a candidate as a release shows them; `same`: what of the standing release stands in
    it."""

    home: Home
    folder: Path
    candidate_id: str
    same: Unchanged
    copied: Copied

    def is_of(self, candidate: Candidate, same: Unchanged) -> bool:
        """Whether it is what would be written now."""
        return self.candidate_id == candidate.candidate_id and _files_of(self.same) == _files_of(same)

    def move(self, target: Path) -> bool:
        """Make the folder `target`, which must not exist; False where that lies on another volume. Raises Refused,
        OSError."""
        with exclusive(self.home, LOCK, wait=LOCK_WAIT):
            drop_lease(self.folder)
            try:
                self.folder.rename(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                return False
        return True

    def discard(self) -> None:
        """Remove the folder, unless it was moved."""
        drop_lease(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def _files_of(same: Unchanged) -> Unchanged:
    # What was searched for names before says nothing about the tables.
    return replace(same, searched=False)


def write_draft(home: Home, candidate: Candidate, same: Unchanged) -> Draft:
    """Write the tables of a sealed candidate; leaves nothing behind when it fails. Raises Refused, Fault, OSError."""
    folder = home.candidates / f"{BUILDING}{candidate.candidate_id}-draft-{unique_suffix()}"
    with exclusive(home, LOCK, wait=LOCK_WAIT):
        folder.mkdir()
        take_lease(folder)
    with ExitStack() as unless_done:
        unless_done.callback(shutil.rmtree, folder, ignore_errors=True)
        unless_done.callback(drop_lease, folder)
        copied = copy_marts(candidate.database, folder, same)
        unless_done.pop_all()
    return Draft(home, folder, candidate.candidate_id, same, copied)
