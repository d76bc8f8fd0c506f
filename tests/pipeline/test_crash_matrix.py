"""The crash matrix: every blow a run can suffer, against one oracle.

After the blow `current` names one whole release, old or new, and the ledger is sound; after one more run the home is
what an undisturbed run leaves: same fingerprint, nothing twice, nothing left over, and everything verifies.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import pytest

from orchestration.cli.main import _stop
from orchestration.guard import TimedOut, time_limit
from orchestration.steps import open_workbench
from sources import rereading
from tests.support import candidate_kit as kit
from tests.support import crash_kit as crash
from tests.support.crash_kit import NEW, OLD, die, in_child, small_run, strike
from warehouse import candidate as candidates
from warehouse import lease, ledger_tables, release, retention
from warehouse.candidate import Candidate
from warehouse.clock import SHANGHAI, now
from warehouse.errors import Refused, Transient, UsageError
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.retention_policy import policy_of
from warehouse.verdict import Verdict

# Every third kill and every second fault of a disk in the ordinary run, all of them in the long trials.
SOAK = os.environ.get("EDUPLAN_SOAK") == "1"
# Where a run may be killed, in the order in which it comes by. (point, before or after)
KILLS = {
    "before anything": ("warehouse.lease:_take", "before"),
    "with the lease just taken": ("warehouse.lease:_take", "after"),
    "while tidying up behind others": ("warehouse.reconcile:settle_releases", "after"),
    "after landing, before it is archived": ("tests.support.candidate_kit:store_bytes", "before"),
    "archived, before it is read": ("tests.support.candidate_kit:store_bytes", "after"),
    "read, before the ledger knows": ("warehouse.ledger:Ledger.record_all", "before"),
    "in the middle of the ledger's entry": ("warehouse.entering:_write", "after"),
    "entered, before anything is built": ("warehouse.ledger:Ledger.record_all", "after"),
    "with an empty work directory": ("warehouse.candidate:take_lease", "before"),
    "with a leased work directory": ("warehouse.candidate:take_lease", "after"),
    "in the middle of the records schema": ("warehouse.candidate:_create_table", "after"),
    "before dbt": ("tests.support.candidate_kit:fill_marts", "before"),
    "after dbt": ("tests.support.candidate_kit:fill_marts", "after"),
    "built, before it is kept": ("warehouse.kept:_copy", "before"),
    "kept, before anybody is told": ("warehouse.kept:write_sealed", "before"),
    "before the fingerprint": ("warehouse.candidate:table_digests", "before"),
    "fingerprinted, not yet on disk": ("warehouse.candidate:fsync_tree", "before"),
    "on disk, before its name": ("warehouse.candidate:drop_lease", "after"),
    "sealed": ("warehouse.candidate:seal", "after"),
    "sealed and recorded": ("warehouse.ledger:Ledger.record_candidate", "after"),
    "judged, before the ledger knows": ("warehouse.ledger:Ledger.record_verdict", "before"),
    "between verdict and its file": ("warehouse.ledger:Ledger.record_verdict", "after"),
    "between verdict and publication": ("tests.support.crash_kit:publish", "before"),
    "while checking the proof": ("warehouse.release:_check_proof", "after"),
    "with half a release": ("warehouse.release:copy_marts", "after"),
    "before the manifest": ("warehouse.release:_write_documents", "after"),
    "release not yet on disk": ("warehouse.release:fsync_tree", "before"),
    "release on disk, before its name": ("warehouse.release:fsync_tree", "after"),
    "between release and flip": ("warehouse.release:_flip", "before"),
    "with the new link beside the old": ("warehouse.files:fsync_dir", "before"),
    "between flip and ledger": ("warehouse.release:_flip", "after"),
    "after the ledger, before the leases are freed": ("warehouse.lease:Fence.free", "before"),
}

# Where a disk may be full or a volume fail (errno).
STARVED = {
    "disk full while archiving": ("warehouse.archive:fsync_dir", errno.ENOSPC),
    "disk full while building": ("tests.support.candidate_kit:fill_marts", errno.ENOSPC),
    "disk full while sealing": ("warehouse.candidate:fsync_tree", errno.ENOSPC),
    "disk full while writing the marts": ("warehouse.release:copy_marts", errno.ENOSPC),
    "disk full while writing the report": ("warehouse.release:pretty_json", errno.ENOSPC),
    "disk full while syncing the release": ("warehouse.release:fsync_tree", errno.ENOSPC),
    "disk full at the flip": ("warehouse.release:replace_symlink", errno.ENOSPC),
    "volume read-only at the flip": ("warehouse.release:replace_symlink", errno.EROFS),
    "quota used up while building": ("warehouse.candidate:_create_records", errno.EDQUOT),
    "input and output fail while sealing": ("warehouse.candidate:fsync_tree", errno.EIO),
    "no descriptors left at the ledger": ("warehouse.ledger:Ledger.record_all", errno.EMFILE),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose current release says OLD."""
    home = Home(tmp_path_factory.mktemp("crash") / "home")
    small_run(home, OLD)
    return home.root


