"""One byte in any file, one row in any table of the ledger: verify notices each, and says which it was."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.candidate_kit import copied_home, delivery
from warehouse import ledger_tables as t
from warehouse.alerts import Alert, update
from warehouse.attestation import HEAD_FILE
from warehouse.entering import ArrivalEvent
from warehouse.files import sha256_file
from warehouse.fingerprint import fingerprint
from warehouse.holds import Hold
from warehouse.ledger import Ledger
from warehouse.manifest import MANIFEST_NAME
from warehouse.paths import Home
from warehouse.pruned import CANDIDATE, Pruned
from warehouse.signing import PUBLIC_KEY
from warehouse.verify import verify

# Who works at this moment, who was told: no evidence of anything, so not journaled.
TABLES = sorted(set(t.metadata.tables) - {table.name for table in t.OPERATION})


@pytest.fixture(scope="module")
def whole(twice_released: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two releases, after them a withdrawal, a hold, an alert, something cleared away, a delivery, and an arrival that
    brought nothing new."""
    home = copied_home(twice_released, tmp_path_factory.mktemp("tamper"))
    ledger = Ledger(home.ledger_url)
    ledger.withdraw(ledger.deliveries()[0].delivery_id, reason="误报", person="张科长")
    held = ledger.active_set()[0]
    ledger.record_hold(Hold(held.delivery_id, held.feed, held.area_code, held.period, held.part, "c0", "r1", 1, "c"))
    update(ledger, [Alert("feed_late", "school_census/2025", "缺 3 件")], held.received_at)
    cleared = Pruned(CANDIDATE, "c0", "只留最近几个候选", "张科长", held.received_at.isoformat(), 3, 4096)
    ledger.record_pruned([cleared])
    late = delivery(home, ledger, "after the last release", period=2024)
    arrival = ("folder", "inbox/again.csv", "1-2", late.feed, late.sha256, late.delivery_id, "duplicate", "某区教委")
    ledger.record_event(ArrivalEvent(*arrival, at=late.received_at))
    ledger.close()
    with sqlite3.connect(home.root / "ledger.db") as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert verify(home) == []
    return home


@pytest.fixture(scope="module", autouse=True)
def counted_once() -> Iterator[None]:
    """What `verify` computes of a database depends on its bytes alone, and hundreds of trials leave these as they are:
    the same bytes are counted once, others by the real thing."""
    known: dict[str, str] = {}

    def remembered(database: Path) -> str:
        content = sha256_file(database)
        if content not in known:
            known[content] = fingerprint(database)
        return known[content]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warehouse.verify.fingerprint", remembered)
        yield


def kinds(home: Home) -> list[Path]:
    """Every file that a release, the archive, the records and the quarantine consist of, and their signatures."""
    roots = (home.releases, home.archive, home.records, home.quarantine)
    signed = [home.root / PUBLIC_KEY, home.root / HEAD_FILE]
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file()) + signed


@contextmanager
def flipped(path: Path, place: int) -> Iterator[None]:
    """One byte of the file is another while the block lasts."""
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before[:place] + bytes([before[place] ^ 0x01]) + before[place + 1 :])
    try:
        yield
    finally:
        path.write_bytes(before)


def named(home: Home, path: Path) -> str:
    """What a finding about this file must mention."""
    below = path.relative_to(home.root)
    if path.name == PUBLIC_KEY and len(below.parts) == 1:
        return "公钥"
    if below.parts[0] == "releases":
        return "清单" if path.name == MANIFEST_NAME else "/".join(below.parts[2:])
    return "原件" if below.parts[0] == "archive" else below.as_posix()


