"""Which sources are asked: the YAML file named by EDUPLAN_SOURCES, validated whole; none when it is not set.

What belongs here: the settings of each kind of source, without secrets (they are only referred to). What does not:
asking a source (one module a kind) and anything about content (the contracts).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sources import contract
from sources.connectors.credentials import LocalPath, SecretRef
from warehouse.errors import UsageError

VARIABLE: Final = "EDUPLAN_SOURCES"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Port = Annotated[int, Field(gt=0, lt=65536)]


class _Settings(BaseModel):
    """Base of all settings: unknown keys refused, no silent conversions, input never repeated in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Source(_Settings):
    """What every source has: a name of its own, the feed it brings, and how long one answer may take."""

    name: Name
    feed: Name
    timeout_seconds: Seconds = 30.0


class FolderSource(_Source):
    """A further folder, beside the inbox, whose files all belong to one feed."""

    kind: Literal["folder"]
    path: LocalPath
    settle_seconds: Annotated[float, Field(ge=0)] | None = None


class SftpSource(_Source):
    """A folder on an SFTP server. Its host key must stand in `known_hosts`; `password` or `key`, not both."""

    kind: Literal["sftp"]
    host: Text
    port: Port = 22
    user: Text
    path: Text = "."
    known_hosts: LocalPath
    password: SecretRef | None = None
    key: LocalPath | None = None
    key_passphrase: SecretRef | None = None
    settle_seconds: Annotated[float, Field(ge=0)] = 2.0

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password is None) == (self.key is None):
            raise ValueError("password 与 key 必须且只能写一个")
        if self.key_passphrase is not None and self.key is None:
            raise ValueError("key_passphrase 只能与 key 同用")
        return self


class S3Source(_Source):
    """Objects below a prefix of an S3 bucket. `versioned`: the bucket keeps versions, and each one is an arrival."""

    kind: Literal["s3"]
    endpoint: Text
    bucket: Text
    prefix: str = ""
    region: Text = "us-east-1"
    access_key: SecretRef
    secret_key: SecretRef
    versioned: bool = False
    ca_file: LocalPath | None = None

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
        _check_address(self.endpoint, plain="http", safe="https")
        return self


class RestSource(_Source):
    """A paged JSON service: `<url>/<catalogue>` lists page sets, `<url>/<data>` gives them."""

    kind: Literal["rest"]
    url: Text
    catalogue: Text = "datasets"
    data: Text = "population"
    token: SecretRef | None = None
    ca_file: LocalPath | None = None
    # Waits are backoff, 2·backoff, 4·backoff … up to the longest, without chance in them.
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    backoff_seconds: Seconds = 1.0
    longest_wait_seconds: Seconds = 120.0
    # How far `updated_since` reaches back behind what is known to be complete: a stamp may become visible late.
    overlap_hours: Annotated[float, Field(ge=0)] = 24.0

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
        _check_address(self.url, plain="http", safe="https")
        return self


class SqlSource(_Source):
    """A database; its SQLAlchemy address holds a password and is therefore kept like one."""

    kind: Literal["sql"]
    url: SecretRef


class NatsSource(_Source):
    """A durable pull consumer on a JetStream stream. `password` needs `user`; or `token`; or neither. `announces`: the
    messages are S3 event notifications about the objects of the S3 source of this name."""

    kind: Literal["nats"]
    servers: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    stream: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
    subject: Text
    durable: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")] = "eduplan"
    announces: Name | None = None
    user: Text | None = None
    password: SecretRef | None = None
    token: SecretRef | None = None
    ca_file: LocalPath | None = None
    batch: Annotated[int, Field(ge=1, le=1000)] = 500
    wait_seconds: Seconds = 2.0
    ack_wait_seconds: Seconds = 60.0

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user 与 password 必须同时写")
        if self.user is not None and self.token is not None:
            raise ValueError("token 与 user/password 只能用一种")
        for server in self.servers:
            _check_address(server, plain="nats", safe="tls")
        return self


