"""The same delivery by every way at once, through the intake that a run uses: real folder, SFTP, S3 and NATS."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
import yaml

from sources import intake
from sources.connectors import remote
from sources.connectors.arrival import Arrival
from sources.connectors.config import configured
from tests.service.services import NatsServer, S3Server, SftpServer, running
from tests.support import flat_deliveries as flat
from tests.support.desk import teachers
from warehouse.archive import Snapshot
from warehouse.errors import Fault
from warehouse.ledger import Ledger
from warehouse.paths import Home

DATA = teachers()
LONG_AGO = (1_700_000_000, 1_700_000_000)
ACK_WAIT = 1.0
FEED = "teacher_register"
NOTICE = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "ways-in"}, "object": {"key": "a.csv"}}}
EVENT = json.dumps({"Records": [NOTICE]}).encode()


@pytest.fixture(scope="module")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running(SftpServer(tmp_path_factory.mktemp("ways") / "sftp")) as service:
        (service.root / "a.csv").write_bytes(DATA)
        os.utime(service.root / "a.csv", LONG_AGO)
        yield service


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running(S3Server(tmp_path_factory.mktemp("ways-s3"))) as service:
        client = service.client()
        client.create_bucket(Bucket="ways-in")
        client.put_object(Bucket="ways-in", Key="a.csv", Body=DATA)
        yield service


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    folder = tmp_path / "nats"
    folder.mkdir()
    with running(NatsServer(folder)) as service:
        yield service


def publish(service: NatsServer, stream: str, *messages: bytes) -> None:
    async def publishing() -> None:
        client = await nats.connect(service.url, user=service.user, password=service.password)
        try:
            await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.>"])
            for message in messages:
                await client.jetstream().publish(f"{stream}.told", message)
        finally:
            await client.close()

    asyncio.run(publishing())


@dataclass
class Ways:
    """A home, its ledger, and a file of sources in force."""

    home: Home
    ledger: Ledger
    write: Callable[..., None]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(event.connector, event.outcome) for event in self.ledger.events()]


@pytest.fixture
def ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ways]:
    def write(*sources: dict[str, object]) -> None:
        path = tmp_path / "sources.yaml"
        path.write_text(yaml.safe_dump({"sources": list(sources)}, allow_unicode=True), encoding="utf-8")
        monkeypatch.setenv("EDUPLAN_SOURCES", str(path))

    home = Home(tmp_path / "home").ensure()
    ledger = Ledger(home.ledger_url)
    yield Ways(home, ledger, write)
    ledger.close()


def secret(folder: Path, name: str, value: str) -> dict[str, str]:
    (folder / name).write_text(value)
    return {"file": str(folder / name)}


def office(service: SftpServer, folder: Path) -> dict[str, object]:
    place = {"host": "127.0.0.1", "port": service.port, "user": "eduplan", "path": "/", "settle_seconds": 0}
    proof = {"known_hosts": str(service.known_hosts), "password": secret(folder, "sftp", service.password)}
    return {"kind": "sftp", "name": "office", "feed": FEED, **place, **proof}


def bucket(service: S3Server, folder: Path) -> dict[str, object]:
    keys = {"access_key": service.access_key, "secret_key": service.secret_key}
    proof = {name: secret(folder, name, value) for name, value in keys.items()}
    return {"kind": "s3", "name": "bucket", "feed": FEED, "endpoint": service.endpoint, "bucket": "ways-in", **proof}


def stream(service: NatsServer, folder: Path, name: str, feed: str) -> dict[str, object]:
    place = {"servers": [service.url], "stream": name, "subject": f"{name}.>", "wait_seconds": 2}
    proof = {"user": service.user, "password": secret(folder, "nats-secret", service.password)}
    return {"kind": "nats", "name": name, "feed": feed, "ack_wait_seconds": ACK_WAIT, **place, **proof}


def test_one_delivery_by_folder_sftp_s3_and_a_redelivered_event_is_one_snapshot_one_effect_and_five_entries(
    sftp_server: SftpServer, s3_server: S3Server, nats_server: NatsServer, ways: Ways, tmp_path: Path
) -> None:
    publish(nats_server, "objects", EVENT)
    told = stream(nats_server, tmp_path, "objects", FEED) | {"announces": "bucket"}
    ways.write(office(sftp_server, tmp_path), bucket(s3_server, tmp_path), told)
    home, ledger = ways.home, ways.ledger
    place = home.inbox / FEED / "a.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(DATA)
    os.utime(place, LONG_AGO)

    arrivals = [arrival for arrival in intake.scan(home, ledger) if arrival.connector != intake.SHIPPED]
    first = intake.take_in(home, ledger, arrivals)
    (row,) = first.deliveries
    assert (row.status, first.duplicates, first.problems) == ("accepted", 2, [])
    active = ledger.active_set(intake.contract_versions())

    # The event is taken in, and the process dies before it is acknowledged: it is handed over a second time.
    def dying(_snapshot: Snapshot, arrival: Arrival) -> None:
        intake.take_in(home, ledger, [arrival])
        raise Fault("进程在确认消息前被终止。")

    _, [died] = remote.drain(home, configured(), dying, 10, seen=ledger.seen)
    assert "确认消息前" in str(died)
    time.sleep(ACK_WAIT + 0.2)
    second = intake.drain(home, ledger)
    assert (second.deliveries, second.duplicates, second.problems) == ([], 1, [])

    events = ledger.events()
    assert sorted(ways.outcomes()) == [
        ("folder", "accepted"),
        ("s3", "duplicate"),
        ("s3_event", "duplicate"),
        ("s3_event", "duplicate"),
        ("sftp", "duplicate"),
    ]
    assert {(event.sha256, event.delivery_id) for event in events} == {(row.sha256, row.delivery_id)}
    assert [path.name for path in home.archive.rglob("*") if path.is_file()] == [row.sha256]
    assert ledger.active_set(intake.contract_versions()) == active == [row]
    assert len(list((home.records / FEED).iterdir())) == 1
    assert len(list((home.receipts / FEED).glob("*.json"))) == 1
    assert not [arrival for arrival in intake.scan(home, ledger) if arrival.connector != intake.SHIPPED]
    assert intake.drain(home, ledger).to_dict()["duplicates"] == 0
    assert len(ledger.events()) == 5


def test_what_is_no_event_is_told_once_and_holds_nothing_up(
    s3_server: S3Server, nats_server: NatsServer, ways: Ways, tmp_path: Path
) -> None:
    gone = EVENT.replace(b"a.csv", b"gone.csv")
    publish(nats_server, "objects", b"hello", gone, EVENT)
    told = stream(nats_server, tmp_path, "objects", FEED) | {"announces": "bucket"}
    ways.write(bucket(s3_server, tmp_path), told)
    report = intake.drain(ways.home, ways.ledger)
    assert [row.status for row in report.deliveries] == ["accepted"]
    assert ["不是 S3 事件" in problem for problem in report.problems] == [True]
    again = intake.drain(ways.home, ways.ledger)
    assert (again.deliveries, again.duplicates, again.problems) == ([], 0, [])


def test_a_bucket_that_is_away_leaves_its_events_for_later(
    nats_server: NatsServer, s3_server: S3Server, ways: Ways, tmp_path: Path
) -> None:
    publish(nats_server, "objects", EVENT)
    told = stream(nats_server, tmp_path, "objects", FEED) | {"announces": "bucket"}
    away = bucket(s3_server, tmp_path) | {"endpoint": "http://127.0.0.1:1"}
    ways.write(away, told)
    assert len(intake.drain(ways.home, ways.ledger).problems) == 1
    assert ways.outcomes() == []
    time.sleep(ACK_WAIT + 0.2)
    ways.write(bucket(s3_server, tmp_path), told)
    intake.drain(ways.home, ways.ledger)
    assert ways.outcomes() == [("s3_event", "accepted")]


def test_an_event_published_again_in_a_later_batch_has_one_effect(
    nats_server: NatsServer, ways: Ways, tmp_path: Path
) -> None:
    """Under another sequence, without a message id, its keys in another order: the event's own id makes it the same."""
    ways.write(stream(nats_server, tmp_path, "decisions", "programme_register"))
    granted, other = flat.events()
    publish(nats_server, "decisions", json.dumps(granted).encode(), json.dumps(other).encode())
    (row,) = intake.drain(ways.home, ways.ledger).deliveries
    assert row.rows_accepted == 2
    active = ways.ledger.active_set(intake.contract_versions())
    publish(nats_server, "decisions", json.dumps(dict(reversed(granted.items()))).encode())
    report = intake.drain(ways.home, ways.ledger)
    assert (report.deliveries, report.duplicates, report.problems) == ([], 1, [])
    assert ways.outcomes() == [("nats", "accepted"), ("nats", "duplicate")]
    assert {event.delivery_id for event in ways.ledger.events()} == {row.delivery_id}
    assert ways.ledger.active_set(intake.contract_versions()) == active
    # Beside a new event the old one is left out of the new delivery, and still has its entry.
    new = {**granted, "event_id": "R001-0009-G", "object_code": "0010009"}
    publish(nats_server, "decisions", json.dumps(granted).encode(), json.dumps(new).encode())
    report = intake.drain(ways.home, ways.ledger)
    assert [(found.rows_in, found.rows_accepted) for found in report.deliveries] == [(1, 1)]
    assert [outcome for _, outcome in ways.outcomes()].count("duplicate") == 2
