from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DefaultSensorStatus,
    Definitions,
    TableSchema,
    build_schedule_context,
    build_sensor_context,
)

from expectations import rules_version
from orchestration import heartbeat, keys
from orchestration.build import build_defs
from orchestration.resources import HomeResource
from orchestration.sensors import build_sensors
from orchestration.steps import find_inputs
from sources import contract
from sources.intake import contract_versions
from sources.watch import KINDS
from tests.support import finance_table
from tests.support.candidate_kit import REPORT, delivery, fill_marts, make_verdict, rule
from tests.support.candidate_kit import dbt_manifest as kit_manifest
from warehouse import candidate as candidates
from warehouse.candidate import Candidate
from warehouse.errors import Refused, UsageError
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.release import current, publish
from warehouse.verdict import Verdict

FEED = "official_figures"


@pytest.fixture(scope="module")
def defs() -> Definitions:
    return build_defs()


def candidate_of(home: Home, ledger: Ledger) -> Candidate:
    """A sealed candidate that belongs to the active set of this home and to the code as it stands."""
    delivery(home, ledger, "数字", contract_version=contract_versions()[FEED])
    build = candidates.begin(home, ledger.active_set(contract_versions()), contract.feed_table())
    fill_marts(build.database, 1.5)
    (build.work_dir / "manifest.json").write_bytes(kit_manifest())
    return candidates.seal(home, build)


def record(ledger: Ledger, candidate: Candidate, verdict: Verdict) -> Verdict:
    ledger.record_verdict(verdict)
    (candidate.path / "verdict.json").write_bytes(verdict.to_json())
    return verdict


def materialize_release_alone(defs: Definitions) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    with DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance, asset_selection=[keys.RELEASE], raise_on_error=True)