@pytest.fixture(scope="module")
def undisturbed(published: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint an undisturbed second run leads to."""
    home = Home(shutil.copytree(published, tmp_path_factory.mktemp("undisturbed") / "home", symlinks=True))
    small_run(home)
    release = current(home)
    # Once more: nothing to do, nothing done.
    small_run(home)
    assert current(home) == release
    return crash.fingerprint_of(home)


@pytest.fixture
def home(published: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(published, tmp_path / "home", symlinks=True))


def converge(home: Home, undisturbed: str) -> None:
    crash.assert_whole(home)
    small_run(home)
    crash.assert_converged(home, undisturbed)


@pytest.fixture(scope="module")
def left_behind(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each of KILLS, by its number, the home as `kill -9` there leaves it.

    A killed process leaves what the files held at that moment, and nobody who holds its locks or its lease: what a copy
    of the files holds once the process is gone. So one run that ends by a kill passes by all points and copies its home
    at each, instead of thirty runs that end there.
    """
    folder = tmp_path_factory.mktemp("killed")
    home = Home(shutil.copytree(published, folder / "home", symlinks=True))

    def struck() -> None:
        for number, (point, moment) in enumerate(KILLS.values()):
            strike(point, moment, partial(_copy_once, home, folder / str(number)))
        small_run(home)
        die()

    assert in_child(struck) == -signal.SIGKILL
    return folder


def _copy_once(home: Home, target: Path) -> None:
    """The home as it is when the run comes by for the first time."""
    if not target.exists():
        shutil.copytree(home.root, target, symlinks=True)


@pytest.mark.parametrize("case", list(KILLS)[:: 1 if SOAK else 3])
def test_killed(left_behind: Path, undisturbed: str, case: str) -> None:
    home = Home(left_behind / str(list(KILLS).index(case)))
    assert home.root.exists(), "the run never came by this point"
    converge(home, undisturbed)


@pytest.mark.parametrize("case", list(STARVED)[:: 1 if SOAK else 2])
def test_starved(home: Home, undisturbed: str, case: str) -> None:
    point, number = STARVED[case]
    told = home.root.parent / "told"

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    def struck() -> None:
        strike(point, "before", fail)
        try:
            small_run(home)
        except OSError as error:
            told.write_text(str(error.errno))

    assert in_child(struck) == 0
    assert told.read_text() == str(number), "the fault was not told to the caller"
    assert crash.value_of(home) == OLD
    converge(home, undisturbed)


# -- blows on what cleans up ------------------------------------------------------------------------------------------


def killed_at(home: Home, point: str, moment: str) -> None:
    def struck() -> None:
        strike(point, moment, die)
        small_run(home)

    assert in_child(struck) == -signal.SIGKILL


def crash_during_rollback(home: Home, _: pytest.MonkeyPatch) -> None:
    """Killed before the flip, and again while the next run removes what was left."""
    killed_at(home, "warehouse.release:_flip", "before")
    killed_at(home, "warehouse.reconcile:_settle", "after")


def crash_while_sweeping(home: Home, _: pytest.MonkeyPatch) -> None:
    killed_at(home, "tests.support.candidate_kit:fill_marts", "after")
    killed_at(home, "warehouse.candidate:is_leased", "after")


def crash_again_and_again_at_the_same_point(home: Home, _: pytest.MonkeyPatch) -> None:
    for _attempt in range(3):
        killed_at(home, "warehouse.release:_flip", "before")


def retry_after_partial_success(home: Home, _: pytest.MonkeyPatch) -> None:
    """Delivered, built and judged; the same delivery handed in again before it is published."""
    killed_at(home, "tests.support.crash_kit:publish", "before")
    with closing(Ledger(home.ledger_url)) as ledger:
        kit.delivery(home, ledger, f"delivery {NEW} ")


def corrupt_wal(home: Home, _: pytest.MonkeyPatch) -> None:
    killed_at(home, "tests.support.candidate_kit:fill_marts", "after")
    (work,) = home.candidates.glob(".building-*")
    (work / "candidate.duckdb.wal").write_bytes(b"\0garbage" * 100)


def garbage_behind_the_ledgers_wal(home: Home, _: pytest.MonkeyPatch) -> None:
    """A torn write at the end of SQLite's write-ahead log, as a power cut leaves it."""
    killed_at(home, "warehouse.ledger:Ledger.record_candidate", "after")
    with (home.root / "ledger.db-wal").open("ab") as log:
        log.write(os.urandom(1000))


def truncated_parquet(home: Home, _: pytest.MonkeyPatch) -> None:
    """Somebody's half-copied file among the records: they are read by the ledger's list, never by what lies about."""
    folder = home.records / "official_figures" / "d0000-00000000"
    folder.mkdir(parents=True)
    (folder / "official_figures__figure.parquet").write_bytes(b"PAR1\0\0")


def out_of_memory(home: Home, _: pytest.MonkeyPatch) -> None:
    def struck() -> None:
        def starve() -> None:
            raise MemoryError

        strike("tests.support.candidate_kit:fill_marts", "before", starve)
        small_run(home)

    assert in_child(struck) == 1
    assert crash.value_of(home) == OLD


def out_of_descriptors(home: Home, _: pytest.MonkeyPatch) -> None:
    def struck() -> None:
        def starve() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))

        strike("warehouse.release:_build", "before", starve)
        small_run(home)

    # DuckDB may abort the whole process where it cannot open a file; that is one more way to die.
    assert in_child(struck) in {1, -signal.SIGABRT}
    assert crash.value_of(home) == OLD


