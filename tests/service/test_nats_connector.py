from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, StreamConfig

from sources.connectors import bus, remote
from sources.connectors.arrival import Arrival
from sources.connectors.config import NatsSource
from sources.connectors.credentials import SecretRef
from sources.connectors.problems import Unreachable
from tests.service.services import NatsServer, running
from tests.support.draining_and_dying import record
from warehouse.archive import Snapshot, store_file
from warehouse.errors import Fault
from warehouse.ledger import Ledger
from warehouse.paths import Home

STREAM, SUBJECT, ACK_WAIT = "PROGRAMMES", "programme.recognised", 1.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    folder = tmp_path / "nats"
    folder.mkdir()
    with running(NatsServer(folder)) as service:
        yield service


@pytest.fixture
def settings(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> NatsSource:
    monkeypatch.setenv("NATS_PASSWORD", server.password)
    speak(server, lambda stream: stream.add_stream(name=STREAM, subjects=["programme.*"]))
    return NatsSource(
        kind="nats",
        name="programmes",
        feed="programme_register",
        servers=(server.url,),
        stream=STREAM,
        subject="programme.>",
        user=server.user,
        password=SecretRef(env="NATS_PASSWORD"),
        wait_seconds=3,
        ack_wait_seconds=ACK_WAIT,
        timeout_seconds=30,
    )


def speak(server: NatsServer, say: Callable[[JetStreamContext], Coroutine[Any, Any, Any]]) -> Any:
    async def speaking() -> Any:
        client = await nats.connect(server.url, user=server.user, password=server.password, allow_reconnect=False)
        try:
            return await say(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(speaking())


def publish(server: NatsServer, *events: tuple[str, bytes]) -> None:
    async def publishing(stream: JetStreamContext) -> None:
        for message_id, data in events:
            await stream.publish(SUBJECT, data, headers={"Nats-Msg-Id": message_id} if message_id else None)

    speak(server, publishing)


def numbered(first: int, last: int) -> list[tuple[str, bytes]]:
    return [(f"e{n}", json.dumps({"event": n, "name": "渝中区"}).encode()) for n in range(first, last + 1)]


def consumer(server: NatsServer) -> ConsumerInfo:
    info = speak(server, lambda stream: stream.consumer_info(STREAM, "eduplan"))
    assert isinstance(info, ConsumerInfo)
    return info


class Committed:
    """Writes every snapshot into a real ledger, as intake does, and remembers the documents."""

    def __init__(self, home: Home) -> None:
        self.ledger = Ledger(home.ledger_url)
        self.documents: list[list[dict[str, Any]]] = []
        self.arrivals: list[Arrival] = []

    def __call__(self, snapshot: Snapshot, arrival: Arrival) -> None:
        record(self.ledger, snapshot, arrival)
        self.documents.append([json.loads(line) for line in snapshot.path.read_text("utf-8").splitlines()])
        self.arrivals.append(arrival)

    @property
    def sequences(self) -> list[int]:
        return [line["sequence"] for document in self.documents for line in document]

    def seen(self) -> set[tuple[str, str]]:
        return self.ledger.seen(bus.CONNECTOR)


@pytest.fixture
def committed(home: Home) -> Committed:
    return Committed(home)


def test_a_batch_becomes_one_document_in_stream_order(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 3))
    assert bus.drain(home, settings, committed, 100) == 3
    assert committed.documents == [
        [
            {
                "data": {"event": n, "name": "渝中区"},
                "message_id": f"e{n}",
                "sequence": n,
                "subject": SUBJECT,
            }
            for n in (1, 2, 3)
        ]
    ]
    [arrival] = committed.arrivals
    assert (arrival.version, arrival.file_name, arrival.feed) == ("1-3", "PROGRAMMES_1-3.jsonl", "programme_register")
    assert arrival.path is not None
    assert store_file(home, arrival.path).path == arrival.path
    assert consumer(server).num_ack_pending == 0
    assert bus.drain(home, settings, committed, 100, seen=committed.seen()) == 0


def test_batches_and_limit_are_kept(server: NatsServer, settings: NatsSource, home: Home, committed: Committed) -> None:
    publish(server, *numbered(1, 10))
    small = settings.model_copy(update={"batch": 3})
    assert bus.drain(home, small, committed, 7) == 7
    assert [len(document) for document in committed.documents] == [3, 3, 1]
    assert bus.drain(home, small, committed, 100) == 3
    assert committed.sequences == list(range(1, 11))


def test_an_unacknowledged_message_waits_for_a_durable_snapshot_and_its_commit(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 3))
    pending: list[int | None] = []

    def refusing(snapshot: Snapshot, arrival: Arrival) -> None:
        assert snapshot.path.is_file()
        pending.append(consumer(server).num_ack_pending)
        raise Fault("台账暂不可写。")

    with pytest.raises(Fault, match="台账"):
        bus.drain(home, settings, refusing, 100)
    assert pending == [3]
    assert consumer(server).num_ack_pending == 3
    time.sleep(ACK_WAIT + 0.2)
    assert bus.drain(home, settings, committed, 100) == 3
    assert len([path for path in home.archive.rglob("*") if path.is_file()]) == 1


