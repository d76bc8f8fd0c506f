"""The warm process and its forks: it answers, refuses when out of date, and whoever dies harms nobody else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration import forked, warm
from orchestration.forked import ForkedChild
from orchestration.instance import dagster_home, open_instance, run_overrides
from warehouse.errors import Fault
from warehouse.lease import start_tick, this_host
from warehouse.paths import Home, project_root

PATIENCE_SECONDS = 60.0


def until(done: Callable[[], Any]) -> Any:
    """What `done` returns once it is something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := done()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def start(home: Home, code: str = "") -> subprocess.Popen[bytes]:
    """The kit's warm process, listening."""
    environment = {**os.environ, **warm.SINGLE_THREADED}
    command = [sys.executable, "-m", "tests.support.warm_kit", str(home.root), code]
    process = subprocess.Popen(command, env=environment, cwd=project_root())
    until(lambda: warm.answers(home))
    return process


@pytest.fixture(scope="module", autouse=True)
def _switched_on() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(warm.SWITCH, raising=False)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("warm"))


@pytest.fixture
def process(place: Home) -> Iterator[subprocess.Popen[bytes]]:
    running = start(place)
    yield running
    running.kill()
    running.wait()


def order(place: Home, name: str, seconds: float = 0.0) -> dict[str, Any]:
    return {"ask": "run", "file": str(place.root / name), "seconds": seconds}


def text(place: Home, name: str) -> str:
    path = place.root / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def test_an_order_is_carried_out_by_a_child_and_only_its_owner_may_connect(
    place: Home, process: subprocess.Popen[bytes]
) -> None:
    answer = warm.ask(place, order(place, "done"))
    assert answer is not None
    assert answer["pid"] != process.pid
    assert until(lambda: text(place, "done")) == str(process.pid)
    assert warm.socket_path(place).stat().st_mode & 0o777 == 0o600
    state = until(lambda: (found := warm.ask(place, {"ask": "state"})) and found["children"] == 0 and found)
    assert state["threads"] == 1


def test_a_child_that_is_killed_is_reported_and_the_next_order_is_carried_out(
    place: Home, process: subprocess.Popen[bytes]
) -> None:
    answer = warm.ask(place, order(place, "killed", seconds=600))
    assert answer is not None
    assert start_tick(answer["pid"]) == answer["started"] is not None
    os.kill(answer["pid"], signal.SIGKILL)
    assert until(lambda: text(place, "killed")) == "ended with -9"
    assert warm.ask(place, order(place, "after")) is not None
    assert until(lambda: text(place, "after"))
    assert process.poll() is None


def test_killed_it_leaves_its_children_alone_and_the_home_without_a_warm_process(
    place: Home, process: subprocess.Popen[bytes]
) -> None:
    assert warm.ask(place, order(place, "orphan", seconds=0.5)) is not None
    process.kill()
    process.wait()
    # The socket's file is still there; nobody listens.
    assert warm.socket_path(place).exists()
    assert warm.ask(place, {"ask": "state"}) is None
    assert until(lambda: text(place, "orphan"))


def test_nonsense_on_the_socket_changes_nothing(place: Home, process: subprocess.Popen[bytes]) -> None:
    for said in (b"not json\n", b"[]\n", b"{}\n", b""):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(warm.socket_path(place)))
            connection.sendall(said)
    assert warm.answers(place)
    assert process.poll() is None


def test_out_of_date_it_refuses_and_ends(place: Home) -> None:
    process = start(place, "the code as it was before somebody deployed")
    assert warm.ask(place, order(place, "old")) == {"refused": "code changed"}
    assert process.wait(PATIENCE_SECONDS) == 0
    assert not text(place, "old")


