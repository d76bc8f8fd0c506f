"""The plan registry against the plan's text: it passes as it is, and every kind of damage is found."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from warehouse import registry
from warehouse.errors import UsageError
from warehouse.paths import project_root
from warehouse.plan_text import PlanText, Span
from warehouse.registry import Problem, Statement
from warehouse.registry_rules import check_statement, printed_numbers

TEXT_FILE = Path(__file__).parents[2] / "fixtures" / "plan" / "chongqing_145_education_plan.txt"
TEXT = TEXT_FILE.read_text(encoding="utf-8")
PLAN = registry.of_plan(registry.load(), registry.DEFAULT_PLAN)
BY_ID = {statement.id: statement for statement in PLAN}


def changed(name: str, **fields: Any) -> list[Statement]:
    """The plan with some fields of one statement changed, validated again."""
    new = Statement.model_validate({**BY_ID[name].model_dump(), **fields})
    return [new if statement.id == name else statement for statement in PLAN]


def found(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.statement_id, problem.rule) for problem in problems}


def as_csv(rows: list[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, registry.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def seed_rows() -> list[dict[str, str]]:
    with (project_root() / registry.SEED).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the registry as it is ---------------------------------------------------------------------------------------


def test_text_is_the_published_one_byte_for_byte() -> None:
    digest = hashlib.sha256(TEXT_FILE.read_bytes()).hexdigest()
    assert digest == "77c5ce789e085b89007b440b4d0f41d57574a45ed2e573f28f4de868d7b96a1d"


def test_every_statement_agrees_with_the_text() -> None:
    assert len(PLAN) == 234
    assert registry.verify(TEXT) == []
    assert registry.verify_file(TEXT_FILE) == []


def test_carriage_returns_and_byte_order_mark_change_nothing() -> None:
    assert registry.verify("\ufeff" + TEXT.replace("\n", "\r\n"), PLAN) == []


def test_counts_by_kind() -> None:
    counts: dict[str, int] = {}
    for statement in PLAN:
        counts[statement.kind] = counts.get(statement.kind, 0) + 1
    assert counts == {
        "headline_indicator": 17,
        "baseline_fact": 43,
        "programme_target": 95,
        "text_target": 34,
        "standing_rule": 35,
        "horizon_2035": 10,
    }
    assert [s.id for s in PLAN if s.binding == "约束性"] == [
        "box1.compulsory.retention",
        "box1.human.avg_years_working_age",
    ]


def test_at_least_150_statements_have_a_source_and_the_rest_say_what_is_missing() -> None:
    assert sum(1 for s in PLAN if s.data_source) >= 150
    assert all(s.missing_record_zh for s in PLAN if not s.data_source)


def test_no_number_of_the_plan_is_left_out() -> None:
    """Every Arabic number that is no year, heading, document number or name stands inside a quotation."""
    not_measured = re.compile(
        r"20\d\d\s*年|20\d\d[—〕]|20\d\d》|〔20|\d+号|\d+月\d+日|现代化\s*20|“1\+X|\s2\.0|5G|巴渝工匠 2025"
        r"|^专栏\s*\d+|^\d+\. ",
        re.MULTILINE,
    )
    skipped = {index for match in not_measured.finditer(TEXT) for index in range(match.start(), match.end() + 2)}
    quoted = {index for s in PLAN if s.span for index in range(s.span.start, s.span.end)}
    left_out = [
        TEXT[m.start() - 10 : m.end() + 10]
        for m in re.finditer(r"\d+(?:\.\d+)?", TEXT)
        if m.start() not in quoted and m.start() not in skipped
    ]
    assert left_out == []


@pytest.mark.parametrize(
    ("name", "operator", "low", "high", "qualifier"),
    [
        ("box1.senior.gross_enrolment", ">", "98.5", None, ()),
        ("box3.1.inclusive_coverage", ">=", "85", None, ("at_least",)),
        ("box5.2.master_units", "range", "2", "3", ("strive",)),
        ("box5.6.moe_hss_awards", "about", "40", "40", ("strive", "about")),
        ("box9.sino_foreign_new", "increase_by", "20", "20", ()),
        ("base.innov.nsfc_projects", "about", "4000", "4000", ("about",)),
        ("text.3.8.4.putonghua", "=", "85", "85", ("gradual",)),
        ("y2035.strong_city", "state", None, None, ("basically",)),
    ],
)
def test_samples_read_by_hand(
    name: str, operator: str, low: str | None, high: str | None, qualifier: tuple[str, ...]
) -> None:
    statement = BY_ID[name]
    assert statement.operator == operator
    assert statement.value_low == (Decimal(low) if low else None)
    assert statement.value_high == (Decimal(high) if high else None)
    assert statement.qualifier == qualifier


def test_one_measure_stated_twice_is_counted_once() -> None:
    assert BY_ID["box3.1.public_share"].duplicate_of == "box1.preschool.public_share"
    assert BY_ID["text.3.2.3.large_class"].duplicate_of == "box3.3.large_class"
    assert BY_ID["text.3.6.3.double_qualified"].duplicate_of == "box7.3.double_qualified"


def test_page_about_the_registry_says_what_the_registry_holds() -> None:
    page = (project_root() / "docs" / "plan-registry.md").read_text(encoding="utf-8")
    sourced = sum(1 for s in PLAN if s.data_source)
    assert f"{len(PLAN)} statements" in page
    assert f"{sourced} statements can be answered by at least one feed; the other {len(PLAN) - sourced} say" in page
    seed = {row["id"]: row for row in seed_rows()}
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)] for line in page.splitlines()]
    corrections = [(r[1].strip("`"), r[2].strip("`"), r[4]) for r in rows if len(r) == 8 and r[1].strip("`") in seed]
    assert len(corrections) >= 20
    wrong = [c for c in corrections if seed[c[0]][c[1]] != c[2].replace("（空）", "")]
    assert wrong == []
    links = {r[1].strip("`"): r[2].strip("`") for r in rows if len(r) == 5 and r[1].strip("`") in seed}
    assert links == {s.id: s.duplicate_of for s in PLAN if s.duplicate_of}


# --- damage to the text ------------------------------------------------------------------------------------------


def test_changed_digit_in_the_text_is_found() -> None:
    damaged = TEXT.replace("普惠性幼儿园覆盖率巩固在85%以上", "普惠性幼儿园覆盖率巩固在86%以上")
    assert found(registry.verify(damaged, PLAN)) == {("box3.1.inclusive_coverage", "quote")}


def test_removed_sentence_is_found_and_what_moved_is_told() -> None:
    sentence = "新增20个中外合作办学机构和项目。"
    problems = registry.verify(TEXT.replace(sentence, ""), PLAN)
    assert ("box9.sino_foreign_new", "quote") in found(problems)
    after = next(p for p in problems if p.statement_id == "box9.english_courses")
    start = BY_ID["box9.english_courses"].quote_start
    assert start is not None
    assert after.rule == "offset"
    assert f"{start - len(sentence)}–" in after.remedy_zh


def test_repeated_sentence_in_the_same_section_is_found() -> None:
    damaged = TEXT + "\n\n教育投入稳定增长不变。构建规划统筹落实机制：各区县、市级各部门要根据有关职责分工。"
    quote = "各区县、市级各部门要根据有关职责分工"
    start = TEXT.index(quote)
    shortened = changed(
        "rule.governance.implementation_plans", quote_zh=quote, quote_start=start, quote_end=start + len(quote)
    )
    assert registry.verify(TEXT, shortened) == []
    assert found(registry.verify(damaged, shortened)) == {("rule.governance.implementation_plans", "repeated")}


def test_same_words_in_another_section_are_told_apart_by_offsets() -> None:
    quote = "构建跨区域教育合作机制，促进区域间教育相互融通、对口协作和共建共享"
    places = PlanText(TEXT).occurrences(quote)
    assert len(places) == 2
    fields = {"quote_zh": quote, "operator": "state", "value_low": None, "value_high": None, "qualifier": ()}
    second = changed(
        "text.2.3.1.strength_midwest",
        section="三(九)3",
        quote_start=places[1].start,
        quote_end=places[1].end,
        **fields,
    )
    assert registry.verify(TEXT, second) == []
    first = changed(
        "text.2.3.1.strength_midwest",
        section="三(九)3",
        quote_start=places[0].start,
        quote_end=places[0].end,
        **fields,
    )
    assert found(registry.verify(TEXT, first)) == {("text.2.3.1.strength_midwest", "section")}
    unplaced = changed("text.2.3.1.strength_midwest", section="三(九)2", quote_start=None, quote_end=None, **fields)
    assert found(registry.verify(TEXT, unplaced)) == {("text.2.3.1.strength_midwest", "repeated")}


# --- damage to the registry --------------------------------------------------------------------------------------


def test_changed_digit_in_a_value_is_found() -> None:
    damaged = changed("box3.1.inclusive_coverage", value_low=Decimal(86))
    assert found(registry.verify(TEXT, damaged)) == {("box3.1.inclusive_coverage", "numbers")}


def test_changed_digit_in_a_quotation_is_found() -> None:
    damaged = changed("box3.1.inclusive_coverage", quote_zh="普惠性幼儿园覆盖率巩固在86%以上", value_low=Decimal(86))
    assert found(registry.verify(TEXT, damaged)) == {("box3.1.inclusive_coverage", "quote")}


def test_swapped_offsets_are_found() -> None:
    one, other = BY_ID["box3.1.grade2_plus"], BY_ID["box3.1.inclusive_coverage"]
    swapped = {
        one.id: {"quote_start": other.quote_start, "quote_end": other.quote_end},
        other.id: {"quote_start": one.quote_start, "quote_end": one.quote_end},
    }
    damaged = [s.model_copy(update=swapped.get(s.id, {})) for s in PLAN]
    assert found(registry.verify(TEXT, damaged)) == {(one.id, "offset"), (other.id, "offset")}


def test_offset_beyond_the_text_is_found() -> None:
    damaged = changed("box3.1.grade2_plus", quote_start=10**9, quote_end=10**9 + 5)
    assert found(registry.verify(TEXT, damaged)) == {("box3.1.grade2_plus", "offset")}


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("box3.1.grade2_plus", {"section": "三(二)专栏3.2", "box_item": "2"}, "section"),
        ("box3.1.grade2_plus", {"box_item": "2"}, "box"),
        ("box3.1.grade2_plus", {"operator": "=", "value_high": Decimal(80)}, "operator"),
        ("box3.1.grade2_plus", {"qualifier": ()}, "qualifier"),
        ("box3.1.grade2_plus", {"qualifier": ("at_least", "strive")}, "qualifier"),
        ("box5.2.doctoral_units", {"value_low": Decimal(3), "value_high": Decimal(2)}, "values"),
        ("box5.2.doctoral_units", {"operator": "=", "value_high": Decimal(2)}, "numbers"),
        ("box5.6.moe_hss_awards", {"operator": "="}, "operator"),
        ("box5.1.sino_foreign_units", {"operator": "="}, "operator"),
        ("box4.1.city_vet_majors", {"operator": "increase_by"}, "operator"),
        ("box5.4.first_class_courses", {"operator": ">=", "value_high": None}, "operator"),
        ("box9.sino_foreign_new", {"baseline_2020": "54"}, "baseline"),
        ("box1.compulsory.retention", {"binding": "预期性"}, "table"),
        ("box1.compulsory.retention", {"operator": "=", "value_high": Decimal(96)}, "table"),
        ("box1.compulsory.retention", {"baseline_2020": "95.6"}, "table"),
        ("rule.rural.toilet_hazards", {"qualifier": ()}, "numbers"),
        ("box3.2.school_zone_coverage", {"value_low": Decimal(90), "value_high": Decimal(90)}, "values"),
        ("y2035.modernisation", {"operator": "="}, "values"),
        ("y2035.modernisation", {"missing_record_zh": ""}, "source"),
        ("box3.1.public_share", {"duplicate_of": "box1.preschool.public_shares"}, "duplicate"),
        ("box3.1.public_share", {"duplicate_of": "box3.1.public_share"}, "duplicate"),
    ],
)
def test_wrong_field_is_found(name: str, fields: dict[str, Any], rule: str) -> None:
    assert (name, rule) in found(registry.verify(TEXT, changed(name, **fields)))


def test_any_printed_value_changed_by_one_is_found() -> None:
    """Whatever the statement, a value that is not the printed one does not pass (inferred values are not printed)."""
    missed = []
    for statement in PLAN:
        if statement.value_low is None or "inferred" in statement.qualifier:
            continue
        update = {
            "value_low": statement.value_low + 1,
            "value_high": statement.value_high if statement.operator == "range" else None,
        }
        if statement.operator in {"=", "about", "increase_by"}:
            update["value_high"] = statement.value_low + 1
        if not check_statement(statement.model_copy(update=update)):
            missed.append(statement.id)
    assert missed == []


def test_any_offset_moved_by_one_is_found() -> None:
    moved = [
        s.model_copy(update={"quote_start": s.span.start + 1, "quote_end": s.span.end + 1}) for s in PLAN if s.span
    ]
    assert {name for name, rule in found(registry.verify(TEXT, moved)) if rule == "offset"} == set(BY_ID)


def test_chained_duplicate_is_found() -> None:
    damaged = changed("box1.preschool.public_share", duplicate_of="box1.preschool.enrolment")
    assert found(registry.verify(TEXT, damaged)) == {("box3.1.public_share", "duplicate")}


def test_repeated_id_and_repeated_statement_are_found() -> None:
    twice = [*PLAN, BY_ID["box3.1.grade2_plus"]]
    assert found(registry.verify(TEXT, twice)) == {
        ("box3.1.grade2_plus", "unique_id"),
        ("box3.1.grade2_plus", "shared"),
    }


def test_quotation_that_cuts_a_number_is_found() -> None:
    statement = BY_ID["box4.1.national_vet_majors"]
    assert statement.quote_end is not None
    damaged = changed(
        statement.id, quote_zh="优质专业12", quote_end=statement.quote_end - 2, value_low=12, value_high=12
    )
    assert (statement.id, "cut_number") in found(registry.verify(TEXT, damaged))


def test_two_measures_merged_in_one_quotation_are_found() -> None:
    merged = BY_ID["box7.4.talents_new"].model_copy(update={"quote_zh": "新增各类高层次人才400名、国家级人才团队25个"})
    assert found(check_statement(merged)) == {("box7.4.talents_new", "numbers")}


def test_no_statement_is_a_problem_not_a_pass() -> None:
    assert found(registry.verify(TEXT, [])) == {("-", "empty")}


def test_problem_reads_as_one_chinese_line() -> None:
    (problem,) = registry.verify(TEXT, changed("box3.1.inclusive_coverage", value_low=Decimal(86)))[:1]
    line = str(problem)
    assert line.startswith("box3.1.inclusive_coverage [numbers] ")
    assert "86" in line
    assert "\n" not in line


# --- the text's anatomy ------------------------------------------------------------------------------------------


def test_sections_survive_half_width_brackets_and_a_blank_in_a_box_heading() -> None:
    plan = PlanText("一、甲\n(二) 乙\n1. 丙\n正文\n专栏 8 丁\n2. 戊\n（三）己\n四、庚\n（五）辛\n")
    labels = [plan.section_at(plan.raw.index(char)) for char in "甲乙丙正丁戊己庚辛"]
    assert labels == ["一", "一(二)", "一(二)1", "一(二)1", "一(二)专栏8", "一(二)专栏8.2", "一(三)", "四", "四(五)"]


def test_occurrences_cross_page_breaks_and_map_back() -> None:
    plan = PlanText("甲乙\n\n丙甲乙丙")
    assert plan.occurrences("乙丙") == [Span(1, 5), Span(6, 8)]
    assert plan.slice(Span(1, 5)) == "乙丙"
    assert plan.occurrences("") == []


def test_years_are_not_numbers() -> None:
    assert printed_numbers("到 2025 年达到 5.4万个、2—3 所") == [Decimal("5.4"), Decimal(2), Decimal(3)]


# --- a second plan, and a file that cannot be used ---------------------------------------------------------------

DISTRICT_TEXT = """某区教育事业发展“十四五”规划

