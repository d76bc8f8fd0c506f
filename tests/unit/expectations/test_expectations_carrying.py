"""What is carried over is what would be found again; it is said openly, and dropped when anything may be otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations import memo, render_report
from expectations.carrying import ENGINE, SETTING, Carrying, engine_digest
from expectations.catalogue import rules
from expectations.gate import conclude, evaluate, gather, judge
from expectations.gx_runner import GxResult, GxRun
from expectations.known import tables_read
from tests.support.carrying_kit import (
    ACROSS,
    AREAS,
    BY_AREA,
    BY_DELIVERY,
    CHANGING,
    EACH,
    FIGURES,
    NEXT_DAY,
    NOON,
    RULES,
    STANDING,
    SUMS,
    YEARS,
    Bench,
    deliver,
    make_book,
    rule_of,
    seal,
)
from warehouse.home_key import load_or_create_key
from warehouse.records import RECORD_SCHEMAS
from warehouse.verdict import RuleResult, Verdict


@pytest.fixture(scope="module")
def judged_once(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home after the first candidate was judged. Copy it."""
    root = Path(shutil.copytree(made, tmp_path_factory.mktemp("once") / "home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUPLAN_NOW", NOON)
        opened = Bench(root)
        assert opened.judge(0).carried == ()
        opened.ledger.close()
    return root


@pytest.fixture
def after_one(judged_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("EDUPLAN_NOW", NOON)
    monkeypatch.delenv(SETTING, raising=False)
    opened = Bench(Path(shutil.copytree(judged_once, tmp_path / "home")))
    yield opened
    opened.ledger.close()


def _bare(verdict: Verdict) -> list[RuleResult]:
    return [replace(result, carried_from=(), rows_carried=0) for result in verdict.results]


def _carried(verdict: Verdict) -> dict[str, int]:
    return {result.rule_id: result.rows_carried for result in verdict.carried}


def test_what_is_carried_over_is_what_would_be_found_again(after_one: Bench) -> None:
    first, second = after_one.pair
    verdict = after_one.judge(1)
    rows = len(AREAS) * len(YEARS) * EACH
    assert _carried(verdict) == {BY_DELIVERY: rows - EACH, BY_AREA: len(AREAS) * len(YEARS) - 1, STANDING: 20}
    assert {name for result in verdict.carried for name in result.carried_from} == {first.candidate_id}
    assert verdict.fully_judged_at == NOON
    again = evaluate(second, make_book())
    assert _bare(verdict) == list(again.results)
    assert again.carried == ()
    failed = {result.rule_id: len(result.failing_keys) for result in again.results if result.rows_failed}
    assert failed == {BY_DELIVERY: 1, BY_AREA: len(AREAS) * len(YEARS), ACROSS: 2 * len(AREAS)}
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert not after_one.told


def test_a_second_correction_examines_the_rest_and_says_where_it_comes_from(after_one: Bench) -> None:
    """What was carried over once is carried over again, and says where it was examined."""
    first, second = after_one.pair
    after_one.judge(1)
    deliver(after_one.home, after_one.ledger, AREAS[0], YEARS[0], [90, 95, 110, 121])
    third = seal(after_one.home, after_one.ledger, 1.75)
    verdict = judge(after_one.home, after_one.ledger, third, rules=make_book())
    by = {result.rule_id: result for result in verdict.results}
    assert by[BY_DELIVERY].carried_from == tuple(sorted([first.candidate_id, second.candidate_id]))
    assert by[CHANGING].carried_from == (second.candidate_id,)
    assert by[STANDING].carried_from == (first.candidate_id,)
    assert _bare(verdict) == list(evaluate(third, make_book()).results)


def _is_anew(verdict: Verdict) -> bool:
    return verdict.carried == () and verdict.fully_judged_at == "" and b"carried" not in verdict.to_json()


def test_nothing_is_carried_over_when_somebody_says_so(after_one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "0")
    assert _is_anew(after_one.judge(1))
    monkeypatch.delenv(SETTING)
    assert after_one.judge(1).carried, "what was judged anew is known from then on"


def test_the_first_judging_of_a_day_is_of_everything(after_one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", NEXT_DAY)
    assert _is_anew(after_one.judge(1))
    monkeypatch.setenv("EDUPLAN_NOW", NOON)
    assert after_one.judge(0).fully_judged_at != NEXT_DAY, "a check of tomorrow is not believed"


def _alter(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"[4,", b"[5,", 1) if b"[4," in data else data[:-1])


@pytest.mark.parametrize(
    "damage", [_alter, lambda path: path.write_bytes(b"[]"), lambda path: path.write_bytes(b""), Path.unlink]
)
def test_a_memo_that_was_altered_is_not_believed(
    after_one: Bench, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = after_one.home.root / "gate" / "memo"
    damage(path)
    there = path.exists()
    assert _is_anew(after_one.judge(1))
    assert ("弃用" in caplog.text) == there


def test_a_memo_of_another_home_is_not_believed(after_one: Bench) -> None:
    after_one.home.key_file.unlink()
    load_or_create_key(after_one.home.key_file)
    assert _is_anew(after_one.judge(1))


def test_a_memo_is_believed_only_of_the_verdict_that_is_recorded(after_one: Bench) -> None:
    first, _ = after_one.pair
    after_one.ledger.record_verdict(replace(Verdict.from_json((first.path / "verdict.json").read_bytes()), results=()))
    assert _is_anew(after_one.judge(1))


def test_another_rule_has_everything_judged_anew(after_one: Bench) -> None:
    changed = [rule.model_copy(update={"parameters": {"limit": 0.9}}) if rule.id == BY_AREA else rule for rule in RULES]
    assert _is_anew(after_one.judge(1, make_book(*changed)))


def test_other_code_has_everything_judged_anew(after_one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expectations.carrying.ENGINE", "0" * 64)
    assert _is_anew(after_one.judge(1))


def test_code_is_known_by_what_it_says_and_not_by_where_it_lies(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "room", tmp_path / "other" / "room"
    for room in (one, other):
        room.mkdir(parents=True)
        (room / "gate.py").write_text("checked = 1\n")
    assert engine_digest([one]) == engine_digest([other]) != ENGINE
    (other / "gate.py").write_text("checked = 2\n")
    assert engine_digest([one]) != engine_digest([other])
    (other / "gate.py").write_text("checked = 1\n")
    (other / "more.py").write_text("")
    assert engine_digest([one]) != engine_digest([other])


def test_a_record_file_is_known_by_its_bytes(after_one: Bench) -> None:
    """The ledger says the same as before, the file does not."""
    row = next(r for r in after_one.ledger.active_set({"school_census": "v1"}) if r.area_code == AREAS[2])
    path = after_one.home.root / row.tables[FIGURES]
    table = pq.read_table(path)
    values = pa.array([Decimal(-1)] * EACH, RECORD_SCHEMAS[FIGURES].field("value").type)
    at = table.schema.get_field_index("value")
    pq.write_table(table.set_column(at, table.schema.field(at), values), path)
    verdict = after_one.judge(1)
    result = verdict.results[0]
    assert result.rows_failed == 1 + EACH
    assert result.rows_carried == (len(AREAS) * len(YEARS) - 2) * EACH


def test_a_seal_that_does_not_tell_of_its_tables_has_them_judged_anew(after_one: Bench) -> None:
    _, second = after_one.pair
    path = second.path / "candidate.json"
    path.write_text(path.read_text("utf-8").replace('"mart_plan_progress"', '"mart_plan_other"', 1), "utf-8")
    assert STANDING not in _carried(after_one.judge(1))


def test_a_view_that_reads_other_files_than_the_ledger_says_is_judged_anew(after_one: Bench) -> None:
    _, second = after_one.pair
    with duckdb.connect(str(second.database)) as connection:
        [(told,)] = connection.execute("select sql from duckdb_views() where view_name = ?", [FIGURES]).fetchall()
        connection.execute("set file_search_path = ?", [str(after_one.home.root)])
        connection.execute(f"create or replace{told.removeprefix('CREATE').rstrip(';')} where line_no = 1")
    assert _carried(after_one.judge(1)) == {STANDING: 20}


def test_a_delivery_whose_rows_say_another_area_has_everything_judged_anew(
    after_one: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    strange = deliver(after_one.home, after_one.ledger, AREAS[0], YEARS[0], [1, 2, 3, 4])
    path = after_one.home.root / strange.tables[FIGURES]
    table = pq.read_table(path)
    at = table.schema.get_field_index("area_code")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([AREAS[2]] * EACH)), path)
    third = seal(after_one.home, after_one.ledger, 1.75)
    verdict = judge(after_one.home, after_one.ledger, third, rules=make_book())
    assert _is_anew(verdict)
    assert list(verdict.results) == list(evaluate(third, make_book()).results)
    assert "与其报送件的不同" in caplog.text
    assert _is_anew(judge(after_one.home, after_one.ledger, third, rules=make_book())), "nothing of it is kept"


def test_a_rule_that_answers_for_another_area_than_it_was_asked_has_everything_judged_anew(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A rule that is marked as standing apart and does not."""
    astray = rule_of(
        BY_AREA, source=SUMS.replace("select area_code", "select '500103' as area_code"), severity="warning"
    )
    book = make_book(astray, rule_of(CHANGING), rule_of(STANDING))
    assert _is_anew(bench.judge(0, book))
    verdict = bench.judge(1, book)
    assert _is_anew(verdict)
    assert list(verdict.results) == list(evaluate(bench.pair[1], book).results)
    assert "别处" in caplog.text


def test_disagreement_with_what_was_carried_over_is_told(
    after_one: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The full judging of a new day finds out; here the memo is wrong under its own seal."""
    (entry,) = memo.read(after_one.home, after_one.ledger)
    wrong = {key: replace(found, failed=0, keys=()) if found.failed else found for key, found in entry.found.items()}
    memo.add(after_one.home, (), replace(entry, found=wrong))
    monkeypatch.setenv("EDUPLAN_NOW", NEXT_DAY)
    verdict = after_one.judge(0)
    assert _is_anew(verdict)
    assert len(after_one.told) == len(AREAS) * len(YEARS) + 1
    assert any(f"规则 {BY_AREA}" in note for note in after_one.told)
    assert caplog.text.count("请报告技术支持") == len(after_one.told)
    [entry] = memo.read(after_one.home, after_one.ledger)
    assert entry.fully_judged_at == NEXT_DAY
    assert [found.failed for found in entry.found.values()].count(1) == len(AREAS) * len(YEARS)


def test_the_memo_is_private_and_short(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(memo.KEPT + 2):
        monkeypatch.setenv("EDUPLAN_NOW", f"2025-10-{day + 1:02}T08:00:00+08:00")
        bench.judge(day % 2)
    path = bench.home.root / "gate" / "memo"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(memo.read(bench.home, bench.ledger)) <= memo.KEPT


def test_a_home_without_a_key_judges_everything_and_makes_none(bench: Bench) -> None:
    bench.home.key_file.unlink()
    assert _is_anew(bench.judge(0))
    assert _is_anew(bench.judge(1))
    assert not bench.home.key_file.exists()


def test_a_memo_that_cannot_be_written_stops_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (bench.home.root / "gate").write_text("in the way")
    assert _is_anew(bench.judge(0))
    assert "没有写成" in caplog.text


def test_results_in_doubt_are_not_kept(bench: Bench) -> None:
    broken = rule_of(STANDING, id="progress.broken", scope="no_such_column > 1")
    book = make_book(*RULES, broken)
    assert not bench.judge(0, book).passed
    verdict = bench.judge(1, book)
    assert "progress.broken" not in _carried(verdict)
    assert STANDING in _carried(verdict)
    assert not verdict.passed


def test_an_answer_about_a_rule_that_was_not_asked_does_not_pass(after_one: Bench) -> None:
    first, second = after_one.pair
    carrying = Carrying(after_one.home, after_one.ledger, second, make_book())

    def run(_connection: duckdb.DuckDBPyConnection, _asked: object, outcome: GxRun) -> None:
        outcome.results.append(
            GxResult(STANDING, success=True, severity="critical", examined=20, unexpected=0, error=None)
        )

    evidence = gather(second.database, make_book(), timeout_seconds=60, runner=run, carrying=carrying)
    results = {result.rule_id: result for result in conclude(second, make_book(), evidence).results}
    assert "GX 却返回 1 个结果" in str(results[STANDING].error)
    assert "实际返回 0 个" in str(results[BY_DELIVERY].error), "what was examined here is still asked of both"
    assert first.candidate_id in results[BY_DELIVERY].carried_from


@pytest.mark.parametrize(
    "changes",
    [
        {"fully_judged_at": ""},
        {"fully_judged_at": "2025-09-29T11:00:00+08:00"},
        {"fully_judged_at": "2025-09-30T13:00:00+08:00"},
        {"fully_judged_at": "yesterday"},
    ],
)
def test_a_verdict_does_not_rest_on_an_old_check(after_one: Bench, changes: dict[str, str]) -> None:
    book = make_book(rule_of(STANDING), rule_of(CHANGING))
    after_one.judge(0, book)
    verdict = after_one.judge(1, book)
    assert verdict.passed
    assert verdict.carried
    stale = replace(verdict, **changes)
    assert any("一日之内" in reason for reason in stale.reasons())
    assert not Verdict.from_json(stale.to_json()).passed


@pytest.mark.parametrize("changes", [{"rows_carried": 21}, {"rows_carried": -1}, {"carried_from": ()}])
def test_a_result_that_carries_more_than_it_checked_does_not_pass(after_one: Bench, changes: dict[str, Any]) -> None:
    book = make_book(rule_of(STANDING), rule_of(CHANGING))
    after_one.judge(0, book)
    verdict = after_one.judge(1, book)
    assert verdict.results[0].rows_carried == 20
    altered = replace(verdict, results=(replace(verdict.results[0], **changes), verdict.results[1]))
    assert any("对不上" in reason for reason in altered.reasons())


def test_the_report_says_what_was_carried_over(after_one: Bench) -> None:
    first, second = after_one.pair
    page = render_report(second, after_one.judge(1)).decode("utf-8")
    assert "3 条规则的结果全部或部分沿用以前的检查" in _flat(page)
    assert "上次全部重新检查" in page
    assert "2025-09-30 12:00" in page
    assert page.count("↻ 20 / 20") == page.count("↻ 5 / 6") == page.count("↻ 20 / 24") == 1
    assert first.candidate_id in page
    assert "↻" not in render_report(second, evaluate(second, make_book())).decode("utf-8")


def _flat(page: str) -> str:
    return page.replace('<span class="zh">', "").replace("</span>", "")


@pytest.mark.parametrize(
    ("changes", "tables"),
    [
        ({}, {"marts.fct_indicator_value"}),
        ({"source": "select v.* from marts.fct_indicator_value as v join marts.dim_area as a on true"},
         {"marts.fct_indicator_value", "marts.dim_area"}),
        ({"source": "with two as (select * from marts.dim_area) select * from two"}, {"marts.dim_area"}),
        ({"scope": "exists (select 1 from records.official_figures__figure)"},
         {"marts.fct_indicator_value", "records.official_figures__figure"}),
        ({"observed": "(select max(x) from intermediate.int_area_member)"}, set()),
        ({"scope": "period < year(now())"}, set()),
        ({"scope": "period < year(current_date)"}, set()),
        ({"scope": "random() < 2"}, set()),
        ({"scope": 'period < "random"()'}, set()),
        ({"source": "select * from read_csv('records.csv')"}, set()),
        ({"source": "select * from 'values.parquet'"}, set()),
        ({"source": "select * from fct_indicator_value"}, set()),
        ({"source": "select * from candidate.marts.fct_indicator_value"}, set()),
        ({"scope": "this is no SQL"}, set()),
    ],
)  # fmt: skip
def test_what_a_rule_reads_is_known_or_it_is_always_asked(changes: dict[str, str], tables: set[str]) -> None:
    rule = rule_of(CHANGING, **changes)
    assert tables_read([rule]) == {rule.id: tables}


def test_the_shipped_rules_follow_from_their_tables() -> None:
    """All but those that read tables whose content nobody tells."""
    unknown = {rule_id for rule_id, tables in tables_read(rules()).items() if not tables}
    assert unknown == {"finance_mart.no_dominated_cells"}
