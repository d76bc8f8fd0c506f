"""Ends really told: a web address, a mail server and a file, and what happens when they say no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.alerting.ends import FileSender, Message, Sender, ping, senders
from orchestration.alerting.settings import AlertSettings, load
from tests.support.mailbox import Hook, Mailbox, hook_server, mail_server
from warehouse.errors import Fault, UsageError
from warehouse.paths import Home

KEY = "geheim-key-7"
MESSAGE = Message("m1", "【eduplan 告警】报送逾期", "教师名册 2025：尚缺 3 件。", ({"id": "n1", "kind": "feed_late"},))


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with hook_server() as found:
        yield found


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as found:
        yield found


@pytest.fixture(autouse=True)
def _emptied(hook: Hook, mailbox: Mailbox) -> None:
    for found in (hook.posted, hook.asked, hook.answers, mailbox.received):
        found.clear()


def settings(home: Home, **content: Any) -> AlertSettings:
    (home.root / "alerts.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load(home)


def webhook(home: Home, hook: Hook, monkeypatch: pytest.MonkeyPatch, style: str = "json") -> Sender:
    monkeypatch.setenv("HOOK_URL", f"http://127.0.0.1:{hook.port}/robot?key={KEY}")
    monkeypatch.setenv("HOOK_TOKEN", "geheim-token-7")
    end = {
        "kind": "webhook",
        "name": "duty",
        "url": {"env": "HOOK_URL"},
        "token": {"env": "HOOK_TOKEN"},
        "style": style,
    }
    return senders(home, settings(home, ends=[end]))[1]


def test_a_web_address_gets_the_document_with_its_token_and_an_id(
    home: Home, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook(home, hook, monkeypatch).send(MESSAGE)
    [(path, headers, document)] = hook.posted
    assert path == f"/robot?key={KEY}"
    assert (headers["Idempotency-Key"], headers["Authorization"]) == ("m1", "Bearer geheim-token-7")
    assert document["alerts"] == [{"id": "n1", "kind": "feed_late"}]


@pytest.mark.parametrize(("style", "code"), [("wecom", "errcode"), ("feishu", "code")])
def test_a_robot_that_says_no_in_a_friendly_answer_has_said_no(
    home: Home, hook: Hook, monkeypatch: pytest.MonkeyPatch, style: str, code: str
) -> None:
    robot = webhook(home, hook, monkeypatch, style)
    robot.send(MESSAGE)
    assert "教师名册" in json.dumps(hook.posted[0][2], ensure_ascii=False)
    hook.answers[:] = [(200, json.dumps({code: 310000}).encode()), (200, b"<html>")]
    with pytest.raises(Fault, match="310000"):
        robot.send(MESSAGE)
    with pytest.raises(Fault, match="拒收"):
        robot.send(MESSAGE)


@pytest.mark.parametrize("status", [301, 401, 500])
def test_a_refusal_says_who_and_never_the_address(
    home: Home, hook: Hook, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    hook.answers[:] = [(status, KEY.encode())]
    with pytest.raises(Fault, match=f"duty.*{status}") as told:
        webhook(home, hook, monkeypatch).send(MESSAGE)
    assert KEY not in f"{told.value!r}"
    assert told.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/robot?key=geheim-key-7", Fault),
        ("http://example.org/?key=geheim-key-7", UsageError),
        ("geheim-key-7", UsageError),
    ],
)
def test_an_address_that_is_away_or_not_safe(
    home: Home, hook: Hook, monkeypatch: pytest.MonkeyPatch, url: str, error: type[Exception]
) -> None:
    sender = webhook(home, hook, monkeypatch)
    monkeypatch.setenv("HOOK_URL", url)
    with pytest.raises(error) as told:
        sender.send(MESSAGE)
    assert KEY not in str(told.value)


def test_a_mail_is_chinese_and_reaches_all_recipients(home: Home, mailbox: Mailbox) -> None:
    end = {
        "kind": "smtp", "name": "mail", "host": "127.0.0.1", "port": mailbox.port, "security": "none",
        "sender": "eduplan@example.cn", "recipients": ["duty@example.cn", "chief@example.cn"],
    }  # fmt: skip
    senders(home, settings(home, ends=[end]))[1].send(MESSAGE)
    [(recipients, mail)] = mailbox.received
    assert recipients == ["duty@example.cn", "chief@example.cn"]
    assert mail["Subject"] == MESSAGE.subject_zh
    assert mail["Message-ID"] == "<m1.alert@eduplan.invalid>"
    assert mail.get_content().strip() == MESSAGE.text_zh


def test_a_mail_server_that_is_away_is_a_fault_without_addresses(home: Home) -> None:
    end = {
        "kind": "smtp", "name": "mail", "host": "127.0.0.1", "port": 1, "security": "none",
        "sender": "eduplan@example.cn", "recipients": ["duty@example.cn"],
    }  # fmt: skip
    with pytest.raises(Fault, match="mail 无法送达") as told:
        senders(home, settings(home, ends=[end]))[1].send(MESSAGE)
    assert "duty@" not in str(told.value)


def test_the_file_has_every_entry_once_also_behind_half_a_line(home: Home) -> None:
    sender = FileSender(home)
    sender.send(MESSAGE)
    sender.send(MESSAGE)
    with sender.path.open("ab") as stream:
        stream.write(b'{"id": "half')
    sender.send(Message("m2", "", "", ({"id": "n2"},)))
    lines = sender.path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines if line.endswith("}")] == ["n1", "n2"]
    assert len(lines) == 3


def test_a_disk_that_says_no_is_a_fault(home: Home) -> None:
    (home.root / "alerts").write_text("a file where a folder should be")
    with pytest.raises(Fault, match="写不进"):
        FileSender(home).send(MESSAGE)


def test_the_heartbeat_asks_its_address_and_notices_a_refusal(
    home: Home, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAT_URL", f"http://127.0.0.1:{hook.port}/ping/{KEY}")
    found = settings(home, heartbeat_url={"env": "BEAT_URL"})
    ping(found)
    assert hook.asked == [f"/ping/{KEY}"]
    hook.answers[:] = [(503, b"")]
    with pytest.raises(Fault, match="503"):
        ping(found)


@pytest.mark.parametrize(
    "content",
    [
        {"ends": [{"kind": "webhook", "name": "file", "url": {"env": "X"}}]},
        {"ends": [{"kind": "webhook", "name": "duty", "url": "http://geheim"}]},
        {"ends": [{"kind": "smtp", "name": "m", "host": "mail.example.cn", "security": "none", "sender": "a@b.cn",
                   "recipients": ["a@b.cn"]}]},
        {"ends": [{"kind": "smtp", "name": "m", "host": "h", "sender": "a@b.cn\nBcc: geheim@b.cn",
                   "recipients": ["a@b.cn"]}]},
        {"limits": {"quarantine_percent": -1}},
        {"strange": 1},
        ["geheim"],
    ],
)  # fmt: skip
def test_bad_settings_are_wrong_usage_and_repeat_no_value(home: Home, content: Any) -> None:
    (home.root / "alerts.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UsageError) as told:
        load(home)
    assert "geheim" not in str(told.value)


def test_a_file_that_is_named_and_missing_or_broken_is_wrong_usage(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(home) == AlertSettings()
    monkeypatch.setenv("EDUPLAN_ALERTS", str(tmp_path / "none.yaml"))
    with pytest.raises(UsageError, match="读不出"):
        load(home)
    (tmp_path / "none.yaml").write_text("ends: [geheim", encoding="utf-8")
    with pytest.raises(UsageError, match="YAML") as told:
        load(home)
    assert "geheim" not in str(told.value)
