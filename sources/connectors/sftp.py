"""A folder on an SFTP server: files listed with size and time, fetched whole into the archive.

What belongs here: looking and copying over SSH. What does not: opening files. The server's key is verified against
`known_hosts`, symbolic links are not followed, and nothing is ever changed on the server.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncssh
from asyncssh import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR, SFTPAttrs, SFTPClient, SFTPClientFile

from sources.connectors.arrival import Arrival
from sources.connectors.config import SftpSource
from sources.connectors.credentials import read_secret
from sources.connectors.folder import readable_name
from sources.connectors.names import escape, is_temporary, unescape
from sources.connectors.problems import Unreachable
from warehouse.archive import Snapshot, store_stream
from warehouse.errors import Fault, UsageError
from warehouse.files import canonical_json, write_atomic
from warehouse.lease import this_host
from warehouse.paths import Home

CONNECTOR: Final = "sftp"
_CHUNK: Final = 1 << 20

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class _Found:
    """A regular file: its path below the source's folder, its size in bytes, its time in whole seconds."""

    path: bytes
    version: str


def list_arrivals(
    settings: SftpSource, seen: Collection[tuple[str, str]], *, share: float = 1.0, memory: Path | None = None
) -> list[Arrival]:
    """Complete files that are not in `seen`, by path. Raises Unreachable, Fault, UsageError.

    When something is new the server is looked at twice, `settle_seconds` apart: a file that differs between the two is
    still growing and left alone. Neither machine's clock is asked, so they may disagree. A look that takes nothing may
    be content with a `share` of that time. `memory` (a file) tells when which files were first seen as they are now: a
    look of another process counts as the first of the two.
    """
    with opened(settings) as session:
        fresh = [file for file in session.walk() if _key(settings, file) not in seen]
        if not fresh:
            return []
        rested = _rested(memory, [_key(settings, file) for file in fresh])
        session.rest(max(0.0, settings.settle_seconds * share - rested))
        settled = set(fresh) & set(session.walk())
    return [_arrival(settings, file) for file in sorted(settled, key=lambda file: file.path)]


def _rested(memory: Path | None, files: Collection[tuple[str, str]]) -> float:
    """For how many seconds all of these files are known to have been as they are; notes those that are new."""
    if memory is None:
        return 0.0
    instant = _instant()
    known = _sightings(memory)
    since = [(*file, min(known.get(file, instant), instant)) for file in sorted(files)]
    # Names of files: nobody else's business.
    write_atomic(memory, canonical_json({"host": this_host(), "seen": since}), mode=0o600)
    return instant - max(at for *_, at in since)


def _instant() -> float:
    """Seconds that count on while the machine runs, the same for all its processes. When it was started anew they are
    fewer than what passed since."""
    return time.monotonic()