def test_definitions_load_in_an_empty_environment_without_touching_a_home(tmp_path: Path) -> None:
    code = "from orchestration.definitions import defs; print(defs.resolve_job_def('release_job').name)"
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == keys.JOB, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_feed_and_every_station_is_an_asset_with_words_an_owner_and_a_group(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    stations = {keys.records_key(feed) for feed in contract.feeds()}
    stations |= {keys.ACTIVE_SET, keys.CANDIDATE, keys.VERDICT, keys.RELEASE}
    assert stations <= set(graph.materializable_asset_keys)
    for key in stations:
        node = graph.get(key)
        assert node.description and any("一" <= mark <= "鿿" for mark in node.description), key
        assert node.owners == [keys.OWNER], key
        assert node.kinds, key
    assert {graph.get(keys.records_key(feed)).group_name for feed in contract.feeds()} == {keys.INTAKE_GROUP}


def test_every_column_of_records_and_marts_says_what_it_means(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in (*map(keys.records_key, contract.feeds()), AssetKey(["marts", "fct_indicator_value"])):
        schema = graph.get(key).metadata["dagster/column_schema"]
        assert isinstance(schema, TableSchema)
        columns = schema.columns
        assert columns, key
        assert [column.name for column in columns if not column.description] == [], key
    assert graph.get(AssetKey(["marts", "fct_indicator_value"])).metadata["dagster/table_name"] == (
        "marts.fct_indicator_value"
    )


def test_the_way_from_records_to_release_is_connected(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    mart = AssetKey(["marts", "fct_indicator_value"])
    assert keys.VERDICT in graph.get(keys.RELEASE).parent_keys
    assert keys.CANDIDATE in graph.get(keys.VERDICT).parent_keys
    assert mart in graph.get(keys.CANDIDATE).parent_keys
    ancestors = graph.get_ancestor_asset_keys(mart)
    assert {keys.ACTIVE_SET, *(keys.records_key(feed) for feed in contract.feeds())} <= ancestors


def test_dbt_tests_and_the_gate_show_as_checks_and_only_the_verdict_blocks(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    mart = AssetKey(["marts", "fct_indicator_value"])
    names = {key.name for key in graph.asset_check_keys if key.asset_key == mart}
    assert keys.GATE_CHECK in names
    # A test over several tables says which of them it is a check of.
    assert {"city_equals_districts_and_municipal", "groups_equal_their_districts"} < names
    gate = next(key for key in graph.asset_check_keys if key.asset_key == keys.VERDICT)
    assert graph.get(gate).blocking


def test_an_unknown_resource_is_refused() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        build_defs(nowhere=object())


class TestReleaseLaunchedAlone:
    def test_without_any_candidate(self, defs: Definitions, home: Home) -> None:
        with pytest.raises(Refused, match="没有候选版本"):
            materialize_release_alone(defs)
        assert current(home) is None

    def test_with_a_candidate_nobody_judged(self, defs: Definitions, home: Home, ledger: Ledger) -> None:
        candidate_of(home, ledger)
        with pytest.raises(Refused, match="还没有经过质量检查"):
            materialize_release_alone(defs)
        assert current(home) is None

    def test_with_a_failing_verdict(self, defs: Definitions, home: Home, ledger: Ledger) -> None:
        candidate = candidate_of(home, ledger)
        record(ledger, candidate, make_verdict(candidate, rule(passed=False, rows_failed=1)))
        with pytest.raises(Refused, match="未通过质量检查"):
            materialize_release_alone(defs)
        assert current(home) is None

    def test_with_a_verdict_the_ledger_does_not_know(self, defs: Definitions, home: Home, ledger: Ledger) -> None:
        candidate = candidate_of(home, ledger)
        (candidate.path / "verdict.json").write_bytes(make_verdict(candidate).to_json())
        with pytest.raises(Refused, match="台账中没有"):
            materialize_release_alone(defs)
        assert current(home) is None

    def test_with_a_passing_verdict_on_an_earlier_candidate(
        self, defs: Definitions, home: Home, ledger: Ledger
    ) -> None:
        earlier = candidate_of(home, ledger)
        record(ledger, earlier, make_verdict(earlier))
        delivery(home, ledger, "更正", contract_version=contract_versions()[FEED])
        with pytest.raises(Refused, match="没有候选版本"):
            materialize_release_alone(defs)
        assert current(home) is None

    def test_it_publishes_on_a_passing_verdict(self, defs: Definitions, home: Home, ledger: Ledger) -> None:
        candidate = candidate_of(home, ledger)
        record(ledger, candidate, make_verdict(candidate))
        materialize_release_alone(defs)
        released = current(home)
        assert released is not None
        assert released.candidate_id == candidate.candidate_id


def test_a_mart_alone_is_refused_because_a_candidate_is_whole(defs: Definitions, home: Home) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    mart = AssetKey(["marts", "dim_area"])
    with DagsterInstance.ephemeral() as instance, pytest.raises(Refused, match="整体构建"):
        job.execute_in_process(instance=instance, asset_selection=[mart], raise_on_error=True)
    assert list(home.candidates.iterdir()) == []


def test_what_repeats_the_current_release_is_unchanged(home: Home, ledger: Ledger) -> None:
    from orchestration.steps import choose_inputs, open_workbench

    candidate = candidate_of(home, ledger)
    verdict = record(ledger, candidate, make_verdict(candidate, rules_version=rules_version()))
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT)
    with open_workbench(home) as bench:
        inputs = choose_inputs(bench)
        assert inputs.repeats == release
        assert bench.record.unchanged
    delivery(home, ledger, "更正", contract_version=contract_versions()[FEED])
    with open_workbench(home) as bench:
        assert not choose_inputs(bench).unchanged


def test_other_rules_are_a_reason_to_judge_again(home: Home, ledger: Ledger) -> None:
    from orchestration.steps import choose_inputs, open_workbench

    candidate = candidate_of(home, ledger)
    verdict = record(ledger, candidate, make_verdict(candidate, rules_version="rules of last year"))
    publish(home, ledger, candidate, verdict, artefacts=REPORT)
    with open_workbench(home) as bench:
        assert not choose_inputs(bench).unchanged


def test_a_second_run_is_refused_while_one_is_under_way(home: Home) -> None:
    from orchestration.steps import open_workbench

    with open_workbench(home), pytest.raises(Refused, match="另一个进程"), open_workbench(home):
        pytest.fail("two runs at once")


def test_originals_lead_to_records_and_every_asset_says_what_it_is_in_both_languages(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for feed in contract.feeds():
        assert keys.snapshots_key(feed) in graph.get(keys.records_key(feed)).parent_keys
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        text = node.description or ""
        assert any("一" <= mark <= "鿿" for mark in text), (key, text)
        assert any(mark.isascii() and mark.isalpha() for mark in text), key
        assert node.owners == [keys.OWNER], key
        assert node.kinds, key
        assert node.group_name != "default", key


def test_there_is_a_sensor_for_each_kind_of_source_one_for_the_inputs_and_two_that_only_watch(
    defs: Definitions,
) -> None:
    sensors = {found.name: found for found in defs.get_repository_def().sensor_defs}
    asking = {*(f"{kind}_arrivals" for kind in KINDS), "inputs_changed"}
    assert set(sensors) == asking | {"watch", "run_failures"}
    assert asking | {"watch"} == set(heartbeat.expected()), "every sensor that looks gives signs of life"
    assert {found.default_status for found in sensors.values()} == {DefaultSensorStatus.RUNNING}
    assert {name for name, found in sensors.items() if found.targets} == asking
    assert {target.job_name for name in asking for target in sensors[name].targets} == {keys.JOB}


def test_the_calendar_has_a_morning_after_each_due_day_in_the_time_of_the_city(defs: Definitions) -> None:
    schedules = {found.name: found for found in defs.get_repository_def().schedule_defs}
    assert schedules["school_census_due"].cron_schedule == "0 7 1 11 *"
    assert schedules["population_due"].cron_schedule == "0 7 1 4 *"
    assert {found.execution_timezone for found in schedules.values()} == {"Asia/Shanghai"}
    assert {"full_comparison", "timeliness_daily"} < set(schedules)


def test_the_nightly_comparison_finds_an_edit_that_no_event_and_no_watermark_shows(
    defs: Definitions, home: Home, ledger: Ledger
) -> None:
    database = f"sqlite:///{home.sources / 'finance.db'}"
    finance_table.write(database, [finance_table.line("500101", 2023, f"u{number}", 1) for number in range(3)])
    intake = [keys.records_key(feed) for feed in contract.feeds()]
    intake += [keys.snapshots_key(feed) for feed in contract.feeds()]
    [nightly] = [found for found in defs.get_repository_def().schedule_defs if found.name == keys.FULL_COMPARISON]
    assert nightly.job_name == keys.JOB

    def night(tags: Mapping[str, str]) -> int:
        with DagsterInstance.ephemeral() as instance:
            job = defs.resolve_job_def(keys.JOB)
            job.execute_in_process(instance=instance, asset_selection=intake, tags=dict(tags), raise_on_error=True)
        return sum(row.feed == "education_finance" for row in ledger.deliveries())

    assert night({}) == 1
    finance_table.run(database, "UPDATE education_finance_line SET 金额2 = '7.00' WHERE 单位代码 = 'u1'")
    assert night({}) == 1
    with build_schedule_context(scheduled_execution_time=datetime(2025, 9, 30, 2, 30, tzinfo=UTC)) as context:
        [request] = nightly.evaluate_tick(context).run_requests or []
    assert night(request.tags) == 2
    assert night(request.tags) == 2


def test_the_years_are_partitions_of_the_rereading_only(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    partitioned = {key for key in graph.materializable_asset_keys if graph.get(key).partitions_def is not None}
    assert partitioned == {keys.REREADING}
    assert {"0", "2020", "2023", "2025"} < set(graph.get(keys.REREADING).partitions_def.get_partition_keys())
    assert keys.REREADING not in defs.resolve_job_def(keys.JOB).asset_layer.executable_asset_keys


def test_a_year_is_read_again_from_the_page_and_what_is_whole_stays(
    defs: Definitions, home: Home, ledger: Ledger
) -> None:
    delivery(home, ledger, "数字", contract_version=contract_versions()[FEED])
    before = ledger.journal_head()
    with DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def(keys.REREADING_JOB)
        result = job.execute_in_process(instance=instance, partition_key="0", raise_on_error=True)
    (made,) = [event for event in result.get_asset_materialization_events() if event.asset_key == keys.REREADING]
    assert made.partition == "0"
    told = {name: value.value for name, value in made.materialization.metadata.items()}
    assert (told["confirmed"], told["renewed"], told["restored"]) == (1, 0, [])
    assert ledger.journal_head() == before


@pytest.mark.parametrize(("areas", "confirmed"), [(["500000"], 1), (["500103"], 0)])
def test_one_district_is_read_again_from_the_page_by_its_configuration(
    defs: Definitions, home: Home, ledger: Ledger, areas: list[str], confirmed: int
) -> None:
    delivery(home, ledger, "数字", contract_version=contract_versions()[FEED])
    config = {"ops": {"rereading": {"config": {"areas": areas}}}}
    with DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def(keys.REREADING_JOB)
        result = job.execute_in_process(instance=instance, partition_key="0", run_config=config)
    (made,) = [event for event in result.get_asset_materialization_events() if event.asset_key == keys.REREADING]
    assert made.materialization.metadata["confirmed"].value == confirmed


def test_from_the_command_line_years_districts_and_feeds_are_asked_for_by_code_or_name() -> None:
    from orchestration.cli.rerun import _selection

    wanted = _selection([2023], ["万州区", "500103"], ["school_census"])
    assert (wanted.years, wanted.areas, wanted.feeds) == ({2023}, {"500101", "500103"}, {"school_census"})
    with pytest.raises(UsageError, match="没有名为“无此区”的区域"):
        _selection([], ["无此区"], [])
    with pytest.raises(UsageError, match="weather"):
        _selection([], [], ["weather"])


def test_a_changed_formula_makes_everything_anew_and_reads_nothing_again(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = candidate_of(home, ledger)
    verdict = record(ledger, candidate, make_verdict(candidate, rules_version=rules_version()))
    publish(home, ledger, candidate, verdict, artefacts=REPORT)
    place = HomeResource(root=str(home.root))
    (sensor,) = [found for found in build_sensors(place) if found.name == "inputs_changed"]

    def asks() -> bool:
        with DagsterInstance.ephemeral() as instance:
            return bool(sensor.evaluate_tick(build_sensor_context(instance=instance)).run_requests)

    assert not asks()
    before = {path: path.stat().st_mtime_ns for path in home.records.rglob("*.parquet")}
    monkeypatch.setattr(candidates, "code_digest", lambda: "another formula")
    assert asks()
    assert find_inputs(home, ledger).candidate_id != candidate.candidate_id
    assert ledger.unread(contract_versions()) == []
    assert {path: path.stat().st_mtime_ns for path in home.records.rglob("*.parquet")} == before


def test_clearing_away_is_a_job_with_a_weekly_schedule(defs: Definitions) -> None:
    schedules = {found.name: found for found in defs.get_repository_def().schedule_defs}
    assert schedules["retention_weekly"].job_name == keys.RETENTION_JOB
    assert defs.resolve_job_def(keys.RETENTION_JOB).description


def test_what_is_late_shows_as_checks_that_warn(defs: Definitions, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2025-11-01T08:00:00+08:00")
    with DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(keys.TIMELINESS_JOB).execute_in_process(instance=instance)
    found = {check.asset_key: check for check in result.get_asset_check_evaluations()}
    census = found[keys.records_key("school_census")]
    assert not census.passed
    assert census.metadata["late/2025"].value.startswith("截止 2025-10-31，应报 39，缺 39：500000、500101")
    assert found[keys.RELEASE].passed
