"""A NATS JetStream stream: batches of messages, each archived as one JSON Lines document before it is acknowledged.

What belongs here: pulling, archiving, acknowledging, in this order. What does not: what a message means.

One line a message, in stream order: `{"data": <the message, which is JSON>, "message_id", "sequence", "subject"}`; a
message that is not JSON stands under "raw_base64" instead of "data", so that nothing sent is lost. An event carries its
own id in its data: the same data on the same subject is the same event, whatever sequence or message id it came under.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import ssl
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from sources.connectors import plain_json
from sources.connectors.arrival import Arrival
from sources.connectors.config import NatsSource
from sources.connectors.credentials import read_secret
from sources.connectors.names import escape
from sources.connectors.problems import Unreachable
from warehouse.archive import Snapshot, store_file, store_stream
from warehouse.errors import Fault, UsageError
from warehouse.files import canonical_json, sha256_bytes
from warehouse.paths import Home

CONNECTOR: Final = "nats"
_MESSAGE_ID: Final = "Nats-Msg-Id"
_ACKS_AT_ONCE: Final = 200

logger = logging.getLogger(__name__)

T = TypeVar("T")
Commit = Callable[[Snapshot, Arrival], None]


def drain(
    home: Home,
    settings: NatsSource,
    commit: Commit,
    limit: int,
    *,
    seen: Collection[tuple[str, str]] = (),
    documents: Callable[[], Iterable[Path]] = tuple,
) -> int:
    """Take in what waits, at most `limit` messages; returns how many were new.

    Each batch is archived, then `commit` is called, then its messages are acknowledged. A process that dies, or a
    commit that raises, leaves them unacknowledged: they come again after `ack_wait_seconds`. What `seen` (the ledger's
    entries for this connector) says was committed is then only acknowledged, however the new batch is cut. An event
    that one of the `documents` (archived earlier from this source) holds already is committed as that document once
    more, so that the ledger says so and nothing else happens. Raises Unreachable, Fault, UsageError, OSError (our
    disk), and whatever `commit` raises.
    """
    with _opened(settings) as session:
        source = session.source()
        known = _sequences(version for named, version in seen if named == source)
        told = _Told(documents)
        taken = repeated = 0
        while taken < limit:
            messages = session.pull(min(settings.batch, limit - taken))
            if not messages:
                break
            fresh = _fresh(messages, known)
            again, fresh = told.apart(fresh)
            for document, repeats in again.items():
                commit(store_file(home, document), _at(_arrival(settings, source, repeats), document))
            if fresh:
                snapshot = store_stream(home, _lines(fresh))
                commit(snapshot, _at(_arrival(settings, source, fresh), snapshot.path))
                told.add(fresh, snapshot.path)
            repeats_now = sum(map(len, again.values()))
            known |= {message.sequence for repeats in (fresh, *again.values()) for message in repeats}
            taken, repeated = taken + len(fresh) + repeats_now, repeated + repeats_now
            session.acknowledge(messages)
    return taken - repeated


def notices(settings: NatsSource, tell: Callable[[bytes, str], None], limit: int) -> int:
    """Hand on at most `limit` waiting messages that only announce something; returns how many.

    `tell` gets the bytes and a name for this handing-over, another one when the message is delivered again; what it
    returns from is acknowledged, what it raises from comes again. Raises as `drain`.
    """
    with _opened(settings) as session:
        told = 0
        while told < limit and (messages := session.pull(min(settings.batch, limit - told))):
            for message in messages:
                turn = message.handle.metadata.num_delivered
                tell(message.data, f"{session.source()}#{message.sequence}.{turn}")
                session.acknowledge([message])
            told += len(messages)
    return told


def waiting(settings: NatsSource) -> str:
    """A name for the state of what is not yet acknowledged, '' when nothing is; takes and acknowledges nothing.

    Raises Unreachable, Fault, UsageError.
    """
    with _opened(settings) as session:
        return session.waiting()


@dataclass(frozen=True)
class _Message:
    """One message as the stream holds it; `handle` acknowledges it."""

    sequence: int
    message_id: str
    subject: str
    data: bytes
    handle: Msg


class _Session:
    """A connection bound to one source; it runs only while it is asked something, so `commit` may use its own loop."""

    def __init__(self, settings: NatsSource, runner: asyncio.Runner) -> None:
        self._settings, self._runner = settings, runner
        self._client = Client()
        self._hung_up = asyncio.Event()
        self._stream: JetStreamContext | None = None
        self._consumer: JetStreamContext.PullSubscription | None = None

    def connect(self) -> None:
        """Connect, log in and find or create the durable consumer. Raises Unreachable, Fault."""
        servers = list(self._settings.servers)
        options = _options(self._settings) | {"closed_cb": self._note_the_end}
        self._run(self._client.connect(servers, **options), turns=2 * len(servers))
        self._stream = self._client.jetstream(timeout=self._settings.timeout_seconds)
        self._consumer = self._run(self._subscribed(self._stream))

    def close(self) -> None:
        """Hang up; a connection that is gone already is no fault."""
        self._runner.run(self._client.close())

    def source(self) -> str:
        """`<name>/<stream>@<created>`: sequences count within one life of a stream, so its birth is part of it."""
        if self._stream is None:
            raise RuntimeError("not connected")
        created = self._run(self._stream.stream_info(self._settings.stream)).created
        birth = created.strftime("%Y%m%dT%H%M%S.%fZ") if created else "-"
        return f"{self._settings.name}/{escape(self._settings.stream)}@{birth}"

    def waiting(self) -> str:
        """`<last delivered>+<not delivered>/<not acknowledged>`; "" when all is done. Raises Unreachable, Fault."""
        if self._consumer is None:
            raise RuntimeError("not connected")
        state = self._run(self._consumer.consumer_info())
        if not state.num_pending and not state.num_ack_pending:
            return ""
        delivered = state.delivered.stream_seq if state.delivered else 0
        return f"{delivered}+{state.num_pending or 0}/{state.num_ack_pending or 0}"

    def pull(self, most: int) -> list[_Message]:
        """Up to `most` waiting messages; none when there are none, or all were delivered and await acknowledgement.

        Raises Unreachable, Fault.
        """
        if self._consumer is None:
            raise RuntimeError("not connected")
        return [_message(handle) for handle in self._run(self._pulled(self._consumer, most))]

    def acknowledge(self, messages: Sequence[_Message]) -> None:
        """Acknowledge, and wait until the server confirms each. Raises Unreachable."""
        for start in range(0, len(messages), _ACKS_AT_ONCE):
            handles = [message.handle for message in messages[start : start + _ACKS_AT_ONCE]]
            self._run(self._acknowledged(handles))

    async def _acknowledged(self, handles: Iterable[Msg]) -> None:
        await asyncio.gather(*(handle.ack_sync(timeout=self._settings.timeout_seconds) for handle in handles))

    async def _pulled(self, consumer: JetStreamContext.PullSubscription, most: int) -> list[Msg]:
        state = await consumer.consumer_info()
        if not state.num_pending and not state.num_ack_pending:
            return []
        try:
            return await consumer.fetch(most, timeout=self._settings.wait_seconds)
        except TimeoutError:
            # The client's own kind or asyncio's, as it happens: what remains was delivered and comes again later.
            return []

    async def _subscribed(self, stream: JetStreamContext) -> JetStreamContext.PullSubscription:
        wanted = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._settings.ack_wait_seconds,
            deliver_policy=DeliverPolicy.ALL,
            # A message is offered until it is taken: giving up after some attempts would lose it.
            max_deliver=-1,
        )
        consumer = await stream.pull_subscribe(
            self._settings.subject, durable=self._settings.durable, stream=self._settings.stream, config=wanted
        )
        found = (await consumer.consumer_info()).config
        if found.ack_policy != AckPolicy.EXPLICIT or (found.max_deliver or -1) != -1:
            raise Fault(
                f"{_where(self._settings)}已有的消费者“{self._settings.durable}”会丢消息"
                "（确认方式不是 explicit，或限制了投递次数）。",
                "请改用另一个 durable 名，或请对方重建该消费者。",
            )
        return consumer

    def _run(self, work: Coroutine[Any, Any, T], *, turns: int = 1) -> T:
        limit = turns * math.ceil(self._settings.timeout_seconds) + self._settings.wait_seconds
        try:
            return self._runner.run(self._answered(work, limit))
        except (nats.errors.Error, OSError) as error:
            # The library's text may name account and address: only the kind of error is told, and nothing is chained.
            raise _translated(self._settings, error) from None

    async def _answered(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """The result of `work`, or an error as soon as the connection ends: the client itself would wait on."""
        answer = asyncio.ensure_future(work)
        end = asyncio.ensure_future(self._hung_up.wait())
        try:
            await asyncio.wait({answer, end}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and end.done():
                raise nats.errors.ConnectionClosedError
            if not answer.done():
                raise TimeoutError
            return answer.result()
        finally:
            answer.cancel()
            end.cancel()

    async def _note_the_end(self) -> None:
        if self._stream is not None:
            self._hung_up.set()


@contextmanager
def _opened(settings: NatsSource) -> Iterator[_Session]:
    with asyncio.Runner() as runner:
        session = _Session(settings, runner)
        try:
            session.connect()
            yield session
        finally:
            session.close()


async def _quiet(error: Exception) -> None:
    """What the client notices by itself; the call that needs the connection raises."""
    logger.info("NATS connection: %s", type(error).__name__)


def _options(settings: NatsSource) -> dict[str, Any]:
    options: dict[str, Any] = {
        "name": "eduplan",
        "allow_reconnect": False,
        "connect_timeout": math.ceil(settings.timeout_seconds),
        # Each server is tried twice and without a pause; the next run is soon enough for a third time.
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "error_cb": _quiet,
    }
    if settings.password is not None:
        options |= {"user": settings.user, "password": read_secret(settings.password).get_secret_value()}
    if settings.token is not None:
        options["token"] = read_secret(settings.token).get_secret_value()
    if any(server.startswith("tls://") for server in settings.servers):
        options["tls"] = _trust(settings)
    return options


def _trust(settings: NatsSource) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except OSError:
        raise UsageError(f"CA 证书文件读不出：{settings.ca_file}", "请检查配置中的 ca_file。") from None


def _translated(settings: NatsSource, error: Exception) -> Fault:
    where, kind = _where(settings), type(error).__name__
    if isinstance(error, nats.errors.AuthorizationError) or "authorization" in str(error).lower():
        return Unreachable(f"{where}拒绝登录。", "请检查账号与凭据是否正确、是否过期；改正后会自动重收。")
    if isinstance(error, NotFoundError):
        return Unreachable(f"{where}没有名为 {settings.stream} 的流。", "请检查 stream 与权限。")
    return Unreachable(f"{where}连接不上或中断（{kind}）。", "请检查网络与对方服务；恢复后会自动重收。")


def _where(settings: NatsSource) -> str:
    return f"NATS 来源“{settings.name}”"


# -- messages to document ---------------------------------------------------------------------------------------------


def _message(handle: Msg) -> _Message:
    return _Message(
        sequence=handle.metadata.sequence.stream,
        message_id=(handle.headers or {}).get(_MESSAGE_ID, ""),
        subject=handle.subject,
        data=handle.data,
        handle=handle,
    )


def _fresh(messages: Iterable[_Message], known: Collection[int]) -> list[_Message]:
    """Messages not taken in before, in stream order, each sequence once."""
    found = {message.sequence: message for message in messages if message.sequence not in known}
    return [found[sequence] for sequence in sorted(found)]


class _Told:
    """Which archived document holds an event, over all that came from this source; looked up when it is first asked."""

    def __init__(self, documents: Callable[[], Iterable[Path]]) -> None:
        self._documents = documents
        self._places: dict[str, Path] | None = None

    def apart(self, messages: Sequence[_Message]) -> tuple[dict[Path, list[_Message]], list[_Message]]:
        """Repetitions by the document that holds them, and the other messages, both in stream order."""
        again: dict[Path, list[_Message]] = {}
        new: list[_Message] = []
        for message in messages:
            place = self._known().get(_content(_line(message)))
            (new if place is None else again.setdefault(place, [])).append(message)
        return again, new

    def add(self, messages: Iterable[_Message], document: Path) -> None:
        """Remember what a new document holds."""
        for message in messages:
            self._known().setdefault(_content(_line(message)), document)

    def _known(self) -> dict[str, Path]:
        if self._places is None:
            self._places = {}
            for document in self._documents():
                # What is missing in the archive is told by `eduplan verify`; here it only cannot be compared with.
                lines = document.read_bytes().splitlines() if document.is_file() else []
                for line in lines:
                    self._places.setdefault(_content(line), document)
        return self._places


def _content(line: bytes) -> str:
    """What makes a document's line this event: everything but the number and the id it was sent under."""
    fields = {name: value for name, value in plain_json.loads(line).items() if name not in {"message_id", "sequence"}}
    return sha256_bytes(canonical_json(fields))


