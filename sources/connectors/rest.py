"""A paged JSON service: page sets found through its catalogue, each archived as one canonical document.

What belongs here: asking politely (cursor, ETag, deterministic retries) and putting pages together. What does not: what
an item means.

The service: `GET <url>/<catalogue>[?updated_since=…]` lists page sets, `{"items": [{"area"?, "year", "version",
"updated_at"}], "next": …}`; `GET <url>/<data>?year=…&version=…[&area=…]` gives one, `{"items": […], "next": …}`.
`next` is an address or null. The ETag of any page names the state of the whole set.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from sources.connectors import plain_json
from sources.connectors.arrival import Arrival
from sources.connectors.config import RestSource
from sources.connectors.credentials import read_secret
from sources.connectors.names import escape, unescape
from sources.connectors.polite import PoliteClient, Schedule
from warehouse.archive import Snapshot, store_stream
from warehouse.errors import Fault, UsageError
from warehouse.files import canonical_json, sha256_bytes
from warehouse.paths import Home

CONNECTOR: Final = "rest"
_MOST_PAGES: Final = 10_000


class _Page(BaseModel):
    """One page; keys beside these two are not ours."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    items: list[Any]
    next: str | None


class _Entry(BaseModel):
    """One page set as the catalogue lists it."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    year: int
    version: str
    updated_at: AwareDatetime
    area: str | None = None

    def source(self, settings: RestSource) -> str:
        """`<name>/<year>/<area or ->/<version>`, each part escaped."""
        parts = (str(self.year), self.area or "-", self.version)
        return "/".join((settings.name, *(escape(part, keep="") for part in parts)))


@dataclass(frozen=True)
class _Batch:
    """What one look announced together: first and last stamp, number of page sets, and a digest of which they were.

    The cursor is computed from it, see `_cursor`.
    """

    first: datetime
    last: datetime
    count: int
    digest: str

    @classmethod
    def of(cls, settings: RestSource, fresh: Collection[tuple[_Entry, str]]) -> _Batch:
        """The batch of these page sets with their states; not empty."""
        stamps = [entry.updated_at for entry, _ in fresh]
        members = sorted((entry.source(settings), etag) for entry, etag in fresh)
        return cls(min(stamps), max(stamps), len(fresh), sha256_bytes(canonical_json(members))[:16])


@dataclass(frozen=True)
class _Mark:
    """What an arrival's version says: state and stamp of its page set, and the batch it was announced in."""

    etag: str
    updated: datetime
    batch: _Batch

    def text(self) -> str:
        """As it stands in the ledger."""
        fields = {
            "etag": self.etag,
            "updated": self.updated.isoformat(),
            "first": self.batch.first.isoformat(),
            "last": self.batch.last.isoformat(),
            "of": self.batch.count,
            "batch": self.batch.digest,
        }
        return urlencode(fields)

    @classmethod
    def read(cls, text: str) -> _Mark:
        """The reverse of `text`."""
        fields = {name: values[0] for name, values in parse_qs(text).items()}
        updated, first, last = (datetime.fromisoformat(fields[name]) for name in ("updated", "first", "last"))
        return cls(fields["etag"], updated, _Batch(first, last, int(fields["of"]), fields["batch"]))


def list_arrivals(settings: RestSource, seen: Collection[tuple[str, str]]) -> list[Arrival]:
    """Page sets whose state is not in `seen`, in the order they were updated. Raises Unreachable, Fault.

    Asks only for what was updated since the cursor, and of that only what has a new stamp; a set that was touched but
    has an ETag already seen (the service answers 304) is not announced.
    """
    marks = _marks(settings, seen)
    with opened(settings) as session:
        entries = session.catalogue(_cursor(settings, marks))
        states = [(entry, session.new_state(entry, marks.get(entry.source(settings), ()))) for entry in entries]
    fresh = [(entry, etag) for entry, etag in states if etag]
    if not fresh:
        return []
    batch = _Batch.of(settings, fresh)
    return [_arrival(settings, entry, _Mark(etag, entry.updated_at, batch)) for entry, etag in fresh]


def fetch(home: Home, settings: RestSource, arrival: Arrival) -> Snapshot:
    """Archive one page set as canonical JSON: `{"area", "items", "version", "year"}`, items in the order of the pages.

    A set that changes while it is read is read again, up to `attempts` times. Raises Unreachable, Fault, OSError.
    """
    with opened(settings) as session:
        return session.fetch(home, arrival)


def _marks(settings: RestSource, seen: Collection[tuple[str, str]]) -> dict[str, list[_Mark]]:
    found: dict[str, list[_Mark]] = {}
    for source, version in seen:
        if source.startswith(f"{settings.name}/"):
            found.setdefault(source, []).append(_Mark.read(version))
    return found


def _cursor(settings: RestSource, marks: Mapping[str, Collection[_Mark]]) -> datetime | None:
    """The stamp up to which everything is known to have been taken in; None to begin with.

    A batch of which every arrival was taken in is complete up to its last stamp, any other only up to its first: what
    could not be fetched is thereby asked for again, although later sets were taken in.
    """
    taken = Counter(mark.batch for group in marks.values() for mark in group)
    safe = [batch.last if count >= batch.count else batch.first for batch, count in taken.items()]
    return max(safe) - timedelta(hours=settings.overlap_hours) if safe else None


def _arrival(settings: RestSource, entry: _Entry, mark: _Mark) -> Arrival:
    source = entry.source(settings)
    name = "_".join([settings.data.replace("/", "_"), *source.split("/")[1:]])
    return Arrival(CONNECTOR, source, mark.text(), settings.feed, file_name=f"{name}.json")


