"""An S3 bucket: objects found by listing or announced by events, fetched whole into the archive.

What belongs here: listing, reading events, copying. What does not: opening objects. An event is a hint, never a fact:
what it names is looked up in the bucket before it counts.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_plus

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sources.connectors import plain_json
from sources.connectors.arrival import Arrival
from sources.connectors.config import S3Source
from sources.connectors.credentials import read_secret
from sources.connectors.folder import readable_name
from sources.connectors.names import escape, unescape
from sources.connectors.problems import Unreachable
from warehouse.archive import Snapshot, store_stream
from warehouse.errors import Fault, Refused
from warehouse.paths import Home

CONNECTOR: Final = "s3"
EVENT_CONNECTOR: Final = "s3_event"
_CHUNK: Final = 1 << 20
_CLIENTS: Final = 8
_LARGEST_EVENT: Final = 1 << 20
_NO_ACCESS: Final = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403", "401"}
_GONE: Final = {"NoSuchKey", "NoSuchVersion", "404"}
_CHANGED: Final = {"PreconditionFailed", "412"}


@dataclass(frozen=True)
class _Object:
    """One state of one key. `version_id` is empty in buckets that keep no versions."""

    key: str
    etag: str
    modified: datetime
    version_id: str = ""

    @property
    def version(self) -> str:
        """Two states of a key differ in it: the version id, or else ETag and time (whole seconds, as HTTP has it)."""
        if self.version_id:
            return f"{self.etag}#{self.version_id}"
        return f"{self.etag}@{self.modified.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def list_arrivals(settings: S3Source, seen: Collection[tuple[str, str]]) -> list[Arrival]:
    """Objects that are not in `seen`, oldest first, however many pages that takes. Raises Unreachable, Fault.

    With `versioned` every version is an arrival, so that one overwritten between two looks is not lost.
    """
    with opened(settings) as session:
        # Versions of a key are listed newest first, and several may fall into one second.
        oldest_first = session.objects()[::-1]
        found = sorted(oldest_first, key=lambda item: (item.modified, item.key))
    arrivals = [_arrival(settings, item) for item in found]
    return [arrival for arrival in arrivals if (arrival.source, arrival.version) not in seen]


def arrivals_from_event(settings: S3Source, event: bytes, *, delivery: str = "") -> list[Arrival]:
    """The arrivals an S3 event notification (JSON) announces; others' buckets, prefixes and removals yield nothing.

    Each object is looked up, so that a forged or outdated event announces nothing that is not there. An event and a
    listing that mean the same state of an object name it alike. `delivery` tells one handing-over of an event from the
    next (a queue's receipt, a sequence number): with it each leaves an entry of its own in the ledger, without it the
    same event twice is one entry. Raises Refused when the text is no S3 event; Unreachable, Fault.
    """
    records = _records(event)
    wanted = [record for record in records if _is_ours(settings, record)]
    if not wanted:
        return []
    with opened(settings) as session:
        found = [session.look(record.s3.object.name, record.s3.object.version_id) for record in wanted]
    return [_announced(_arrival(settings, item), delivery) for item in found if item is not None]


def fetch(home: Home, settings: S3Source, arrival: Arrival) -> Snapshot:
    """Archive the bytes of one arrival. Raises Unreachable, Fault (the object changed or went), OSError (our disk)."""
    with opened(settings) as session:
        return session.fetch(home, arrival)


@contextmanager
def opened(settings: S3Source) -> Iterator[Session]:
    """One client for many objects. Raises UsageError when a credential is missing."""
    client = _client(settings)
    try:
        yield Session(settings, client)
    finally:
        # Its connections; whoever uses it next makes new ones.
        client.close()


class Session:
    """A client bound to one source."""

    def __init__(self, settings: S3Source, client: Any) -> None:
        self._settings, self._client = settings, client

    def objects(self) -> list[_Object]:
        """Every object below the prefix (folder markers left out). Raises Unreachable, Fault."""
        operation, entries = ("list_objects_v2", "Contents")
        if self._settings.versioned:
            operation, entries = ("list_object_versions", "Versions")
        with _told(self._settings):
            pages = self._client.get_paginator(operation).paginate(
                Bucket=self._settings.bucket, Prefix=self._settings.prefix
            )
            found = [_listed(entry) for page in pages for entry in page.get(entries, ())]
        return [item for item in found if not item.key.endswith("/")]

    def look(self, key: str, version_id: str = "") -> _Object | None:
        """The object as it is now, or None when it is gone. Raises Unreachable, Fault."""
        try:
            with _told(self._settings):
                head = self._client.head_object(**self._named(key, version_id if self._settings.versioned else ""))
        except _Gone:
            return None
        # An object older than its bucket's versioning has the version "null", which not every service says here.
        version = str(head.get("VersionId") or "null") if self._settings.versioned else ""
        return _Object(key, head["ETag"].strip('"'), head["LastModified"], version)

    def fetch(self, home: Home, arrival: Arrival) -> Snapshot:
        """Archive one object in the very state that was announced. Raises as `s3.fetch`."""
        key = unescape(arrival.source.removeprefix(f"{self._settings.name}/")).decode("utf-8")
        etag, version_id = _etag_and_version_id(arrival)
        with _told(self._settings, arrival):
            answer = self._client.get_object(**self._named(key, version_id), IfMatch=f'"{etag}"')
        body = answer["Body"]
        try:
            return store_stream(home, self._chunks(body, arrival))
        finally:
            body.close()

    def _chunks(self, body: Any, arrival: Arrival) -> Iterator[bytes]:
        # botocore itself raises when fewer bytes come than were announced.
        while chunk := self._read(body, arrival):
            yield chunk

    def _read(self, body: Any, arrival: Arrival) -> bytes:
        with _told(self._settings, arrival):
            return bytes(body.read(_CHUNK))

    def _named(self, key: str, version_id: str) -> dict[str, str]:
        named = {"Bucket": self._settings.bucket, "Key": key}
        return named | {"VersionId": version_id} if version_id else named


class _Gone(Fault):
    """The object is not there any more."""


@contextmanager
def _told(settings: S3Source, arrival: Arrival | None = None) -> Iterator[None]:
    """Say in plain words what the service refused; its own text may quote the key id, so nothing is chained."""
    try:
        yield
    except ClientError as error:
        raise _translated(settings, str(error.response.get("Error", {}).get("Code", "")), arrival) from None
    except BotoCoreError as error:
        raise Unreachable(
            f"{_where(settings)}连接不上或中断（{type(error).__name__}）。", "请检查网络与对方服务；恢复后会自动重收。"
        ) from None


def _translated(settings: S3Source, code: str, arrival: Arrival | None) -> Fault:
    where, what = _where(settings), f"“{arrival.file_name}”" if arrival else ""
    if code in _NO_ACCESS:
        return Unreachable(f"{where}拒绝访问（{code}）。", "请检查访问密钥与权限是否正确、是否过期；改正后会自动重收。")
    if code == "NoSuchBucket":
        return Unreachable(f"{where}没有这个存储桶。", "请检查 bucket 与 endpoint。")
    if code in _GONE:
        return _Gone(f"{where}中的对象{what}在收取前被移走。", "重新上传后会自动重收。")
    if code in _CHANGED:
        return Fault(f"{where}中的对象{what}在收取前被改动。", "下次会自动重收新的内容，无需处理。")
    return Fault(f"{where}读取失败（{code or '未知错误'}）。", "稍后会自动重收；反复出现请联系对方。")


def _where(settings: S3Source) -> str:
    return f"S3 来源“{settings.name}”（{settings.bucket}）"


def _client(settings: S3Source) -> Any:
    """The client of a source, made anew when its settings or its secrets change: making one takes a seventh of a second
    of processor and megabytes that wait for Python's collector, and sensors look every five seconds."""
    access, secret = (read_secret(one).get_secret_value() for one in (settings.access_key, settings.secret_key))
    return _made(settings, access, secret)


@lru_cache(maxsize=_CLIENTS)
def _made(settings: S3Source, access: str, secret: str) -> Any:
    """A client that knows only what the configuration says: no profiles, no proxies, no instance credentials."""
    core = botocore.session.Session()
    for variable in ("config_file", "credentials_file"):
        core.set_config_variable(variable, os.devnull)
    config = Config(
        connect_timeout=settings.timeout_seconds,
        read_timeout=settings.timeout_seconds,
        retries={"total_max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path"},
        proxies={},
    )
    return boto3.session.Session(botocore_session=core).client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        verify=str(settings.ca_file) if settings.ca_file else True,
        config=config,
    )


