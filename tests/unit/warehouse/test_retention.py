"""What the policy keeps and what goes, on real releases made over months; what goes is told, and the proof stays."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.crash_kit import die, in_child, small_run, strike
from warehouse import pruned, retention
from warehouse.errors import Fault, Refused, UsageError
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.manifest import current, read_release, release_folders
from warehouse.paths import Home
from warehouse.pruned import marts_of
from warehouse.retention_policy import policy_of
from warehouse.verify import notes, verify, verify_folder

# One release each: one in January, three in February, one in June.
DAYS = ["2024-01-05", "2024-02-01", "2024-02-10", "2024-02-25", "2024-06-15"]
POLICY = "releases: {keep_last: 1, keep_days: 10, keep_monthly: true}\ncandidates: {keep_last: 1, keep_days: 0}\n"


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("retention") / "home").ensure()
    (home.root / "retention.yaml").write_text(POLICY)
    with pytest.MonkeyPatch.context() as patch:
        for number, day in enumerate(DAYS):
            patch.setenv("EDUPLAN_NOW", f"{day}T10:00:00+08:00")
            small_run(home, float(number))
    return home.root


@pytest.fixture
def home(years: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("EDUPLAN_NOW", "2024-06-20T10:00:00+08:00")
    return Home(shutil.copytree(years, tmp_path / "home", symlinks=True))


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger(home.ledger_url)) as found:
        yield found


def prune(home: Home, ledger: Ledger) -> list[pruned.Pruned]:
    with retention.alone(home, ledger) as fences:
        going = retention.doomed(home, ledger, policy_of(home))
        return retention.clear(home, ledger, going, person="运维甲", fences=fences)


def day_of(release_id: str) -> str:
    return f"{release_id[:4]}-{release_id[4:6]}-{release_id[6:8]}"


def of_kind(entries: list[pruned.Pruned], kind: str) -> list[str]:
    return [item.name for item in entries if item.kind == kind]


def test_first_last_monthly_and_what_each_kept_one_was_compared_with_stay(home: Home, ledger: Ledger) -> None:
    gone = [day_of(name) for name in of_kind(prune(home, ledger), pruned.RELEASE)]
    # 01-05, 02-25 and 06-15 end their months; 02-10 and 02-25 stand before them.
    assert gone == ["2024-02-01"]
    assert verify(home) == []


def test_without_months_only_both_ends_stay(home: Home, ledger: Ledger) -> None:
    (home.root / "retention.yaml").write_text(POLICY.replace("true", "false"))
    gone = [day_of(name) for name in of_kind(prune(home, ledger), pruned.RELEASE)]
    assert gone == DAYS[1:-2]


def test_what_an_acknowledgement_speaks_of_stays(home: Home, ledger: Ledger) -> None:
    second = read_release(release_folders(home)[1])
    folder = home.root / "acknowledgements"
    folder.mkdir()
    content = {"candidate_id": "c0", "previous_release_id": second.release_id}
    (folder / "c0.json").write_text(json.dumps(content))
    assert of_kind(prune(home, ledger), pruned.RELEASE) == []


def test_of_a_release_the_data_goes_and_the_proof_stays(home: Home, ledger: Ledger) -> None:
    (name,) = of_kind(prune(home, ledger), pruned.RELEASE)
    left = {path.name for path in (home.releases / name).iterdir()}
    assert {"manifest.json", "manifest.dsse.json", "signing.pub", "quality", "data_dictionary.json"} <= left
    assert not left & {"marts.duckdb", "parquet", "csv", "changes.json"}
    assert verify(home, name) == []
    (note,) = notes(home, name)
    assert "已按留存规则清理（2024-06-20" in note
    assert f"eduplan rebuild {name}" in note
    with pytest.raises(Refused, match=re.escape(f"rebuild {name}")):
        marts_of(home, read_release(home.releases / name))
    # A folder alone cannot say whether somebody cleared it away or it was robbed.
    assert any("只有台账能够证明" in finding for finding in verify_folder(home.releases / name))


def test_the_ledger_says_who_what_when_and_by_which_rule(home: Home, ledger: Ledger) -> None:
    entries = prune(home, ledger)
    assert ledger.pruned() == entries
    release = next(item for item in entries if item.kind == pruned.RELEASE)
    assert (release.person, release.at) == ("运维甲", "2024-06-20T10:00:00+08:00")
    assert "每月最后一次" in release.rule
    assert release.files > 3
    assert release.bytes > 10_000
    head = ledger.journal_head()
    assert prune(home, ledger) == []
    assert ledger.journal_head() == head


def test_what_was_cleared_away_and_altered_or_robbed_without_an_entry_is_found(home: Home, ledger: Ledger) -> None:
    (name,) = of_kind(prune(home, ledger), pruned.RELEASE)
    report = home.releases / name / "quality" / "index.html"
    report.chmod(0o644)
    report.write_text("other")
    robbed = release_folders(home)[3]
    (robbed / "marts.duckdb").unlink()
    found = "".join(verify(home))
    assert f"发布 {name} 的文件 quality/index.html 内容被改动" in found
    assert f"发布 {robbed.name} 缺少文件 marts.duckdb" in found
    with pytest.raises(Fault, match="没有清理记录"):
        marts_of(home, read_release(robbed))


def test_candidates_go_but_not_the_current_ones_nor_what_is_wanted(home: Home, ledger: Ledger) -> None:
    folders = sorted(path.name for path in home.candidates.iterdir())
    standing = current(home)
    assert standing is not None
    other = next(name for name in folders if name != standing.candidate_id)
    with retention.alone(home, ledger) as fences:
        going = retention.doomed(home, ledger, policy_of(home), wanted=[other])
        retention.clear(home, ledger, going, person="x", fences=fences)
    assert {path.name for path in home.candidates.iterdir()} == {standing.candidate_id, other}


def test_young_candidate_folders_and_unknown_ones_stay(home: Home, ledger: Ledger) -> None:
    (home.root / "retention.yaml").write_text(POLICY.replace("keep_days: 0", "keep_days: 1"))
    assert of_kind(prune(home, ledger), pruned.CANDIDATE) == []


def test_records_of_what_no_longer_counts_go_and_receipts_and_quarantine_stay(home: Home, ledger: Ledger) -> None:
    before = {row.delivery_id: row for row in ledger.deliveries()}
    assert of_kind(prune(home, ledger), pruned.RECORDS) == []
    (home.root / "retention.yaml").write_text(POLICY + "records: {superseded_days: 1}\n")
    # The kit's deliveries claim to have come in September 2025.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUPLAN_NOW", "2026-06-20T10:00:00+08:00")
        gone = of_kind(prune(home, ledger), pruned.RECORDS)
    assert len(gone) == len(before) - 2
    active = {row.delivery_id for row in ledger.active_set()}
    for row in before.values():
        there = all((home.root / path).is_file() for path in row.tables.values())
        assert there == (pruned.reading_name(row.delivery_id, row.contract_version) not in gone)
        assert there or row.delivery_id not in active
        assert (home.quarantine / f"{row.delivery_id}.parquet").is_file()
        assert (home.archive / row.sha256[:2] / row.sha256).is_file()
    assert verify(home) == []


def test_originals_stay_for_ever_unless_somebody_says_otherwise(home: Home, ledger: Ledger) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUPLAN_NOW", "2126-06-20T10:00:00+08:00")
        assert of_kind(prune(home, ledger), pruned.ORIGINAL) == []
        (home.root / "retention.yaml").write_text(POLICY + "originals: {keep_years: 30}\n")
        gone = of_kind(prune(home, ledger), pruned.ORIGINAL)
    needed = {item["sha256"] for path in release_folders(home) for item in _inputs_with_data(path)}
    assert gone
    assert not needed & set(gone)
    assert verify(home) == []
    assert [row for row in ledger.unread({"official_figures": "v2"}) if row.sha256 in gone] == []


def _inputs_with_data(path: Path) -> list[dict[str, str]]:
    release = read_release(path)
    inputs: list[dict[str, str]] = release.manifest["inputs"]["deliveries"]
    return [] if retention.gone_from(release) else inputs


@pytest.mark.parametrize("name", [retention.RUN_LOCK, retention.PUBLISH_LOCK, retention.BACKUP_LOCK])
def test_nothing_goes_while_somebody_is_at_work(home: Home, ledger: Ledger, name: str) -> None:
    with exclusive(home, name), pytest.raises(Refused, match=name):
        prune(home, ledger)
    assert ledger.pruned() == []


@pytest.mark.parametrize(
    ("point", "moment"),
    [
        ("warehouse.ledger:Ledger.record_pruned", "after"),
        ("warehouse.retention:_delete_candidate", "before"),
        ("warehouse.retention:unique_suffix", "after"),
    ],
)
def test_killed_in_the_middle_it_ends_the_next_time(home: Home, point: str, moment: str) -> None:
    def struck() -> None:
        strike(point, moment, die)
        with closing(Ledger(home.ledger_url)) as own:
            prune(home, own)

    assert in_child(struck) < 0, "it never came by this point"
    assert verify(home) == []
    small_run(home, 9.0)
    with closing(Ledger(home.ledger_url)) as ledger:
        prune(home, ledger)
        (name,) = [item.name for item in ledger.pruned() if item.kind == pruned.RELEASE]
    assert retention.gone_from(read_release(home.releases / name))
    assert not list(home.candidates.glob(".*"))
    assert verify(home) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("releases: {keep_last: 0, keep_days: 1, keep_monthly: true}", "releases.keep_last"),
        ("releases: {keep_last: 1, keep_days: '9', keep_monthly: true}", "releases.keep_days"),
        ("receipts: {keep_days: 1}", "receipts"),
        ("records: [1", "YAML"),
        ("- 1", "小节"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "retention.yaml").write_text(text)
    with pytest.raises(UsageError, match=told) as caught:
        policy_of(Home(tmp_path))
    assert "retention.yaml" in str(caught.value)