一、发展目标

到2025年，学前教育毛入园率达到97%以上，公办园在园幼儿
占比达到60%。

二、主要任务

（一）优质发展。

专栏1 重点计划

1. 力争新建学校3所。
"""


def district_rows() -> list[dict[str, str]]:
    common = {
        "plan_id": "qx-145-education",
        "kind": "text_target",
        "topic_zh": "学前教育",
        "unit_zh": "%",
        "scope": "某区",
        "school_level": "学前",
        "measure_type": "ratio",
        "data_source": "school_census|population",
    }
    quote = "公办园在园幼儿占比达到60%"
    start = DISTRICT_TEXT.index("公办园")
    rows = [
        {
            **common,
            "id": "qx.pre_ger",
            "section": "一",
            "indicator_zh": "学前教育毛入园率",
            "quote_zh": "学前教育毛入园率达到97%以上",
            "operator": ">=",
            "value_low": "97",
            "qualifier": "at_least",
        },
        {
            **common,
            "id": "qx.public_share",
            "section": "一",
            "indicator_zh": "公办园在园幼儿占比",
            "quote_zh": quote,
            "quote_start": str(start),
            "quote_end": str(start + len(quote) + 1),
            "operator": "=",
            "value_low": "60",
            "value_high": "60",
        },
        {
            **common,
            "id": "qx.new_schools",
            "kind": "programme_target",
            "section": "二(一)专栏1.1",
            "box": "1",
            "box_item": "1",
            "indicator_zh": "新建学校",
            "quote_zh": "力争新建学校3所",
            "operator": "=",
            "value_low": "3",
            "value_high": "3",
            "unit_zh": "所",
            "qualifier": "strive",
        },
    ]
    return [{column: row.get(column, "") for column in registry.COLUMNS} for row in rows]


def test_second_plan_loads_beside_the_first(tmp_path: Path) -> None:
    both = tmp_path / "plan_registry.csv"
    both.write_text(as_csv([*seed_rows(), *district_rows()]), encoding="utf-8")
    text = tmp_path / "district.txt"
    text.write_text(DISTRICT_TEXT, encoding="utf-8")
    statements = registry.load(both)
    assert registry.plan_ids(statements) == [registry.DEFAULT_PLAN, "qx-145-education"]
    assert registry.check(statements) == []
    assert registry.verify_file(TEXT_FILE, registry=both) == []
    assert registry.verify_file(text, "qx-145-education", registry=both) == []
    assert registry.of_plan(statements, "qx-145-education")[1].value_low == Decimal(60)
    wrong_text = found(registry.verify(TEXT, registry.of_plan(statements, "qx-145-education")))
    assert wrong_text == {("qx.pre_ger", "quote"), ("qx.public_share", "quote"), ("qx.new_schools", "quote")}
    with pytest.raises(UsageError, match="只能核对一个规划"):
        registry.verify(TEXT, statements)
    with pytest.raises(UsageError, match="没有规划“zz”"):
        registry.of_plan(statements, "zz")


def test_duplicate_may_not_lead_into_another_plan(tmp_path: Path) -> None:
    rows = district_rows()
    rows[0]["duplicate_of"] = "box1.preschool.gross_enrolment"
    both = tmp_path / "plan_registry.csv"
    both.write_text(as_csv([*seed_rows(), *rows]), encoding="utf-8")
    assert found(registry.check(registry.load(both))) == {("qx.pre_ger", "duplicate")}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("operator", "≥"),
        ("kind", "target"),
        ("binding", "约束"),
        ("data_source", "school_census|census"),
        ("qualifier", "左右"),
        ("value_low", "八十"),
        ("value_low", "NaN"),
        ("quote_start", "-1"),
        ("quote_zh", ""),
        ("id", "有 空格"),
    ],
)
def test_unknown_word_is_refused_with_row_and_column(tmp_path: Path, column: str, value: str) -> None:
    rows = district_rows()
    rows[1][column] = value
    path = tmp_path / "registry.csv"
    path.write_text(as_csv(rows), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"第 3 行“{column}”列"):
        registry.load(path)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="无法读取"):
        registry.load(tmp_path / "missing.csv")
    with pytest.raises(UsageError, match="无法读取"):
        registry.verify_file(tmp_path / "missing.txt")
    other = tmp_path / "other.csv"
    other.write_text("id,plan_id\nx,y\n", encoding="utf-8")
    with pytest.raises(UsageError, match="缺 kind"):
        registry.load(other)
    ragged = tmp_path / "ragged.csv"
    ragged.write_text(as_csv(district_rows()).rstrip("\n") + ",多一格\n", encoding="utf-8")
    with pytest.raises(UsageError, match="第 4 行“列数”列"):
        registry.load(ragged)
    gb = tmp_path / "gb.csv"
    gb.write_bytes(as_csv(district_rows()).encode("gb18030"))
    with pytest.raises(UsageError, match="UTF-8"):
        registry.load(gb)