def ledger_locked(home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger_tables, "BUSY_MILLISECONDS", 50)
    with closing(sqlite3.connect(home.root / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="台账"):
            small_run(home)
        other.execute("ROLLBACK")


def the_ledgers_disk_is_full(home: Home, patch: pytest.MonkeyPatch) -> None:
    """SQLite itself says so, in the middle of an entry; what may pass is told as such."""
    with patch.context() as inner:
        settings = ledger_tables._set_pragmas

        def no_room(connection: sqlite3.Connection, record: object) -> None:
            settings(connection, record)
            # A limit below what is used already leaves the pages there are and not one more.
            connection.execute("PRAGMA max_page_count=1").close()

        inner.setattr(ledger_tables, "_set_pragmas", no_room)
        with closing(Ledger(home.ledger_url)) as ledger, pytest.raises(Transient, match="full"):
            for number in range(200):
                kit.delivery(home, ledger, f"number {number}", period=number)
    # What was entered before the disk was full is withdrawn, so that both ways lead to the same marts.
    with closing(Ledger(home.ledger_url)) as ledger:
        assert ledger.findings() == []
        for row in ledger.deliveries():
            if row.period:
                ledger.withdraw(row.delivery_id, reason="试验", person="甲")
    for path in home.archive.glob("*/*"):
        if path.name not in _known(home):
            # Archived, and then the ledger had no room for it: an intake would take it in now.
            path.unlink()


def _known(home: Home) -> set[str]:
    with closing(Ledger(home.ledger_url)) as ledger:
        return {row.sha256 for row in ledger.deliveries()}


def a_slow_volume(home: Home, patch: pytest.MonkeyPatch) -> None:
    """Syncing takes several times as long as the lease holds: it is renewed meanwhile, and nobody takes over."""
    with patch.context() as inner:
        inner.setenv("EDUPLAN_LEASE_SECONDS", "0.3")
        sync = release.fsync_tree

        def slowly(folder: Path) -> None:
            time.sleep(1.0)
            sync(folder)

        inner.setattr(release, "fsync_tree", slowly)
        small_run(home)
    assert crash.value_of(home) == NEW


def gate_hangs(home: Home, patch: pytest.MonkeyPatch) -> None:
    """A gate that does not answer has not said yes."""
    patch.setenv("EDUPLAN_LIMIT_JUDGE", "0.1")

    def judged(*_: object) -> None:
        with time_limit("judge"):
            threading.Event().wait(30)

    with patch.context() as inner, pytest.raises(TimedOut):
        inner.setattr(kit, "judged", judged)
        small_run(home)
    assert crash.value_of(home) == OLD


def terminated(home: Home, times: int) -> None:
    """SIGTERM while dbt would be at work, once or twice, with the handler of the command line."""
    ready, pipe = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGTERM, _stop)

            def wait() -> None:
                os.write(pipe, b"x")
                time.sleep(30)

            strike("tests.support.candidate_kit:fill_marts", "before", wait)
            small_run(home)
        except KeyboardInterrupt:
            code = 3
        finally:
            os._exit(code)
    os.read(ready, 1)
    for _ in range(times):
        os.kill(pid, signal.SIGTERM)
    assert crash.ended(pid) == 3
    os.close(ready)
    os.close(pipe)
    assert not list(home.candidates.glob(".building-*"))


