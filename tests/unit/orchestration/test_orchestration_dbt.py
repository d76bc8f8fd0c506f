from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import dbt, dbt_ahead
from orchestration.cli import run
from orchestration.cli.run import begun_beside_imports
from orchestration.dbt_kept import Share
from orchestration.dbt_library import DagsterDbtTranslator
from warehouse.candidate import Build
from warehouse.errors import Fault, Refused
from warehouse.paths import Home

MANIFEST: dict[str, Any] = {
    "nodes": {
        "test.eduplan.city_is_sum": {"name": "city_is_sum", "attached_node": "model.eduplan.mart_enrolment"},
        "model.eduplan.dim_area": {"name": "dim_area"},
    }
}


def results(folder: Path, *found: tuple[str, str]) -> Path:
    content = [
        {"unique_id": unique_id, "status": status, "failures": 3, "message": "Binder Error:\n  no such column"}
        for unique_id, status in found
    ]
    (folder / dbt.RUN_RESULTS).write_text(json.dumps({"results": content}), encoding="utf-8")
    return folder


def test_a_clean_build_has_no_failure(tmp_path: Path) -> None:
    folder = results(tmp_path, ("model.eduplan.dim_area", "success"), ("test.eduplan.city_is_sum", "warn"))
    assert dbt.failure(folder, MANIFEST, exit_code=0) is None


def test_a_failed_test_is_a_refusal_that_names_test_model_and_rows(tmp_path: Path) -> None:
    found = dbt.failure(results(tmp_path, ("test.eduplan.city_is_sum", "fail")), MANIFEST, exit_code=1)
    assert isinstance(found, Refused)
    assert "city_is_sum（mart_enrolment）测试未通过，3 行" in found.message_zh


@pytest.mark.parametrize("status", ["error", "runtime error"])
def test_a_broken_model_is_a_fault_even_beside_a_failed_test(tmp_path: Path, status: str) -> None:
    folder = results(tmp_path, ("test.eduplan.city_is_sum", "fail"), ("model.eduplan.dim_area", status))
    found = dbt.failure(folder, MANIFEST, exit_code=1)
    assert isinstance(found, Fault)
    assert "dim_area 执行出错：Binder Error: no such column" in found.message_zh


@pytest.mark.parametrize("exit_code", [1, 2, -9])
def test_an_exit_code_without_results_is_a_fault(tmp_path: Path, exit_code: int) -> None:
    found = dbt.failure(tmp_path, MANIFEST, exit_code=exit_code)
    assert isinstance(found, Fault)
    assert str(exit_code) in found.message_zh


def test_a_failed_result_counts_whatever_the_exit_code_says(tmp_path: Path) -> None:
    assert dbt.failure(results(tmp_path, ("test.eduplan.city_is_sum", "fail")), MANIFEST, exit_code=0) is not None


def test_many_failures_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    found = dbt.failure(
        results(tmp_path, *((f"test.eduplan.t{n:02}", "fail") for n in range(25))), MANIFEST, exit_code=1
    )
    assert found is not None
    assert "t09" in found.message_zh
    assert "t10" not in found.message_zh
    assert "共 25 项" in found.message_zh


def test_tables_are_read_with_rows_and_types_but_neither_views_nor_records(tmp_path: Path) -> None:
    database = tmp_path / "candidate.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA marts; CREATE SCHEMA records; CREATE SCHEMA staging")
        connection.execute("CREATE TABLE marts.a AS SELECT i AS n, CAST(i AS DECIMAL(24,4)) AS d FROM range(7) t(i)")
        connection.execute("CREATE TABLE records.delivery (x INTEGER)")
        connection.execute("CREATE VIEW staging.stg AS SELECT 1 AS one")
    found = dbt.read_tables(database)
    assert found == {("marts", "a"): dbt.Table(7, (("n", "BIGINT"), ("d", "DECIMAL(24,4)")))}


def test_the_manifest_is_parsed_once_for_one_state_of_the_files_and_anew_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "one.sql").write_text("select 1 as x\n", encoding="utf-8")
    (project / "dbt_project.yml").write_text("name: small\nversion: '1.0.0'\nprofile: small\n", encoding="utf-8")
    (project / "profiles.yml").write_text(
        "small: {target: t, outputs: {t: {type: duckdb, path: ':memory:'}}}\n", encoding="utf-8"
    )
    monkeypatch.setenv("EDUPLAN_PROJECT", str(tmp_path))
    first = dbt.manifest_path()
    stamp = first.stat().st_mtime_ns
    assert dbt.manifest_path() == first
    assert first.stat().st_mtime_ns == stamp
    (project / "models" / "one.sql").write_text("select * from {{ ref('nowhere') }}\n", encoding="utf-8")
    with pytest.raises(Fault, match="nowhere"):
        dbt.manifest_path()
    assert {path.name for path in (project / "target").iterdir()} == {first.parent.name, dbt.PARSE_LOCK}


