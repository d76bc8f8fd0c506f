"""How DuckDB is opened."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from warehouse import duck


def test_what_does_not_fit_in_memory_is_written_to_the_systems_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with duck.connect(memory="30MB", threads=1) as connection:
        connection.execute("CREATE TABLE many AS SELECT md5(CAST(range AS VARCHAR)) AS text FROM range(1000000)")
        [(spill,)] = duck.rows(connection, "SELECT current_setting('temp_directory')")
        assert list(Path(spill).iterdir()), "nothing was spilled: the table fits and proves nothing"
        assert Path(spill).parent == Path(tempfile.gettempdir())
    assert not Path(spill).exists()
    assert not list(tmp_path.iterdir())


def test_what_lies_in_the_log_is_read_by_the_next_and_put_into_the_file(tmp_path: Path) -> None:
    database, log = tmp_path / "some.duckdb", tmp_path / "some.duckdb.wal"
    with duck.connect(database) as connection:
        duck.leave_log(connection)
        connection.execute("CREATE TABLE something AS SELECT 7 AS number")
    assert log.exists()
    duck.make_whole(database)
    assert not log.exists()
    whole = database.read_bytes()
    duck.make_whole(database)
    assert database.read_bytes() == whole, "there is nothing to do"
    with duck.connect(database, read_only=True) as connection:
        assert duck.rows(connection, "SELECT number FROM something") == [(7,)]