def test_a_full_disk_acknowledges_nothing(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 3))
    home.archive.rmdir()
    home.archive.write_text("no room for a folder")
    with pytest.raises(OSError, match="archive"):
        bus.drain(home, settings, committed, 100)
    assert consumer(server).num_ack_pending == 3


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_a_kill_before_the_acknowledgement_has_one_effect(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed, moment: str
) -> None:
    publish(server, *numbered(1, 4))
    command = [
        sys.executable,
        "-m",
        "tests.support.draining_and_dying",
        str(home.root),
        settings.model_dump_json(),
        moment,
    ]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    assert consumer(server).num_ack_pending == 4
    # More arrives, so the messages that come again are cut into another batch.
    publish(server, *numbered(5, 6))
    time.sleep(ACK_WAIT + 0.2)
    new = bus.drain(home, settings, committed, 100, seen=committed.seen())
    assert new == (6 if moment == "before commit" else 2)
    assert consumer(server).num_ack_pending == 0
    versions = sorted(event.version for event in committed.ledger.events())
    assert versions == (["1-6"] if moment == "before commit" else ["1-4", "5-6"])


def test_the_same_batch_again_is_the_same_snapshot(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 4))
    bus.drain(home, settings, committed, 100)
    speak(server, lambda stream: stream.delete_consumer(STREAM, "eduplan"))
    bus.drain(home, settings, committed, 100)
    assert committed.arrivals[0] == committed.arrivals[1]
    assert len(committed.ledger.events()) == 1


def test_a_senders_repetition_stands_once_and_a_contradiction_twice(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    forgetful = StreamConfig(name=STREAM, subjects=["programme.*"], duplicate_window=0.1)
    speak(server, lambda stream: stream.update_stream(forgetful))
    for data in (b'{"n":1}', b'{"n":1}', b'{"n":2}'):
        publish(server, ("same-id", data))
        time.sleep(0.3)
    publish(server, ("", b'{"n":3, "m":1}'), ("", b'{"m":1,"n":3}'))
    assert bus.drain(home, settings, committed, 100) == 5
    assert committed.sequences == [1, 3, 4]
    assert committed.arrivals[0].version == "1-5"
    assert consumer(server).num_ack_pending == 0


def test_an_event_sent_again_in_a_later_batch_is_its_first_document_once_more(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 2))
    bus.drain(home, settings, committed, 100)
    publish(server, *numbered(3, 3))
    bus.drain(home, settings, committed, 100)
    first, second = committed.arrivals
    (again_1, data_1), (_, data_3) = numbered(1, 1)[0], numbered(3, 3)[0]
    publish(server, (f"{again_1}-repeated", data_1), ("", data_3), *numbered(4, 4), ("", data_1))

    def documents() -> list[Path]:
        return [arrival.path for arrival in (first, second) if arrival.path is not None]

    new = bus.drain(home, settings, committed, 100, seen=committed.seen(), documents=documents)
    assert new == 1
    told = [(arrival.path, arrival.version) for arrival in committed.arrivals[2:]]
    assert told[:2] == [(first.path, "4,7"), (second.path, "5")]
    assert [version for _, version in told] == ["4,7", "5", "6"]
    assert committed.sequences[-1] == 6
    assert consumer(server).num_ack_pending == 0
    assert len([path for path in home.archive.rglob("*") if path.is_file()]) == 3


