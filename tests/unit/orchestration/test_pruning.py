"""Run history goes by the policy, with what steps printed; a home's own settings decide where it lies."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orchestration.instance import dagster_home, open_instance
from orchestration.instance_settings import DEPLOYED, SETTINGS, WRITTEN, lacking, main, production
from orchestration.pruning import prune
from orchestration.resources import HomeResource
from orchestration.retention_job import PERSON, build_retention_job
from tests.support.crash_kit import OLD, small_run
from warehouse import alerts, outcomes
from warehouse.alerts import Alert
from warehouse.clock import now
from warehouse.errors import Refused
from warehouse.files import sha256_bytes, sha256_file
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.outcomes import Outcome
from warehouse.paths import Home, project_root
from warehouse.pruned import OUTCOMES, RUNS, TOLD

OLD_DAY = "2025-09-30T03:00:00+08:00"
STANDING = Alert("gate_refused", "", "x")
POLICY = "runs: {keep_last: 1, keep_days: 30}\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("pruning") / "home")
    small_run(home, OLD)
    (home.root / "retention.yaml").write_text(POLICY)
    return home.root


@pytest.fixture
def home(base: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(base, tmp_path / "home", symlinks=True))


@dg.job
def speaking() -> None:
    @dg.op
    def speak() -> None:
        logging.getLogger("eduplan").info("said")

    speak()


def ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_old_runs_go_with_their_events_and_output_and_the_newest_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(home, with_output=True) as instance:
        runs = [speaking.execute_in_process(instance=instance).run_id for _ in range(3)]
        kept = Path(instance.storage_directory())
        assert prune(home, instance, person="x").entries == ()
        assert ids(instance) == set(runs)
        monkeypatch.setenv("EDUPLAN_NOW", "2090-01-01T00:00:00+08:00")
        assert [item.files for item in prune(home, instance, person="x", dry_run=True).entries] == [2]
        assert ids(instance) == set(runs)
        (entry,) = prune(home, instance, person="x").entries
        assert (entry.kind, entry.files) == (RUNS, 2)
        assert ids(instance) == {runs[-1]}
        assert list(instance.all_logs(runs[0])) == []
        assert list(instance.all_logs(runs[-1])) != []
        assert not any((kept / run_id).exists() for run_id in runs[:2])
    with closing(Ledger(home.ledger_url)) as ledger:
        assert ledger.pruned() == [entry]
        assert ledger.findings() == []


def test_notes_of_operation_go_and_neither_alerts_nor_counters_notice(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.root / "retention.yaml").write_text("outcomes: {keep_last: 2, keep_days: 400}\ntold: {keep_days: 400}\n")
    monkeypatch.setenv("EDUPLAN_NOW", OLD_DAY)
    ways = [outcomes.GATE_REFUSED, *[outcomes.FAILED] * 4, outcomes.CANCELLED]
    with closing(Ledger(home.ledger_url)) as ledger:
        for number, way in enumerate(ways):
            outcomes.record(ledger, Outcome(f"r{number}", OLD_DAY, "manual", way))
        for open_ones in ([STANDING, Alert("feed_late", "x/1", "缺")], [STANDING]):
            alerts.update(ledger, open_ones, datetime.fromisoformat(OLD_DAY))
            told_all(ledger, "mail")
        # Whoever could not be told yet is told of it later, however long that takes.
        assert alerts.claim(ledger, "away", datetime.fromisoformat(OLD_DAY))
        before, evidence = outcomes.counts(ledger), ledger.journal_entries()
        assert [item for item in prune(home, None, person="x").entries if item.kind in {OUTCOMES, TOLD}] == []
        monkeypatch.setenv("EDUPLAN_NOW", "2090-01-01T00:00:00+08:00")
        counted = Counter({OUTCOMES: 3, TOLD: 4})
        for dry_run in (True, False):
            entries = prune(home, None, person="x", dry_run=dry_run).entries
            assert Counter({item.kind: item.files for item in entries if item.kind in counted}) == counted
        assert {item.kind for item in prune(home, None, person="x").entries}.isdisjoint(counted)
        assert outcomes.counts(ledger) == before
        # The refusal stands and so does the last failure: what alerts and the status page ask for.
        assert [getattr(outcomes.last(ledger, {way}), "run_id", None) for way in dict.fromkeys(ways)] == [
            "r0",
            "r4",
            "r5",
        ]
        assert [news.kind for news in alerts.standing(ledger)] == [STANDING.kind]
        assert alerts.claim(ledger, "mail", now()) == []
        assert [news.kind for news in alerts.claim(ledger, "away", now())] == [STANDING.kind]
        told = [json.loads(entry.payload)["kind"] for entry in ledger.journal_entries()[len(evidence) :]]
        assert {OUTCOMES, TOLD} <= set(told)
        assert ledger.journal_entries()[: len(evidence)] == evidence
        assert ledger.findings() == []
        outcomes.record(ledger, Outcome("again", OLD_DAY, "manual", outcomes.FAILED))
        assert prune(home, None, person="x").entries[-1].files == 1
        assert outcomes.counts(ledger)[outcomes.FAILED] == 5


def told_all(ledger: Ledger, end: str) -> None:
    at = datetime.fromisoformat(OLD_DAY)
    alerts.told(ledger, end, alerts.claim(ledger, end, at), at)


def test_the_scheduled_job_does_the_same_and_waits_for_nobody_it_need_not(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2090-01-01T00:00:00+08:00")
    job = build_retention_job()
    with open_instance(home) as instance:
        for _ in range(2):
            speaking.execute_in_process(instance=instance)
        resources = {"home": HomeResource(root=str(home.root))}
        assert job.execute_in_process(instance=instance, resources=resources).success
        with exclusive(home, "run"), pytest.raises(Refused, match="run"):
            job.execute_in_process(instance=instance, resources=resources)
    with closing(Ledger(home.ledger_url)) as ledger:
        assert [(item.kind, item.person, item.files) for item in ledger.pruned()] == [(RUNS, PERSON, 1)]


def test_the_production_settings_are_the_homes_own_and_a_storage(tmp_path: Path) -> None:
    """One truth for both: what differs is where the history lies."""
    own = yaml.safe_load(SETTINGS)
    production = yaml.safe_load((project_root() / "deploy" / "dagster.yaml").read_text(encoding="utf-8"))
    assert production.pop("storage") == {"postgres": {"postgres_url": {"env": "EDUPLAN_DAGSTER_URL"}}}
    # Held open on SQLite; in PostgreSQL the history is all in one place.
    for held_open in ("event_log_storage", "schedule_storage"):
        assert own.pop(held_open)["module"] == "orchestration.event_log"
    assert production == own
    folder = dagster_home(Home(tmp_path))
    assert yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8")) == yaml.safe_load(SETTINGS)


def _without(text: str, section: str) -> str:
    """Settings without a section and the comment above it."""
    return re.sub(rf"(?m)(^#.*\n)*^{section}:\n(^ .*\n)+", "", text)


BEFORE_TICKS = (
    "# Events and looks of sensors are many; their files are kept open instead of being opened and closed for each.\n",
    "# Events are many; their files are kept open instead of being opened and closed for each.\n",
)


# Until daemon and page had a code server of its own.
TIME_OUT = """code_servers:
  # Loading the definitions parses the dbt project once after each change of code.
  local_startup_timeout: 300
