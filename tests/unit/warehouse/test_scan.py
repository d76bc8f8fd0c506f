"""The last look at a release: a person planted in any kind of its files is found, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.support.candidate_kit import FEEDS, REPORT, delivery, fill_marts, judged, make_candidate, rule
from warehouse import candidate as candidates
from warehouse.candidate import Candidate
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current
from warehouse.names import NameMarks, marks_of, masked, vocabulary, words_of
from warehouse.paths import Home
from warehouse.release import publish, releases
from warehouse.scan import exposures

KEY = b"k" * 32
NAME = "欧阳测甲"
NAMES = NameMarks(KEY, (np.sort(marks_of(KEY, [NAME, "江北", "测试乙"])),), frozenset())
NUMBER = "13800138000"


@pytest.fixture(scope="module")
def release(once_released: Home) -> Release:
    (made,) = releases(once_released)
    return made


@pytest.fixture
def folder(release: Release, tmp_path: Path) -> Path:
    """A copy of a release that may be spoilt."""
    target = tmp_path / "copy"
    shutil.copytree(release.path, target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def test_a_clean_release_shows_nobody(release: Release) -> None:
    assert exposures(release.path, NAMES) == []


# -- what is a name ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [NAME, f"联系人：{NAME}", f"{NAME}老师", f"（负责人{NAME}校长）", f"a,{NAME};b", f"{NAME}.xlsx", f"2024{NAME}"],
)
def test_a_name_is_found_by_its_edges_and_titles(text: str) -> None:
    assert NAMES.names_in([text]) == {NAME}
    assert NAME not in NAMES.mask(text)


@pytest.mark.parametrize("text", [f"{NAME}路小学", "测试", "某某", "", "abc", "江北区"])
def test_what_only_contains_or_resembles_a_name_is_none(text: str) -> None:
    assert NAMES.names_in([text]) == set()


def test_a_word_of_the_program_is_no_name_though_somebody_may_bear_it() -> None:
    """A district's short name is published everywhere; it cannot have come from a register."""
    assert "江北" in vocabulary()
    assert NAMES.names_in(["江北"]) == set()


def test_masking_leaves_longer_words_alone() -> None:
    assert masked("测试乙、测试乙丙", {"测试乙"}) == "▇▇▇、测试乙丙"


def test_words_are_runs_of_chinese_characters() -> None:
    assert words_of("学校A张三·李四 王五老师") == {"学校", "张三·李四", "王五老师", "王五"}


# -- every kind of file -----------------------------------------------------------------------------------------------


def _in_database(folder: Path, text: str) -> str:
    with duckdb.connect(str(folder / "marts.duckdb")) as connection:
        connection.execute("UPDATE marts.marts.fct_indicator_value SET note = ? WHERE area_code = '5003'", [text])
    return "marts.duckdb"


def _in_audit(folder: Path, text: str) -> str:
    with duckdb.connect(str(folder / "marts.duckdb")) as connection:
        connection.execute("UPDATE marts.audit.deliveries SET submitter = ?", [text])
    return "marts.duckdb"


def _in_parquet(folder: Path, text: str) -> str:
    path = folder / "parquet" / "mart_plan_progress.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS FROM read_parquet('{path}')")
        connection.execute("UPDATE t SET status = ?", [text])
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return "parquet/mart_plan_progress.parquet"


def _in_csv(folder: Path, text: str) -> str:
    path = folder / "csv" / "mart_plan_progress.csv"
    content = path.read_text(encoding="utf-8-sig")
    path.write_text(content + f't1,"{text}",2023,x\n', encoding="utf-8-sig")
    return "csv/mart_plan_progress.csv"


def _in_json(name: str) -> Callable[[Path, str], str]:
    def plant(folder: Path, text: str) -> str:
        content = json.loads((folder / name).read_bytes())
        content["planted"] = [{"note": text}]
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        return name

    return plant


def _in_report(folder: Path, text: str) -> str:
    path = folder / "quality" / "index.html"
    path.write_text(path.read_text(encoding="utf-8") + f"<p title='{text}'>x</p>", encoding="utf-8")
    return "quality/index.html"


def _in_contract(folder: Path, text: str) -> str:
    path = folder / "contracts" / "mart_plan_progress.odcs.yaml"
    path.write_text(path.read_text(encoding="utf-8") + f"# {text}\n", encoding="utf-8")
    return "contracts/mart_plan_progress.odcs.yaml"


def _in_a_file_name(folder: Path, text: str) -> str:
    (folder / "quality" / f"{text}.txt").write_text("x", encoding="utf-8")
    return f"quality/{text}.txt"


