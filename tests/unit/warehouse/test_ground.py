"""Paths, clock, files, locks, masking, archive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse import archive, clock, files, lock, paths
from warehouse.errors import EduplanError, Fault, Refused, UsageError
from warehouse.masking import MASK, holds_personal, mask_all, mask_personal
from warehouse.paths import Home


def test_home_comes_from_the_environment_and_hides_addresses(tmp_path: Path) -> None:
    plain = Home.from_env({"EDUPLAN_HOME": str(tmp_path)})
    assert plain.ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    assert plain.finance_url is None
    plain.ensure()
    (plain.sources / "finance.db").touch()
    assert plain.finance_url == f"sqlite:///{tmp_path}/sources/finance.db"
    urls = {"EDUPLAN_LEDGER_URL": "postgresql://a:geheim@h/l", "EDUPLAN_FINANCE_URL": "postgresql://a:geheim@h/f"}
    set_by_url = Home.from_env({"EDUPLAN_HOME": str(tmp_path), **urls})
    assert (set_by_url.ledger_url, set_by_url.finance_url) == tuple(urls.values())
    assert "geheim" not in repr(set_by_url)


def test_the_project_is_found_and_a_wrong_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (paths.project_root() / "dbt_project").is_dir()
    monkeypatch.setenv("EDUPLAN_PROJECT", str(tmp_path))
    with pytest.raises(UsageError, match="EDUPLAN_PROJECT"):
        paths.project_root()


def test_the_clock_is_shanghai_and_settable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2024-12-31T16:30:00+00:00")
    assert clock.now().isoformat() == "2025-01-01T00:30:00+08:00"
    monkeypatch.delenv("EDUPLAN_NOW")
    assert clock.now().utcoffset() is not None
    for wrong in ("2024-12-31T16:30:00", "gestern"):
        with pytest.raises(UsageError):
            clock.parse_instant(wrong)


def test_errors_carry_message_remedy_and_exit_code() -> None:
    assert [kind("甲。", "乙。").exit_code for kind in (EduplanError, Fault, Refused, UsageError)] == [3, 3, 1, 2]
    assert str(Refused("甲。", "乙。")) == "甲。 乙。"


def test_canonical_json_has_one_spelling() -> None:
    value = {"b": Decimal("1.50"), "a": [date(2025, 1, 2), Path("x"), "中"]}
    assert files.canonical_json(value) == '{"a":["2025-01-02","x","中"],"b":"1.50"}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        files.canonical_json(float("nan"))
    with pytest.raises(TypeError):
        files.canonical_json(object())


def test_write_atomic_replaces_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x"
    files.write_atomic(target, b"one")
    files.write_atomic(target, b"two", mode=0o600)
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["x"]


def test_a_symlink_is_flipped_in_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.replace_symlink(tmp_path / "current", name)
        assert (tmp_path / "current").resolve().name == name
    files.fsync_tree(tmp_path)


_HOLDER = """
import sys, time
from pathlib import Path
from warehouse.lock import exclusive, take_lease
from warehouse.paths import Home
home = Home(Path(sys.argv[1]))
with exclusive(home, "run"):
    folder = home.root / "work"; folder.mkdir(); take_lease(folder)
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_names_its_owner_and_dies_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path).ensure()
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Refused, match=f"进程号 {holder.pid}"), lock.exclusive(home, "run", wait=0.1):
            raise AssertionError
        with lock.exclusive(home, "other"):
            assert lock.is_leased(tmp_path / "work")
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with lock.exclusive(home, "run", wait=5):
        assert (home.locks / "run.lock").read_text() == f"{os.getpid()}\n"
    assert not lock.is_leased(tmp_path / "work")


def test_a_lease_is_given_back(tmp_path: Path) -> None:
    lock.take_lease(tmp_path)
    assert lock.is_leased(tmp_path)
    lock.drop_lease(tmp_path)
    assert not lock.is_leased(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["110101199003078515", "11010119900307851X", "电话13812345678。", "110101900307851", "13812345678,13912345678"],
)
def test_numbers_of_persons_are_blacked_out(text: str) -> None:
    masked = mask_personal(text)
    assert MASK in masked
    assert not holds_personal(masked)


@pytest.mark.parametrize(
    "text", ["3150000123", "12500000450389012X", "500103", "12345.67", "20240920", "2138123456789012345", "学校"]
)
def test_codes_and_amounts_stay(text: str) -> None:
    assert mask_personal(text) == text


@given(st.text(alphabet="0123456789X ,身", max_size=40))
def test_masking_leaves_nothing_to_mask(text: str) -> None:
    assert not holds_personal(mask_personal(text))


@given(st.lists(st.text(alphabet="0123456789X \n身", max_size=24) | st.just("电话13812345678。")))
def test_many_texts_are_masked_like_each_of_them(texts: list[str]) -> None:
    assert mask_all(texts) == [mask_personal(text) for text in texts]


def test_the_archive_keeps_bytes_once_and_apart_from_the_original(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    original = tmp_path / "x.csv"
    original.write_bytes(b"one")
    snapshot = archive.store_file(home, original)
    assert archive.store_bytes(home, b"one") == snapshot
    original.write_bytes(b"two")
    assert snapshot.path.read_bytes() == b"one"
    assert archive.is_intact(home, snapshot.sha256)
    snapshot.path.chmod(0o644)
    snapshot.path.write_bytes(b"ons")
    assert not archive.is_intact(home, snapshot.sha256)
    assert len([path for path in home.archive.rglob("*") if path.is_file()]) == 1


def test_a_file_that_changes_while_it_is_copied_is_not_archived(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    original = tmp_path / "x.csv"
    original.write_bytes(b"1" * 100)
    grown: list[bool] = []

    def grow(event: str, arguments: tuple[object, ...]) -> None:
        # The archive opens its own temporary file after it has looked at the original.
        if event == "open" and ".tmp-" in str(arguments[0]) and not grown and str(home.archive) in str(arguments[0]):
            grown.append(True)
            with original.open("ab") as handle:
                handle.write(b"2")

    sys.addaudithook(grow)
    with pytest.raises(Fault, match="被改动"):
        archive.store_file(home, original)
    assert grown
    assert list(home.archive.iterdir()) == []


def test_what_breaks_off_leaves_nothing_in_the_archive(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()

    def chunks() -> object:
        yield b"one"
        raise Fault("断")

    with pytest.raises(Fault):
        archive.store_stream(home, chunks())  # type: ignore[arg-type]
    assert list(home.archive.iterdir()) == []
