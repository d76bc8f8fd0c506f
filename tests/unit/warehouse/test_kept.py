"""What one build leaves for the next: taken when it is as it was left, by the same code; never otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from warehouse import duck, kept
from warehouse.paths import Home

KEY, CODE = b"k" * 32, "c" * 64
SOURCES = {"delivery": "one", "held": "two"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    path = tmp_path / "built.duckdb"
    with duck.connect(path) as connection:
        connection.execute("CREATE TABLE something AS SELECT 7 AS number")
    return path


def keep(home: Home, database: Path) -> kept.Kept:
    kept.keep(home, database, code_digest=CODE, sources=SOURCES, key=KEY)
    found = kept.find(home, CODE, KEY)
    assert found is not None
    return found


def test_what_was_kept_is_found_and_taken(home: Home, built: Path, tmp_path: Path) -> None:
    assert kept.find(home, CODE, KEY) is None
    found = keep(home, built)
    assert found.sources == SOURCES
    target = tmp_path / "next.duckdb"
    assert kept.take(found, target)
    with duck.connect(target, read_only=True) as connection:
        assert duck.rows(connection, "SELECT number FROM something") == [(7,)]
    assert {path.stat().st_mode & 0o077 for path in (home.root / kept.FOLDER).rglob("*")} == {0}


def test_only_the_last_is_kept(home: Home, built: Path) -> None:
    first, second = keep(home, built), keep(home, built)
    assert not first.database.exists()
    assert {path.name for path in (home.root / kept.FOLDER).iterdir()} == {kept.NOTE, second.database.parent.name}


def test_a_database_that_was_altered_is_not_used(home: Home, built: Path, tmp_path: Path) -> None:
    found = keep(home, built)
    with duck.connect(found.database) as connection:
        connection.execute("UPDATE something SET number = 8")
    assert not kept.take(found, tmp_path / "next.duckdb")
    assert not (tmp_path / "next.duckdb").exists()


def test_a_copy_made_ahead_is_moved_to_where_it_is_needed(home: Home, built: Path, tmp_path: Path) -> None:
    found = kept.copy_ahead(home, keep(home, built))
    assert found.copied is not None
    assert found.copied[0].parent.stat().st_mode & 0o077 == 0
    assert kept.take(found, tmp_path / "next.duckdb")
    assert (tmp_path / "next.duckdb").read_bytes() == found.database.read_bytes()
    assert not found.copied[0].parent.exists()
    kept.drop(found)
    assert found.database.is_file()


def test_a_copy_made_ahead_of_an_altered_database_is_not_used(home: Home, built: Path, tmp_path: Path) -> None:
    found = keep(home, built)
    with duck.connect(found.database) as connection:
        connection.execute("UPDATE something SET number = 8")
    assert not kept.take(kept.copy_ahead(home, found), tmp_path / "next.duckdb")
    assert not (tmp_path / "next.duckdb").exists()


def test_a_copy_nobody_takes_is_removed_and_one_that_cannot_be_made_is_none(home: Home, built: Path) -> None:
    found = kept.copy_ahead(home, keep(home, built))
    kept.drop(found)
    names = {kept.NOTE, found.database.parent.name}
    assert {path.name for path in (home.root / kept.FOLDER).iterdir()} == names
    found.database.unlink()
    without = replace(found, copied=None)
    assert kept.copy_ahead(home, without) == without
    assert {path.name for path in (home.root / kept.FOLDER).iterdir()} == names


@pytest.mark.parametrize("old, new", [(b"one", b"two"), (b"folder", b"Folder")])
def test_a_note_that_was_altered_is_not_believed(home: Home, built: Path, old: bytes, new: bytes) -> None:
    keep(home, built)
    note = home.root / kept.FOLDER / kept.NOTE
    assert old in note.read_bytes()
    note.write_bytes(note.read_bytes().replace(old, new))
    assert kept.find(home, CODE, KEY) is None
    note.write_bytes(b"")
    assert kept.find(home, CODE, KEY) is None


def test_other_code_another_key_or_the_wish_for_whole_builds_finds_nothing(
    home: Home, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = keep(home, built)
    assert kept.find(home, "d" * 64, KEY) is None
    assert kept.find(home, CODE, b"l" * 32) is None
    with monkeypatch.context() as other:
        other.setattr(kept, "program_digest", lambda: "p" * 64)
        assert kept.find(home, CODE, KEY) is None
    monkeypatch.setenv(kept.WHOLE_VARIABLE, "1")
    assert kept.find(home, CODE, KEY) is None
    monkeypatch.delenv(kept.WHOLE_VARIABLE)
    found.database.unlink()
    assert not kept.take(found, home.root / "next.duckdb")
    kept.forget(home)
    assert kept.find(home, CODE, KEY) is None
