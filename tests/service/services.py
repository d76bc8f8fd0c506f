"""Real services for the tests of this folder, each on free ports of 127.0.0.1, each ended by what started it."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import uvicorn
from fastapi import FastAPI, Request, Response

LOCAL = "127.0.0.1"
PATIENCE_SECONDS = 60.0
_BIN = Path(sysconfig.get_path("scripts"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOCAL, port)) == 0


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


class Process:
    """A server in a process of its own; `stop` ends exactly this process."""

    def __init__(self, command: Sequence[str], log: Path, ready: Callable[[], bool], *, ending: signal.Signals) -> None:
        self._command, self._log, self._ready, self._ending = list(command), log, ready, ending
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_until(self._answers, f"{self._command[0]} did not start, see {self._log}")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        if self._running is None or self._running.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended: {self._log.read_text(errors='replace')[-2000:]}")
        return self._ready()

    def stop(self) -> None:
        if self._running is None:
            return
        self._running.send_signal(self._ending)
        try:
            self._running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None


# -- SFTP -------------------------------------------------------------------------------------------------------------


class _Accounts(asyncssh.SSHServer):
    """One account, which may come with its password or its key."""

    def __init__(self, password: str, public_key: asyncssh.SSHKey) -> None:
        self._password, self._public_key = password, public_key

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == "eduplan" and password == self._password

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "eduplan" and key.public_data == self._public_key.public_data


async def _hang_up(server: asyncssh.SSHAcceptor, connections: set[asyncssh.SSHServerConnection]) -> None:
    server.close()
    for connection in connections:
        connection.abort()
        await connection.wait_closed()
    await server.wait_closed()


@dataclass
class SftpServer:
    """An SSH server that serves `root` over SFTP, on an event loop in a thread of its own."""

    folder: Path
    password: str = "geheim-sftp-1"
    key_phrase: str = "geheim-phrase-1"
    port: int = field(default_factory=free_port)
    _host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    _user_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.known_hosts.write_text(self.known_hosts_line(self._host_key))
        self._user_key.write_private_key(str(self.key_file), "pkcs8-pem", passphrase=self.key_phrase)

    @property
    def root(self) -> Path:
        return self.folder / "served"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def key_file(self) -> Path:
        return self.folder / "user_key"

    def known_hosts_line(self, key: asyncssh.SSHKey) -> str:
        return f"[{LOCAL}]:{self.port} {key.export_public_key().decode()}"

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(PATIENCE_SECONDS):
            raise TimeoutError("the SFTP server did not start")

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _serve(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        connections: set[asyncssh.SSHServerConnection] = set()
        server = loop.run_until_complete(self._listen(connections))
        self._loop = loop
        ready.set()
        loop.run_forever()
        loop.run_until_complete(_hang_up(server, connections))
        loop.close()

    async def _listen(self, connections: set[asyncssh.SSHServerConnection]) -> asyncssh.SSHAcceptor:
        public = self._user_key.convert_to_public()
        return await asyncssh.listen(
            LOCAL,
            self.port,
            server_factory=lambda: _Accounts(self.password, public),
            server_host_keys=[self._host_key],
            sftp_factory=functools.partial(asyncssh.SFTPServer, chroot=os.fsencode(self.root)),
            acceptor=connections.add,
        )


# -- S3 ---------------------------------------------------------------------------------------------------------------


@dataclass
class S3Server:
    """SeaweedFS with its S3 gateway."""

    folder: Path
    access_key: str = "AKEDUPLAN0001"
    secret_key: str = "geheim-s3-1"
    port: int = field(default_factory=free_port)
    _inner_ports: dict[str, int] = field(default_factory=dict)
    _process: Process | None = None
    _client: Any = None

    @property
    def endpoint(self) -> str:
        return f"http://{LOCAL}:{self.port}"

    def start(self) -> None:
        if self._process is None:
            # Asked politely it takes a quarter of a minute to leave; what it holds is thrown away anyway.
            log = self.folder / "weed.log"
            self._process = Process(self._command(), log, self._answers, ending=signal.SIGKILL)
        self._process.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
        for port in self._inner_ports.values():
            # It puts sockets here whatever it is told, and killed it leaves them behind.
            for leftover in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                leftover.unlink(missing_ok=True)

    def client(self) -> Any:
        """A client of the owner's, always the same: to make one takes longer than most of what it is asked."""
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        if self._client is None:
            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=self.endpoint,
                region_name="us-east-1",
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                config=Config(proxies={}, s3={"addressing_style": "path"}),
            )
        return self._client

    def _answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        if not listens(self.port):
            return False
        try:
            # The bucket comes into being by itself.
            self.client().put_object(Bucket="readiness", Key="probe", Body=b"x")
        except (BotoCoreError, ClientError):
            # The gateway answers before there is room to write to.
            return False
        return True

    def _command(self) -> list[str]:
        data = self.folder / "data"
        data.mkdir()
        users = self.folder / "users.json"
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "eduplan", "credentials": credentials, "actions": actions}
        users.write_text(json.dumps({"identities": [identity]}))
        rooms = ("master.port", "volume.port", "filer.port")
        self._inner_ports = {name: free_port() for room in (*rooms, "s3.port") for name in (room, f"{room}.grpc")}
        self._inner_ports["s3.port"] = self.port
        return [
            str(_BIN / "weed"),
            "server",
            f"-dir={data}",
            f"-ip={LOCAL}",
            f"-ip.bind={LOCAL}",
            *(f"-{name}={port}" for name, port in self._inner_ports.items()),
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            "-master.volumeSizeLimitMB=64",
            # A bucket takes several volumes for itself; they cost nothing while they are empty.
            "-volume.max=300",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.localSocket={self.folder}/f.sock",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={users}",
            f"-s3.localSocket={self.folder}/s.sock",
        ]


