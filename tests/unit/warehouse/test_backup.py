"""A home backed up and put back on an empty machine is the same home; what is damaged is named and not put back."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from contextlib import closing
from pathlib import Path

import pytest

from orchestration.steps import open_workbench
from tests.support import candidate_kit as kit
from tests.support.crash_kit import NEW, OLD, die, fingerprint_of, in_child, small_run, strike, value_of
from warehouse import backup as backups
from warehouse import pruned, retention
from warehouse.backup import Backup
from warehouse.errors import Refused, UsageError
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.manifest import current, release_folders
from warehouse.paths import Home
from warehouse.retention_policy import policy_of
from warehouse.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home of two releases, a back-up of it, and its keys."""
    base = tmp_path_factory.mktemp("backup")
    home = Home(base / "home")
    small_run(home, OLD)
    small_run(home, NEW)
    home.key_file.write_bytes(os.urandom(32))
    home.key_file.chmod(0o600)
    (home.receipts / "official_figures").mkdir()
    (home.receipts / "official_figures" / "回执.md").write_text("回执")
    (home.inbox / "official_figures").mkdir()
    (home.inbox / "official_figures" / "等待.csv").write_text("a,b\n")
    sources = base / "sources.yaml"
    sources.write_text("sources: []\n")
    backups.make(home, base / "kept", keys=base / "keys", settings=sources)
    return base


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "base", symlinks=True)


def put_back(base: Path, name: str = "") -> Home:
    home = Home(base / "elsewhere" / "home")
    backup = backups.read(base / "kept", name)
    assert backups.check(base / "kept", backup) == []
    backups.restore(base / "kept", backup, home, keys=base / "keys")
    return home


def tree(home: Home) -> dict[str, bytes]:
    left_out = {"candidates", "locks", "config", "current", "kept", "gate"}
    return {
        path.relative_to(home.root).as_posix(): path.read_bytes()
        for path in home.root.rglob("*")
        if path.is_file()
        and path.relative_to(home.root).parts[0] not in left_out
        and not path.name.startswith("ledger.db")
    }


def test_what_is_put_back_on_an_empty_machine_is_the_same_home(base: Path) -> None:
    first, again = Home(base / "home"), put_back(base)
    assert tree(again) == tree(first)
    assert (again.root / "config" / "sources.yaml").read_text() == "sources: []\n"
    assert verify(again) == []
    assert current(again) is not None
    assert fingerprint_of(again) == fingerprint_of(first)
    assert stat.S_IMODE(again.key_file.stat().st_mode) == 0o600
    waiting = "official_figures/等待.csv"
    assert (again.inbox / waiting).stat().st_mtime_ns == (first.inbox / waiting).stat().st_mtime_ns
    with closing(Ledger(first.ledger_url)) as one, closing(Ledger(again.ledger_url)) as other:
        assert other.journal_entries() == one.journal_entries()
    # And it goes on: the next run on it gives what the next run on the first gives, in the same chain.
    small_run(again, 3.0)
    small_run(first, 3.0)
    assert fingerprint_of(again) == fingerprint_of(first)
    assert value_of(again) == 3.0
    assert verify(again) == []


