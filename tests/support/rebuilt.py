"""Marts built once more, in this process, from chosen deliveries of a home and a chosen dbt project.

What belongs here: laying out the records as a run does and running dbt on them. What does not: judging or publishing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from orchestration import dbt
from sources.contract import feed_table
from sources.intake import contract_versions
from warehouse import candidate
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import DeliveryRow

BAD = ("error", "fail", "warn", "runtime error", "skipped")


def invoke_dbt(project: Path, database: Path, artefacts: Path, *arguments: str) -> dbtRunnerResult:
    """One dbt command on `database` in this process, its files in `artefacts`, whatever comes of it."""
    command = ["--quiet", "--no-use-colors", *arguments, "--project-dir", str(project), "--profiles-dir", str(project)]
    command += ["--target-path", str(artefacts), "--log-path", str(artefacts)]
    parsed = _parsed(project, artefacts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUPLAN_CANDIDATE_DB", str(database))
        patch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        patch.setenv("DBT_VERSION_CHECK", "false")
        try:
            return dbtRunner(manifest=parsed).invoke(command)
        finally:
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _parsed(project: Path, artefacts: Path) -> Manifest | None:
    """The project as a warm process parses it: the checkout's own from what the definitions left, another from nothing;
    None when it does not parse, which the command itself then says."""
    if project == dbt.project_dir():
        dbt.manifest_path()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUPLAN_PROJECT", str(project.parent))
        parsed = dbt.parse_warm(Home(artefacts / "home"))
    return None if parsed is None else parsed.manifest


def run_dbt(project: Path, database: Path, artefacts: Path, *arguments: str) -> None:
    """One dbt command that must succeed; AssertionError with what dbt warns of or fails in."""
    done = invoke_dbt(project, database, artefacts, *arguments)
    results = done.result if isinstance(done.result, list) else getattr(done.result, "results", [])
    bad = [f"{item.node.name}: {item.status} {item.message}" for item in results if item.status in BAD]
    assert done.success, bad or done.exception


@contextmanager
def marts_of(
    home: Path, project: Path, keeps: Callable[[DeliveryRow], bool] = lambda row: True
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the marts that the deliveries of `home` give which `keeps` keeps, built with `project`."""
    where = Home(home)
    active = [row for row in Ledger(where.ledger_url).active_set(contract_versions()) if keeps(row)]
    build = candidate.begin(where, active, feed_table())
    try:
        run_dbt(project, build.database, build.work_dir / "dbt", "build", "--resource-type", "seed", "model")
        with duckdb.connect(os.fspath(build.database), read_only=True) as connection:
            yield connection
    finally:
        candidate.abandon(build)