def sigterm(home: Home, _: pytest.MonkeyPatch) -> None:
    terminated(home, 1)


def sigterm_twice(home: Home, _: pytest.MonkeyPatch) -> None:
    terminated(home, 2)


def code_deployed_during_a_run(home: Home, patch: pytest.MonkeyPatch) -> None:
    with patch.context() as inner:
        fill = kit.fill_marts

        def deploy(database: Path, value: float) -> None:
            fill(database, value)
            inner.setattr(candidates, "code_digest", lambda: "another")

        inner.setattr(kit, "fill_marts", deploy)
        with pytest.raises(Refused, match="代码有更新"):
            small_run(home)
    assert crash.value_of(home) == OLD
    assert not list(home.candidates.glob(".building-*"))


# -- concurrency ------------------------------------------------------------------------------------------------------


def two_runs_at_once(home: Home, _: pytest.MonkeyPatch) -> None:
    """Two processes start at the same moment: one does the work, the other yields or finds it done."""
    pids = []
    for _number in range(2):
        pid = os.fork()
        if pid == 0:
            code = 9
            try:
                small_run(home)
                code = 0
            except Refused as refusal:
                code = 1 if "run" in str(refusal) else 8
            finally:
                os._exit(code)
        pids.append(pid)
    codes = sorted(crash.ended(pid) for pid in pids)
    assert codes in ([0, 0], [0, 1])
    assert crash.value_of(home) == NEW


def two_publishers(home: Home, _: pytest.MonkeyPatch) -> None:
    with closing(Ledger(home.ledger_url)) as ledger:
        candidate = kit.make_candidate(home, ledger, NEW)
        verdict = kit.judged(ledger, candidate)
        with lease.held(home, ledger, "publish"), pytest.raises(Refused, match="publish"):
            publish(home, ledger, candidate, verdict, artefacts=kit.REPORT)


def a_run_that_lost_its_lease(home: Home, _: pytest.MonkeyPatch) -> None:
    """Frozen for so long that another machine took over; then it wakes up and wants to publish."""
    with open_workbench(home) as bench:
        with bench.ledger.writing() as connection:
            values = {"token": bench.fence.token + 1, "host": "elsewhere", "expires_at": now().isoformat()}
            connection.execute(ledger_tables.lease.update().values(**values))
        with pytest.raises(Refused, match="接管"):
            crash.carry_on(bench, OLD)
    assert crash.value_of(home) == OLD