def test_keys_are_kept_apart_and_only_for_their_owner(base: Path) -> None:
    secret = (base / "home" / "secret.key").read_bytes()
    assert not [path for path in (base / "kept").rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert sorted(path.name for path in (base / "keys").iterdir()) == ["secret.key", "signing.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (base / "keys").iterdir()} == {0o600}
    assert stat.S_IMODE((base / "keys").stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["none", "missing", "another"])
def test_without_the_right_keys_nothing_is_put_back(base: Path, how: str) -> None:
    backup, home = backups.read(base / "kept"), Home(base / "elsewhere" / "home")
    if how == "missing":
        (base / "keys" / "secret.key").unlink()
    elif how == "another":
        (base / "keys" / "secret.key").write_bytes(os.urandom(32))
    with pytest.raises(UsageError, match=r"secret\.key"):
        backups.restore(base / "kept", backup, home, keys=None if how == "none" else base / "keys")
    assert not home.root.exists()


def test_the_second_time_only_what_is_new_is_copied(base: Path) -> None:
    home = Home(base / "home")
    again = backups.make(home, base / "kept")
    assert (again.copied, again.backup.problems) == (0, [])
    small_run(home, 3.0)
    later = backups.make(home, base / "kept")
    assert 0 < later.copied < len(later.backup.files) * 0.6
    names = backups.names(base / "kept")
    assert len(names) == 3
    assert value_of(put_back(base, names[0])) == NEW


def test_what_is_damaged_in_a_backup_is_named_exactly(base: Path) -> None:
    dest, backup = base / "kept", backups.read(base / "kept")
    path, entry = next((path, entry) for path, entry in backup.files.items() if path.startswith("archive/"))
    other_path, other = next((p, e) for p, e in backup.files.items() if p.endswith("marts.duckdb"))
    damaged, missing = backups.object_path(dest, entry.sha256), backups.object_path(dest, other.sha256)
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes() + b"x")
    missing.unlink()
    found = backups.check(dest, backup)
    assert len(found) == 2
    assert any(f"objects/{entry.sha256[:2]}/{entry.sha256}（{path}）内容被改动" in line for line in found)
    assert any(f"缺少 objects/{other.sha256[:2]}/{other.sha256}（{other_path}）" in line for line in found)
    # Taken away and backed up once more it is whole again.
    damaged.unlink()
    again = backups.make(Home(base / "home"), dest)
    assert again.copied == 2
    assert backups.check(dest, again.backup) == []


def test_a_damaged_manifest_and_an_unknown_one_are_told_apart(base: Path) -> None:
    (name,) = backups.names(base / "kept")
    path = base / "kept" / "backups" / f"{name}.json"
    path.write_text(path.read_text().replace('"inbox/', '"../inbox/'))
    with pytest.raises(Refused, match=re.escape(f"{name}.json 已损坏")):
        backups.read(base / "kept")
    with pytest.raises(UsageError, match="没有备份 never"):
        backups.read(base / "kept", "never")
    with pytest.raises(UsageError, match="中没有备份"):
        backups.read(base / "keys")


def test_a_home_that_is_not_empty_is_left_alone(base: Path) -> None:
    home = Home(base / "elsewhere" / "home")
    home.root.mkdir(parents=True)
    (home.root / "something").touch()
    with pytest.raises(Refused, match="不是空的（something）"):
        put_back(base)
    assert [path.name for path in home.root.iterdir()] == ["something"]


@pytest.mark.parametrize(
    ("point", "moment"),
    [
        ("warehouse.backup:_put", "after"),
        ("warehouse.ledger_copy:load", "before"),
        ("warehouse.ledger_copy:load", "after"),
        ("warehouse.backup:replace_symlink", "after"),
    ],
)
def test_a_restore_killed_half_way_blocks_runs_and_goes_on(base: Path, point: str, moment: str) -> None:
    def struck() -> None:
        strike(point, moment, die)
        put_back(base)

    assert in_child(struck) < 0
    home = Home(base / "elsewhere" / "home")
    with pytest.raises(Refused, match="恢复没有完成"), open_workbench(home):
        pytest.fail("a run on half a home")
    put_back(base)
    assert verify(home) == []
    assert value_of(home) == NEW


def test_what_is_not_what_the_ledger_says_is_a_problem_and_never_copied(base: Path) -> None:
    home = Home(base / "home")
    with closing(Ledger(home.ledger_url)) as ledger:
        row = ledger.deliveries()[0]
    original = home.archive / row.sha256[:2] / row.sha256
    original.chmod(0o644)
    original.write_bytes(b"other")
    (record,) = row.tables.values()
    (home.root / record).unlink()
    manifest = release_folders(home)[0] / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("1.0", "1.1"))
    made = backups.make(home, base / "fresh")
    told = "".join(made.backup.problems)
    assert f"{row.sha256} 内容与登记的哈希不符" in told
    assert f"缺少 {record}" in told
    assert "清单与台账登记的不一致" in told
    assert any("备份时已缺" in line for line in backups.check(base / "fresh", made.backup))


def test_a_backup_beside_a_run_is_of_one_moment(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole release is published after the ledger was looked at, while files are copied."""
    home, dest = Home(base / "home"), base / "fresh"
    export = backups.ledger_copy.export

    def then_a_run(ledger: Ledger) -> object:
        found = export(ledger)
        small_run(home, 3.0)
        return found

    monkeypatch.setattr(backups.ledger_copy, "export", then_a_run)
    made = backups.make(home, dest)
    assert made.backup.problems == []
    again = Home(base / "elsewhere" / "home")
    backups.restore(dest, made.backup, again, keys=base / "keys")
    assert value_of(again) == NEW
    assert verify(again) == []


def test_what_was_cleared_away_is_not_missed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(base / "home")
    for value in (3.0, 4.0):
        small_run(home, value)
    rules = "releases: {keep_last: 1, keep_days: 1, keep_monthly: false}\ncandidates: {keep_last: 1, keep_days: 0}\n"
    (home.root / "retention.yaml").write_text(rules)
    monkeypatch.setenv("EDUPLAN_NOW", "2090-01-01T00:00:00+08:00")
    with closing(Ledger(home.ledger_url)) as ledger, retention.alone(home, ledger) as fences:
        going = retention.doomed(home, ledger, policy_of(home))
        gone = retention.clear(home, ledger, going, person="x", fences=fences)
    assert {item.kind for item in gone} >= {pruned.RELEASE, pruned.RECORDS}
    made = backups.make(home, base / "fresh")
    assert made.backup.problems == []
    again = Home(base / "elsewhere" / "home")
    backups.restore(base / "fresh", made.backup, again, keys=base / "keys")
    assert verify(again) == []
    assert (again.root / "retention.yaml").is_file()


def test_places_that_make_no_sense_are_refused(base: Path) -> None:
    home = Home(base / "home")
    with pytest.raises(UsageError, match="在状态目录之内"):
        backups.make(home, home.root / "kept")
    with pytest.raises(UsageError, match="在备份目录之内"):
        backups.make(home, base / "kept", keys=base / "kept" / "keys")
    with exclusive(home, retention.BACKUP_LOCK), pytest.raises(Refused, match="backup"):
        backups.make(home, base / "kept")


def test_a_manifest_reads_back_as_it_was_written(base: Path) -> None:
    (name,) = backups.names(base / "kept")
    told = backups.read(base / "kept")
    content = json.loads((base / "kept" / "backups" / f"{name}.json").read_bytes())
    assert isinstance(told, Backup)
    assert len(told.files) == len(content["files"]) > 20
    with closing(Ledger(Home(base / "home").ledger_url)) as ledger:
        assert told.journal == ledger.journal_head()


def test_the_same_ledger_is_the_same_bytes(base: Path) -> None:
    with closing(Ledger(Home(base / "home").ledger_url)) as ledger:
        assert backups.ledger_copy.export(ledger) == backups.ledger_copy.export(ledger)
        kit.delivery(Home(base / "home"), ledger, "one more")
        assert backups.ledger_copy.export(ledger)[1].head == ledger.journal_head()