class Doomed(dbt_ahead.DbtProcess):
    """Looks alive when it is asked and is gone when it gets its orders."""

    def begin(self, orders: dbt_ahead.Orders) -> dbt_ahead.Running:
        self.process.kill()
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return super().begin(orders)


def test_a_process_that_dies_before_its_orders_is_replaced_by_a_fresh_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_ahead, "_CHILD", [sys.executable, "-c", "print(input())"])
    digest = dbt.project_digest()
    monkeypatch.setattr(dbt, "project_digest", lambda: digest)
    started = dbt.start_ahead(home)
    database = home.root / "candidate.duckdb"
    orders = dbt._orders(database, home.root / "artefacts", None)
    process = dbt._begin(home, Doomed(started.process, started.digest), orders)
    said, _ = process.communicate()
    assert process.pid != started.process.pid
    assert dbt_ahead.Orders.from_json(said.decode()) == orders
    assert orders.arguments[0] == "build"
    assert orders.variables["EDUPLAN_CANDIDATE_DB"] == str(database)
    assert started.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("begins_with", [None, {"school": "s1"}])
def test_a_part_is_built_only_of_what_begins_with_the_last_build(
    home: Home, parsed: Path, begins_with: dict[str, str] | None
) -> None:
    manifest = home.root / "manifest.json"
    manifest.write_text('{"metadata": {}, "nodes": {}, "sources": {}}', encoding="utf-8")
    work = home.root / "candidates" / "c0"
    work.mkdir(parents=True)
    build = Build("c0", work, work / "candidate.duckdb", {}, kept={"school": "s1"})
    share = Share({"model.one": frozenset()}, frozenset({"model.one"}))
    filled: list[Build] = []

    def fill() -> Build:
        filled.append(build)
        return replace(build, kept=begins_with)

    with dbt.building(home, build, manifest, DagsterDbtTranslator(), None, share=share, fill=fill) as invocation:
        assert filled == [build]
        said, _ = invocation.process.communicate()
    orders = dbt_ahead.Orders.from_json(said.decode())
    assert orders.share == (share if begins_with is not None else None)
    assert orders.database == build.database


def test_a_build_that_cannot_be_filled_ends_the_process_that_waits_for_it(home: Home, parsed: Path) -> None:
    manifest = home.root / "manifest.json"
    manifest.write_text('{"metadata": {}, "nodes": {}, "sources": {}}', encoding="utf-8")
    work = home.root / "candidates" / "c0"
    work.mkdir(parents=True)
    build = Build("c0", work, work / "candidate.duckdb", {})
    ahead = dbt.start_ahead(home)

    def full() -> Build:
        raise Fault("磁盘已满。")

    with (
        pytest.raises(Fault, match="磁盘已满"),
        dbt.building(home, build, manifest, DagsterDbtTranslator(), None, share=None, fill=full, ahead=ahead),
    ):
        pytest.fail("nothing is there to be built")
    assert ahead.process.returncode == -signal.SIGTERM


@pytest.fixture
def parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where dbt's memory of the project would lie, empty; and a child that waits for its orders and is no dbt."""
    waits = "import sys; said = input(); sys.stdin.readline(); print(said)"
    monkeypatch.setattr(dbt_ahead, "_CHILD", [sys.executable, "-c", waits])
    digest = dbt.project_digest()
    monkeypatch.setattr(dbt, "project_digest", lambda: digest)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    folder = dbt._parsed_dir()
    folder.mkdir(parents=True)
    return folder


def test_in_a_home_without_a_release_dbt_begins_beside_imports_and_is_taken(home: Home, parsed: Path) -> None:
    (parsed / "partial_parse.msgpack").write_bytes(b"")
    with begun_beside_imports(home):
        (kept,) = dbt_ahead._ready
        taken = dbt.start_ahead(home)
        assert taken is kept
        assert not dbt_ahead._ready
    # Whoever took it ends it.
    assert taken.process.poll() is None
    taken.dismiss()


def test_dbt_that_nobody_took_is_ended(home: Home, parsed: Path) -> None:
    (parsed / "partial_parse.msgpack").write_bytes(b"")
    with pytest.raises(Refused), begun_beside_imports(home):
        (kept,) = dbt_ahead._ready
        raise Refused("nobody asked")
    assert kept.process.returncode == -signal.SIGKILL
    assert not dbt_ahead._ready


def test_a_project_that_was_never_parsed_is_not_parsed_twice_at_once(home: Home, parsed: Path) -> None:
    assert list(parsed.iterdir()) == []
    with begun_beside_imports(home):
        assert not dbt_ahead._ready


def test_where_something_is_published_nothing_is_certain(
    home: Home, parsed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parsed / "partial_parse.msgpack").write_bytes(b"")
    monkeypatch.setattr(run, "current", lambda _: object())
    with begun_beside_imports(home):
        assert not dbt_ahead._ready
