"""How the last back-ups of a home went: a small file that says what no back-up can say of itself, that it failed.

What belongs here: noting and reading it, by the folder backed up into. What does not: making back-ups
(`warehouse.backup`) and what is worth an alert (`orchestration.alerting`). Operation, not evidence: replaced whole, in
no journal and in no back-up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from warehouse import backup as backups
from warehouse.clock import SHANGHAI, now
from warehouse.files import pretty_json, write_atomic
from warehouse.masking import mask_personal
from warehouse.paths import Home

VARIABLE: Final = "EDUPLAN_BACKUP_DIR"
_STAMP: Final = "%Y%m%dT%H%M%S%z"
_LONGEST: Final = 300


@dataclass(frozen=True)
class Noted:
    """Back-ups into one folder: when the last whole one ended, when the last that failed did and why (Chinese, without
    names of files). ISO instants, '' for never; `failed_at` is '' again after a whole one."""

    good_at: str = ""
    failed_at: str = ""
    problem_zh: str = ""


def target(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where this home's regular back-up goes, as EDUPLAN_BACKUP_DIR says; None where none was set up."""
    named = (os.environ if environ is None else environ).get(VARIABLE, "")
    return Path(named) if named else None


def note_good(home: Home, dest: Path) -> None:
    """A whole back-up into `dest` has ended. Raises OSError."""
    _write(home, dest, Noted(good_at=now().isoformat()))


def note_failed(home: Home, dest: Path, problem_zh: str) -> None:
    """A back-up into `dest` failed or is not whole. Raises OSError."""
    text = mask_personal(problem_zh)[:_LONGEST]
    _write(home, dest, replace(noted(home, dest), failed_at=now().isoformat(), problem_zh=text))


def noted(home: Home, dest: Path) -> Noted:
    """What is known of back-ups into `dest`. Where nothing was noted (a version that did not, or a home that was
    restored) the back-ups lying there are asked by their names."""
    found = _read(home).get(_key(dest), Noted())
    return found if found != Noted() else Noted(good_at=_newest(dest))


def _newest(dest: Path) -> str:
    for name in reversed(backups.names(dest)):
        with suppress(ValueError):
            return datetime.strptime(name.rpartition("-")[0], _STAMP).astimezone(SHANGHAI).isoformat()
    return ""


def _key(dest: Path) -> str:
    return str(dest.absolute())


def _read(home: Home) -> dict[str, Noted]:
    try:
        content = json.loads((home.root / backups.NOTES).read_bytes())
        found = {str(dest): Noted(**fields) for dest, fields in content.items()}
        for one in found.values():
            for instant in filter(None, (one.good_at, one.failed_at)):
                datetime.fromisoformat(instant)
    except (OSError, ValueError, TypeError, AttributeError):
        # Missing or not as this program writes it: known is what lies in the folders.
        return {}
    return found


def _write(home: Home, dest: Path, one: Noted) -> None:
    content = {name: asdict(known) for name, known in {**_read(home), _key(dest): one}.items()}
    write_atomic(home.root / backups.NOTES, pretty_json(dict(sorted(content.items()))))
