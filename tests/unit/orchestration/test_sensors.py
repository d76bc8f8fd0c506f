"""One tick of each sensor: what it looks at, what it asks for, and when it keeps quiet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    RunFailureSensorContext,
    SensorDefinition,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from orchestration import heartbeat, keys, sensors
from orchestration.resources import HomeResource
from orchestration.under_way import close_dead_runs
from sources import intake
from sources.connectors.arrival import Arrival
from sources.intake import contract_versions
from sources.watch import KINDS
from tests.support.candidate_kit import delivery
from warehouse import alerts, lease, outcomes
from warehouse.clock import now
from warehouse.errors import Refused, UsageError
from warehouse.ledger import Ledger
from warehouse.paths import Home


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sensors.WINDOW_VARIABLE, "0.05")
    monkeypatch.setenv("EDUPLAN_SETTLE_SECONDS", "0")
    monkeypatch.setenv(sensors.LINGER_VARIABLE, "0")
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:00:00+08:00")


def sensor(name: str, home: Home) -> SensorDefinition:
    return next(found for found in sensors.build_sensors(HomeResource(root=str(home.root))) if found.name == name)


def tick(name: str, home: Home, instance: DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    return sensor(name, home).evaluate_tick(build_sensor_context(instance=instance, cursor=cursor))


def hand_in(home: Home, number: int = 1) -> None:
    folder = home.inbox / "teacher_register"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.csv").write_bytes(f"学校,{number}\n".encode())


def test_several_files_are_one_request_and_are_not_asked_for_twice(home: Home, instance: DagsterInstance) -> None:
    for number in range(3):
        hand_in(home, number)
    first = tick("folder_arrivals", home, instance)
    (request,) = first.run_requests or []
    assert request.tags["eduplan/waiting"] == "3"
    assert request.tags[keys.SENSOR_TAG] == "folder_arrivals"
    again = tick("folder_arrivals", home, instance, first.cursor)
    assert not again.run_requests
    assert "已发起过处理" in (again.skip_message or "")
    hand_in(home, 9)
    assert tick("folder_arrivals", home, instance, again.cursor).run_requests


def test_a_file_that_comes_while_the_inbox_is_looked_at_is_found_by_the_same_look(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sensors.LINGER_VARIABLE, "20")
    waits: list[float] = []

    def falls_in(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            hand_in(home)

    monkeypatch.setattr(sensors.time, "sleep", falls_in)
    found = tick("folder_arrivals", home, instance)
    (request,) = found.run_requests or []
    assert request.tags["eduplan/waiting"] == "1"


@pytest.mark.parametrize("between", ["waiting", "resting"])
def test_a_file_that_comes_between_two_listings_of_a_look_is_found_by_it(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    monkeypatch.setenv(sensors.LINGER_VARIABLE, "20")
    room = sensors if between == "waiting" else sensors.folder
    listing, listed = getattr(room, between), list[object]()

    def then_falls_in(*given: object, **how: object) -> object:
        found = listing(*given, **how)
        if not listed:
            # Moved there: it rested elsewhere.
            hand_in(home)
        listed.append(found)
        return found

    monkeypatch.setattr(room, between, then_falls_in)
    monkeypatch.setattr(sensors.time, "sleep", lambda _: None)
    found = tick("folder_arrivals", home, instance)
    (request,) = found.run_requests or []
    assert request.tags["eduplan/waiting"] == "1"


def test_a_look_that_took_long_by_itself_watches_for_what_is_left(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sensors.LINGER_VARIABLE, "4")
    passed = [0.0]

    def passes(seconds: float) -> None:
        passed.append(passed[-1] + seconds)

    def slowly(*_: object, **__: object) -> list[Arrival]:
        passes(3)
        return []

    monkeypatch.setattr(sensors, "time", SimpleNamespace(monotonic=lambda: passed[-1], sleep=passes))
    monkeypatch.setattr(sensors, "waiting", slowly)
    assert not tick("folder_arrivals", home, instance).run_requests
    assert passed[-1] == 4, "the next look is due a second later"


def test_a_file_dated_ahead_is_neither_waited_for_for_ever_nor_taken_for_rested(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(home)
    ahead = datetime.fromisoformat("2031-01-01T00:00:00+08:00").timestamp()
    os.utime(home.inbox / "teacher_register" / "1.csv", (ahead, ahead))
    waits: list[float] = []
    monkeypatch.setattr(sensors.time, "sleep", waits.append)
    assert tick("folder_arrivals", home, instance).run_requests
    assert waits == [0.05], "the window, and no watching"


def test_files_that_rested_as_long_as_the_window_are_not_waited_for_again(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sensors.WINDOW_VARIABLE, "3")
    hand_in(home)
    rested = datetime.fromisoformat("2025-09-30T09:59:56+08:00").timestamp()
    os.utime(home.inbox / "teacher_register" / "1.csv", (rested, rested))
    monkeypatch.setattr(sensors.time, "sleep", lambda _: pytest.fail("the window had passed"))
    assert tick("folder_arrivals", home, instance).run_requests


def test_a_run_is_asked_for_while_a_file_still_rests_but_not_while_it_is_written(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUPLAN_SETTLE_SECONDS", "4")
    monkeypatch.setenv(sensors.WINDOW_VARIABLE, "3")
    monkeypatch.setattr(sensors.time, "sleep", lambda _: pytest.fail("the run waits, not the look"))
    hand_in(home)
    file = home.inbox / "teacher_register" / "1.csv"
    moment = datetime.fromisoformat("2025-09-30T10:00:00+08:00").timestamp()
    os.utime(file, (moment - 0.9, moment - 0.9))
    assert not tick("folder_arrivals", home, instance).run_requests
    os.utime(file, (moment - 1.1, moment - 1.1))
    assert tick("folder_arrivals", home, instance).run_requests


def test_what_still_waits_is_asked_for_again_after_a_while(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(home)
    first = tick("folder_arrivals", home, instance)
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:00:31+08:00")
    (request,) = tick("folder_arrivals", home, instance, first.cursor).run_requests or []
    assert request.run_key != (first.run_requests or [])[0].run_key


@pytest.mark.parametrize("kind", ["sftp", "s3", "rest", "sql", "nats"])
def test_a_source_that_is_not_configured_or_away_asks_for_nothing(
    home: Home, instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    hand_in(home)
    assert not tick(f"{kind}_arrivals", home, instance).run_requests
    if kind == "sql":
        (tmp_path / "url").write_text("postgresql://x:geheim@127.0.0.1:1/none")
        away = {"kind": "sql", "name": "away", "feed": "education_finance", "url": {"file": str(tmp_path / "url")}}
        (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": [away]}))
        monkeypatch.setenv("EDUPLAN_SOURCES", str(tmp_path / "sources.yaml"))
        told = tick("sql_arrivals", home, instance)
        assert not told.run_requests
        assert "1 个来源无法查看" in (told.skip_message or "")
        assert "geheim" not in (told.skip_message or "")


def test_nobody_asks_while_somebody_works_wherever_that_is(
    home: Home, ledger: Ledger, instance: DagsterInstance
) -> None:
    hand_in(home)
    with lease.held(home, ledger, "run"):
        busy = tick("folder_arrivals", home, instance)
        assert not busy.run_requests
        assert "正在进行" in (busy.skip_message or "")
    assert tick("folder_arrivals", home, instance, busy.cursor).run_requests


def test_while_somebody_works_the_inbox_is_not_gone_through_and_is_as_soon_as_he_has_ended(
    home: Home, ledger: Ledger, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sensors.LINGER_VARIABLE, "20")
    hand_in(home)
    done: list[str] = []
    look = sensors.waiting

    def looked(*arguments: Any, **named: Any) -> list[Arrival]:
        done.append("looked")
        return look(*arguments, **named)

    monkeypatch.setattr(sensors, "waiting", looked)
    with ExitStack() as work:
        work.enter_context(lease.held(home, ledger, "run"))

        def passes(_: float) -> None:
            done.append("waited")
            if len(done) == 3:
                work.close()

        monkeypatch.setattr(sensors.time, "sleep", passes)
        assert tick("folder_arrivals", home, instance).run_requests
    assert done[:4] == ["waited", "waited", "waited", "looked"]


def test_kinds_of_which_no_source_is_named_are_looked_at_seldom(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds() -> dict[str, int | None]:
        return {kind: sensor(f"{kind}_arrivals", home).minimum_interval_seconds for kind in KINDS}

    assert seconds() == {"folder": 3, "sql": 3, "sftp": 30, "s3": 30, "rest": 30, "nats": 30}
    away = {"kind": "sql", "name": "away", "feed": "education_finance", "url": {"file": str(tmp_path / "url")}}
    bus = {"kind": "nats", "name": "bus", "servers": ["nats://127.0.0.1:1"], "stream": "s", "subject": "s"}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": [away, {**bus, "feed": "teacher_register"}]}))
    monkeypatch.setenv("EDUPLAN_SOURCES", str(tmp_path / "sources.yaml"))
    assert seconds() == {"folder": 3, "sql": 3, "sftp": 30, "s3": 30, "rest": 30, "nats": 3}
    (tmp_path / "sources.yaml").write_text("sources: 7")
    assert set(seconds().values()) == {3}, "the look says what is wrong with the file"


def test_a_run_launched_a_moment_ago_is_waited_for_and_a_dead_one_is_not(
    home: Home, ledger: Ledger, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = instance.create_run_for_job(_job(), status=DagsterRunStatus.STARTED, run_id=None)
    assert sensors.under_way(instance, ledger)
    assert close_dead_runs(instance, ledger) == []
    later = time.time() + 1000
    monkeypatch.setattr(sensors.time, "time", lambda: later)
    assert sensors.under_way(instance, ledger) == ""
    assert close_dead_runs(instance, ledger) == [run.run_id]
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == DagsterRunStatus.FAILURE


def _job():  # type: ignore[no-untyped-def]
    from dagster import job, op

    @op
    def nothing() -> None:
        return None

    @job(name=keys.JOB)
    def release_job() -> None:
        nothing()

    return release_job


def test_a_run_whose_process_is_gone_is_entered_as_failed_once(
    home: Home, ledger: Ledger, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = instance.create_run_for_job(
        _job(), status=DagsterRunStatus.STARTED, run_id=None, tags={keys.SENSOR_TAG: "folder_arrivals"}
    )
    later = time.time() + 1000
    monkeypatch.setattr(sensors.time, "time", lambda: later)
    watched = tick("watch", home, instance)
    found = outcomes.last(ledger)
    assert found is not None
    assert (found.run_id, found.outcome, found.asked_by) == (run.run_id, outcomes.FAILED, "folder_arrivals")
    assert not watched.run_requests
    assert "新告警" in (watched.skip_message or "")
    assert "run_failed" in {news.kind for news in alerts.standing(ledger)}
    assert set(heartbeat.beats(home)) == {"watch"}


def _failure(instance: DagsterInstance, error: Exception) -> RunFailureSensorContext:
    from dagster import build_run_status_sensor_context, in_process_executor, job, op, resource

    @resource
    def workbench() -> None:
        raise error

    @op(required_resource_keys={"workbench"})
    def nothing() -> None:
        return None

    @job(name=keys.JOB, resource_defs={"workbench": workbench}, executor_def=in_process_executor)
    def release_job() -> None:
        nothing()

    result = release_job.execute_in_process(instance=instance, raise_on_error=False)
    return build_run_status_sensor_context(
        sensor_name="run_failures",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
    ).for_run_failure()


def test_a_run_that_failed_before_it_began_is_entered_unless_another_one_did_not_let_it(
    home: Home, ledger: Ledger, instance: DagsterInstance
) -> None:
    failures = sensor("run_failures", home)
    failures(_failure(instance, Refused("另一个进程正在执行“run”。")))
    assert outcomes.last(ledger) is None
    context = _failure(instance, OSError(28, "no space left"))
    failures(context)
    failures(context)
    found = outcomes.last(ledger)
    assert found is not None
    assert (found.run_id, found.outcome) == (context.dagster_run.run_id, outcomes.FAILED)
    assert outcomes.counts(ledger)[outcomes.FAILED] == 1


def test_an_empty_home_or_none_at_all_asks_for_nothing(home: Home, instance: DagsterInstance) -> None:
    assert not tick("inputs_changed", home, instance).run_requests
    nowhere = replace(home, root=home.root / "nowhere")
    assert "尚不存在" in (tick("inputs_changed", nowhere, instance).skip_message or "")
    assert not nowhere.root.exists()


def test_what_was_taken_in_and_never_built_is_asked_for(home: Home, ledger: Ledger, instance: DagsterInstance) -> None:
    delivery(home, ledger, "数字", contract_version=contract_versions()["official_figures"])
    first = tick("inputs_changed", home, instance)
    assert first.run_requests
    assert not tick("inputs_changed", home, instance, first.cursor).run_requests


def test_what_was_read_under_an_older_contract_is_asked_for(
    home: Home, ledger: Ledger, instance: DagsterInstance
) -> None:
    delivery(home, ledger, "数字", contract_version="an older one")
    assert tick("inputs_changed", home, instance).run_requests


def test_what_waits_elsewhere_is_asked_for_at_once_and_the_run_waits_for_the_window(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sensors.WINDOW_VARIABLE, "3")
    monkeypatch.setattr(sensors.time, "sleep", lambda _: pytest.fail("the run waits, not the look"))
    found = Arrival("s3", "bucket/a.xlsx", "1", "school_census")
    monkeypatch.setattr(sensors, "waiting", lambda *_, **__: [found])
    (request,) = tick("s3_arrivals", home, instance).run_requests or []
    moment = datetime.fromisoformat("2025-09-30T10:00:00+08:00").timestamp()
    assert request.tags[keys.GATHER_TAG] == f"{moment + 3:.3f}"


@pytest.mark.parametrize(("kind", "looks"), [("s3", 2), ("sql", 1)])
def test_what_comes_to_a_server_while_it_is_looked_at_is_found_by_the_same_look(
    home: Home, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, kind: str, looks: int
) -> None:
    monkeypatch.setenv(sensors.LINGER_VARIABLE, "4")
    waits: list[float] = []
    monkeypatch.setattr(sensors.time, "sleep", waits.append)
    monkeypatch.setattr(sensors, "configured", lambda: [SimpleNamespace(kind=kind)])
    seen = iter([[], [Arrival(kind, "office/a", "1", "school_census")]])
    monkeypatch.setattr(sensors, "waiting", lambda *_, **__: next(seen))
    asked = tick(f"{kind}_arrivals", home, instance).run_requests or []
    assert (len(asked), waits) == (looks - 1, [2.0] * (looks - 1)), "a database is not asked twice"


def test_a_run_waits_as_long_as_its_look_says_and_never_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(intake.time, "sleep", waits.append)
    moment = now().timestamp()
    for until in (0.0, moment, moment + 1.5, moment + 9000):
        intake.await_window(until)
    assert waits == [pytest.approx(1.5), intake.LONGEST_REST]


@pytest.mark.parametrize("text", ["-1", "21", "soon", "nan"])
def test_a_senseless_window_is_wrong_usage(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sensors.WINDOW_VARIABLE, text)
    with pytest.raises(UsageError):
        sensors.window_seconds()


def test_memory_is_flat_while_a_thousand_files_wait(home: Home, ledger: Ledger, instance: DagsterInstance) -> None:
    for number in range(1000):
        hand_in(home, number)
    cursors: dict[str, str | None] = {}
    held = []
    for _round in range(15):
        for name in ("folder_arrivals", "inputs_changed", "watch"):
            cursors[name] = tick(name, home, instance, cursors.get(name)).cursor
        held.append(psutil.Process().memory_info().rss)
    assert held[-1] - held[4] < 20 << 20, [size >> 20 for size in held]
