"""A home with one release of the small sample city, made once; tests work on copies of it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import eduplan

YEARS = "2023-2024"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one worker of a parallel test run makes the shared home; the others wait for it."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EDUPLAN_HOME after `eduplan demo` on the small sample city. Read it; copy it to change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = shared / "released"
    with _alone(shared / "released.lock"):
        if not (home / "done").exists():
            eduplan(home, "demo", "--profile", "small", "--years", YEARS)
            (home / "done").touch()
    return home


@pytest.fixture
def copy_home(released: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A function that gives a fresh, independent copy of the released home."""

    def copy(name: str = "home") -> Path:
        target = tmp_path / name
        shutil.copytree(released, target, symlinks=True)
        return target

    return copy


@pytest.fixture
def home(copy_home: Callable[[str], Path]) -> Path:
    return copy_home("home")
