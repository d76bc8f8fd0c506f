"""`eduplan verify --privacy`: a person in a published file is found although every hash and signature holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import good_deliveries as good
from tests.support.candidate_kit import FEEDS, REPORT, dbt_manifest, delivery, fill_marts, judged
from tests.support.command import eduplan
from warehouse import candidate as candidates
from warehouse.ledger import Ledger
from warehouse.manifest import Release
from warehouse.names import NameMarks
from warehouse.paths import Home
from warehouse.release import publish

NAME, NUMBER = "欧阳测甲", "13800138000"


def published(home: Home, ledger: Ledger, value: float, note: str) -> Release:
    """A release made from a register, published by somebody who searched it for nothing."""
    versions = {"official_figures": "v1", "teacher_register": "v1"}
    delivery(home, ledger, f"数字 {value}")
    build = candidates.begin(home, ledger.active_set(versions), FEEDS)
    fill_marts(build.database, value, note=note)
    (build.work_dir / "manifest.json").write_bytes(dbt_manifest())
    candidate = candidates.seal(home, build)
    blind = NameMarks(b"k" * 32, (), frozenset(row.delivery_id for row in ledger.active_set(versions)))
    return publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT, names=blind)


@pytest.fixture
def register(home: Home, ledger: Ledger) -> Path:
    """The archived original of a register that names one person; the home has its key."""
    rows = [row | {"姓名": NAME} for row in good.teacher_rows()]
    text = good.table_csv(list(rows[0]), rows, "utf-8").decode("utf-8")
    row = delivery(home, ledger, text, feed="teacher_register", area_code="500101", period=2024)
    home.key_file.write_bytes(b"k" * 32)
    home.key_file.chmod(0o600)
    return home.archive / row.sha256[:2] / row.sha256


def test_a_name_of_a_register_is_found_in_every_file_that_shows_it(home: Home, ledger: Ledger, register: Path) -> None:
    clean = published(home, ledger, 1.0, "无")
    assert "没有发现个人信息" in eduplan(home.root, "verify", "--privacy").stdout
    spoilt = published(home, ledger, 2.0, f"联系人{NAME}")
    assert eduplan(home.root, "verify").returncode == 0, "every hash and signature holds"
    done = eduplan(home.root, "verify", "--privacy", expect=1)
    told = done.stderr.replace("\n", "")
    assert "有名册中的姓名" in told
    assert spoilt.release_id in told
    assert NAME not in done.stdout + done.stderr
    content = json.loads(eduplan(home.root, "verify", spoilt.release_id, "--privacy", "--json", expect=1).stdout)
    assert content["whole"] is True
    files = {line.partition("：")[2].partition("（")[0] for line in content["persons"]}
    assert {"marts.duckdb", "csv/fct_indicator_value.csv", "parquet/fct_indicator_value.parquet"} <= files
    assert json.loads(eduplan(home.root, "verify", clean.release_id, "--privacy", "--json").stdout)["persons"] == []
    # Without the register nobody can say what its names are, and that is said.
    register.chmod(0o644)
    register.unlink()
    for marks in (home.root / "names").iterdir():
        marks.unlink()
    content = json.loads(eduplan(home.root, "verify", clean.release_id, "--privacy", "--json", expect=1).stdout)
    assert content["persons"] == []
    assert any("1 件名册的原件不在" in note for note in content["notes"])


def test_a_number_is_found_in_a_copied_folder_too(
    home: Home, ledger: Ledger, register: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.release.shown", lambda *_: [])
    spoilt = published(home, ledger, 1.0, f"电话 {NUMBER}")
    for place in (spoilt.path, home.root):
        done = eduplan(home.root.parent / "elsewhere", "verify", str(place), "--privacy", expect=1)
        assert "有身份证号或电话号码" in done.stderr.replace("\n", "")
        assert NUMBER not in done.stdout + done.stderr
    assert eduplan(home.root.parent / "elsewhere", "verify", str(spoilt.path)).returncode == 0
    # A path is looked at itself, from whichever home: not taken for a release of that home, which is whole.
    copy = shutil.copytree(spoilt.path, home.root.parent / "copy" / spoilt.release_id)
    for path in (copy, copy / "changes.json"):
        path.chmod(0o755)
    (copy / "changes.json").write_bytes(b"{}")
    assert "changes.json" in eduplan(home.root, "verify", str(copy), expect=1).stderr
    key = home.key_file
    key.unlink()
    assert "缺少密钥" in str(json.loads(eduplan(home.root, "verify", "--privacy", "--json", expect=1).stdout)["notes"])
    assert not key.exists(), "looking makes no key"