def test_one_byte_in_any_file_is_found_and_the_file_is_named(whole: Home) -> None:
    files = kinds(whole)
    assert {path.suffix for path in files} >= {".duckdb", ".parquet", ".csv", ".html", ".json", ".yaml", ""}
    for path in files:
        with flipped(path, path.stat().st_size // 2):
            found = verify(whole)
        assert any(named(whole, path) in line for line in found), (path, found)
    assert verify(whole) == []


def test_any_place_of_a_manifest_may_be_hit(whole: Home) -> None:
    """A manifest that parses as something else must be a finding, never a crash."""
    path = min(whole.releases.glob(f"*/{MANIFEST_NAME}"))
    for place in range(0, path.stat().st_size, 97):
        with flipped(path, place):
            assert verify(whole) != [], place


def test_file_that_is_missing_or_too_much_is_found(whole: Home, tmp_path: Path) -> None:
    for path in kinds(whole):
        away = tmp_path / "away"
        shutil.move(path, away)
        found = verify(whole)
        shutil.move(away, path)
        assert found != [], path
    strangers = [next(whole.releases.iterdir()) / "csv" / "more.csv", whole.archive / "ab" / ("ab" * 32)]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        found = verify(whole)
        path.unlink()
        assert any(path.name in line for line in found), found


# -- ledger -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(whole: Home, tmp_path: Path) -> Home:
    """A home of its own ledger beside the shared files."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    for path in whole.root.iterdir():
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, home.root / path.name)
        elif path.is_symlink():
            (home.root / path.name).symlink_to(path.readlink())
        elif path.is_dir():
            (home.root / path.name).symlink_to(path, target_is_directory=True)
    assert verify(home) == []
    return home


@contextmanager
def forger(home: Home) -> Iterator[sqlite3.Connection]:
    """Somebody with the file in hand, past triggers and constraints; everything is put back."""
    path = home.root / "ledger.db"
    before = path.read_bytes()
    with sqlite3.connect(path) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("PRAGMA ignore_check_constraints = ON")
        yield raw
    raw.close()
    for leftover in home.root.glob("ledger.db*"):
        leftover.unlink()
    path.write_bytes(before)


def checked(home: Home, raw: sqlite3.Connection) -> list[str]:
    raw.commit()
    return verify(home)


@pytest.mark.parametrize("table", TABLES)
def test_any_value_of_any_row_that_is_edited_is_found(copy: Home, table: str) -> None:
    with forger(copy) as raw:
        columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
        newest = raw.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
    assert newest, f"{table} holds no row to try"
    for column in columns:
        with forger(copy) as raw:
            [[value]] = raw.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", [newest]).fetchall()
            forged = value + 1000 if isinstance(value, int) else f"{value or ''}x"
            forged = 1 - value if column in {"passed", "withdrawn"} else forged
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [forged, newest])
            assert checked(copy, raw) != [], f"{table}.{column}"


@pytest.mark.parametrize("table", TABLES)
def test_any_row_that_is_removed_is_found(copy: Home, table: str) -> None:
    with forger(copy) as raw:
        rows = [row[0] for row in raw.execute(f"SELECT rowid FROM {table}")]
    for row in rows:
        with forger(copy) as raw:
            raw.execute(f"DELETE FROM {table} WHERE rowid = ?", [row])
            assert checked(copy, raw) != [], f"{table} {row}"


def test_journal_entries_that_change_places_are_found(copy: Home) -> None:
    with forger(copy) as raw:
        count = raw.execute("SELECT count(*) FROM journal").fetchone()[0]
    for seq in range(1, count):
        with forger(copy) as raw:
            raw.execute("UPDATE journal SET seq = -1 WHERE seq = ?", [seq])
            raw.execute("UPDATE journal SET seq = ? WHERE seq = ?", [seq, seq + 1])
            raw.execute("UPDATE journal SET seq = ? WHERE seq = -1", [seq + 1])
            assert checked(copy, raw) != [], seq


def test_tail_cut_off_with_everything_it_speaks_of_is_found(copy: Home) -> None:
    """The forger removes the newest entries and, to keep the tables in agreement, the rows they stand for."""
    with forger(copy) as raw:
        entries = raw.execute("SELECT seq, kind, payload FROM journal ORDER BY seq").fetchall()
    keyed = {"event": "event_key", "snapshot": "sha256", "candidate": "candidate_id"}
    # An arrival that brought nothing leaves nothing elsewhere: cut off alone, at the very end, it is not missed.
    assert entries[-1][1] == "event"
    for first, _, _ in entries[:-1]:
        with forger(copy) as raw:
            for seq, kind, payload in entries[first - 1 :]:
                if kind in keyed:
                    key = keyed[kind]
                    raw.execute(f"DELETE FROM {kind} WHERE {key} = json_extract(?, ?)", [payload, f"$.{key}"])
                else:
                    table = "record_file" if kind == "records" else kind
                    raw.execute(f"DELETE FROM {table} WHERE journal_seq = ?", [seq])
            raw.execute("DELETE FROM journal WHERE seq >= ?", [first])
            assert checked(copy, raw) != [], first