PLANTS = {
    "database": _in_database,
    "audit": _in_audit,
    "parquet": _in_parquet,
    "csv": _in_csv,
    **{
        name: _in_json(name)
        for name in ("manifest.json", "changes.json", "data_dictionary.json", "quality/verdict.json")
    },
    "report": _in_report,
    "contract": _in_contract,
    "name of a file": _in_a_file_name,
}


@pytest.mark.parametrize("kind", PLANTS)
def test_a_person_in_any_kind_of_file_is_found_and_not_told(folder: Path, kind: str) -> None:
    file = PLANTS[kind](folder, f"联系人{NAME} {NUMBER}")
    found = exposures(folder, NAMES)
    assert {(item.file, item.what_zh) for item in found} == {(file, "名册中的姓名"), (file, "身份证号或电话号码")}
    if kind != "name of a file":
        assert not any(NAME in item.line() or NUMBER in item.line() for item in found)


def test_an_id_number_in_full_width_digits_is_found(folder: Path) -> None:
    _in_csv(folder, "１１０１０１１９９００３０７８５１５")
    assert [item.file for item in exposures(folder, None)] == ["csv/mart_plan_progress.csv"]


def test_an_amount_of_eleven_digits_is_no_telephone_number(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1_380_013.8)
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    assert (release.path / "csv" / "fct_indicator_value.csv").read_text(encoding="utf-8-sig").count("13800138000")
    assert exposures(release.path, NAMES) == []


# -- publication ------------------------------------------------------------------------------------------------------


def _candidate(home: Home, ledger: Ledger, note: str) -> Candidate:
    return make_candidate(home, ledger, 1.0, note=note)


@pytest.mark.parametrize("note", [f"填报人：{NAME}", f"电话{NUMBER}"])
def test_a_release_that_shows_a_person_is_refused_and_nothing_is_left(home: Home, ledger: Ledger, note: str) -> None:
    candidate = _candidate(home, ledger, note)
    with pytest.raises(Refused) as refusal:
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT, names=NAMES)
    words = str(refusal.value)
    for place in ("marts.duckdb（marts.fct_indicator_value.note）", "csv/fct_indicator_value.csv（note）", "不能豁免"):
        assert place in words
    assert NAME not in words
    assert NUMBER not in words
    assert current(home) is None
    assert list(home.releases.iterdir()) == []


def test_names_in_what_submitters_wrote_are_blacked_out_and_published(home: Home, ledger: Ledger) -> None:
    """A file may bear its clerk's name; that must not keep a city from publishing."""
    delivery(home, ledger, "signed", period=2031, file_name=f"名册-{NAME}.xlsx", submitter=NAME)
    candidate = _candidate(home, ledger, "")
    page = {"quality/index.html": f"<!doctype html><title>质量报告</title><td>名册-{NAME}.xlsx</td>".encode()}
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=page, names=NAMES)
    with duckdb.connect(str(release.path / "marts.duckdb"), read_only=True) as connection:
        told = connection.execute("SELECT file_name, submitter FROM audit.deliveries WHERE period = 2031").fetchall()
    assert told == [("名册-▇▇▇.xlsx", "▇▇▇")]
    assert "名册-▇▇▇.xlsx" in (release.path / "quality" / "index.html").read_text(encoding="utf-8")


def test_a_candidate_made_from_a_register_is_not_published_unsearched(home: Home, ledger: Ledger) -> None:
    row = delivery(home, ledger, "register")
    build = candidates.begin(home, [dataclasses.replace(row, feed="teacher_register", tables={})], FEEDS)
    fill_marts(build.database, 1.0)
    (build.work_dir / "manifest.json").write_bytes((_candidate(home, ledger, "x").path / "manifest.json").read_bytes())
    candidate = candidates.seal(home, build)
    verdict = judged(ledger, candidate)
    with pytest.raises(Refused, match="没有 1 件名册的姓名标记"):
        publish(home, ledger, candidate, verdict, artefacts=REPORT)
    with pytest.raises(Refused, match="没有 1 件名册的姓名标记"):
        publish(home, ledger, candidate, verdict, artefacts=REPORT, names=NAMES)
    searched = dataclasses.replace(NAMES, deliveries=frozenset({row.delivery_id}))
    assert publish(home, ledger, candidate, verdict, artefacts=REPORT, names=searched) == current(home)


def test_failing_keys_with_a_name_are_refused_in_the_verdict(home: Home, ledger: Ledger) -> None:
    candidate = _candidate(home, ledger, "")
    verdict = judged(ledger, candidate)
    spoilt = dataclasses.replace(verdict, results=(rule(observed=f"例如 {NAME}"),))
    ledger.record_verdict(spoilt)
    (candidate.path / "verdict.json").write_bytes(spoilt.to_json())
    with pytest.raises(Refused, match=r"quality/verdict\.json"):
        publish(home, ledger, candidate, spoilt, artefacts=REPORT, names=NAMES)