def _listed(entry: Mapping[str, Any]) -> _Object:
    version = str(entry.get("VersionId") or "")
    return _Object(entry["Key"], entry["ETag"].strip('"'), entry["LastModified"], version)


def _arrival(settings: S3Source, item: _Object) -> Arrival:
    *folders, name = item.key.removeprefix(settings.prefix).split("/")
    return Arrival(
        connector=CONNECTOR,
        source=f"{settings.name}/{escape(item.key)}",
        version=item.version,
        feed=settings.feed,
        file_name=readable_name(name or item.key),
        submitter="/".join(readable_name(folder) for folder in folders if folder),
    )


def _announced(arrival: Arrival, delivery: str) -> Arrival:
    if not delivery:
        return arrival
    version = f"{arrival.version}!{escape(delivery, keep='')}"
    return Arrival(EVENT_CONNECTOR, arrival.source, version, arrival.feed, arrival.file_name, arrival.submitter)


def _etag_and_version_id(arrival: Arrival) -> tuple[str, str]:
    state = arrival.version.partition("!")[0]
    etag, _, version_id = state.partition("#")
    return etag.partition("@")[0], version_id


class _Part(BaseModel):
    """Base of what is read of an event; the rest of it is not our business."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)


class _EventObject(_Part):
    key: str
    version_id: str = Field(default="", alias="versionId")

    @property
    def name(self) -> str:
        """The key itself: events carry it as in a query string."""
        return unquote_plus(self.key)


class _EventBucket(_Part):
    name: str


class _EventS3(_Part):
    bucket: _EventBucket
    object: _EventObject


class _EventRecord(_Part):
    event_name: str = Field(alias="eventName")
    s3: _EventS3


class _Event(_Part):
    records: list[_EventRecord] = Field(alias="Records")


def _records(event: bytes) -> list[_EventRecord]:
    if len(event) > _LARGEST_EVENT:
        raise Refused("收到的 S3 事件过大，未处理。", "请检查事件的来源；对象会在下次列目录时收取。")
    try:
        return _Event.model_validate(plain_json.loads(event)).records
    except (ValueError, ValidationError):
        raise Refused("收到的不是 S3 事件，未处理。", "请检查事件的来源；对象会在下次列目录时收取。") from None


def _is_ours(settings: S3Source, record: _EventRecord) -> bool:
    created = record.event_name.removeprefix("s3:").startswith("ObjectCreated:")
    key = record.s3.object.name
    return (
        created
        and record.s3.bucket.name == settings.bucket
        and key.startswith(settings.prefix)
        and not key.endswith("/")
    )