def test_without_the_process_that_started_it_it_ends(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    command = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(600)"
    kit = [sys.executable, "-m", "tests.support.warm_kit", str(home.root), ""]
    environment = {**os.environ, **warm.SINGLE_THREADED}
    parent = subprocess.Popen([sys.executable, "-c", command, *kit], env=environment, cwd=project_root())
    state = until(lambda: warm.ask(home, {"ask": "state"}))
    parent.kill()
    parent.wait()
    until(lambda: start_tick(state["pid"]) is None)


def test_it_is_started_once_and_again_when_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    # Another test of this process may have started one for its own home.
    monkeypatch.setattr(warm, "_started", warm._Started())
    monkeypatch.setattr(warm, "_CHILD", [sys.executable, "-m", "tests.support.warm_kit", str(home.root), ""])
    warm.ensure(home)
    first = until(lambda: warm.ask(home, {"ask": "state"}))["pid"]
    warm.ensure(home)
    assert warm.ask(home, {"ask": "state"})["pid"] == first  # type: ignore[index] - it answered a moment ago
    os.kill(first, signal.SIGKILL)

    def again() -> dict[str, Any] | None:
        # As sensors do, tick after tick: at first its end may not be known yet.
        warm.ensure(home)
        return warm.ask(home, {"ask": "state"})

    second = until(again)["pid"]
    assert second != first
    os.kill(second, signal.SIGTERM)


def test_switched_off_or_with_a_path_too_long_for_a_socket_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not warm.wanted(Home(tmp_path / ("long" * 30)))
    monkeypatch.setenv(warm.SWITCH, "0")
    assert not warm.wanted(Home(Path("short")))
    assert warm.ask(Home(Path("short")), {"ask": "state"}) is None


def test_the_digest_of_the_code_follows_every_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for room in ("orchestration", "sources", "expectations", "warehouse"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "module.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(warm, "package_root", lambda: tmp_path)
    seen = {warm.code_state()}
    for room in ("orchestration", "sources", "expectations", "warehouse"):
        (tmp_path / room / "module.py").write_text("changed", encoding="utf-8")
        seen.add(warm.code_state())
    assert len(seen) == 5


# -- forks ------------------------------------------------------------------------------------------------------------


def in_a_process_of_one_thread(code: str) -> str:
    """What a fresh interpreter prints: this one has threads."""
    environment = {**os.environ, **warm.SINGLE_THREADED}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=project_root(), capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_process_with_threads_is_not_forked() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(Fault, match="不能分叉"):
            forked.fork(lambda: 0)
        with pytest.raises(Fault, match="不能分叉"):
            ForkedChild(lambda: 0, ["child"])
    finally:
        stop.set()
        thread.join()


FORKS = """
import os, subprocess, sys
import duckdb
from orchestration.forked import ForkedChild, fork
duckdb.default_connection().close()

def shout():
    for line in sys.stdin:
        print(line.strip().upper(), flush=True)
    return 3

child = ForkedChild(shout, ["shout"])
child.stdin.write(b"one\\ntwo\\n")
rest, _ = child.communicate()
print(rest.decode().split(), child.returncode, child.poll())

def fail():
    raise ValueError("said on its output")

child = ForkedChild(fail, ["fail"])
rest, _ = child.communicate()
print(b"ValueError: said on its output" in rest, child.returncode)

child = ForkedChild(lambda: int(sys.stdin.read() == ""), ["wait"])
try:
    child.wait(0.05)
except subprocess.TimeoutExpired:
    child.kill()
print(child.wait())
pid = fork(lambda: sys.exit("text"))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

from sources.workers import dismiss_ready, keep_ready, new_pool
keep_ready(None)
with new_pool(2) as pool:
    print(pool.submit(os.getppid).result() == os.getpid())
keep_ready(None)
dismiss_ready()
"""


def test_a_forked_child_is_spoken_to_and_waited_for_like_any_process() -> None:
    lines = in_a_process_of_one_thread(FORKS).splitlines()
    # The last line: workers that were forked ahead belong to this process, not to a fork server.
    assert lines == ["['ONE', 'TWO'] 3 3", "True 1", "-9", "1", "True"]


# -- the launcher -----------------------------------------------------------------------------------------------------


def test_a_home_launches_its_runs_warm_and_cancels_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import DagsterInstance, DagsterRun
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.utils import make_new_run_id

    from orchestration.warm_launcher import TAG, WarmRunLauncher

    folder = dagster_home(Home(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    # Started in the background of a shell, a process ignores interrupts, and so would all it starts.
    heeds = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)"
    sleeper = [sys.executable, "-c", f"{heeds}; print(flush=True); time.sleep(600)"]
    with (
        DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance,
        subprocess.Popen(sleeper, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        launcher = instance.run_launcher
        assert isinstance(launcher, WarmRunLauncher)
        place = {"host": this_host(), "pid": process.pid, "started": start_tick(process.pid)}
        stranger = {**place, "started": 1}
        run, other = (
            instance.add_run(DagsterRun(job_name="job", run_id=make_new_run_id(), tags={TAG: json.dumps(told)}))
            for told in (place, stranger)
        )
        assert not launcher.terminate(other.run_id)
        assert process.poll() is None
        assert launcher.terminate(run.run_id)
        assert process.wait(PATIENCE_SECONDS) != 0


def test_the_log_stays_open_for_the_runs_used_last_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import DagsterInstance, DagsterRun
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.utils import make_new_run_id

    from orchestration.event_log import OpenEventLogStorage

    folder = dagster_home(Home(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        log = instance.event_log_storage
        assert isinstance(log, OpenEventLogStorage)
        runs = [DagsterRun(job_name="job", run_id=make_new_run_id()) for _ in range(6)]
        for run in runs:
            instance.add_run(run)
            instance.report_engine_event(f"of {run.run_id}", run)
        mine = [Path(path) for path in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if path.endswith(".db")]
        assert len({path for path in mine if path.parent == folder / "history" / "runs"}) <= 4
        for run in runs:
            events = [
                record.event_log_entry.dagster_event for record in instance.get_records_for_run(run.run_id).records
            ]
            assert [event.message for event in events if event is not None] == [f"of {run.run_id}"]


def test_a_table_that_is_there_is_asked_for_once_and_one_that_is_not_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    from orchestration.event_log import OpenEventLogStorage

    asked: list[str] = []
    stock = SqliteEventLogStorage.has_table

    def counted(log: SqliteEventLogStorage, table_name: str) -> bool:
        asked.append(table_name)
        return stock(log, table_name)

    monkeypatch.setattr(SqliteEventLogStorage, "has_table", counted)
    log = OpenEventLogStorage(str(tmp_path))
    try:
        asked.clear()
        assert [log.has_table("asset_event_tags") for _ in range(3)] == [True] * 3
        assert [log.has_table("no_such_table") for _ in range(2)] == [False] * 2
        assert asked.count("asset_event_tags") <= 1
        assert asked.count("no_such_table") == 2
    finally:
        log.dispose()


def test_a_column_that_is_there_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    from orchestration.event_log import OpenEventLogStorage

    asked: list[str] = []
    stock = SqliteEventLogStorage._has_asset_key_col_on_connection

    def counted(log: SqliteEventLogStorage, connection: sa.Connection, column: str) -> bool:
        asked.append(column)
        return stock(log, connection, column)

    monkeypatch.setattr(SqliteEventLogStorage, "_has_asset_key_col_on_connection", counted)
    log = OpenEventLogStorage(str(tmp_path))
    try:
        assert all(log.has_asset_key_index_cols() for _ in range(3))
        assert [log.has_asset_key_col("no_such_column") for _ in range(2)] == [False] * 2
        assert asked == ["last_materialization_timestamp", "no_such_column", "no_such_column"]
    finally:
        log.dispose()


def test_ticks_and_cursors_are_what_the_stock_storage_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import DagsterInstance
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.scheduler.instigation import TickData, TickStatus
    from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage

    from orchestration.event_log import OpenScheduleStorage

    folder = dagster_home(Home(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))

    def look(number: int) -> None:
        tick = TickData("origin", "folder_arrivals", InstigatorType.SENSOR, TickStatus.STARTED, timestamp=float(number))
        made = storage.create_tick(tick)
        storage.update_tick(made.with_status(TickStatus.SKIPPED, skip_reason=f"look {number}"))

    with DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        storage = instance.schedule_storage
        assert isinstance(storage, OpenScheduleStorage)
        # As the daemon does: several threads at once.
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(look, range(40)))
        database = folder / "schedules" / "schedules.db"
        held = [path for path in Path("/proc/self/fd").iterdir() if os.path.realpath(path) == str(database)]
        assert 1 <= len(held) <= 16
        stock = SqliteScheduleStorage.from_local(str(folder / "schedules"))
        found = stock.get_ticks("origin", "origin")
        assert sorted(tick.skip_reason or "" for tick in found) == sorted(f"look {number}" for number in range(40))
        storage.dispose()
        assert not [path for path in Path("/proc/self/fd").iterdir() if os.path.realpath(path) == str(database)]


def test_an_old_home_and_one_with_a_storage_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Put back what opening an instance sets.
    monkeypatch.setenv("DAGSTER_HOME", "")
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with open_instance(Home(tmp_path)) as instance:
        assert type(instance.event_log_storage).__name__ == "OpenEventLogStorage"
    assert run_overrides(folder)
    (folder / "dagster.yaml").write_text("storage: {sqlite: {base_dir: /nowhere}}\n", encoding="utf-8")
    assert run_overrides(folder) == {}
