"""Leases: who may write, across processes and hosts, with an owner, an end and a number that fences off the past.

What belongs here: taking, renewing, checking and freeing a named lease in the ledger's database. What does not: the
operating-system lock of one home (`warehouse.lock`), which is taken first and is quicker to notice a death.

A lease is taken over when its end has passed, or at once when its owner was a process of this machine that is gone.
Each taking gets a higher token; `Fence.check` inside the ledger's writing transaction refuses all but the last taker.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from warehouse import ledger_tables as t
from warehouse.clock import now
from warehouse.errors import EduplanError, Refused, UsageError
from warehouse.lock import exclusive

if TYPE_CHECKING:
    from warehouse.ledger import Ledger
    from warehouse.paths import Home

VARIABLE: Final = "EDUPLAN_LEASE_SECONDS"
DEFAULT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Owner:
    """A process, told apart from every other one: host (with boot and process namespace), pid and start tick."""

    host: str
    pid: int
    started: int

    @classmethod
    def of_this_process(cls) -> Owner:
        """The running process. Raises OSError where /proc is missing."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process of this machine with this id. Raises OSError where /proc is missing."""
        return cls(this_host(), pid, start_tick(pid) or 0)

    def is_dead(self) -> bool:
        """True when it certainly no longer runs; of another host nobody here can say so."""
        return self.host == this_host() and start_tick(self.pid) != self.started


@dataclass(frozen=True)
class Standing:
    """A lease as the ledger holds it; `expires_at` is an instant of the clock that wrote it."""

    name: str
    owner: Owner
    token: int
    taken_at: datetime
    expires_at: datetime

    def is_free(self, at: datetime) -> bool:
        """Whether somebody else may take it at this instant."""
        return at >= self.expires_at or self.owner.is_dead()


def this_host() -> str:
    """Name of this machine since its last start, and of the process namespace: pids mean nothing outside it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').readlink()}"


def start_tick(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot; None when there is none. A zombie is no longer one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in brackets and may hold anything; fields are counted behind it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def lease_seconds() -> float:
    """How long a lease holds without being renewed: EDUPLAN_LEASE_SECONDS, default 60. Raises UsageError."""
    text = os.environ.get(VARIABLE) or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise UsageError(f"{VARIABLE} 应为 0 到 86400 之间的秒数，现为 {text!r}。")
    return seconds


class Fence:
    """A lease this process holds: renewed in the background until freed, checked before what cannot be undone."""

    def __init__(self, ledger: Ledger, name: str, token: int, seconds: float) -> None:
        self._ledger, self.name, self.token, self._seconds = ledger, name, token, seconds
        self._over = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name=f"eduplan-lease-{name}", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._renewer.start()

    def free(self) -> None:
        """Stop renewing and give the lease back, unless somebody else has it by now."""
        self._over.set()
        self._renewer.join()
        # A ledger that is away must not hide how the work ended; the lease then ends with its time or this process.
        with suppress(EduplanError), self._ledger.writing() as connection:
            mine = (t.lease.c.name == self.name) & (t.lease.c.token == self.token)
            connection.execute(t.lease.update().where(mine).values(expires_at=now().isoformat(), pid=0, started=0))

    def check(self, connection: sa.Connection) -> None:
        """Raise Refused when the lease was taken over; meant for the transaction that makes something final."""
        query = sa.select(t.lease.c.token).where(t.lease.c.name == self.name)
        if connection.execute(query).scalar_one_or_none() != self.token:
            raise Refused(
                f"本进程对“{self.name}”的独占已被另一进程接管，本次作废，没有发布。",
                "无需处理：接管者会继续；若反复出现，请检查本机是否过载或时钟是否异常。",
            )

    def check_now(self) -> None:
        """The same between two stations, in a transaction of its own. Raises Refused, Fault."""
        with self._ledger.writing() as connection:
            self.check(connection)

    def _renew(self) -> None:
        while not self._over.wait(self._seconds / 3):
            try:
                with self._ledger.writing() as connection:
                    mine = (t.lease.c.name == self.name) & (t.lease.c.token == self.token)
                    values = {"expires_at": (now() + timedelta(seconds=self._seconds)).isoformat()}
                    connection.execute(t.lease.update().where(mine).values(**values))
            except EduplanError:
                # The ledger is away for the moment. Whether the lease still holds is asked where it matters.
                continue


@contextmanager
def held(home: Home, ledger: Ledger, name: str, *, wait: float = 0.0) -> Iterator[Fence]:
    """Hold `name` alone, on this machine by its lock and everywhere by its lease.

    Waits up to `wait` seconds, then raises Refused naming the owner. Raises Fault when the ledger cannot be reached.
    """
    deadline = time.monotonic() + wait
    with exclusive(home, name, wait=wait):
        fence = _take(ledger, name, deadline)
        fence.start()
        try:
            yield fence
        finally:
            fence.free()


def _take(ledger: Ledger, name: str, deadline: float) -> Fence:
    seconds = lease_seconds()
    while True:
        with ledger.writing() as connection:
            standing = read(connection, name)
            if standing is None or standing.is_free(now()):
                return Fence(ledger, name, _write(connection, name, standing, seconds), seconds)
        if time.monotonic() >= deadline:
            raise Refused(
                f"另一进程（{standing.owner.host.partition('/')[0]}，进程号 {standing.owner.pid}）正在执行“{name}”，"
                f"独占至 {standing.expires_at:%H:%M:%S}，本次没有开始。",
                "请等它结束后再试；对方若已消失，到期后自动释放，无需手工清理。",
            )
        time.sleep(_POLL_SECONDS)


def standing(ledger: Ledger, name: str) -> Standing | None:
    """The lease of this name as it stands, or None when it was never taken. Raises Fault."""
    with ledger.reading() as connection:
        return read(connection, name)


def read(connection: sa.Connection, name: str) -> Standing | None:
    """The lease of this name as it stands, or None when it was never taken."""
    row = connection.execute(sa.select(t.lease).where(t.lease.c.name == name)).mappings().first()
    if row is None:
        return None
    owner = Owner(row["host"], row["pid"], row["started"])
    stamps = (datetime.fromisoformat(row["taken_at"]), datetime.fromisoformat(row["expires_at"]))
    return Standing(name, owner, row["token"], *stamps)


def _write(connection: sa.Connection, name: str, standing: Standing | None, seconds: float) -> int:
    owner, at = Owner.of_this_process(), now()
    token = standing.token + 1 if standing is not None else 1
    values = {
        "host": owner.host,
        "pid": owner.pid,
        "started": owner.started,
        "token": token,
        "taken_at": at.isoformat(),
        "expires_at": (at + timedelta(seconds=seconds)).isoformat(),
    }
    if standing is None:
        connection.execute(t.lease.insert().values(name=name, **values))
    else:
        connection.execute(t.lease.update().where(t.lease.c.name == name).values(**values))
    return token
