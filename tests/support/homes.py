"""Copies of homes that several tests share.

What belongs here: copying one while others read it. What does not: making homes (`tests/pipeline/conftest.py`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

# They come and go with whoever reads the ledger beside us; of a ledger that was closed they hold nothing.
_OF_READERS = shutil.ignore_patterns("ledger.db-wal", "ledger.db-shm")


def copied(home: Path, target: Path) -> Path:
    """An independent copy of a home whose ledger nobody writes to."""
    return Path(shutil.copytree(home, target, symlinks=True, ignore=_OF_READERS))
