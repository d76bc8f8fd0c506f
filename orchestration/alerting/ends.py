"""Sending: a message to one end, or an error in Chinese that says why not.

What belongs here: webhook (httpx), e-mail (smtplib) and the file. What does not: what is sent and when (`telling`).
Secrets are read at the moment of sending and never stand in an error; nothing an end answers is repeated.

A message that was sent and whose sending could not be recorded afterwards is sent again under the same ids; the file
end looks for them before it writes, receivers of the other two may do the same.
"""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from orchestration.alerting.settings import FILE_END, AlertSettings, SmtpEnd, WebhookEnd
from sources.connectors.credentials import read_secret
from warehouse.errors import Fault, UsageError
from warehouse.lock import exclusive
from warehouse.paths import Home

LOG: Final = "alerts.jsonl"
# What the robots of chat programmes answer when they took the message, whatever the status line says.
_ROBOTS: Final = {"wecom": "errcode", "feishu": "code"}


@dataclass(frozen=True)
class Message:
    """News for people and machines: one subject line, a text, and the entries it consists of, each with its `id`."""

    id: str
    subject_zh: str
    text_zh: str
    entries: tuple[Mapping[str, Any], ...]


class Sender(Protocol):
    """An end that can be told."""

    name: str

    def send(self, message: Message) -> None:
        """Deliver, or raise Fault or UsageError saying why not."""


def senders(home: Home, settings: AlertSettings) -> list[Sender]:
    """Every end of these settings, the file first."""
    found: list[Sender] = [FileSender(home)]
    for end in settings.ends:
        found.append(WebhookSender(end) if isinstance(end, WebhookEnd) else MailSender(end))
    return found


class FileSender:
    """Appends to `<home>/alerts/alerts.jsonl`, one JSON object a line; an id that stands there is not written again."""

    name = FILE_END

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def path(self) -> Path:
        """The file."""
        return self._home.root / "alerts" / LOG

    def send(self, message: Message) -> None:
        """Raises Fault when the disk says no."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(self._home, "alerts", wait=10.0):
                self._append(message.entries)
        except OSError as error:
            raise Fault(f"告警文件写不进：{error.strerror}。", "请检查磁盘空间与权限；稍后自动重试。") from error

    def _append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        known = self._known()
        with self.path.open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                # Half a line of a writer that died: what follows must not become part of it.
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
            for entry in entries:
                if entry["id"] not in known:
                    stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _known(self) -> set[str]:
        if not self.path.is_file():
            return set()
        found = set()
        with self.path.open("rb") as stream:
            for line in stream:
                try:
                    found.add(json.loads(line)["id"])
                except (ValueError, KeyError, TypeError):
                    continue
        return found


class WebhookSender:
    """Posts to an address; anything but a 2xx, and a robot's own refusal, is a failure."""

    def __init__(self, end: WebhookEnd) -> None:
        self._end = end
        self.name = end.name

    def send(self, message: Message) -> None:
        """Raises Fault or UsageError."""
        end = self._end
        url = read_secret(end.url).get_secret_value()
        check_address(url, end.url.place_zh)
        headers = {"Idempotency-Key": message.id}
        if end.token is not None:
            headers["Authorization"] = f"Bearer {read_secret(end.token).get_secret_value()}"
        try:
            with _client(end.timeout_seconds, end.ca_file) as client:
                answer = client.post(url, json=_document(end.style, message), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The library's text holds the address, and the address may hold a key.
            raise Fault(f"告警端 {self.name} 无法送达（{type(error).__name__}）。") from None
        if not answer.is_success:
            raise Fault(f"告警端 {self.name} 拒收（HTTP {answer.status_code}）。")
        self._check_robot(answer)

    def _check_robot(self, answer: httpx.Response) -> None:
        name = _ROBOTS.get(self._end.style)
        if name is None:
            return
        try:
            code = answer.json()[name]
        except (ValueError, KeyError, TypeError):
            code = None
        if code != 0:
            raise Fault(f"告警端 {self.name} 拒收（{name} {code if isinstance(code, int) else '不详'}）。")


def _document(style: str, message: Message) -> dict[str, Any]:
    text = f"{message.subject_zh}\n{message.text_zh}"
    if style == "wecom":
        return {"msgtype": "text", "text": {"content": text}}
    if style == "feishu":
        return {"msg_type": "text", "content": {"text": text}}
    return {"source": "eduplan", "id": message.id, "subject": message.subject_zh, "alerts": list(message.entries)}


class MailSender:
    """Sends one e-mail to all recipients."""

    def __init__(self, end: SmtpEnd) -> None:
        self._end = end
        self.name = end.name

    def send(self, message: Message) -> None:
        """Raises Fault or UsageError."""
        mail = EmailMessage()
        mail["Subject"] = message.subject_zh
        mail["From"] = self._end.sender
        mail["To"] = ", ".join(self._end.recipients)
        # The same news sent twice are one message to a mail reader.
        mail["Message-ID"] = f"<{message.id}.alert@eduplan.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text_zh + "\n", charset="utf-8", cte="base64")
        try:
            self._deliver(mail)
        except (OSError, smtplib.SMTPException) as error:
            # A server's answer may quote addresses or the account.
            raise Fault(f"告警端 {self.name} 无法送达（{type(error).__name__}）。") from None

    def _deliver(self, mail: EmailMessage) -> None:
        end = self._end
        context = trust(end.ca_file)
        if end.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(end.host, end.port, timeout=end.timeout_seconds, context=context)
        else:
            server = smtplib.SMTP(end.host, end.port, timeout=end.timeout_seconds)
        with server:
            if end.security == "starttls":
                server.starttls(context=context)
            if end.user is not None and end.password is not None:
                server.login(end.user, read_secret(end.password).get_secret_value())
            server.send_message(mail)


def ping(settings: AlertSettings) -> None:
    """Ask the heartbeat's address, where there is one. Raises Fault or UsageError saying why that failed."""
    if settings.heartbeat_url is None:
        return
    url = read_secret(settings.heartbeat_url).get_secret_value()
    check_address(url, settings.heartbeat_url.place_zh)
    try:
        with _client(5.0, None) as client:
            answer = client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Fault(f"心跳地址无法访问（{type(error).__name__}）。") from None
    if not answer.is_success:
        raise Fault(f"心跳地址答复 HTTP {answer.status_code}。")


def _client(timeout: float, ca_file: Path | None) -> httpx.Client:
    # Neither a redirect, a proxy nor a .netrc of the machine may carry the key elsewhere.
    return httpx.Client(timeout=timeout, verify=trust(ca_file), follow_redirects=False, trust_env=False)


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """The certificates that count: the machine's, or those of this file. Raises UsageError."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError:
        raise UsageError(f"CA 证书文件读不出：{ca_file}", "请检查告警配置中的 ca_file。") from None


def check_address(url: str, place_zh: str) -> None:
    """Refuse what leaves this machine unencrypted. Raises UsageError naming the place, never the address."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise UsageError(f"{place_zh}中的地址写法不对。", "请写成 https://… 的样子。") from None
    local = parts.host in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise UsageError(f"{place_zh}中的地址不是 https。", "离开本机的告警须加密。")
