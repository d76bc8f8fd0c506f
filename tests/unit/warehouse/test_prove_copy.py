"""What proves the tables of a release: their own rows, or those of the standing release where they are the same."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.candidate_kit import copied_home
from warehouse import marts_file
from warehouse.errors import Fault
from warehouse.files import sha256_file
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.marts_file import MARTS_FILE, prove_copy
from warehouse.paths import Home
from warehouse.unchanged import NOTHING, Made, Unchanged, since

STAYED = "mart_plan_progress"


@dataclass
class Copy:
    """A folder with a copy of the standing release's marts, what they say, and what of it may stay: all of it."""

    folder: Path
    expected: dict[str, str]
    same: Unchanged

    def change(self, *statements: str) -> None:
        with duckdb.connect(str(self.folder / MARTS_FILE)) as connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def standing(self) -> Path:
        return self.same.folder / MARTS_FILE

    def trusting(self) -> Copy:
        """As though the table that stayed said something else: seen only where its own rows are asked."""
        return dataclasses.replace(self, expected={**self.expected, STAYED: "0" * 64})


@pytest.fixture
def copy(once_released: Home, tmp_path: Path) -> Copy:
    home = copied_home(once_released, tmp_path)
    release = current(home)
    assert release is not None
    made = Made(**release.manifest["made"])
    with closing(Ledger(home.ledger_url)) as ledger:
        same = since(release, made, ledger.releases())
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(release.path / MARTS_FILE, folder)
    (folder / MARTS_FILE).chmod(0o644)
    release.path.chmod(0o755)
    (release.path / MARTS_FILE).chmod(0o644)
    return Copy(folder, dict(made.tables), same)


def is_proven(copy: Copy, same: Unchanged) -> bool:
    with suppress(Fault):
        prove_copy(copy.folder, copy.expected, same)
        return True
    return False


def test_a_table_that_stayed_rests_on_the_standing_release(copy: Copy) -> None:
    assert is_proven(copy, NOTHING)
    assert is_proven(copy, copy.same)
    # Nobody counted its rows: where they are counted, it does not say so.
    trusting = copy.trusting()
    only = dataclasses.replace(copy.same, tables=frozenset({STAYED}))
    assert is_proven(trusting, only)
    assert not is_proven(trusting, NOTHING)


def test_a_table_that_did_not_stay_is_counted(copy: Copy) -> None:
    others = dataclasses.replace(copy.same, tables=copy.same.tables - {STAYED})
    assert is_proven(copy, others)
    assert not is_proven(copy.trusting(), others)


@pytest.mark.parametrize(
    "harm",
    [
        f"UPDATE marts.{STAYED} SET status = 'x' WHERE area_code = '5003'",
        f"UPDATE marts.{STAYED} SET status = NULL WHERE area_code = '5003'",
        f"DELETE FROM marts.{STAYED} WHERE area_code = '50019'",
        f"DELETE FROM marts.{STAYED}",
        f"INSERT INTO marts.{STAYED} SELECT * FROM marts.{STAYED} LIMIT 1",
        f"INSERT INTO marts.{STAYED} (area_code) VALUES (NULL)",
        f"ALTER TABLE marts.{STAYED} ADD COLUMN more INTEGER",
        f"ALTER TABLE marts.{STAYED} ALTER year TYPE BIGINT",
        f"ALTER TABLE marts.{STAYED} RENAME status TO state",
        f"DROP VIEW main.{STAYED}; DROP TABLE marts.{STAYED}",
        "CREATE TABLE marts.another AS SELECT 1 AS n",
        "CREATE VIEW marts.another AS SELECT 1 AS n",
        "UPDATE marts.fct_indicator_value SET value = 2 WHERE area_code = '5003'",
    ],
)
def test_what_differs_is_not_published(copy: Copy, harm: str) -> None:
    copy.change(*(_named(part) for part in harm.split("; ")))
    assert not is_proven(copy, copy.same)


def _named(statement: str) -> str:
    # The file's catalogue has the name of its schema.
    return statement.replace(" marts.", " marts.marts.").replace(" main.", " marts.main.")


def test_a_zero_with_another_sign_is_another_value(copy: Copy) -> None:
    """Equal to the engine, and another figure to the fingerprint and to a reader."""
    change = "UPDATE marts.marts.fct_indicator_value SET value = {} WHERE area_code = '5003'"
    standing, other, written = (change.format(f"CAST('{value}' AS DOUBLE)") for value in ("0", "1", "-0"))
    with duckdb.connect(str(copy.standing)) as connection:
        connection.execute(standing)
    copy.change(standing)
    files = {**copy.same.files, MARTS_FILE: sha256_file(copy.standing)}
    same = dataclasses.replace(copy.same, files=files)
    assert "fct_indicator_value" in marts_file._alike(copy.folder / MARTS_FILE, same)
    # By way of another: the engine does not write what it takes for equal.
    copy.change(other, written)
    assert marts_file._alike(copy.folder / MARTS_FILE, same) == {STAYED}


def test_rows_in_another_order_are_counted(copy: Copy) -> None:
    copy.change(
        f"CREATE TABLE main.turned AS SELECT * FROM marts.marts.{STAYED} ORDER BY area_code DESC",
        f"DELETE FROM marts.marts.{STAYED}",
        f"INSERT INTO marts.marts.{STAYED} FROM main.turned",
    )
    assert is_proven(copy, copy.same)
    assert not is_proven(copy.trusting(), copy.same)


def test_a_standing_file_that_is_not_what_it_was_proves_nothing(copy: Copy) -> None:
    harm = f"UPDATE marts.marts.{STAYED} SET status = 'x' WHERE area_code = '5003'"
    with duckdb.connect(str(copy.standing)) as connection:
        connection.execute(harm)
    copy.change(harm)
    assert not is_proven(copy, copy.same)


def test_a_standing_file_that_changes_meanwhile_proves_nothing(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = marts_file._has_the_rows

    def and_then_altered(*args: Any) -> bool:
        found = compared(*args)
        with copy.standing.open("ab") as handle:
            handle.write(b"x")
        return found

    assert is_proven(copy.trusting(), dataclasses.replace(copy.same, tables=frozenset({STAYED})))
    monkeypatch.setattr(marts_file, "_has_the_rows", and_then_altered)
    assert not is_proven(copy.trusting(), copy.same)


def test_without_a_standing_file_every_row_is_counted(copy: Copy) -> None:
    copy.standing.unlink()
    assert is_proven(copy, copy.same)
    assert not is_proven(copy.trusting(), copy.same)
