from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from sources.connectors import remote, s3
from sources.connectors.config import S3Source
from sources.connectors.credentials import SecretRef
from sources.connectors.problems import Unreachable
from tests.service.services import S3Server, free_port, running
from warehouse.errors import Fault, Refused
from warehouse.paths import Home


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running(S3Server(tmp_path_factory.mktemp("s3"))) as service:
        yield service


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def client(server: S3Server) -> Any:
    return server.client()


@pytest.fixture
def settings(
    server: S3Server, client: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> S3Source:
    bucket = "b" + "".join(mark if mark.isalnum() else "-" for mark in request.node.name.lower())[-50:].strip("-")
    client.create_bucket(Bucket=bucket)
    monkeypatch.setenv("S3_ACCESS", server.access_key)
    monkeypatch.setenv("S3_SECRET", server.secret_key)
    return S3Source(
        kind="s3",
        name="universities",
        feed="higher_education",
        endpoint=server.endpoint,
        bucket=bucket,
        prefix="in/",
        access_key=SecretRef(env="S3_ACCESS"),
        secret_key=SecretRef(env="S3_SECRET"),
        timeout_seconds=30,
    )


def event(settings: S3Source, key: str, **changes: Any) -> bytes:
    """As S3 documents it; only the parts that matter are varied."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": changes.get("name", "ObjectCreated:Put"),
        "s3": {
            "bucket": {"name": changes.get("bucket", settings.bucket), "arn": "arn:aws:s3:::x"},
            "object": {"key": quote_plus(key, safe="/"), "size": 3, "eTag": "e", "sequencer": "0A1B"},
        },
    }
    return json.dumps({"Records": [record]}).encode()


def test_objects_are_listed_once_and_fetched_whole(settings: S3Source, client: Any, home: Home) -> None:
    large = bytes(range(256)) * 40_000
    client.put_object(Bucket=settings.bucket, Key="in/高校/a b+%.jsonl", Body=large)
    client.put_object(Bucket=settings.bucket, Key="in/empty.parquet", Body=b"")
    client.put_object(Bucket=settings.bucket, Key="elsewhere/c.parquet", Body=b"no")
    arrivals = {one.file_name: one for one in s3.list_arrivals(settings, set())}
    assert sorted(arrivals) == ["a b+%.jsonl", "empty.parquet"]
    first = arrivals["a b+%.jsonl"]
    assert (first.source, first.submitter) == ("universities/in/高校/a b+%25.jsonl", "高校")
    assert s3.fetch(home, settings, first).path.read_bytes() == large
    assert s3.fetch(home, settings, arrivals["empty.parquet"]).size == 0
    assert s3.list_arrivals(settings, {(one.source, one.version) for one in arrivals.values()}) == []


def test_more_than_a_thousand_objects_are_all_found(settings: S3Source, client: Any) -> None:
    for number in range(1003):
        client.put_object(Bucket=settings.bucket, Key=f"in/{number:04}.jsonl", Body=b"x")
    arrivals = s3.list_arrivals(settings, set())
    assert sorted(one.file_name for one in arrivals) == [f"{number:04}.jsonl" for number in range(1003)]
    seen = {(one.source, one.version) for one in arrivals}
    client.put_object(Bucket=settings.bucket, Key="in/1002.jsonl", Body=b"y")
    assert [one.file_name for one in s3.list_arrivals(settings, seen)] == ["1002.jsonl"]


def test_new_bytes_under_an_old_key_are_a_new_version(settings: S3Source, client: Any, home: Home) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"one")
    [first] = s3.list_arrivals(settings, set())
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"two")
    with pytest.raises(Fault, match="被改动"):
        s3.fetch(home, settings, first)
    [second] = s3.list_arrivals(settings, {(first.source, first.version)})
    assert s3.fetch(home, settings, second).path.read_bytes() == b"two"
    client.delete_object(Bucket=settings.bucket, Key="in/a")
    with pytest.raises(Fault, match="被移走"):
        s3.fetch(home, settings, second)
    assert len([path for path in home.archive.rglob("*") if path.is_file()]) == 1


def test_every_version_of_a_versioned_bucket_arrives_in_order(settings: S3Source, client: Any, home: Home) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"before versions")
    client.put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration={"Status": "Enabled"})
    for text in (b"one", b"two", b"three"):
        client.put_object(Bucket=settings.bucket, Key="in/a", Body=text)
    client.delete_object(Bucket=settings.bucket, Key="in/a")
    versioned = settings.model_copy(update={"versioned": True})
    arrivals = s3.list_arrivals(versioned, set())
    texts = [s3.fetch(home, versioned, one).path.read_bytes() for one in arrivals]
    assert texts == [b"before versions", b"one", b"two", b"three"]
    assert len({one.version for one in arrivals}) == 4


def test_an_event_and_a_listing_name_an_object_alike(settings: S3Source, client: Any, home: Home) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/高校/a b+%.jsonl", Body=b"one")
    announced = s3.arrivals_from_event(settings, event(settings, "in/高校/a b+%.jsonl"))
    assert announced == s3.list_arrivals(settings, set())
    assert s3.fetch(home, settings, announced[0]).path.read_bytes() == b"one"


def test_a_redelivered_event_has_an_entry_of_its_own_and_the_same_bytes(
    settings: S3Source, client: Any, home: Home
) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"one")
    told = [s3.arrivals_from_event(settings, event(settings, "in/a"), delivery=f"receipt {n}")[0] for n in (1, 2)]
    listed = s3.list_arrivals(settings, set())
    assert len({(one.connector, one.source, one.version) for one in [*told, *listed]}) == 3
    assert len({s3.fetch(home, settings, one).sha256 for one in [*told, *listed]}) == 1


def test_events_of_versioned_buckets_name_their_version(settings: S3Source, client: Any, home: Home) -> None:
    client.put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"one")["VersionId"]
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"two")
    versioned = settings.model_copy(update={"versioned": True})
    notice = json.loads(event(settings, "in/a"))
    notice["Records"][0]["s3"]["object"]["versionId"] = first
    [arrival] = s3.arrivals_from_event(versioned, json.dumps(notice).encode())
    assert s3.fetch(home, versioned, arrival).path.read_bytes() == b"one"
    assert arrival in s3.list_arrivals(versioned, set())


def test_events_that_are_not_ours_announce_nothing(settings: S3Source, client: Any) -> None:
    client.put_object(Bucket=settings.bucket, Key="elsewhere/a", Body=b"one")
    strange = [
        event(settings, "in/never-uploaded"),
        event(settings, "elsewhere/a"),
        event(settings, "in/", name="ObjectCreated:Put"),
        event(settings, "in/a", name="ObjectRemoved:Delete"),
        event(settings, "in/a", bucket="another"),
        b'{"Records": []}',
    ]
    assert [s3.arrivals_from_event(settings, one) for one in strange] == [[]] * len(strange)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"Records": [{}]}', b"\xff", b"[" * 100_000, b" " * 2_000_000], ids=range(7)
)
def test_what_is_no_event_is_refused(settings: S3Source, text: bytes) -> None:
    with pytest.raises(Refused, match="S3 事件"):
        s3.arrivals_from_event(settings, text)


def test_a_wrong_secret_is_told_without_it(
    settings: S3Source, server: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for variable, value in (("S3_SECRET", "geheim-wrong"), ("S3_ACCESS", "AKUNKNOWN")):
        monkeypatch.setenv(variable, value)
        with pytest.raises(Unreachable, match="拒绝访问") as caught:
            s3.list_arrivals(settings, set())
        assert caught.value.__cause__ is None
        assert "geheim" not in str(caught.value) + repr(settings) + caplog.text
        assert server.secret_key not in caplog.text


def test_a_bucket_that_does_not_exist_is_named(settings: S3Source) -> None:
    with pytest.raises(Unreachable, match="没有这个存储桶"):
        s3.list_arrivals(settings.model_copy(update={"bucket": "no-such-bucket"}), set())


def test_a_service_that_is_away_holds_up_no_other(settings: S3Source, client: Any, home: Home) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"one")
    away = settings.model_copy(update={"name": "away", "endpoint": f"http://127.0.0.1:{free_port()}"})
    found = remote.list_arrivals([away, settings], lambda _: set())
    assert [bool(one.problem) for one in found] == [True, False]
    [lost] = remote.fetch(home, [away.model_copy(update={"name": "universities"})], found[1:])
    assert isinstance(lost, remote.Failed)
    [fetched] = remote.fetch(home, [away, settings], found[1:])
    assert isinstance(fetched, remote.Fetched)
    assert fetched.snapshot.size == 3


def test_a_service_that_dies_and_comes_back_loses_nothing(
    settings: S3Source, server: S3Server, client: Any, home: Home
) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/a", Body=b"one" * 1000)
    [arrival] = s3.list_arrivals(settings, set())
    server.stop()
    with pytest.raises(Unreachable, match="连接不上"):
        s3.fetch(home, settings, arrival)
    server.start()
    assert s3.list_arrivals(settings, set()) == [arrival]
    assert s3.fetch(home, settings, arrival).size == 3000


def test_a_client_is_kept_until_its_settings_or_secrets_change(
    settings: S3Source, client: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put_object(Bucket=settings.bucket, Key="in/kept.jsonl", Body=b"kept")
    with s3.opened(settings) as one:
        first = one._client
        assert [found.key for found in one.objects()] == ["in/kept.jsonl"]
    # Used again after its connections were closed.
    with s3.opened(settings) as again:
        assert again._client is first
        assert [found.key for found in again.objects()] == ["in/kept.jsonl"]
    monkeypatch.setenv("S3_SECRET", "another")
    with s3.opened(settings) as other, pytest.raises(Fault):
        assert other._client is not first
        other.objects()
