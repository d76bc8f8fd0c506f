from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.support.candidate_kit import copied_home
from warehouse.errors import Fault, Refused
from warehouse.files import replace_symlink
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current
from warehouse.paths import Home
from warehouse.release import releases
from warehouse.verify import verify

Pair = tuple[Release, Release]


@pytest.fixture
def home(twice_released: Home, tmp_path: Path) -> Home:
    return copied_home(twice_released, tmp_path)


@pytest.fixture
def pair(home: Home) -> Pair:
    """Two releases, the second current."""
    assert verify(home) == []
    first, second = releases(home)
    return first, second


def _edit(path: Path, old: bytes, new: bytes) -> None:
    path.chmod(0o644)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def _edit_report(_home: Home, release: Release) -> None:
    _edit(release.path / "quality" / "index.html", "质量".encode(), "优秀".encode())


def _edit_parquet(_home: Home, release: Release) -> None:
    _edit(release.path / "parquet" / "fct_indicator_value.parquet", b"PAR1", b"PAR2")


def _remove_csv(_home: Home, release: Release) -> None:
    (release.path / "csv" / "fct_indicator_value.csv").unlink()


def _add_file(_home: Home, release: Release) -> None:
    (release.path / "extra.txt").write_text("x")


def _edit_marts(_home: Home, release: Release) -> None:
    path = release.path / "marts.duckdb"
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE marts.marts.fct_indicator_value SET value = 9")


def _edit_manifest(_home: Home, release: Release) -> None:
    _edit(release.path / "manifest.json", b'"data_version": "1.0.0"', b'"data_version": "9.0.0"')


def _break_manifest(_home: Home, release: Release) -> None:
    _edit(release.path / "manifest.json", b"{", b"")


def _edit_archive(home: Home, release: Release) -> None:
    sha256 = release.manifest["inputs"]["deliveries"][0]["sha256"]
    _edit(home.archive / sha256[:2] / sha256, b"delivery", b"forgery!")


def _remove_release(_home: Home, release: Release) -> None:
    release.path.rename(release.path.parent.parent / "gone")


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [
        (_edit_report, "内容被改动"),
        (_edit_parquet, "内容被改动"),
        (_remove_csv, "缺少文件"),
        (_add_file, "多出文件"),
        (_edit_marts, "marts.duckdb 内容被改动"),
        (_edit_manifest, "清单与台账登记的不一致"),
        (_break_manifest, "清单读不出来"),
        (_edit_archive, "原件缺失或被改动"),
        (_remove_release, "没有对应目录"),
    ],
)
def test_tampering_with_files_is_found(
    home: Home, pair: Pair, tamper: Callable[[Home, Release], None], finding: str
) -> None:
    tamper(home, pair[0])
    assert any(finding in line for line in verify(home)), verify(home)


def test_an_old_release_replayed_is_found(home: Home, pair: Pair) -> None:
    replace_symlink(home.current, f"releases/{pair[0].release_id}")
    assert any("最新的发布" in line for line in verify(home))


def test_a_journal_whose_tail_was_cut_is_found(home: Home, pair: Pair, ledger: Ledger) -> None:
    with sqlite3.connect(home.root / "ledger.db") as raw:
        raw.execute("DROP TRIGGER journal_no_delete")
        [[anchor]] = raw.execute("SELECT max(journal_seq) FROM release")
        for table, column in (("release", "journal_seq"), ("verdict", "journal_seq"), ("journal", "seq")):
            raw.execute(f"DELETE FROM {table} WHERE {column} >= ?", [anchor - 1])
        raw.execute("DELETE FROM candidate WHERE recorded_at = (SELECT max(recorded_at) FROM candidate)")
    found = verify(home)
    assert ledger.findings() == []
    assert any("不在台账中" in line for line in found)


def test_a_journal_rewritten_before_a_release_is_found(home: Home, pair: Pair) -> None:
    with sqlite3.connect(home.root / "ledger.db") as raw:
        raw.execute("DROP TRIGGER journal_no_update")
        raw.execute("UPDATE journal SET hash = replace(hash, 'a', 'b')")
    assert any("截断或重写" in line for line in verify(home))


def test_one_release_can_be_verified_alone(home: Home, pair: Pair) -> None:
    _edit_report(home, pair[0])
    assert verify(home, pair[1].release_id) == []
    assert verify(home, pair[0].release_id) != []
    with pytest.raises(Refused, match="没有发布"):
        verify(home, "none")


def test_a_damaged_current_release_stops_reconciling_when_unrecorded(home: Home, pair: Pair, ledger: Ledger) -> None:
    with sqlite3.connect(home.root / "ledger.db") as raw:
        raw.execute("DELETE FROM release WHERE release_id = ?", [pair[1].release_id])
    _edit_report(home, pair[1])
    with pytest.raises(Fault, match="不完整"):
        ledger.reconcile(home)
    assert current(home) == pair[1]
