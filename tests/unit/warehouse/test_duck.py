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