def test_what_is_not_json_is_kept_as_it_came(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    strange = [b"", b"\xff\x00", b'{"a": NaN}', b'{"a":1,"a":2}', b"[" * 100_000, b'{"a": "\\ud800"}', b"9" * 5000]
    publish(server, *(("", data) for data in strange))
    bus.drain(home, settings, committed, 100)
    import base64

    assert [base64.b64decode(line["raw_base64"]) for line in committed.documents[0]] == strange


def test_a_stream_born_again_begins_anew(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 2))
    bus.drain(home, settings, committed, 100)
    speak(server, lambda stream: stream.delete_stream(STREAM))
    speak(server, lambda stream: stream.add_stream(name=STREAM, subjects=["programme.*"]))
    publish(server, *numbered(7, 8))
    assert bus.drain(home, settings, committed, 100, seen=committed.seen()) == 2
    assert [document[0]["data"]["event"] for document in committed.documents] == [1, 7]


def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 3))
    server.stop()
    with pytest.raises(Unreachable, match="连接不上"):
        bus.drain(home, settings, committed, 100)
    new, [error] = remote.drain(home, [settings], committed, 100, seen=lambda _: set())
    assert (new, isinstance(error, Unreachable)) == (0, True)
    server.start()
    assert remote.drain(home, [settings], committed, 100, seen=lambda _: set()) == (3, [])


def test_a_server_that_dies_during_a_commit_has_one_effect(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    publish(server, *numbered(1, 3))

    def commit(snapshot: Snapshot, arrival: Arrival) -> None:
        committed(snapshot, arrival)
        server.stop()

    with pytest.raises(Unreachable):
        bus.drain(home, settings, commit, 100)
    server.start()
    time.sleep(ACK_WAIT + 0.2)
    assert bus.drain(home, settings, committed, 100, seen=committed.seen()) == 0
    assert consumer(server).num_ack_pending == 0
    assert committed.sequences == [1, 2, 3]


def test_a_wrong_password_is_told_without_it(
    settings: NatsSource,
    home: Home,
    committed: Committed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("NATS_PASSWORD", "geheim-wrong")
    with pytest.raises(Unreachable, match="拒绝登录") as caught:
        bus.drain(home, settings, committed, 100)
    assert caught.value.__cause__ is None
    assert "geheim" not in str(caught.value) + repr(settings) + caplog.text


def test_a_missing_stream_is_named(settings: NatsSource, home: Home, committed: Committed) -> None:
    with pytest.raises(Unreachable, match="没有名为 OTHER 的流"):
        bus.drain(home, settings.model_copy(update={"stream": "OTHER"}), committed, 100)


def test_a_consumer_that_would_lose_messages_is_not_used(
    server: NatsServer, settings: NatsSource, home: Home, committed: Committed
) -> None:
    for lossy in (ConsumerConfig(ack_policy=AckPolicy.NONE), ConsumerConfig(max_deliver=2)):
        lossy.durable_name = "lossy"
        speak(server, lambda stream, config=lossy: stream.add_consumer(STREAM, config))  # type: ignore[misc]
        with pytest.raises(Fault, match="会丢消息"):
            bus.drain(home, settings.model_copy(update={"durable": "lossy"}), committed, 100)
        speak(server, lambda stream: stream.delete_consumer(STREAM, "lossy"))
