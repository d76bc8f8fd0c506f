from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from sources.connectors import remote, sftp
from sources.connectors.config import SftpSource
from sources.connectors.credentials import SecretRef
from sources.connectors.problems import Unreachable
from tests.service.services import SftpServer, running
from warehouse.errors import Fault, UsageError
from warehouse.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    with running(SftpServer(tmp_path / "sftp")) as service:
        yield service


@pytest.fixture
def password(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> SecretRef:
    monkeypatch.setenv("SFTP_PASSWORD", server.password)
    return SecretRef(env="SFTP_PASSWORD")


def settings_for(server: SftpServer, **changes: Any) -> SftpSource:
    fields: dict[str, Any] = {
        "kind": "sftp",
        "name": "office",
        "feed": "teacher_register",
        "host": "127.0.0.1",
        "port": server.port,
        "user": "eduplan",
        "path": "/upload",
        "known_hosts": server.known_hosts,
        "settle_seconds": 0.05,
        "timeout_seconds": 30,
    }
    return SftpSource(**(fields | changes))


@pytest.fixture
def settings(server: SftpServer, password: SecretRef) -> SftpSource:
    (server.root / "upload").mkdir()
    return settings_for(server, password=password)


def put(server: SftpServer, name: str, data: bytes = b"x", *, at: int = 1_700_000_000) -> Path:
    path = server.root / "upload" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


def test_files_are_listed_once_and_fetched_whole(server: SftpServer, settings: SftpSource, home: Home) -> None:
    large = os.urandom(3_000_000)
    put(server, "渝中区/在编 2023.csv", large)
    put(server, "b%2F.xlsx", b"second")
    arrivals = sftp.list_arrivals(settings, set())
    assert [(one.source, one.file_name, one.submitter) for one in arrivals] == [
        ("office/b%252F.xlsx", "b%2F.xlsx", ""),
        ("office/渝中区/在编 2023.csv", "在编 2023.csv", "渝中区"),
    ]
    assert [sftp.fetch(home, settings, one).path.read_bytes() for one in arrivals] == [b"second", large]
    seen = {(one.source, one.version) for one in arrivals}
    assert sftp.list_arrivals(settings, seen) == []


def test_new_bytes_under_an_old_name_are_a_new_version(server: SftpServer, settings: SftpSource) -> None:
    put(server, "a.csv", b"one")
    [first] = sftp.list_arrivals(settings, set())
    put(server, "a.csv", b"two", at=1_700_000_001)
    [second] = sftp.list_arrivals(settings, {(first.source, first.version)})
    assert second.source == first.source
    assert second.version != first.version


def test_names_in_gb18030_survive(server: SftpServer, settings: SftpSource, home: Home) -> None:
    name = "教师名单.csv".encode("gb18030")
    Path(os.fsdecode(os.fsencode(server.root / "upload") + b"/" + name)).write_bytes(b"rows")
    [arrival] = sftp.list_arrivals(settings, set())
    assert arrival.file_name == "教师名单.csv"
    assert arrival.source.encode("utf-8").isascii()
    assert sftp.fetch(home, settings, arrival).path.read_bytes() == b"rows"


def test_a_growing_file_is_left_alone_until_it_rests(server: SftpServer, settings: SftpSource) -> None:
    patient = settings_for(server, password=settings.password, settle_seconds=0.5)
    path, stop = put(server, "growing.csv"), threading.Event()
    put(server, "rested.csv")

    def grow() -> None:
        with path.open("ab") as handle:
            while not stop.is_set():
                handle.write(b"more")
                handle.flush()
                time.sleep(0.02)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        assert [one.file_name for one in sftp.list_arrivals(patient, set())] == ["rested.csv"]
    finally:
        stop.set()
        writer.join()
    assert [one.file_name for one in sftp.list_arrivals(patient, set())] == ["growing.csv", "rested.csv"]


def test_a_look_counts_as_the_first_of_two_and_is_forgotten_when_the_file_changes(
    server: SftpServer, settings: SftpSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = settings_for(server, password=settings.password, settle_seconds=60)
    memory, rested = tmp_path / "looks" / "office.json", list[float]()
    monkeypatch.setattr(sftp.Session, "rest", lambda _, seconds: rested.append(seconds))
    clock = iter([1000.0, 1030.0, 1070.0, 1080.0, 1090.0])
    monkeypatch.setattr(sftp, "_instant", lambda: next(clock))
    put(server, "a.csv", b"one")
    sftp.list_arrivals(patient, set(), share=0.25, memory=memory)
    sftp.list_arrivals(patient, set(), memory=memory)
    assert [one.file_name for one in sftp.list_arrivals(patient, set(), memory=memory)] == ["a.csv"]
    assert rested == [15, 30, 0], "a quarter for a look; what is left of the whole; nothing left"
    assert memory.stat().st_mode & 0o777 == 0o600
    put(server, "a.csv", b"three")
    sftp.list_arrivals(patient, set(), memory=memory)
    put(server, "b.csv", b"new")
    sftp.list_arrivals(patient, set(), memory=memory)
    assert rested[3:] == [60, 60], "other bytes, and a file nobody has seen"


@pytest.mark.parametrize(
    "told", [b"", b"[]", b'{"host": "elsewhere", "seen": [["office/a.csv", "3:1700000000", 1]]}', b'{"seen": 1}']
)
def test_what_was_seen_elsewhere_or_cannot_be_read_is_seen_for_the_first_time(
    server: SftpServer, settings: SftpSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bytes
) -> None:
    rested = list[float]()
    monkeypatch.setattr(sftp.Session, "rest", lambda _, seconds: rested.append(seconds))
    memory = tmp_path / "office.json"
    memory.write_bytes(told)
    put(server, "a.csv", b"one")
    assert len(sftp.list_arrivals(settings, set(), memory=memory)) == 1
    assert rested == [settings.settle_seconds]


def test_a_file_that_changes_before_or_while_it_is_fetched_is_refused(
    server: SftpServer, settings: SftpSource, home: Home
) -> None:
    put(server, "a.csv", b"x" * 4_000_000)
    [arrival] = sftp.list_arrivals(settings, set())
    with sftp.opened(settings) as session:
        path = server.root / "upload" / "a.csv"
        original = session._run

        def meddling(work: Any) -> Any:
            result = original(work)
            if isinstance(result, bytes) and result:
                with path.open("ab") as handle:
                    handle.write(b"y")
            return result

        session._run = meddling  # type: ignore[method-assign]
        with pytest.raises(Fault, match="被改动"):
            session.fetch(home, arrival)
    with pytest.raises(Fault, match="被改动"):
        sftp.fetch(home, settings, arrival)
    path.unlink()
    with pytest.raises(Fault, match="被移走"):
        sftp.fetch(home, settings, arrival)
    assert [file for file in home.archive.rglob("*") if file.is_file()] == []


def test_temporary_names_and_symlinks_are_passed_over(server: SftpServer, settings: SftpSource, tmp_path: Path) -> None:
    for name in (".hidden", "~$lock.xlsx", "a.csv.part", "b.filepart", "Thumbs.db", ".cache/inner.csv"):
        put(server, name)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(b"not ours")
    (server.root / "upload" / "link.csv").symlink_to(outside / "secret.csv")
    (server.root / "upload" / "folder").symlink_to(outside, target_is_directory=True)
    put(server, "real.csv")
    (server.root / "upload" / "inner.csv").symlink_to("real.csv")
    assert [one.file_name for one in sftp.list_arrivals(settings, set())] == ["real.csv"]


def test_a_file_swapped_for_a_symlink_is_not_fetched(server: SftpServer, settings: SftpSource, home: Home) -> None:
    path = put(server, "a.csv", b"one")
    [arrival] = sftp.list_arrivals(settings, set())
    path.rename(path.with_name("b.csv"))
    path.symlink_to("b.csv")
    with pytest.raises(Fault, match="被改动"):
        sftp.fetch(home, settings, arrival)


def test_an_encrypted_key_lets_in(server: SftpServer, settings: SftpSource, tmp_path: Path) -> None:
    put(server, "a.csv")
    phrase = tmp_path / "phrase"
    phrase.write_text(server.key_phrase + "\n")
    by_key = settings_for(server, key=server.key_file, key_passphrase=SecretRef(file=phrase))
    assert len(sftp.list_arrivals(by_key, set())) == 1
    phrase.write_text("geheim-wrong")
    with pytest.raises(UsageError, match="私钥读不出") as caught:
        sftp.list_arrivals(by_key, set())
    assert "geheim" not in str(caught.value)


def test_a_wrong_password_is_told_without_it(
    settings: SftpSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SFTP_PASSWORD", "geheim-wrong")
    with pytest.raises(Unreachable, match="拒绝登录") as caught:
        sftp.list_arrivals(settings, set())
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "geheim" not in str(caught.value) + caplog.text + repr(settings)


def test_a_missing_password_names_the_variable(settings: SftpSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFTP_PASSWORD")
    with pytest.raises(UsageError, match="环境变量 SFTP_PASSWORD"):
        sftp.list_arrivals(settings, set())


def test_another_host_key_is_not_trusted(server: SftpServer, settings: SftpSource) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    server.known_hosts.write_text(server.known_hosts_line(other))
    with pytest.raises(Unreachable, match="主机公钥"):
        sftp.list_arrivals(settings, set())
    server.known_hosts.write_text("")
    with pytest.raises(Unreachable, match="主机公钥"):
        sftp.list_arrivals(settings, set())
    server.known_hosts.unlink()
    with pytest.raises(UsageError, match="known_hosts"):
        sftp.list_arrivals(settings, set())


def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    server: SftpServer, settings: SftpSource, home: Home
) -> None:
    put(server, "a.csv", b"one")
    put(server, "b.csv", b"two")
    arrivals = remote.list_arrivals([settings], lambda _: set())
    server.stop()
    with pytest.raises(Unreachable, match="连接不上"):
        sftp.fetch(home, settings, arrivals[0])
    failed = list(remote.fetch(home, [settings], arrivals))
    assert [type(one) for one in failed] == [remote.Failed, remote.Failed]
    [problem] = remote.list_arrivals([settings], lambda _: set())
    assert "office" in problem.problem
    server.start()
    assert remote.list_arrivals([settings], lambda _: set()) == arrivals
    fetched = list(remote.fetch(home, [settings], arrivals))
    assert [one.snapshot.size for one in fetched if isinstance(one, remote.Fetched)] == [3, 3]


def test_a_server_that_dies_during_a_fetch_leaves_nothing_behind(
    server: SftpServer, settings: SftpSource, home: Home
) -> None:
    put(server, "a.csv", b"x" * 8_000_000)
    [arrival] = sftp.list_arrivals(settings, set())
    with sftp.opened(settings) as session:
        original = session._run
        reads: list[int] = []

        def dying(work: Any) -> Any:
            if len(reads) == 4:
                server.stop()
            reads.append(1)
            return original(work)

        session._run = dying  # type: ignore[method-assign]
        with pytest.raises(Unreachable, match="中断"):
            session.fetch(home, arrival)
    assert [file for file in home.archive.rglob("*") if file.is_file()] == []


def test_a_silent_server_is_given_up(settings: SftpSource) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        mute = settings.model_copy(update={"port": deaf.getsockname()[1], "timeout_seconds": 0.3})
        with pytest.raises(Unreachable, match="连接不上"):
            sftp.list_arrivals(mute, set())
