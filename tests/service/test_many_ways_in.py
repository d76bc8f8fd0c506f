from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.connectors import folder, remote, s3
from sources.connectors.config import S3Source, SftpSource, SourceSettings
from sources.connectors.credentials import SecretRef
from tests.service.services import S3Server, SftpServer, running
from tests.support.draining_and_dying import record
from warehouse.archive import store_file
from warehouse.ledger import Ledger
from warehouse.paths import Home

DATA = "学校,人数\n一中,12\n".encode("gb18030") * 1000
LONG_AGO = (1_700_000_000, 1_700_000_000)


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
def sources(sftp_server: SftpServer, s3_server: S3Server, tmp_path: Path) -> list[SourceSettings]:
    secrets = {"sftp": sftp_server.password, "access": s3_server.access_key, "secret": s3_server.secret_key}
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    office = SftpSource(
        kind="sftp",
        name="office",
        feed="teacher_register",
        host="127.0.0.1",
        port=sftp_server.port,
        user="eduplan",
        path="/",
        known_hosts=sftp_server.known_hosts,
        password=SecretRef(file=tmp_path / "sftp"),
        settle_seconds=0,
    )
    bucket = S3Source(
        kind="s3",
        name="bucket",
        feed="teacher_register",
        endpoint=s3_server.endpoint,
        bucket="ways-in",
        access_key=SecretRef(file=tmp_path / "access"),
        secret_key=SecretRef(file=tmp_path / "secret"),
    )
    return [office, bucket]


def test_the_same_bytes_by_five_ways_are_one_snapshot_and_five_entries(
    sources: list[SourceSettings], tmp_path: Path
) -> None:
    home = Home(tmp_path / "home").ensure()
    ledger = Ledger(home.ledger_url)
    inbox = home.inbox / "teacher_register"
    inbox.mkdir()
    (inbox / "a.csv").write_bytes(DATA)
    os.utime(inbox / "a.csv", LONG_AGO)
    bucket = sources[1]
    assert isinstance(bucket, S3Source)
    notice = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "ways-in"}, "object": {"key": "a.csv"}}}
    event = json.dumps({"Records": [notice]}).encode()
    told = [s3.arrivals_from_event(bucket, event, delivery=receipt)[0] for receipt in ("r1", "r2")]
    listed = remote.list_arrivals(sources, ledger.seen)
    for result in remote.fetch(home, sources, [*listed, *told]):
        assert isinstance(result, remote.Fetched)
        record(ledger, result.snapshot, result.arrival)
    [local] = folder.list_arrivals(home.inbox, ["teacher_register"], set())
    assert local.path is not None
    record(ledger, store_file(home, local.path), local)
    events = ledger.events()
    assert sorted(event.connector for event in events) == ["folder", "s3", "s3_event", "s3_event", "sftp"]
    assert len({event.sha256 for event in events}) == 1
    assert len([path for path in home.archive.rglob("*") if path.is_file()]) == 1
    assert remote.list_arrivals(sources, ledger.seen) == []
