"""A dbt process that has its orders before its database is there: real dbt on a project of two models."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestration import dbt_ahead
from orchestration.dbt_ahead import DbtProcess, Orders
from orchestration.dbt_kept import Share
from warehouse import duck

# As long as a process would need, by far, to open a database it should not.
PATIENCE = 1.0
MODELS = {"one": "select 1 as x", "two": "select x + 1 as x from {{ ref('one') }}"}


@dataclass
class Project:
    """A parsed project and the process that waits in it."""

    folder: Path
    process: DbtProcess
    said: list[bytes] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.folder / "home" / "candidates" / "c0" / "candidate.duckdb"

    def orders(self, share: Share | None = None) -> Orders:
        arguments = ["build", "--target-path", str(self.folder / "made"), "--log-path", str(self.folder / "made")]
        variables = {"EDUPLAN_CANDIDATE_DB": str(self.database)}
        return Orders(arguments, variables, self.database, self.folder / "run_results.json", share)

    def until(self, word: bytes) -> None:
        """Read what the process says until it says this."""
        output = self.process.process.stdout
        assert output is not None
        while word not in (line := output.readline()):
            assert line, b"".join(self.said).decode()
            self.said.append(line)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "dbt_project"
    (folder / "models").mkdir(parents=True)
    for name, sql in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(sql + "\n", encoding="utf-8")
    (folder / "dbt_project.yml").write_text("name: small\nversion: '1.0.0'\nprofile: small\n", encoding="utf-8")
    path = "{{ env_var('EDUPLAN_CANDIDATE_DB') }}"
    profile = f'small: {{target: t, outputs: {{t: {{type: duckdb, path: "{path}"}}}}}}\n'
    (folder / "profiles.yml").write_text(profile, encoding="utf-8")
    parsed_as = {"EDUPLAN_CANDIDATE_DB": "/nowhere/candidate.duckdb"}
    made = Project(tmp_path, dbt_ahead.start("digest", folder, tmp_path / "target", parsed_as))
    made.database.parent.mkdir(parents=True)
    yield made
    if made.process.process.poll() is None:
        made.process.dismiss()


def tables(database: Path) -> set[Any]:
    with duck.connect(database, read_only=True) as connection:
        return {name for (name,) in duck.rows(connection, "SELECT table_name FROM information_schema.tables")}


def test_it_chooses_its_nodes_and_opens_no_database_until_it_is_told_that_it_may(project: Project) -> None:
    process = project.process.begin(project.orders())
    project.until(b"Found 2 models")
    time.sleep(PATIENCE)
    assert process.poll() is None
    assert not project.database.exists()
    with duck.connect(project.database) as connection:
        connection.execute("CREATE TABLE there AS SELECT 1")
    dbt_ahead.let_open(process)
    process.communicate()
    assert process.returncode == 0
    assert tables(project.database) == {"there", "one", "two"}


def test_when_nobody_is_there_any_more_it_ends_without_opening_one(project: Project) -> None:
    process = project.process.begin(project.orders())
    project.until(b"Found 2 models")
    process.communicate()
    assert process.returncode == 2
    assert not project.database.exists()


def test_of_a_share_the_chosen_nodes_run_and_no_others(project: Project) -> None:
    one, two = "model.small.one", "model.small.two"
    share = Share({one: frozenset(), two: frozenset({one})}, first=frozenset({one}))
    process = project.process.begin(project.orders(share))
    with duck.connect(project.database) as connection:
        # What the last build would have left: nothing was changed by the first nodes.
        connection.execute("CREATE SCHEMA kept")
        for name in ("made", "before"):
            connection.execute(f"CREATE TABLE kept.{name} (node VARCHAR, year INTEGER, content VARCHAR)")
    dbt_ahead.let_open(process)
    process.communicate()
    assert process.returncode == 0
    assert tables(project.database) == {"made", "before", "one"}


def test_one_that_died_before_it_may_open_says_so_by_its_code(project: Project) -> None:
    process = project.process.begin(project.orders())
    project.until(b"Found 2 models")
    process.send_signal(signal.SIGKILL)
    process.wait()
    dbt_ahead.let_open(process)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("waits, code", [(True, 0), (False, 2)])
def test_a_build_before_which_dbt_told_of_no_connection_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool, code: int
) -> None:
    def done(self: dbt_ahead._Invoking, _: Sequence[str]) -> SimpleNamespace:
        if waits:
            # As much of an event as is looked at.
            self._hold_up(cast("Any", SimpleNamespace(info=SimpleNamespace(name="NewConnection"))))
        return SimpleNamespace(exception=None, success=True)

    monkeypatch.setattr(dbt_ahead._Invoking, "__call__", done)
    orders = Orders(["build"], {}, tmp_path / "candidate.duckdb", tmp_path / "run_results.json").to_json().decode()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{orders}\nfilled\n"))
    assert dbt_ahead._obey(None) == code