# -- REST -------------------------------------------------------------------------------------------------------------


@dataclass
class PageSet:
    """One page set as the population office keeps it."""

    year: int
    version: str
    area: str | None
    items: list[Any]
    updated_at: str
    state: int = 1

    @property
    def etag(self) -> str:
        return f'"{self.year}-{self.area}-{self.version}-{self.state}"'


@dataclass
class PopulationService:
    """A population API over HTTP. Tests change its data and its moods; it notes every request it was asked."""

    token: str = "geheim-token-1"
    page_size: int = 2
    port: int = field(default_factory=free_port)
    sets: list[PageSet] = field(default_factory=list)
    # Answers to give instead of the next ones: (status, headers).
    moods: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    # Called after each answered data page with its offset; lets a set change while it is read.
    after_page: Callable[[PageSet, int], None] | None = None
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    body_override: bytes | None = None
    body_headers: dict[str, str] = field(default_factory=dict)
    next_override: str | None = None
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{LOCAL}:{self.port}/api"

    def start(self) -> None:
        config = uvicorn.Config(self._app(), host=LOCAL, port=self.port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        server = self._server
        wait_until(lambda: server.started, "the population API did not start")

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def requests(self, path: str) -> list[dict[str, str]]:
        return [query for asked, query, _ in self.asked if asked == path]

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/api/datasets")
        def datasets(request: Request, updated_since: str = "", offset: int = 0) -> Response:
            listed = [one for one in self.sets if one.updated_at >= updated_since]
            listed.sort(key=lambda one: one.updated_at)
            fields = ("area", "year", "version", "updated_at")
            items = [{name: getattr(one, name) for name in fields} for one in listed]
            etag = '"' + "/".join(f"{one.etag}{one.updated_at}" for one in self.sets).replace('"', "") + '"'
            return self._answer(request, items, offset, etag)

        @app.get("/api/population")
        def population(request: Request, year: int, version: str, area: str | None = None, offset: int = 0) -> Response:
            [one] = [one for one in self.sets if (one.year, one.version, one.area) == (year, version, area)]
            answer = self._answer(request, one.items, offset, one.etag)
            if self.after_page is not None and answer.status_code == 200:
                self.after_page(one, offset)
            return answer

        return app

    def _answer(self, request: Request, items: list[Any], offset: int, etag: str) -> Response:
        conditions = request.headers.get("If-None-Match", "")
        self.asked.append((request.url.path.removeprefix("/api/"), dict(request.query_params), conditions))
        self.times.append(time.monotonic())
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return Response(f"wrong: {request.headers.get('Authorization')}", 401)
        if self.moods:
            status, headers = self.moods.pop(0)
            return Response("busy", status, headers)
        if etag in [known.strip() for known in conditions.split(",")]:
            return Response(status_code=304, headers={"ETag": etag})
        headers = {"ETag": etag} | self.body_headers
        return Response(self._body(request, items, offset), media_type="application/json", headers=headers)

    def _body(self, request: Request, items: list[Any], offset: int) -> bytes:
        if self.body_override is not None:
            return self.body_override
        end = offset + self.page_size
        following = str(request.url.include_query_params(offset=end)) if end < len(items) else None
        page = {"items": items[offset:end], "next": self.next_override or following, "total": len(items)}
        return json.dumps(page, ensure_ascii=False).encode()


# -- NATS -------------------------------------------------------------------------------------------------------------


@dataclass
class NatsServer:
    """A NATS server with JetStream, which keeps its streams when it is stopped and started again."""

    folder: Path
    user: str = "eduplan"
    password: str = "geheim-nats-1"
    port: int = field(default_factory=free_port)
    _process: Process | None = None

    @property
    def url(self) -> str:
        return f"nats://{LOCAL}:{self.port}"

    def start(self) -> None:
        if self._process is None:
            settings = self.folder / "nats.conf"
            settings.write_text(
                f'listen: "{LOCAL}:{self.port}"\n'
                f'jetstream {{ store_dir: "{self.folder}/store", max_file_store: 256MB }}\n'
                f'authorization {{ user: "{self.user}", password: "{self.password}" }}\n'
            )
            command, log = [str(_BIN / "nats-server"), "-c", str(settings)], self.folder / "nats.log"
            self._process = Process(command, log, lambda: listens(self.port), ending=signal.SIGTERM)
        self._process.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()


S = TypeVar("S", SftpServer, S3Server, PopulationService, NatsServer)


@contextmanager
def running(service: S) -> Iterator[S]:
    """The service, started now and ended in any case."""
    try:
        service.start()
        yield service
    finally:
        service.stop()