SourceSettings = Annotated[
    FolderSource | SftpSource | S3Source | RestSource | SqlSource | NatsSource, Field(discriminator="kind")
]


class SourcesFile(_Settings):
    """The whole file."""

    sources: Annotated[tuple[SourceSettings, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        twice = sorted(name for name, count in Counter(source.name for source in self.sources).items() if count > 1)
        if twice:
            raise ValueError(f"name 重复：{'、'.join(twice)}")
        return self

    @model_validator(mode="after")
    def _announced_sources_are_there(self) -> Self:
        buckets = {(source.name, source.feed) for source in self.sources if isinstance(source, S3Source)}
        streams = [source for source in self.sources if isinstance(source, NatsSource) and source.announces]
        lost = sorted(source.name for source in streams if (source.announces, source.feed) not in buckets)
        if lost:
            raise ValueError(f"announces 须是同一 feed 的 s3 来源：{'、'.join(lost)}")
        return self


def configured(environ: Mapping[str, str] | None = None) -> tuple[SourceSettings, ...]:
    """The sources of the file EDUPLAN_SOURCES names, in its order; empty when it is not set. Raises UsageError.

    Reads no secret and asks no service.
    """
    named = (os.environ if environ is None else environ).get(VARIABLE, "")
    return load(Path(named)) if named else ()


def load(path: Path, *, feeds: Collection[str] | None = None) -> tuple[SourceSettings, ...]:
    """The sources in this file. Raises UsageError naming what is wrong, never repeating a value from the file.

    `feeds` are the feeds that exist; by default those with a contract.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"来源配置文件读不出：{path}", f"请检查环境变量 {VARIABLE}，文件须为 UTF-8。") from None
    found = _validated(path, _parsed(path, text)).sources
    known = contract.feeds() if feeds is None else feeds
    taken = sorted({source.name for source in found} & set(known))
    if taken:
        # The inbox's own folders are named so in the ledger.
        raise UsageError(f"来源配置中的 name 不可与 feed 同名：{'、'.join(taken)}。", "请另取名称。")
    strange = sorted({source.feed for source in found} - set(known))
    if strange:
        raise UsageError(f"来源配置中的 feed 不存在：{'、'.join(strange)}。", f"现有：{'、'.join(known)}。")
    return found


class _UniqueKeys(yaml.CSafeLoader):
    """YAML in which a key may stand once."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    names = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if len(names) != len(set(names)):
        raise yaml.constructor.ConstructorError(None, None, "duplicate key", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _parsed(path: Path, text: str) -> Any:
    try:
        # The loader derives from SafeLoader: it builds plain data only.
        return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"第 {mark.line + 1} 行附近" if mark is not None else "全文"
        # The parser's text quotes the line, and somebody may have written a password there.
        raise UsageError(f"来源配置文件 {path} 不是有效的 YAML（{line}）。", "键不可重复；请改正后重试。") from None


def _validated(path: Path, raw: Any) -> SourcesFile:
    try:
        return SourcesFile.model_validate(raw, context={"folder": path.absolute().parent})
    except ValidationError as error:
        places = error.errors(include_input=False, include_url=False, include_context=False)
        said = "；".join(f"{'.'.join(map(str, place['loc']))}：{place['msg']}" for place in places[:5])
        raise UsageError(f"来源配置文件 {path} 有误：{said}。", "写法见 docs/connectors.md。") from None


def _check_address(address: str, *, plain: str, safe: str) -> None:
    """Refuse addresses that carry credentials, and unencrypted ones that leave this machine."""
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        raise ValueError("地址中不可写账号或密码")
    if not parts.hostname or parts.scheme not in (plain, safe):
        raise ValueError(f"地址须写成 {safe}://主机[:端口]")
    if parts.scheme == plain and not _is_this_machine(parts.hostname):
        raise ValueError(f"离开本机的连接须加密：请用 {safe}://")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