"""
BEHIND_TIME_OUT = "# What sensors and schedules said;"


def test_settings_of_an_older_version_are_brought_up_to_date(tmp_path: Path) -> None:
    """Written before ticks were held open, or copied from deploy/ before runs were forked."""
    present, of_production = SETTINGS.encode(), production().read_bytes()
    # Whoever changes a text keeps its former hash: homes that have it are known by it.
    assert (sha256_bytes(present), sha256_bytes(of_production)) == (WRITTEN[-1], DEPLOYED[-1])
    with_time_out = of_production.decode().replace(BEHIND_TIME_OUT, TIME_OUT + BEHIND_TIME_OUT)
    for text, section, becomes in (
        (present.decode(), "schedule_storage", present),
        (with_time_out, "nothing", of_production),
        (with_time_out, "run_launcher", of_production),
    ):
        folder = tmp_path / section / "dagster"
        folder.mkdir(parents=True)
        settings = folder / "dagster.yaml"
        settings.write_text(_without(text, section).replace(*BEFORE_TICKS))
        settings.chmod(0o640)
        assert sha256_file(settings) in {*WRITTEN, *DEPLOYED}
        assert dagster_home(Home(tmp_path / section)) == folder
        assert settings.read_bytes() == becomes
        assert settings.stat().st_mode & 0o777 == 0o640
        assert lacking(folder) == {}


def test_settings_somebody_changed_are_theirs_and_what_they_lack_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dagster_home(Home(tmp_path))
    settings = folder / "dagster.yaml"
    theirs = _without(SETTINGS, "run_launcher").replace("num_workers: 8", "num_workers: 3")
    settings.write_text(theirs)
    monkeypatch.setenv("EDUPLAN_HOME", str(tmp_path))
    main()
    dagster_home(Home(tmp_path))
    assert settings.read_text() == theirs
    assert list(lacking(folder)) == ["run_launcher"]
    told = capsys.readouterr().out
    assert "缺少本版本的默认设置 run_launcher" in told
    assert "  class: WarmRunLauncher" in told
    settings.write_text(theirs + lacking(folder)["run_launcher"] + "\n")
    assert lacking(folder) == {}
    assert yaml.safe_load(settings.read_text())["run_launcher"] == yaml.safe_load(SETTINGS)["run_launcher"]
    # PostgreSQL says where events lie; what is no YAML is left to Dagster to refuse.
    settings.write_text("storage: {postgres: {postgres_url: {env: X}}}\n")
    assert "event_log_storage" not in lacking(folder)
    settings.write_text("storage: [\n")
    assert lacking(folder) == {}