def _lines(messages: Iterable[_Message]) -> Iterator[bytes]:
    """One line a message. A sender's repetition is left out; the same message id with other data is not: which of the
    two counts is not for a connector to say."""
    sent: set[str] = set()
    for message in messages:
        line = _line(message)
        if _content(line) not in sent:
            sent.add(_content(line))
            yield line


def _line(message: _Message) -> bytes:
    address = {"message_id": message.message_id, "sequence": message.sequence, "subject": message.subject}
    try:
        text = canonical_json({"data": plain_json.loads(message.data), **address})
    except (ValueError, RecursionError):
        text = canonical_json({"raw_base64": base64.b64encode(message.data).decode("ascii"), **address})
    return text + b"\n"


def _arrival(settings: NatsSource, source: str, messages: Sequence[_Message]) -> Arrival:
    sequences = [message.sequence for message in messages]
    return Arrival(
        connector=CONNECTOR,
        source=source,
        version=_ranges(sequences),
        feed=settings.feed,
        file_name=f"{settings.stream}_{sequences[0]}-{sequences[-1]}.jsonl",
    )


def _at(arrival: Arrival, path: Path) -> Arrival:
    """The arrival with the place where its bytes now lie."""
    return replace(arrival, path=path)


def _ranges(sequences: Sequence[int]) -> str:
    """Ascending sequences as `1-3,7`."""
    runs: list[list[int]] = []
    for sequence in sequences:
        if runs and sequence == runs[-1][1] + 1:
            runs[-1][1] = sequence
        else:
            runs.append([sequence, sequence])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _sequences(versions: Iterable[str]) -> set[int]:
    """The reverse of `_ranges`, over many."""
    found: set[int] = set()
    for run in (run for version in versions for run in version.split(",")):
        first, _, last = run.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