def a_cancelled_run(home: Home, _: pytest.MonkeyPatch) -> None:
    """Cancelled from the page, Dagster raises in the step; nothing stays occupied."""
    with pytest.raises(KeyboardInterrupt), open_workbench(home) as bench:
        bench.build = candidates.begin(home, bench.ledger.active_set(crash.VERSIONS), kit.FEEDS)
        raise KeyboardInterrupt
    with closing(Ledger(home.ledger_url)) as ledger:
        standing = lease.standing(ledger, "run")
    assert standing is not None
    assert standing.is_free(now())


def the_lease_of_a_machine_that_is_gone(home: Home, _: pytest.MonkeyPatch) -> None:
    with closing(Ledger(home.ledger_url)) as ledger, ledger.writing() as connection:
        values = {"host": "elsewhere/boot/pid:[1]", "pid": 7, "expires_at": "2020-01-01T00:00:00+08:00"}
        connection.execute(ledger_tables.lease.update().values(**values))


def the_lease_of_a_machine_at_work(home: Home, _: pytest.MonkeyPatch) -> None:
    with closing(Ledger(home.ledger_url)) as ledger:
        for end in ("2999-01-01T00:00:00+08:00", "2020-01-01T00:00:00+08:00"):
            with ledger.writing() as connection:
                values = {"host": "elsewhere/boot/pid:[1]", "pid": 7, "expires_at": end}
                connection.execute(ledger_tables.lease.update().values(**values))
            if end.startswith("2999"):
                with pytest.raises(Refused, match="elsewhere"):
                    small_run(home)


def a_reader_across_the_flip(home: Home, _: pytest.MonkeyPatch) -> None:
    """A query that began before the flip ends on the old release, a new one sees the new."""
    with duckdb.connect(str(home.current.resolve() / "marts.duckdb"), read_only=True) as reader:
        small_run(home)
        seen = reader.execute("SELECT DISTINCT value FROM marts.marts.fct_indicator_value").fetchall()
    assert seen == [(OLD,)]
    assert crash.value_of(home) == NEW


def a_long_reader_while_old_releases_are_pruned(home: Home, patch: pytest.MonkeyPatch) -> None:
    """Somebody's evaluation of a release that goes meanwhile ends on what it began with; the chain still verifies."""
    small_run(home, 3.0)
    reading = home.current.resolve()
    (home.root / "retention.yaml").write_text("releases: {keep_last: 1, keep_days: 1, keep_monthly: false}\n")
    with duckdb.connect(str(reading / "marts.duckdb"), read_only=True) as reader:
        small_run(home, 4.0)
        small_run(home)
        with patch.context() as inner, closing(Ledger(home.ledger_url)) as ledger:
            inner.setenv("EDUPLAN_NOW", "2098-01-01T00:00:00+08:00")
            with retention.alone(home, ledger) as fences:
                going = retention.doomed(home, ledger, policy_of(home))
                retention.clear(home, ledger, going, person="甲", fences=fences)
            assert [item.name for item in ledger.pruned() if item.kind == "release"] == [reading.name]
        seen = reader.execute("SELECT DISTINCT value FROM marts.marts.fct_indicator_value").fetchall()
    assert seen == [(3.0,)]
    assert not (reading / "marts.duckdb").exists()


def pruning_beside_a_run(home: Home, _: pytest.MonkeyPatch) -> None:
    with open_workbench(home) as bench:
        with pytest.raises(Refused, match="run"), retention.alone(home, bench.ledger):
            pytest.fail("cleared away under a run")
        crash.carry_on(bench, OLD)


def a_correction_during_the_gate(home: Home, patch: pytest.MonkeyPatch) -> None:
    """What arrives while a candidate is judged is in the next release and not half in this one."""
    with patch.context() as inner:
        judge = kit.judged

        def then_a_correction(ledger: Ledger, candidate: Candidate) -> Verdict:
            verdict = judge(ledger, candidate)
            kit.delivery(home, ledger, f"delivery {NEW} ")
            return verdict

        inner.setattr(kit, "judged", then_a_correction)
        small_run(home, OLD)
    standing = current(home)
    assert standing is not None
    assert len(standing.manifest["inputs"]["deliveries"]) == 1
    assert crash.value_of(home) == OLD


def the_same_event_twice(home: Home, _: pytest.MonkeyPatch) -> None:
    with closing(Ledger(home.ledger_url)) as ledger:
        for _number in range(3):
            kit.delivery(home, ledger, f"delivery {NEW} ")
        assert len(ledger.deliveries()) == 2