@contextmanager
def opened(settings: RestSource) -> Iterator[Session]:
    """One client for many page sets. Raises UsageError when a credential or certificate is missing."""
    with httpx.Client(
        headers={"Accept": "application/json", **_authorization(settings)},
        timeout=settings.timeout_seconds,
        verify=_trust(settings),
        # A redirect could carry the token to another host.
        follow_redirects=False,
        # Neither a proxy nor a .netrc of the machine may come between.
        trust_env=False,
    ) as client:
        yield Session(settings, client)


def _authorization(settings: RestSource) -> dict[str, str]:
    if settings.token is None:
        return {}
    token = read_secret(settings.token).get_secret_value()
    if not token.isascii():
        raise UsageError(f"{settings.token.place_zh}中的令牌含有非 ASCII 字符。", "请检查令牌的内容。")
    return {"Authorization": f"Bearer {token}"}


def _trust(settings: RestSource) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except OSError:
        raise UsageError(f"CA 证书文件读不出：{settings.ca_file}", "请检查配置中的 ca_file。") from None


class _Moved(Exception):  # noqa: N818 - it is no error, only the signal to begin again
    """A page set changed while its pages were read."""


class Session:
    """A client bound to one source."""

    def __init__(self, settings: RestSource, client: httpx.Client) -> None:
        self._settings = settings
        self._base = settings.url.rstrip("/") + "/"
        self._where = f"REST 来源“{settings.name}”（{urlsplit(settings.url).hostname}）"
        self._schedule = Schedule(settings.attempts, settings.backoff_seconds, settings.longest_wait_seconds)
        self._client = PoliteClient(client, self._where, self._schedule, settings.timeout_seconds)

    def catalogue(self, since: datetime | None) -> list[_Entry]:
        """What was updated since, oldest first, each page set once. Raises Unreachable, Fault."""
        query = {"updated_since": since.isoformat()} if since else {}
        address = self._address(self._settings.catalogue, query)
        newest: dict[str, _Entry] = {}
        for entry in sorted(self._entries(address), key=lambda entry: entry.updated_at):
            newest[entry.source(self._settings)] = entry
        return sorted(newest.values(), key=lambda entry: (entry.updated_at, entry.source(self._settings)))

    def new_state(self, entry: _Entry, known: Collection[_Mark]) -> str:
        """The ETag of a page set, or '' when this state was taken in before. Raises Unreachable, Fault."""
        if any(mark.updated == entry.updated_at for mark in known):
            return ""
        etags = {mark.etag for mark in known}
        answer = self._client.get(self._data_address(entry.year, entry.area, entry.version), etags)
        return "" if answer.unchanged or answer.etag in etags else answer.etag

    def fetch(self, home: Home, arrival: Arrival) -> Snapshot:
        """Archive one page set. Raises as `rest.fetch`."""
        year, area, version = (unescape(part).decode("utf-8") for part in arrival.source.split("/")[1:])
        try:
            return self._schedule.persist(
                _Moved, lambda: store_stream(home, self._document(int(year), None if area == "-" else area, version))
            )
        except _Moved:
            raise Fault(f"{self._where}的数据在收取过程中一直在变动，未收取。", "下次会自动重收，无需处理。") from None

    def _document(self, year: int, area: str | None, version: str) -> Iterator[bytes]:
        yield b'{"area":' + canonical_json(area) + b',"items":['
        separator = b""
        for page in self._pages(self._data_address(year, area, version)):
            for item in page.items:
                yield separator + canonical_json(item)
                separator = b","
        yield b'],"version":' + canonical_json(version) + b',"year":' + canonical_json(year) + b"}\n"

    def _entries(self, address: str) -> list[_Entry]:
        try:
            pages = self._schedule.persist(_Moved, lambda: list(self._pages(address)))
            return [_Entry.model_validate(item) for page in pages for item in page.items]
        except _Moved:
            raise Fault(f"{self._where}的目录在读取过程中一直在变动。", "下次会自动重读，无需处理。") from None
        except ValidationError:
            raise self._unreadable() from None

    def _pages(self, address: str) -> Iterator[_Page]:
        """All pages of one state of a set. Raises _Moved when the state changed before the last page was read."""
        beginning, visited = address, {address}
        answer = self._client.get(beginning)
        etag = answer.etag
        page = self._page(answer.body)
        yield page
        while page.next is not None:
            address = self._following(address, page.next, visited)
            answer = self._client.get(address)
            if answer.etag != etag:
                raise _Moved
            page = self._page(answer.body)
            yield page
        # The last page may have been read just before a change that the first ones do not know of.
        answer = self._client.get(beginning, [etag])
        if not answer.unchanged and answer.etag != etag:
            raise _Moved

    def _page(self, body: bytes) -> _Page:
        try:
            return _Page.model_validate(plain_json.loads(body))
        except (ValueError, ValidationError):
            raise self._unreadable() from None

    def _unreadable(self) -> Fault:
        return Fault(f"{self._where}的应答不是约定的 JSON，未收取。", "请对方按 docs/connectors.md 的约定提供数据。")

    def _following(self, present: str, target: str, visited: set[str]) -> str:
        """The next page's address: on the same service, and not one read before."""
        address = urljoin(present, target)
        if urlsplit(address)[:2] != urlsplit(self._base)[:2]:
            raise Fault(f"{self._where}的下一页指向别的主机，未收取。", "请对方检查分页地址。")
        if address in visited or len(visited) >= _MOST_PAGES:
            raise Fault(f"{self._where}的分页没有尽头，未收取。", "请对方检查分页地址。")
        visited.add(address)
        return address

    def _data_address(self, year: int, area: str | None, version: str) -> str:
        query = {"year": str(year), "version": version} | ({"area": area} if area is not None else {})
        return self._address(self._settings.data, query)

    def _address(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self._base}{path.lstrip('/')}" + (f"?{urlencode(query)}" if query else "")
