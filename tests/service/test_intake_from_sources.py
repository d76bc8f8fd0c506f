"""Intake as a run does it, from sources that a configuration file names, against real services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sources import intake
from tests.service.services import NatsServer, SftpServer, running
from warehouse.ledger import Ledger
from warehouse.paths import Home

NOT_A_REGISTER = "学校,人数\n一中,12\n".encode("gb18030")


@pytest.fixture
def sftp_server(tmp_path: Path) -> Iterator[SftpServer]:
    with running(SftpServer(tmp_path / "sftp")) as service:
        (service.root / "名册.csv").write_bytes(NOT_A_REGISTER)
        yield service


def configure(path: Path, monkeypatch: pytest.MonkeyPatch, *sources: dict[str, object]) -> None:
    path.write_text(yaml.safe_dump({"sources": list(sources)}, allow_unicode=True), encoding="utf-8")
    monkeypatch.setenv("EDUPLAN_SOURCES", str(path))


def office(service: SftpServer, secret: Path) -> dict[str, object]:
    secret.write_text(service.password)
    place = {"host": "127.0.0.1", "port": service.port, "user": "eduplan", "path": "/"}
    proof = {"known_hosts": str(service.known_hosts), "password": {"file": str(secret)}}
    return {"kind": "sftp", "name": "office", "feed": "teacher_register", "settle_seconds": 0, **place, **proof}


def test_a_file_put_by_sftp_is_taken_in_once_and_answered(
    sftp_server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path / "sources.yaml", monkeypatch, office(sftp_server, tmp_path / "secret"))
    home = Home(tmp_path / "home").ensure()
    ledger = Ledger(home.ledger_url)
    arrivals = [arrival for arrival in intake.scan(home, ledger) if arrival.connector == "sftp"]
    report = intake.take_in(home, ledger, arrivals)
    (row,) = report.deliveries
    assert row.status == "refused"
    assert (home.receipts / "teacher_register" / f"{row.delivery_id}.json").is_file()
    assert [event.connector for event in ledger.events()] == ["sftp"]
    assert not [arrival for arrival in intake.scan(home, ledger) if arrival.connector == "sftp"]


def test_a_source_that_is_away_is_reported_and_holds_up_no_other(
    sftp_server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = office(sftp_server, tmp_path / "secret") | {"name": "away", "port": 1}
    configure(tmp_path / "sources.yaml", monkeypatch, away, office(sftp_server, tmp_path / "secret"))
    home = Home(tmp_path / "home").ensure()
    ledger = Ledger(home.ledger_url)
    arrivals = [arrival for arrival in intake.scan(home, ledger) if arrival.connector == "sftp"]
    report = intake.take_in(home, ledger, arrivals)
    assert len(report.deliveries) == 1
    assert len(report.problems) == 1
    assert sftp_server.password not in report.problems[0]


async def _publish(url: str, user: str, password: str, payload: bytes) -> None:
    import nats

    client = await nats.connect(url, user=user, password=password)
    try:
        await client.jetstream().add_stream(name="decisions", subjects=["decisions.>"])
        await client.jetstream().publish("decisions.granted", payload)
    finally:
        await client.close()


def test_messages_are_taken_in_as_one_delivery_and_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "nats"
    folder.mkdir()
    with running(NatsServer(folder)) as service:
        asyncio.run(_publish(service.url, service.user, service.password, b'{"event_id": "e1"}'))
        monkeypatch.setenv("DECISIONS_PASSWORD", service.password)
        place = {"servers": [service.url], "stream": "decisions", "subject": "decisions.>", "wait_seconds": 2}
        proof = {"user": service.user, "password": {"env": "DECISIONS_PASSWORD"}}
        # Any feed serves: what is tried is the way in, and a message is no register.
        stream = {"kind": "nats", "name": "decisions", "feed": "teacher_register", **place, **proof}
        configure(tmp_path / "sources.yaml", monkeypatch, stream)
        home = Home(tmp_path / "home").ensure()
        ledger = Ledger(home.ledger_url)
        report = intake.drain(home, ledger)
        assert [row.status for row in report.deliveries] == ["refused"]
        assert not report.problems
        assert [event.connector for event in ledger.events()] == ["nats"]
        again = intake.drain(home, ledger)
        assert (again.deliveries, again.duplicates, again.problems) == ([], 0, [])
