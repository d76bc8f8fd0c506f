"""`eduplan prune`, `backup` and `restore` as a person types them, and what the looking commands say afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command import eduplan
from tests.support.crash_kit import OLD, small_run
from warehouse.manifest import release_folders
from warehouse.paths import Home

LATER = "2090-01-01T00:00:00+08:00"
POLICY = "releases: {keep_last: 1, keep_days: 1, keep_monthly: false}\ncandidates: {keep_last: 1, keep_days: 0}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("keeping") / "home")
    for value in (OLD, 3.0, 4.0, 5.0):
        small_run(home, value)
    (home.root / "retention.yaml").write_text(POLICY)
    return home.root


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "home", symlinks=True)


def test_clearing_away_is_listed_first_then_done_and_told_everywhere(home: Path) -> None:
    first, second, third, _ = (path.name for path in release_folders(Home(home)))
    listed = eduplan(home, "prune", "--dry-run", EDUPLAN_NOW=LATER).stdout
    assert f"将清理 发布的数据 {second}" in listed
    assert (home / "releases" / second / "marts.duckdb").is_file()
    done = json.loads(eduplan(home, "prune", "--by", "运维甲", "--json", EDUPLAN_NOW=LATER).stdout)
    releases = [item for item in done["entries"] if item["kind"] == "release"]
    assert [(item["name"], item["person"]) for item in releases] == [(second, "运维甲")]
    assert "没有需要清理" in eduplan(home, "prune", EDUPLAN_NOW=LATER).stdout
    assert "1 次发布的数据" in eduplan(home, "verify").stdout
    assert "eduplan rebuild" in eduplan(home, "verify", second).stdout
    assert "数据已清理" in eduplan(home, "releases").stdout
    told = {item["release_id"]: item["pruned"] for item in json.loads(eduplan(home, "releases", "--json").stdout)}
    assert [told[name] for name in (first, second, third)] == [False, True, False]
    for question in (("diff", first, second), ("explain", "pre_enrolment", "--release", second)):
        refused = eduplan(home, *question, expect=1).stderr
        assert "已按留存规则清理（2090-01-01" in refused
        assert f"eduplan rebuild {second}" in "".join(refused.split("\n"))


def test_a_backup_warns_of_keys_and_is_restored_only_whole(home: Path, tmp_path: Path) -> None:
    kept, keys, again = tmp_path / "kept", tmp_path / "keys", tmp_path / "again"
    assert "密钥（secret.key、signing.key）不在备份中" in eduplan(home, "backup", str(kept)).stdout
    told = json.loads(eduplan(home, "backup", str(kept), "--keys", str(keys), "--json").stdout)
    assert (told["problems"], told["keys_saved"]) == ([], True)
    assert "完整" in eduplan(again, "restore", str(kept), "--check").stdout
    assert "--keys" in eduplan(again, "restore", str(kept), expect=2).stderr
    restored = eduplan(again, "restore", str(kept), "--keys", str(keys)).stdout
    assert "全部核对无误" in restored
    assert "不是空的" in eduplan(again, "restore", str(kept), "--keys", str(keys), expect=1).stderr
    damaged = next((kept / "objects").glob("*/*"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"x")
    refused = eduplan(tmp_path / "third", "restore", str(kept), "--keys", str(keys), expect=1).stderr
    assert damaged.name in "".join(refused.split())
    assert "没有恢复" in refused
    assert not (tmp_path / "third").exists()
    assert "完整" not in eduplan(again, "restore", str(kept), "--check", expect=1).stdout


def test_what_is_missing_when_it_is_backed_up_is_exit_code_1(home: Path, tmp_path: Path) -> None:
    next((home / "archive").glob("*/*")).unlink()
    told = json.loads(eduplan(home, "backup", str(tmp_path / "kept"), "--json", expect=1).stdout)
    assert len(told["problems"]) == 1
    assert "缺少 archive/" in told["problems"][0]


@pytest.mark.parametrize("arguments", [["prune"], ["backup", "somewhere"]])
def test_without_a_home_there_is_nothing_to_keep(tmp_path: Path, arguments: list[str]) -> None:
    assert "不存在" in eduplan(tmp_path / "nowhere", *arguments, expect=1).stderr
    assert not (tmp_path / "nowhere").exists()