def rereading_beside_intake(home: Home, _: pytest.MonkeyPatch) -> None:
    """A backfill beside a live event: it yields with a message, and the event is not disturbed."""
    with closing(Ledger(home.ledger_url)) as ledger, exclusive(home, "intake"), pytest.raises(Refused, match="intake"):
        rereading.read_again(home, ledger, rereading.Selection())


# -- clock ------------------------------------------------------------------------------------------------------------


def clock_steps_back(home: Home, patch: pytest.MonkeyPatch) -> None:
    """A release made with the clock a year behind still follows the one before it."""
    before = current(home)
    patch.setenv("EDUPLAN_NOW", "2019-01-01T00:00:00+08:00")
    small_run(home)
    after = current(home)
    assert before is not None
    assert after is not None
    assert after.release_id > before.release_id


def year_end_in_two_zones(home: Home, patch: pytest.MonkeyPatch) -> None:
    """Half past four in the afternoon of the last day of 2098 in UTC is half past midnight of 2099 in the city."""
    patch.setenv("EDUPLAN_NOW", "2098-12-31T16:30:00+00:00")
    small_run(home)
    standing = current(home)
    assert standing is not None
    assert standing.release_id.startswith("20990101T003000+0800-")


def leap_day(home: Home, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("EDUPLAN_NOW", "2096-02-29T12:00:00+08:00")
    small_run(home)
    standing = current(home)
    assert standing is not None
    assert standing.release_id.startswith("20960229T120000+0800-")


def clock_without_a_zone(home: Home, patch: pytest.MonkeyPatch) -> None:
    with patch.context() as inner, pytest.raises(UsageError, match="时区"):
        inner.setenv("EDUPLAN_NOW", "2025-09-30T10:15:00")
        small_run(home)


def an_event_dated_in_the_future(home: Home, _: pytest.MonkeyPatch) -> None:
    """Stamped by a machine years ahead: what comes after it counts, for arrivals are numbered, not dated."""
    with closing(Ledger(home.ledger_url)) as ledger:
        kit.delivery(home, ledger, "ahead", received_at=datetime(2090, 1, 1, tzinfo=SHANGHAI))


def a_lease_from_the_future(home: Home, patch: pytest.MonkeyPatch) -> None:
    """Taken while the clock was years ahead, by a process of this machine that is gone: no waiting for years."""
    with patch.context() as inner:
        inner.setenv("EDUPLAN_NOW", "2090-01-01T00:00:00+08:00")
        killed_at(home, "warehouse.ledger:Ledger.record_all", "before")


BLOWS: list[Callable[[Home, pytest.MonkeyPatch], None]] = [
    crash_during_rollback,
    crash_while_sweeping,
    crash_again_and_again_at_the_same_point,
    retry_after_partial_success,
    corrupt_wal,
    garbage_behind_the_ledgers_wal,
    truncated_parquet,
    out_of_memory,
    out_of_descriptors,
    ledger_locked,
    the_ledgers_disk_is_full,
    a_slow_volume,
    gate_hangs,
    sigterm,
    sigterm_twice,
    code_deployed_during_a_run,
    two_runs_at_once,
    two_publishers,
    a_run_that_lost_its_lease,
    a_cancelled_run,
    the_lease_of_a_machine_that_is_gone,
    the_lease_of_a_machine_at_work,
    a_reader_across_the_flip,
    a_long_reader_while_old_releases_are_pruned,
    pruning_beside_a_run,
    a_correction_during_the_gate,
    the_same_event_twice,
    rereading_beside_intake,
    clock_steps_back,
    year_end_in_two_zones,
    leap_day,
    clock_without_a_zone,
    an_event_dated_in_the_future,
    a_lease_from_the_future,
]


@pytest.mark.parametrize("blow", BLOWS, ids=lambda blow: blow.__name__)
def test_disturbed(home: Home, undisturbed: str, monkeypatch: pytest.MonkeyPatch, blow: Callable[..., None]) -> None:
    with monkeypatch.context() as patch:
        blow(home, patch)
    converge(home, undisturbed)
