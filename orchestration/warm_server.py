"""What the warm process does: import, parse, listen, and fork one child for each run.

What belongs here: this process's life, and how a child of it becomes a run. What does not: who asks for runs. It has
one thread and no open database; it ends when the daemon it belongs to ends, when the code on disk is no longer what
it imported, and when another one took its place. It keeps nothing of a run: children end, and it never grows.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any, Final

from orchestration import dbt, dbt_ahead, forked, helper, warm
from orchestration.dbt_ahead import Parsed
from warehouse.errors import EduplanError
from warehouse.lease import Owner, start_tick
from warehouse.ledger import Ledger
from warehouse.paths import Home

# Ended because it should; could not become what it is for.
_DONE, _UNFIT = 0, 4
_LOOK_SECONDS: Final = 1.0
_CODE_SECONDS: Final = 10
_READ_SECONDS: Final = 2.0
_QUEUE: Final = 8
_IMPORTS: Final = (
    "dagster._cli.api",
    "orchestration.definitions",
    "orchestration.event_log",
    "orchestration.steps",
    "sources.rereading",
    "sources.parsers.census",
    "sources.parsers.teacher",
    "sources.parsers.finance",
    "sources.parsers.flat",
    "sources.parsers.official",
    "sources.reading",
    "sources.intake",
    "dbt.cli.main",
    # What signing imports when it is asked.
    "google.protobuf.json_format",
    "in_toto_attestation.v1.statement",
    "securesystemslib.dsse",
    "securesystemslib.signer",
    # What Dagster imports when it opens an instance and begins a run.
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.daemon_cursor",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "dagster._utils.test.definitions",
    "structlog",
    # What the gate and the readers of files import when they are asked.
    "duckdb_engine",
    "expectations.attribution",
    "expectations.dialect",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
)

log = logging.getLogger(__name__)


def main() -> None:
    """Serve; the process id of the owner is the only argument."""
    sys.exit(serve(Owner.of(int(sys.argv[1]))))


def serve(owner: Owner) -> int:
    """Serve the home of EDUPLAN_HOME until there is a reason to end; returns the exit code."""
    home = Home.from_env()
    # Another one that serves already is as good.
    if not warm.wanted(home) or warm.answers(home):
        return _DONE
    code = warm.code_state()
    parsed = _load(home)
    if warm.code_state() != code:
        return _DONE
    if parsed is None or not forked.alone():
        log.warning("warm process unfit: parsed %s, %d threads", parsed is not None, forked.threads())
        return _UNFIT
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    with closing(listen(home)) as listener:
        Server(home, listener, owner, code, lambda order: _become_run(home, parsed, order), _report_dead).run()
    return _DONE


def _end(*_: object) -> None:
    raise SystemExit(_DONE)


def _load(home: Home) -> Parsed | None:
    """Import all a run imports and parse the dbt project, without leaving a thread or a connection behind."""
    import gc

    import duckdb

    import expectations
    from expectations.known import tables_read
    from sources.intake import contract_versions
    from warehouse.disclosure_policy import policy
    from warehouse.names import vocabulary
    from warehouse.program import program_digest

    for name in _IMPORTS:
        importlib.import_module(name)
    _resolve_jobs()
    expectations.warm()
    # Contracts, rules and policies are read once here instead of once a run.
    contract_versions()
    expectations.rules_version()
    tables_read(expectations.rules())
    policy()
    vocabulary()
    program_digest()
    # A ledger that is away is asked again by the run that needs it.
    with suppress(EduplanError), closing(Ledger(home.ledger_url)) as ledger:
        ledger.deliveries()
    # Importing the driver opens a database in memory, with threads.
    duckdb.default_connection().close()
    # A project that has changed is read by a parser that starts threads: a child does that and leaves its cache.
    os.waitpid(forked.fork(lambda: dbt.parse_warm(home) is None), 0)
    parsed = dbt.parse_warm(home)
    duckdb.default_connection().close()
    gc.collect()
    # Pages that children only read stay shared.
    gc.freeze()
    return parsed


def _resolve_jobs() -> None:
    from orchestration import keys
    from orchestration.definitions import defs

    for name in (keys.JOB, keys.REREADING_JOB):
        defs.resolve_job_def(name)


def listen(home: Home) -> socket.socket:
    """Take the home's place to listen, whoever had it. Raises OSError."""
    path = warm.socket_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # From its first moment nobody else may connect.
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(_QUEUE)
    return listener


