"""Who is told, and from when on something is worth telling: `<home>/alerts.yaml`, or the file EDUPLAN_ALERTS names.

What belongs here: the settings, without secrets (they are only referred to). What does not: sending. Without a file
alerts are written to `<home>/alerts/alerts.jsonl` and nowhere else; that end is always there.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sources.connectors.credentials import LocalPath, SecretRef
from warehouse.errors import UsageError
from warehouse.paths import Home

VARIABLE: Final = "EDUPLAN_ALERTS"
FILE_NAME: Final = "alerts.yaml"
# The name of the end that needs no setting.
FILE_END: Final = "file"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
# A line break in an address would begin another header.
Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$")]
Seconds = Annotated[float, Field(gt=0, le=60)]


class _Settings(BaseModel):
    """Base of all settings: unknown keys refused, no silent conversions, input never repeated in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class WebhookEnd(_Settings):
    """An address that takes POST. The address often holds a key, so it is kept like a password.

    `style`: what the receiver reads. `json` our own document, `wecom` (企业微信, 钉钉) and `feishu` their robots'
    text.
    """

    kind: Literal["webhook"]
    name: Name
    url: SecretRef
    token: SecretRef | None = None
    style: Literal["json", "wecom", "feishu"] = "json"
    ca_file: LocalPath | None = None
    timeout_seconds: Seconds = 5.0


class SmtpEnd(_Settings):
    """A mail server. `none` for `security` is for a server on this machine only."""

    kind: Literal["smtp"]
    name: Name
    host: Text
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Text | None = None
    password: SecretRef | None = None
    sender: Address
    recipients: Annotated[tuple[Address, ...], Field(strict=False, min_length=1)]
    ca_file: LocalPath | None = None
    timeout_seconds: Seconds = 10.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user 与 password 必须同时写")
        if self.security == "none" and self.host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("离开本机的邮件须加密：security 用 starttls 或 tls")
        return self


End = Annotated[WebhookEnd | SmtpEnd, Field(discriminator="kind")]


class Limits(_Settings):
    """From when on something is worth telling."""

    quarantine_percent: Annotated[float, Field(ge=0, le=100, strict=False)] = 5.0
    behind_hours: Annotated[float, Field(gt=0, strict=False)] = 6.0
    # 0: a release may grow old as long as nothing newer waits.
    release_days: Annotated[float, Field(ge=0, strict=False)] = 0.0
    sensor_silent_seconds: Annotated[float, Field(ge=60, strict=False)] = 300.0
    daemon_silent_seconds: Annotated[float, Field(ge=60, strict=False)] = 300.0
    away_seconds: Annotated[float, Field(ge=0, strict=False)] = 60.0
    # A nightly back-up may take some hours; one night that is missed is noticed the next morning.
    backup_hours: Annotated[float, Field(gt=0, strict=False)] = 30.0


class AlertSettings(_Settings):
    """The whole file. `heartbeat_url` is asked (GET) at every round: a watcher outside notices when that stops."""

    ends: Annotated[tuple[End, ...], Field(strict=False)] = ()
    limits: Limits = Limits()
    heartbeat_url: SecretRef | None = None

    @property
    def end_names(self) -> frozenset[str]:
        """Every end that is told, the file among them."""
        return frozenset({FILE_END, *(end.name for end in self.ends)})

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        counts = Counter([FILE_END, *(end.name for end in self.ends)])
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"name 重复：{'、'.join(twice)}")
        return self


def load(home: Home) -> AlertSettings:
    """The settings of this home; the defaults when there is no file. Reads no secret. Raises UsageError naming what is
    wrong, never repeating a value from the file."""
    named = os.environ.get(VARIABLE, "")
    path = Path(named) if named else home.root / FILE_NAME
    if not named and not path.is_file():
        return AlertSettings()
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"告警配置文件读不出：{path}", f"请检查环境变量 {VARIABLE}，文件须为 UTF-8。") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"第 {mark.line + 1} 行附近" if mark is not None else "全文"
        # The parser's text quotes the line, and somebody may have written a password there.
        raise UsageError(f"告警配置文件 {path} 不是有效的 YAML（{line}）。", "请改正后重试。") from None
    try:
        return AlertSettings.model_validate(raw or {}, context={"folder": path.absolute().parent})
    except ValidationError as error:
        places = error.errors(include_input=False, include_url=False, include_context=False)
        said = "；".join(f"{'.'.join(map(str, place['loc']))}：{place['msg']}" for place in places[:5])
        raise UsageError(f"告警配置文件 {path} 有误：{said}。", "写法见 docs/alerts.md。") from None
