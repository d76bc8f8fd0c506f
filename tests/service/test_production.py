"""The production files on real PostgreSQL: Dagster's history there, the ledger carried there and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from orchestration.instance import dagster_home, open_instance
from orchestration.resources import HomeResource
from orchestration.retention_job import build_retention_job
from tests.support.crash_kit import NEW, OLD, small_run, value_of
from warehouse import backup as backups
from warehouse import ledger_copy
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.paths import Home, project_root
from warehouse.verify import verify


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    small_run(found, OLD)
    return found


@pytest.fixture
def production(home: Home, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The home with deploy/dagster.yaml in place of the one it writes for itself."""
    monkeypatch.setenv("EDUPLAN_DAGSTER_URL", postgres_url)
    shutil.copy(project_root() / "deploy" / "dagster.yaml", dagster_home(home) / "dagster.yaml")
    yield home


def test_a_run_is_recorded_in_postgresql_and_goes_by_the_policy(
    production: Home, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2090-01-01T00:00:00+08:00")
    (production.root / "retention.yaml").write_text("runs: {keep_last: 1, keep_days: 30}\n")
    resources = {"home": HomeResource(root=str(production.root))}
    with open_instance(production) as instance:
        assert "Postgres" in type(instance.event_log_storage).__name__ + type(instance.run_storage).__name__
        runs = [
            build_retention_job().execute_in_process(instance=instance, resources=resources).run_id for _ in range(3)
        ]
    # Another process, and the web page, see the same.
    with open_instance(production) as instance:
        (kept,) = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))[:1]
        assert kept.dagster_run.run_id == runs[-1]
        assert any(entry.dagster_event for entry in instance.all_logs(runs[-1]))
        assert runs[0] not in {run.run_id for run in instance.get_runs()}
    engine = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar_one() == 2
    engine.dispose()
    assert not list((production.root / "dagster" / "history").glob("runs/*.db"))


def test_a_ledger_moves_to_postgresql_by_backup_and_restore_and_back(
    home: Home, postgres_url: str, tmp_path: Path
) -> None:
    first = backups.make(home, tmp_path / "kept", keys=tmp_path / "keys")
    moved = Home(tmp_path / "moved", ledger_setting=postgres_url)
    backups.restore(tmp_path / "kept", first.backup, moved, keys=tmp_path / "keys")
    assert not (moved.root / "ledger.db").exists()
    assert verify(moved) == []
    with closing(Ledger(home.ledger_url)) as one, closing(Ledger(moved.ledger_url)) as other:
        assert ledger_copy.export(other) == ledger_copy.export(one)
    small_run(moved, NEW)
    second = backups.make(moved, tmp_path / "kept")
    assert second.backup.problems == []
    back = Home(tmp_path / "back")
    backups.restore(tmp_path / "kept", second.backup, back, keys=tmp_path / "keys")
    assert verify(back) == []
    assert value_of(back) == NEW
    elsewhere = Home(tmp_path / "elsewhere", ledger_setting=postgres_url)
    with pytest.raises(Refused, match="台账不是空的"):
        backups.restore(tmp_path / "kept", second.backup, elsewhere, keys=tmp_path / "keys")
