"""Two small receivers of alerts on 127.0.0.1: a mail server and a web address, real ones on real sockets."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Mailbox:
    """What a mail server took in: (recipients, message)."""

    port: int = 0
    received: list[tuple[list[str], EmailMessage]] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """As much of RFC 5321 as a client needs that sends one message at a time."""
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 mailbox")
            recipients: list[str] = []
            for line in self.rfile:
                verb = line.split()[0].upper() if line.split() else b""
                if verb == b"RCPT":
                    recipients.append(line.decode().partition("<")[2].partition(">")[0])
                if verb == b"DATA":
                    self._say("354 go on")
                    box.received.append((recipients, self._message()))
                if verb == b"QUIT":
                    self._say("221 bye")
                    return
                self._say("250 ok")

        def _message(self) -> EmailMessage:
            lines = []
            for line in self.rfile:
                if line == b".\r\n":
                    break
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            found = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(found, EmailMessage)
            return found

        def _say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)) as port:
        box.port = port
        yield box


@dataclass
class Hook:
    """What was posted to a web address: (path, headers, document); `answers` are given instead of 200 while any are
    left, as (status, body)."""

    port: int = 0
    posted: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)


@contextmanager
def hook_server() -> Iterator[Hook]:
    """A web server that takes POST and GET on any path."""
    hook = Hook()

    class Session(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(lambda: hook.posted.append((self.path, dict(self.headers), body)))

        def do_GET(self) -> None:
            self._answer(lambda: hook.asked.append(self.path))

        def _answer(self, take: Any) -> None:
            status, body = hook.answers.pop(0) if hook.answers else (200, b'{"errcode": 0, "code": 0}')
            if status == 200:
                take()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_said: Any) -> None:
            return

    with _serving(HTTPServer(("127.0.0.1", 0), Session)) as port:
        hook.port = port
        yield hook


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
