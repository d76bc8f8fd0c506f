"""What former rounds left, out of the way of what is measured, and removed when nothing is.

Belongs here: moving and removing folders. What does not: measuring them (`measuring.py`).

ext4 without a journal looks, before it creates a file, through the inodes around it that were deleted within the last
minutes. A home is 14,000 of them: removed before a round, they took a quarter of the intake's own processor time.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

_ASIDE: Final = "aside"


def put_aside(folder: Path, *, but: Collection[str] = ()) -> None:
    """Empty a folder of everything but these entries; what was in it waits beside it for `sweep`."""
    entries = [entry for entry in folder.iterdir() if entry.name not in but] if folder.is_dir() else []
    if not entries:
        return
    waiting = folder.parent / _ASIDE
    waiting.mkdir(exist_ok=True)
    target = waiting / str(sum(1 for _ in waiting.iterdir()))
    target.mkdir()
    for entry in entries:
        entry.rename(target / entry.name)


def sweep(folder: Path) -> None:
    """Remove what was put aside of the folders in this one."""
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)