Order = dict[str, Any]


class Server:
    """The loop: look for orders, for children that ended, and for reasons to end.

    `carry_out` is what a child does with its order; `bury` what another child does when that one ended badly, with the
    order and the exit code. Both return an exit code.
    """

    def __init__(  # noqa: PLR0917 - each is told apart by its type
        self,
        home: Home,
        listener: socket.socket,
        owner: Owner,
        code: str,
        carry_out: Callable[[Order], int],
        bury: Callable[[Order, int], int],
    ) -> None:
        self._owner, self._code, self._listener = owner, code, listener
        self._carry_out, self._bury = carry_out, bury
        self._path = warm.socket_path(home)
        self._place = self._path.stat().st_ino
        # Process id -> the order it carries out.
        self._children: dict[int, Order] = {}

    def run(self) -> None:
        """Serve until there is a reason to end."""
        looks = 0
        while not self._owner.is_dead() and self._is_in_place():
            self._reap()
            if select.select([self._listener], [], [], _LOOK_SECONDS)[0]:
                if not self._serve_one():
                    return
            elif (looks := looks + 1) % _CODE_SECONDS == 0 and not self._is_current():
                return

    def _is_in_place(self) -> bool:
        # Removed with its home, or replaced by one that was started at the same time.
        try:
            return self._path.stat().st_ino == self._place
        except FileNotFoundError:
            return False

    def _is_current(self) -> bool:
        try:
            return warm.code_state() == self._code
        except OSError:
            # Files that go away while they are read are being replaced.
            return False

    def _reap(self) -> None:
        for pid in list(self._children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                order, code = self._children.pop(pid), os.waitstatus_to_exitcode(status)
                if code != 0 and order:
                    # Killed, it could not say so itself; whoever waits for its end need not wait for a time limit.
                    self._children[forked.fork(partial(self._bury, order, code))] = {}

    def _serve_one(self) -> bool:
        """Answer one order; False when this process should end."""
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(_READ_SECONDS)
            # A client that went away is no reason to end.
            with suppress(OSError):
                return self._answer(connection)
        return True

    def _answer(self, connection: socket.socket) -> bool:
        order = _read(connection) if _user_of(connection) == os.getuid() else {}
        if not order:
            return True
        if order.get("ask") != "run":
            _reply(connection, {"pid": os.getpid(), "children": len(self._children), "threads": forked.threads()})
            return True
        if not self._is_current():
            _reply(connection, {"refused": "code changed"})
            return False
        pid = forked.fork(partial(self._in_child, connection, order))
        self._children[pid] = order
        _reply(connection, {"pid": pid, "started": start_tick(pid)})
        return True

    def _in_child(self, connection: socket.socket, order: Order) -> int:
        connection.close()
        self._listener.close()
        return self._carry_out(order)


def _become_run(home: Home, parsed: Parsed, order: Order) -> int:
    """In the child: what can be forked now is, then this process is a run like any other."""
    from sources import reading
    from sources.workers import dismiss_ready, keep_ready

    # The readers last: with them comes the first thread, and none of them is held open by dbt's process, so that they
    # end first when this run dies.
    dbt.fork_ahead(parsed)
    helper.keep_ready()
    keep_ready(reading.limit_memory)
    try:
        return _execute(order["arguments"])
    finally:
        dbt_ahead.dismiss_ready()
        helper.dismiss_ready()
        dismiss_ready()


def _read(connection: socket.socket) -> Order:
    """One order; empty when what was said is none. Raises OSError."""
    with connection.makefile("rb") as lines:
        said = lines.readline(warm.LONGEST_ORDER)
    try:
        order = json.loads(said)
    except ValueError:
        return {}
    return order if isinstance(order, dict) else {}


def _reply(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


def _user_of(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)


def _execute(arguments: Sequence[str]) -> int:
    """Dagster's own command that executes a run which was created before."""
    from dagster._cli.api import api_cli

    api_cli.main(args=list(arguments), prog_name="dagster api", standalone_mode=False)
    return _DONE


def _report_dead(order: Order, code: int) -> int:
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef
    from dagster._serdes import deserialize_value

    with DagsterInstance.from_ref(deserialize_value(order["instance"], InstanceRef)) as instance:
        run = instance.get_run_by_id(order["run_id"])
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, f"运行所在的进程意外结束（{code}）；下一次运行会从最后完整的状态继续。")
    return _DONE