def _sightings(memory: Path) -> dict[tuple[str, str], float]:
    try:
        told = json.loads(memory.read_bytes())
        if told["host"] != this_host():
            return {}
        return {(source, version): float(at) for source, version, at in told["seen"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # It only saves waiting: what cannot be read is seen for the first time.
        return {}


def fetch(home: Home, settings: SftpSource, arrival: Arrival) -> Snapshot:
    """Archive the bytes of one arrival. Raises Unreachable, Fault when the file changed or went, OSError (our disk)."""
    with opened(settings) as session:
        return session.fetch(home, arrival)


@contextmanager
def opened(settings: SftpSource) -> Iterator[Session]:
    """One connection for many files. Raises Unreachable, UsageError."""
    options = _options(settings)
    with asyncio.Runner() as runner:
        session = Session(settings, runner)
        session.connect(options)
        try:
            yield session
        finally:
            session.close()


class Session:
    """A connection to one source; every call on it waits at most `timeout_seconds` for an answer."""

    def __init__(self, settings: SftpSource, runner: asyncio.Runner) -> None:
        self._settings, self._runner = settings, runner
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: SFTPClient | None = None

    def connect(self, options: dict[str, Any]) -> None:
        """Connect, verify the host key and log in. Raises Unreachable."""
        self._connection = self._run(asyncssh.connect(self._settings.host, self._settings.port, **options))
        # Names are bytes: an office's server may speak GB18030.
        self._client = self._run(self._connection.start_sftp_client(path_encoding=None))

    def close(self) -> None:
        """Hang up; a connection that is gone already is no fault."""
        if self._connection is not None:
            self._connection.abort()
            self._runner.run(self._connection.wait_closed())

    def rest(self, seconds: float) -> None:
        """Let time pass without losing the connection."""
        self._runner.run(asyncio.sleep(seconds))

    def walk(self) -> list[_Found]:
        """Every regular file below the source's folder that is not temporary. Raises Unreachable, Fault."""
        root = os.fsencode(self._settings.path)
        found: list[_Found] = []
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            for name, attrs in self._run(_entries(self._sftp, _join(root, folder))):
                path = _join(folder, name)
                if attrs.type == FILEXFER_TYPE_DIRECTORY:
                    waiting.append(path)
                elif attrs.type == FILEXFER_TYPE_REGULAR:
                    found.append(_Found(path, _version(attrs)))
        return found

    def fetch(self, home: Home, arrival: Arrival) -> Snapshot:
        """Archive one file, which must be the very version that was listed. Raises as `sftp.fetch`."""
        inside = unescape(arrival.source.removeprefix(f"{self._settings.name}/"))
        path = _join(os.fsencode(self._settings.path), inside)
        self._expect(path, arrival)
        handle = self._run(self._sftp.open(path, "rb", encoding=None))
        try:
            return store_stream(home, self._chunks(handle, path, arrival))
        finally:
            self._let_go(handle)

    def _let_go(self, handle: SFTPClientFile) -> None:
        try:
            self._run(handle.close())
        except Fault as error:
            # Costs nothing: what was read has been compared, and the server forgets handles with the connection.
            logger.info("SFTP handle not closed: %s", error.message_zh)

    def _chunks(self, handle: SFTPClientFile, path: bytes, arrival: Arrival) -> Iterator[bytes]:
        missing = _size(arrival)
        while chunk := self._run(handle.read(_CHUNK)):
            data = bytes(chunk) if not isinstance(chunk, str) else chunk.encode()
            missing -= len(data)
            if missing < 0:
                # Noticed now and not at its end: a file may grow as fast as it is read.
                raise _changed(arrival)
            yield data
        self._expect(path, arrival)
        if missing:
            raise _changed(arrival)

    def _expect(self, path: bytes, arrival: Arrival) -> None:
        attrs = self._run(self._sftp.lstat(path))
        if attrs.type != FILEXFER_TYPE_REGULAR or _version(attrs) != arrival.version:
            raise _changed(arrival)

    @property
    def _sftp(self) -> SFTPClient:
        if self._client is None:
            raise RuntimeError("not connected")
        return self._client

    def _run(self, work: Awaitable[T]) -> T:
        """Wait for the server, and say in plain words what went wrong there; our own disk's errors never pass here."""
        try:
            return self._runner.run(_in_time(work, self._settings.timeout_seconds))
        except (asyncssh.Error, OSError) as error:
            # The library's text may name account and host: only the kind of error is told, and nothing is chained.
            raise _translated(self._settings, error) from None


async def _in_time(work: Awaitable[T], seconds: float) -> T:
    async with asyncio.timeout(seconds):
        return await work


async def _entries(client: SFTPClient, folder: bytes) -> list[tuple[bytes, SFTPAttrs]]:
    found: list[tuple[bytes, SFTPAttrs]] = []
    async for entry in client.scandir(folder):
        name = entry.filename if isinstance(entry.filename, bytes) else entry.filename.encode()
        if name in (b".", b"..") or is_temporary(name.decode("utf-8", "surrogateescape")):
            continue
        attrs = entry.attrs
        if attrs.type not in (FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR) or attrs.size is None:
            # Some servers say little in a listing; lstat looks at a link and not through it.
            attrs = await client.lstat(_join(folder, name))
        found.append((name, attrs))
    return found


def _options(settings: SftpSource) -> dict[str, Any]:
    """What asyncssh is told; the user's own ~/.ssh settings, keys and agent play no part."""
    return {
        "username": settings.user,
        "known_hosts": _known_hosts(settings),
        "config": None,
        "agent_path": None,
        "gss_host": None,
        "connect_timeout": settings.timeout_seconds,
        "login_timeout": settings.timeout_seconds,
        **_way_in(settings),
    }


def _known_hosts(settings: SftpSource) -> asyncssh.SSHKnownHosts:
    try:
        return asyncssh.read_known_hosts(str(settings.known_hosts))
    except (OSError, ValueError):
        raise UsageError(
            f"SFTP 来源“{settings.name}”的 known_hosts 文件读不出：{settings.known_hosts}",
            "请向对方核实主机公钥后写入该文件；不核对主机身份就不连接。",
        ) from None


def _way_in(settings: SftpSource) -> dict[str, Any]:
    if settings.password is not None:
        return {"client_keys": None, "password": read_secret(settings.password).get_secret_value()}
    phrase = read_secret(settings.key_passphrase).get_secret_value() if settings.key_passphrase is not None else None
    try:
        key = asyncssh.read_private_key(str(settings.key), phrase)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise UsageError(
            f"SFTP 来源“{settings.name}”的私钥读不出：{settings.key}",
            "请检查文件、权限与口令（key_passphrase）；加密的私钥须为 PKCS#8 格式。",
        ) from None
    return {"client_keys": [key], "password": None}


def _translated(settings: SftpSource, error: Exception) -> Fault:
    where = f"SFTP 来源“{settings.name}”（{settings.host}:{settings.port}）"
    if isinstance(error, asyncssh.PermissionDenied):
        return Unreachable(f"{where}拒绝登录。", "请检查账号与凭据是否正确、是否过期；改正后会自动重收。")
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return Unreachable(
            f"{where}的主机公钥与 known_hosts 不符，未连接。", "请先向对方核实；确属更换时再更新 known_hosts。"
        )
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return Fault(f"{where}上的文件或目录不存在，可能在收取前被移走。", "请检查 path；文件重新出现后会自动重收。")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return Fault(f"{where}上的文件或目录没有读取权限。", "请对方开放读取权限；之后会自动重收。")
    if isinstance(error, asyncssh.SFTPError) and not isinstance(
        error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection
    ):
        return Fault(f"{where}读取失败（{type(error).__name__}）。", "稍后会自动重收；反复出现请联系对方。")
    return Unreachable(f"{where}连接不上或中断（{type(error).__name__}）。", "请检查网络与对方服务；恢复后会自动重收。")


def _changed(arrival: Arrival) -> Fault:
    return Fault(f"文件“{arrival.file_name}”在收取过程中被改动。", "等文件写完后会自动重收，无需处理。")


def _version(attrs: SFTPAttrs) -> str:
    return f"{attrs.size}:{int(attrs.mtime or 0)}"


def _size(arrival: Arrival) -> int:
    return int(arrival.version.partition(":")[0])


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _key(settings: SftpSource, file: _Found) -> tuple[str, str]:
    return f"{settings.name}/{escape(file.path)}", file.version


def _arrival(settings: SftpSource, file: _Found) -> Arrival:
    source, version = _key(settings, file)
    *folders, name = file.path.split(b"/")
    return Arrival(
        connector=CONNECTOR,
        source=source,
        version=version,
        feed=settings.feed,
        file_name=readable_name(os.fsdecode(name)),
        submitter="/".join(readable_name(os.fsdecode(folder)) for folder in folders),
    )
