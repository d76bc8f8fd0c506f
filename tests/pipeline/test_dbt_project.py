"""The dbt project on hand-made records: exact marts, contracts, descriptions, the same marts from any row order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from orchestration import dbt
from sources.contract import feed_table
from tests.support.cohort import retention
from tests.support.rebuilt import invoke_dbt, run_dbt
from warehouse import kept
from warehouse.candidate import DATABASE_NAME, DELIVERY_SCHEMA, HELD_SCHEMA, duck_type
from warehouse.fingerprint import fingerprint
from warehouse.paths import project_root
from warehouse.records import RECORD_SCHEMAS

PROJECT = project_root() / "dbt_project"
Row = dict[str, Any]

CITY, MUNICIPAL, YUZHONG, WANZHOU = "500000", "500000-direct", "500103", "500101"
NINE_YEAR, PRIMARY, POINT, COMPLETE, TECHNICAL = "3150000001", "2150000001", "2150000002", "3450000001", "3650000001"
FEEDS = [
    ("school_census", "学年初报表", "每年", True, "", 2022, "stat_year"),
    ("teacher_register", "教师名册", "每年", True, "established,contract", 2022, "stat_year"),
    ("education_finance", "教育经费", "每年", True, "", 2023, "fiscal_year"),
    ("official_figures", "公布数", "不定期", False, "", 0, "any"),
    ("population", "人口", "每年", True, "final", 2024, "stat_year"),
    ("higher_education", "高等教育", "每年", False, "", 2024, "stat_year"),
    ("fiscal_accounts", "财政收支", "每年", False, "final", 2024, "fiscal_year"),
]
Forms = dict[str, dict[str, int]]
# area, school, name, type, organiser, recognised as inclusive, figures by form
SCHOOLS_2023: list[tuple[str, str, str, str, str, bool | None, Forms]] = [
    (YUZHONG, "1150000001", "甲幼儿园", "111", "811", None, {
        "3111": {"enrolment": 300, "female": 140, "entrants": 100, "leavers": 90}, "2105": {"classes_total": 10},
    }),
    (YUZHONG, "1150000002", "乙幼儿园", "111", "999", True, {"3111": {"enrolment": 100}}),
    (YUZHONG, "1150000003", "丙幼儿园", "111", "999", False, {"3111": {"enrolment": 100}}),
    (YUZHONG, NINE_YEAR, "丁九年制学校", "312", "811", None, {
        "3111": {"enrolment": 50},
        "3112": {"enrolment": 600, "graduates": 90, "grade_1": 110},
        "3115": {"enrolment": 300, "expected_graduates": 104},
        "2106": {"class_total": 14, "band_41_45": 10, "band_51_55": 2, "band_56_60": 1, "band_ge66": 1},
        "2107": {"class_total": 6, "band_46_50": 6},
    }),
    (WANZHOU, PRIMARY, "戊小学", "211", "811", None, {
        "3112": {"enrolment": 400}, "2106": {"class_total": 10, "band_36_40": 9, "band_61_65": 1},
    }),
    (WANZHOU, POINT, "己教学点", "218", "811", None, {
        "3112": {"enrolment": 20}, "2106": {"class_total": 1, "band_le25": 1},
    }),
    (WANZHOU, COMPLETE, "庚中学", "341", "811", None, {
        "3115": {"enrolment": 200, "expected_graduates": 70}, "3118": {"enrolment": 500},
        "2108": {"class_total": 10, "band_46_50": 10},
    }),
    (CITY, TECHNICAL, "辛技工学校", "366", "812", None, {"3221": {"enrolment": 1000}, "5176": {"books": 9}}),
]  # fmt: skip
# What the profile says besides; a blank is not a yes.
MARKS: dict[str, Row] = {
    "1150000001": {"kindergarten_grade": "grade2"},
    "1150000002": {"kindergarten_grade": "grade3"},
    NINE_YEAR: {"group_schooling": True, "district_schooling": True},
    PRIMARY: {"group_schooling": False, "district_schooling": True},
    POINT: {"group_schooling": True},
}
# Eight years before, for the cohort that leaves in 2023: one district and one more handed in both ends.
SCHOOLS_2015: list[tuple[str, str, str, str, str, bool | None, Forms]] = [
    (YUZHONG, "2150000008", "壬小学", "211", "811", None, {"3112": {"enrolment": 650, "entrants": 110}}),
    (WANZHOU, "2150000009", "癸小学", "211", "811", None, {"3112": {"enrolment": 420, "entrants": 71}}),
]
SCHOOLS_2022 = [(YUZHONG, NINE_YEAR, "丁小学", "312", "811", None, {"3112": {"enrolment": 580}})]
# person, area, school, post, category, education, stage: A stands in two districts, B's main post is administrative
TEACHERS = [
    ("A", YUZHONG, NINE_YEAR, "established", "full_time_teacher", "bachelor", "primary"),
    ("A", WANZHOU, PRIMARY, "established", "full_time_teacher", "bachelor", "primary"),
    ("B", YUZHONG, "1150000001", "contract", "full_time_teacher", "college", "preschool"),
    ("B", WANZHOU, COMPLETE, "established", "admin", "college", "junior"),
    ("C", YUZHONG, NINE_YEAR, "established", "full_time_teacher", "master", "junior"),
    ("D", WANZHOU, COMPLETE, "established", "full_time_teacher", "bachelor", "senior_general"),
    ("E", CITY, TECHNICAL, "contract", "full_time_teacher", None, "vocational"),
    ("F", WANZHOU, COMPLETE, "contract", "full_time_teacher", "college", "junior"),
]
QUALITIES: dict[str, Row] = {
    "C": {"title": "intermediate", "certificate_stage": "junior", "age": 40},
    "E": {"title": "senior_full", "dual_qualified": True, "professional_course": True, "age": 60},
}
# area, unit, school kind, students at both ends, total and budget spending
UNITS = [
    (YUZHONG, "U1", "61", 1000, 1090, 30_000_000, 20_600_000),
    (WANZHOU, "U2", "413", 100, 101, 2_000_000, 1_505_000),
]
OFFICIAL = [
    ("he_undergraduate", 2023, 110.02, "official", "年度公报"),
    ("he_undergraduate", 2023, 110.5, "medium", "转引"),
    ("pre_enrolment", 2023, 99.0, "official", "年度公报"),
    ("senior_gross_enrolment", 2025, 98.47, "high", "发布会"),
    ("he_gross_enrolment", None, 64.25, "high", "发布会"),
]


def delivery_id(feed: str, area: str, period: int, part: str = "") -> str:
    """Eighteen characters that name the delivery, stable from run to run."""
    return "d" + f"{sum(map(ord, feed)):04x}{area}{period:04d}{len(part):02x}"[:16].ljust(16, "0")


def deliveries() -> list[Row]:
    """2022: one district's census, one refused. 2023: everything from everybody."""
    with duckdb.connect() as connection:
        seed = PROJECT / "seeds" / "area.csv"
        areas = connection.execute(
            "SELECT area_code FROM read_csv(?, all_varchar = true) WHERE area_level IN ('district', 'municipal')",
            [str(seed)],
        ).fetchall()
    keys = [
        (feed, code.removesuffix("-direct"), 2023, part, "accepted", 0)
        for (code,) in areas
        for feed, part in [
            ("school_census", ""),
            ("teacher_register", "established"),
            ("teacher_register", "contract"),
            ("education_finance", ""),
        ]
    ]
    keys += [("school_census", area, 2015, "", "accepted", 0) for area in (YUZHONG, WANZHOU)]
    keys += [("school_census", YUZHONG, 2022, "", "partly", 3), ("school_census", WANZHOU, 2022, "", "refused", 0)]
    keys += [("official_figures", CITY, 0, "", "accepted", 0)]
    return [
        {
            "delivery_id": delivery_id(feed, area, period, part),
            "feed": feed,
            "area_code": area,
            "period": period,
            "part": part,
            "status": status,
            **dict.fromkeys(("sha256", "file_name", "submitter"), ""),
            "reported_on": f"{period}-09-{20 + len(part) % 5}" if period else None,
            "rows_in": 10 + lost,
            "rows_accepted": 10,
            "rows_quarantined": lost,
        }
        for feed, area, period, part, status, lost in keys
    ]


def records() -> dict[str, list[Row]]:
    """Rows by record table."""
    rows: dict[str, list[Row]] = {table: [] for table in RECORD_SCHEMAS}
    for year, schools in ((2015, SCHOOLS_2015), (2022, SCHOOLS_2022), (2023, SCHOOLS_2023)):
        for number, (area, code, name, kind, organiser, inclusive, forms) in enumerate(schools, start=6):
            lineage = {"delivery_id": delivery_id("school_census", area, year), "row_no": number}
            base = {"stat_year": year, "form_year": year, "area_code": area, "school_code": code, **lineage}
            profile = {"school_type_code": kind, "organiser_code": organiser, "urban_rural_code": "111"}
            rows["school_census__school"].append(
                base
                | profile
                | {"school_name": name, "address_code": "", "inclusive_private": inclusive}
                | MARKS.get(code, {})
            )
            rows["school_census__figure"] += [
                base
                | {"form": form, "measure": measure, "value": value, "line_no": 1, "column_no": 1, "source_cell": ""}
                for form, measures in forms.items()
                for measure, value in measures.items()
            ]
    for number, (person, area, school, post, category, education, stage) in enumerate(TEACHERS, start=2):
        rows["teacher_register__teacher"].append(
            {"stat_year": 2023, "area_code": area, "school_code": school, "person_key": person * 64, "post_kind": post,
             "post_category": category, "education": education, "teaching_stage": stage, "id_valid": True,
             "row_no": number, "delivery_id": delivery_id("teacher_register", area, 2023, post)}
            | QUALITIES.get(person, {})
        )  # fmt: skip
    for area, unit, kind, start, end, total, budget in UNITS:
        base = {"fiscal_year": 2023, "area_code": area, "unit_code": unit, "unit_name": unit, "school_kind_code": kind}
        base |= {"delivery_id": delivery_id("education_finance", area, 2023)}
        rows["education_finance__line"] += [
            base | {"form": "jz_1", "line_no": 1, "amount_1": start, "amount_2": end},
            base | {"form": "jz_3", "line_no": 1, "amount_1": total, "amount_3": budget},
            base | {"form": "jz_3", "line_no": 2, "amount_1": 7, "amount_3": 7},
        ]
    for number, (indicator, stat_year, value, confidence, source) in enumerate(OFFICIAL, start=2):
        rows["official_figures__figure"].append(
            {"indicator_id": indicator, "area_code": CITY, "stat_year": stat_year, "ref_period": "年末", "value": value,
             "confidence": confidence, "source": source, "note": "", "row_no": number, "delivery_id": "d" + "0" * 16}
        )  # fmt: skip
    return rows


def write_records(database: Path, *, backwards: bool = False) -> None:
    """Schema `records` as the warehouse lays it out, with the rows in either order."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA records")
        for table, schema in {**RECORD_SCHEMAS, "delivery": DELIVERY_SCHEMA, "held": HELD_SCHEMA}.items():
            types = [(field.name, sql_type(field.type)) for field in schema]
            connection.execute(f"CREATE TABLE records.{table} ({', '.join(f'{name} {kind}' for name, kind in types)})")
            rows = deliveries() if table == "delivery" else records().get(table, [])
            marks = ", ".join("?" * len(types))
            for row in reversed(rows) if backwards else rows:
                connection.execute(
                    f"INSERT INTO records.{table} VALUES ({marks})", [row.get(name) for name, _ in types]
                )
        kinds = ", ".join(f"{field.name} {sql_type(field.type)}" for field in feed_table().schema)
        connection.execute(f"CREATE TABLE records.feed ({kinds})")
        connection.executemany("INSERT INTO records.feed VALUES (?, ?, ?, ?, ?, ?, ?)", FEEDS)


def sql_type(kind: pa.DataType) -> str:
    """The DuckDB type of a column of the records schema."""
    return {pa.int64(): "BIGINT", pa.date32(): "DATE"}.get(kind) or duck_type(kind)


COUNTED_TARGETS = 80


@dataclass(frozen=True)
class Built:
    """One build: its database and its manifest."""

    database: Path
    manifest: dict[str, Any]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the marts."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Everything built and tested once, unit tests included."""
    folder = tmp_path_factory.mktemp("dbt")
    database = folder / DATABASE_NAME
    write_records(database)
    run_dbt(PROJECT, database, folder / "target", "build")
    return Built(database, json.loads((folder / "target" / "manifest.json").read_bytes()))


def test_city_values_are_exactly_what_the_rows_say(built: Built) -> None:
    found = built.rows(
        "SELECT indicator_id, value, numerator, denominator, unit FROM marts.fct_indicator_value"
        f" WHERE area_code = '{CITY}' AND period = 2023 AND method = 'computed' ORDER BY indicator_id"
    )
    expected = {
        "budget_spend_per_pupil_junior": (1505000 / ((100 * 8 + 101 * 4) / 12), 1505000, 100.3333, "元"),
        "budget_spend_per_pupil_primary": (20000, 20600000, 1030, "元"),
        "city_backbone_teachers": (0, 0, None, "人"),
        "complete_middle_schools": (1, 1, None, "所"),
        "compulsory_backbone_share": (0, 0, 3, "%"),
        "compulsory_enrolment": (0.152, 1520, None, "万人"),
        "compulsory_large_class_share": (100 * 3 / 31, 3, 31, "%"),
        "compulsory_oversize_schools": (0, 0, None, "所"),
        "compulsory_retention": (100 * 174 / 181, 174, 181, "%"),
        "compulsory_standard_class_share": (100 * 26 / 31, 26, 31, "%"),
        "compulsory_super_class_share": (100 / 31, 1, 31, "%"),
        "district_schooling_share": (100 * 2 / 3, 2, 3, "%"),
        "district_schooling_share_core": (100, 1, 1, "%"),
        "education_spend_total": (0.32, 32000000, None, "亿元"),
        "fulltime_teachers": (0.0005, 5, None, "万人"),
        "group_or_district_share": (100 * 2 / 3, 2, 3, "%"),
        "group_schooling_share": (100 / 3, 1, 3, "%"),
        "group_schooling_share_core": (100, 1, 1, "%"),
        "junior_enrolment": (0.05, 500, None, "万人"),
        "junior_large_class_share": (0, 0, 6, "%"),
        "junior_pupil_teacher_ratio": (250, 500, 2, "教师=1"),
        "mid_senior_title_share": (25, 1, 4, "%"),
        "pre_enrolment": (0.055, 550, None, "万人"),
        "pre_grade1_plus_share": (0, 0, 3, "%"),
        "pre_grade2_plus_share": (100 / 3, 1, 3, "%"),
        "pre_inclusive_coverage": (100 * 450 / 550, 450, 550, "%"),
        "pre_public_enrolment": (0.035, 350, None, "万人"),
        "pre_public_share": (100 * 350 / 550, 350, 550, "%"),
        "pre_pupil_teacher_ratio": (None, 550, 0, "教师=1"),
        "pre_teacher_certified_share": (None, 0, 0, "%"),
        "primary_enrolment": (0.102, 1020, None, "万人"),
        "primary_large_class_share": (12, 3, 25, "%"),
        "primary_pupil_teacher_ratio": (1020, 1020, 1, "教师=1"),
        "school_count": (7, 7, None, "所"),
        "senior_enrolment": (0.15, 1500, None, "万人"),
        "senior_general_enrolment": (0.05, 500, None, "万人"),
        "senior_large_class_share": (0, 0, 10, "%"),
        "senior_oversize_schools": (0, 0, None, "所"),
        "senior_pupil_teacher_ratio": (500, 500, 1, "教师=1"),
        "senior_vocational_enrolment": (0.1, 1000, None, "万人"),
        "special_school_coverage_200k": (0, 0, 37, "%"),
        "teacher_bachelor_share": (100 * 2 / 3, 2, 3, "%"),
        "teacher_certified_share": (25, 1, 4, "%"),
        "teacher_qualified_share": (100, 4, 4, "%"),
        "urban_compulsory_enrolment": (0.152, 1520, None, "万人"),
        "vocational_books_per_student": (0.009, 9, 1000, "册"),
        "vocational_building_area_per_student": (0, 0, 1000, "平方米"),
        "vocational_dual_share_fulltime": (100, 1, 1, "%"),
        "vocational_dual_share_professional": (100, 1, 1, "%"),
        "vocational_equipment_per_student": (0, 0, 1000, "元"),
        "vocational_general_ratio": (2, 1000, 500, "普高=1"),
    }
    assert [row[0] for row in found] == sorted(expected)
    for indicator, value, numerator, denominator, unit in found:
        rest = (float(numerator), None if denominator is None else float(denominator), unit)
        exact = expected[indicator][0] if value is None else pytest.approx(expected[indicator][0], rel=1e-12)
        assert (value, *rest) == (exact, *expected[indicator][1:]), indicator


def test_districts_groups_and_municipal_schools_add_up(built: Built) -> None:
    found = built.rows(
        "SELECT area_code, area_level, cast(numerator AS INTEGER) FROM marts.fct_indicator_value"
        " WHERE indicator_id = 'senior_enrolment' AND period = 2023 AND numerator > 0 ORDER BY area_code"
    )
    assert found == [
        (CITY, "city", 1500),
        (MUNICIPAL, "municipal", 1000),
        (WANZHOU, "district", 500),
        ("G2", "group", 500),
    ]


def test_a_person_in_two_districts_counts_in_one(built: Built) -> None:
    found = built.rows(
        "SELECT area_code, stage, fulltime_teachers FROM marts.mart_enrolment WHERE period = 2023"
        " AND fulltime_teachers > 0 AND area_level IN ('district', 'municipal') ORDER BY ALL"
    )
    assert found == [
        (MUNICIPAL, "senior_vocational", 1),
        (WANZHOU, "junior", 1),
        (WANZHOU, "primary", 1),
        (WANZHOU, "senior_general", 1),
        (YUZHONG, "junior", 1),
    ]


def test_retention_agrees_with_a_second_count(built: Built) -> None:
    rows = records()["school_census__figure"]
    figures = pd.DataFrame(rows).rename(columns={"stat_year": "year", "area_code": "area"})
    places = [(row["period"], row["area_code"]) for row in deliveries() if row["feed"] == "school_census"]
    again = retention(figures, pd.MultiIndex.from_tuples(places, names=["year", "area"]))
    found = built.rows(
        "SELECT period, numerator, denominator, value, publish_status, reported_units FROM marts.fct_indicator_value"
        " WHERE indicator_id = 'compulsory_retention'"
    )
    assert [(year, top, bottom) for year, top, bottom, *_ in found] == list(again.itertuples(name=None))
    assert [row[3:] for row in found] == [(pytest.approx(100 * 174 / 181, rel=1e-12), "partial", 2)]


def test_coverage_decides_the_publish_status(built: Built) -> None:
    query = (
        "SELECT publish_status, reported_units, expected_units, as_of::VARCHAR, note FROM marts.fct_indicator_value"
        " WHERE indicator_id = 'primary_enrolment' AND area_code = '{}' AND period = {}"
    )
    city = "缺报38个地区：市直属、万州区、涪陵区、大渡口区、江北区等；有3行被隔离，未计入"
    assert built.rows(query.format(CITY, 2022)) == [("partial", 1, 39, "2022-09-20", city)]
    assert built.rows(query.format(YUZHONG, 2022)) == [("final", 1, 1, "2022-09-20", "有3行被隔离，未计入")]
    assert built.rows(query.format(CITY, 2023)) == [("final", 39, 39, "2023-09-20", None)]
    assert built.rows(query.format(WANZHOU, 2022)) == []


def test_published_figures_stand_only_for_official_indicators(built: Built) -> None:
    found = built.rows(
        "SELECT indicator_id, area_code, period, value, ref_period, note FROM marts.fct_indicator_value"
        " WHERE method = 'official' ORDER BY ALL"
    )
    assert found == [
        ("he_undergraduate", CITY, 2023, 110.02, "年末", "来源：年度公报；可信度：official"),
        ("senior_gross_enrolment", CITY, 2025, 98.47, "年末", "来源：发布会；可信度：high"),
    ]


def test_plan_progress_follows_the_rule_of_each_target(built: Built) -> None:
    judged = {
        (target, year): (status, status_zh, note)
        for target, year, status, status_zh, note in built.rows(
            "SELECT target_id, year, status, status_zh, split_part(coalesce(note, ''), '；', 1)"
            " FROM marts.mart_plan_progress"
        )
    }
    # Headlines, further indicators, and the targets that the register counts (no rule, no fact of 2020).
    assert len(judged) == (17 + 16 + COUNTED_TARGETS) * 5
    stock = "规模类指标受学龄人口变动影响，须结合人口解读"
    forecast = "预测值为自基年起的线性外推，不是统计数"
    assert judged["box1.preschool.enrolment", 2021] == ("cannot_assess", "无法评估", "无数据")
    assert judged["box1.compulsory.primary_enrolment", 2022] == ("cannot_assess", "无法评估", "覆盖不全")
    assert judged["box1.preschool.enrolment", 2023] == ("worsening", "倒退", stock)
    assert judged["box1.preschool.public_share", 2023] == ("achieved", "提前完成", forecast)
    assert judged["box3.1.inclusive_coverage", 2023] == ("lost", "跌破", forecast)
    assert judged["box1.higher.undergraduate", 2023] == ("achieved", "提前完成", forecast)
    assert judged["box1.senior.gross_enrolment", 2025] == ("behind", "未完成", "")
    renumbered = "2021年起班额由基础基报表改为教基2106、2107、2108"
    assert judged["box3.3.large_class", 2023] == ("achieved", "提前完成", renumbered)
    assert judged["box8.1.smart_campus", 2023] == ("cannot_assess", "无法评估", "无数据")
    assert judged["text.3.2.3.large_class", 2023][0] == "cannot_assess"


def test_schools_classes_and_coverage(built: Built) -> None:
    versions = built.rows(
        "SELECT valid_from_year, valid_to_year, school_name, area_code, school_type_zh, is_public FROM marts.dim_school"
        f" WHERE school_code = '{NINE_YEAR}' ORDER BY 1"
    )
    assert versions == [
        (2022, 2022, "丁小学", YUZHONG, "九年一贯制学校", True),
        (2023, None, "丁九年制学校", YUZHONG, "九年一贯制学校", True),
    ]
    classes = built.rows(
        "SELECT class_total, class_le45, class_46_55, class_56_65, class_ge66, class_ge56, share_ge56, share_ge66"
        f" FROM marts.mart_class_size WHERE area_code = '{CITY}' AND period = 2023 AND stage = 'primary'"
    )
    assert classes == [(25, 20, 2, 2, 1, 3, 12.0, 4.0)]
    coverage = built.rows(
        "SELECT feed, period, status, count(*) FROM marts.mart_data_coverage GROUP BY ALL ORDER BY ALL"
    )
    assert coverage == [
        ("education_finance", 2023, "received", 39),
        ("official_figures", 0, "received", 1),
        ("school_census", 2015, "received", 2),
        ("school_census", 2022, "missing", 37),
        ("school_census", 2022, "partly", 1),
        ("school_census", 2022, "refused", 1),
        ("school_census", 2023, "received", 39),
        ("teacher_register", 2022, "missing", 78),
        ("teacher_register", 2023, "received", 78),
    ]


def test_rows_in_another_order_give_the_same_fingerprint(built: Built, tmp_path: Path) -> None:
    database = tmp_path / DATABASE_NAME
    write_records(database, backwards=True)
    untested = ("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")
    run_dbt(PROJECT, database, tmp_path / "target", "build", *untested)
    assert fingerprint(database) == fingerprint(built.database)


def nodes(built: Built, *kinds: str) -> Iterator[dict[str, Any]]:
    """Manifest nodes of these kinds."""
    yield from (node for node in built.manifest["nodes"].values() if node["resource_type"] in kinds)


def test_every_relation_and_column_is_described_and_labelled(built: Built) -> None:
    silent: list[str] = []
    made: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in built.rows(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns ORDER BY ALL"
    ):
        made.setdefault((schema, table), []).append(column)
    for node in nodes(built, "model", "seed"):
        columns = made[node["schema"], node["alias"]]
        if not node["description"] or not node["config"]["meta"].get("label_zh"):
            silent.append(node["name"])
        for column in columns:
            known = node["columns"].get(column, {})
            meta = known.get("config", {}).get("meta", {})
            # The registry's owner writes units into descriptions, since its values have many.
            unit = "unit" in meta or node["name"] == "plan_registry"
            if not (known.get("description") and meta.get("label_zh") and unit):
                silent.append(f"{node['name']}.{column}")
    assert silent == []


def test_marts_have_contracts_keys_and_comments_in_the_database(built: Built) -> None:
    marts = {node["name"]: node for node in nodes(built, "model") if node["schema"] == "marts"}
    assert len(marts) == 16
    for name, node in marts.items():
        assert node["config"]["contract"]["enforced"], name
        assert node["config"]["meta"]["key"], name
    bare = built.rows(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'marts' AND comment IS NULL"
    )
    assert bare == []


def test_every_formula_is_defined_in_words(built: Built) -> None:
    own = [m for m in built.manifest["macros"].values() if m["package_name"] == "eduplan"]
    internal = ("default__", "spark__", "test_")
    silent = [m["name"] for m in own if not m["name"].startswith(internal) and not m["description"]]
    assert silent == []
    assert sum(m["original_file_path"].startswith("macros/formulas/") for m in own) > 30


@cache
def source_tables() -> dict[str, list[tuple[str, str]]]:
    """(column, type) by source table, as the YAML declares them."""
    declared = yaml.safe_load((PROJECT / "models" / "staging" / "_sources.yml").read_text(encoding="utf8"))
    return {
        table["name"]: [(column["name"], column["data_type"]) for column in table["columns"]]
        for table in declared["sources"][0]["tables"]
    }


def test_sources_are_exactly_the_records(built: Built) -> None:
    schemas = {**RECORD_SCHEMAS, "delivery": DELIVERY_SCHEMA, "feed": feed_table().schema, "held": HELD_SCHEMA}
    expected = {
        table: [(field.name, sql_type(field.type).lower()) for field in schema] for table, schema in schemas.items()
    }
    assert source_tables() == expected


def test_a_wrong_sum_is_found(built: Built, tmp_path: Path) -> None:
    """The singular tests can fail: one pupil more in the city than in its districts."""
    database = tmp_path / DATABASE_NAME
    database.write_bytes(built.database.read_bytes())
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"UPDATE marts.fct_indicator_value SET numerator = numerator + 1 WHERE area_code = '{CITY}'")
    with pytest.raises(AssertionError, match="city_equals_districts_and_municipal: fail"):
        chosen = ("--select", "city_equals_districts_and_municipal")
        run_dbt(PROJECT, database, tmp_path / "target", "build", *chosen)


def test_a_city_whose_records_are_incomplete_is_not_asked_for_its_sum(built: Built, tmp_path: Path) -> None:
    """An official figure stands for it then, while its districts are computed as ever."""
    database = tmp_path / "incomplete.duckdb"
    database.write_bytes(built.database.read_bytes())
    text = (PROJECT / "tests" / "city_equals_districts_and_municipal.sql").read_text(encoding="utf-8")
    with duckdb.connect(str(database)) as connection:
        schemas = dict(connection.execute("SELECT table_name, table_schema FROM information_schema.tables").fetchall())
        text = text.partition("\n")[2]  # after its config
        query = re.sub(r"\{\{ ref\('(\w+)'\) \}\}", lambda name: f"{schemas[name[1]]}.{name[1]}", text)
        of_the_city = f"area_code = '{CITY}' AND method = 'computed'"
        connection.execute(
            f"DELETE FROM marts.fct_indicator_value WHERE {of_the_city} AND indicator_id = 'pre_enrolment'"
        )
        missing = connection.execute(query).fetchall()
        assert {row[0] for row in missing} == {"pre_enrolment"}
        connection.execute(
            "INSERT INTO marts.fct_indicator_value BY NAME SELECT DISTINCT indicator_id, period, 'city' AS area_level,"
            f" '{CITY}' AS area_code, 'official' AS method FROM marts.fct_indicator_value"
            " WHERE indicator_id = 'pre_enrolment' AND method = 'computed'"
        )
        assert connection.execute(query).fetchall() == []


def test_a_broken_promise_is_found_and_named(built: Built, tmp_path: Path) -> None:
    """One test asks all that a table promises; what it finds says which promise and how many rows."""
    database, artefacts = tmp_path / DATABASE_NAME, tmp_path / "dbt"
    database.write_bytes(built.database.read_bytes())
    fact = f"indicator_id = 'primary_enrolment' AND area_code = '{CITY}' AND period = 2023"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"INSERT INTO marts.fct_indicator_value FROM marts.fct_indicator_value WHERE {fact}")
        connection.execute(
            "UPDATE marts.fct_indicator_value SET value = 'inf', method = 'guessed', area_code = '599999'"
            f" WHERE area_code = '{WANZHOU}' AND indicator_id = 'school_count' AND period = 2023"
        )
        connection.execute("INSERT INTO intermediate.int_school_year FROM intermediate.int_school_year LIMIT 2")
    broken = ("fct_indicator_value_is_sound", "every_table_keeps_its_key")
    invoke_dbt(PROJECT, database, artefacts, "test", "--select", *broken)
    problem = dbt.failure(artefacts, built.manifest, exit_code=1)
    assert problem is not None
    assert "fct_indicator_value_is_sound（fct_indicator_value）测试未通过，4 行" in problem.message_zh
    for promise in ("主键 indicator_id, area_code, period：1 行", "取值 method：1 行", "有限数 value：1 行",
                    "对应 area_code → dim_area：1 行", "主键 int_school_year period, school_code：2 行"):  # fmt: skip
        assert promise in problem.message_zh


@pytest.mark.parametrize("said", ["as before", "something else"])
def test_a_key_is_asked_again_where_a_table_says_something_else(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """A build that begins with the last one's tables leaves out what that one found sound and nobody changed."""
    database, test = tmp_path / DATABASE_NAME, "every_table_keeps_its_key"
    database.write_bytes(built.database.read_bytes())
    with duckdb.connect(str(database)) as connection:
        kept.prepare(connection)
        tables = [node["unique_id"] for node in nodes(built, "model") if node["config"]["materialized"] == "table"]
        connection.executemany("INSERT INTO kept.made VALUES (?, NULL, NULL, 'as before')", [[name] for name in tables])
        connection.execute("CREATE OR REPLACE TABLE kept.before AS SELECT node, content FROM kept.made")
        connection.execute("UPDATE kept.made SET content = ? WHERE node LIKE '%.int_school_year'", [said])
        connection.execute("INSERT INTO intermediate.int_school_year FROM intermediate.int_school_year LIMIT 2")
        connection.execute("INSERT INTO intermediate.int_area_year FROM intermediate.int_area_year LIMIT 2")
    monkeypatch.setenv("EDUPLAN_KEPT", "1")
    done = invoke_dbt(PROJECT, database, tmp_path / "dbt", "test", "--select", test)
    (result,) = getattr(done.result, "results", [])
    assert result.failures == (0 if said == "as before" else 2)
    asked = json.loads((tmp_path / "dbt" / dbt.RUN_RESULTS).read_bytes())["results"][0]["compiled_code"]
    assert ("int_school_year" in asked) == (said != "as before")
    # A view holds nothing of its own: what it shows is asked each time.
    assert "stg_delivery" in asked and "int_area_year" not in asked


def test_every_table_has_a_key_that_is_tested(built: Built) -> None:
    keyed = {node["unique_id"] for node in nodes(built, "model", "seed") if node["config"]["meta"].get("key")}
    assert keyed >= {node["unique_id"] for node in nodes(built, "model", "seed") if node["schema"] in ("marts", "seed")}
    tests = list(nodes(built, "test"))
    sound = [test for test in tests if (test.get("test_metadata") or {}).get("name") == "sound_rows"]
    alone = {test["attached_node"] for test in sound}
    (together,) = (test for test in tests if test["name"] == "every_table_keeps_its_key")
    assert set(together["depends_on"]["nodes"]) | alone == keyed
    assert not set(together["depends_on"]["nodes"]) & alone
    # A break may stand for every indicator or every area, so parts of its key are empty.
    assert [test["name"] for test in sound if "主键" not in test["compiled_code"]] == ["series_break_is_sound"]


def test_every_feed_with_a_calendar_has_a_freshness_that_is_measured(built: Built, tmp_path: Path) -> None:
    """Whether a feed is late depends on today; which day it is measured from does not."""
    invoke_dbt(PROJECT, built.database, tmp_path, "source", "freshness", "--target", "sealed")
    measured = {
        result["unique_id"].removeprefix("source.eduplan.records."): result
        for result in json.loads((tmp_path / "sources.json").read_bytes())["results"]
    }
    known = {source["name"]: source for source in built.manifest["sources"].values()}
    dated = {name for name, source in known.items() if (source["freshness"] or {}).get("warn_after", {}).get("count")}
    unplanned = {"official_figures__figure", "delivery", "held", "feed"}
    assert dated == set(known) - unplanned
    came = {name: result["max_loaded_at"][:10] for name, result in measured.items()}
    handed_in = {
        "school_census__school": "2023-09-20",
        "school_census__figure": "2023-09-20",
        "teacher_register__teacher": "2023-09-23",
        "education_finance__line": "2023-09-20",
    }
    # A feed that never came is as old as can be, not a feed without an age.
    assert came == dict.fromkeys(dated, "0001-01-01") | handed_in
    assert {measured[name]["status"] for name in dated - set(handed_in)} == {"error"}


def test_the_documentation_is_one_page(built: Built) -> None:
    target = built.database.parent / "target"
    run_dbt(
        PROJECT,
        built.database,
        target,
        "docs",
        "generate",
        "--static",
        "--empty-catalog",
        "--no-compile",
    )
    page = (target / "static_index.html").read_text(encoding="utf-8")
    for name in ("mart_plan_progress", "int_period_fact", "weighted_cv", "release_for_bi", "quality_report"):
        assert name in page
    exposed = {name for exposure in built.manifest["exposures"].values() for name in exposure["depends_on"]["nodes"]}
    marts = {node["unique_id"] for node in nodes(built, "model") if node["schema"] == "marts"}
    assert exposed >= marts


# What another engine does not have, and what stands for it; `adapter.dispatch` macros alone may differ by engine.
UNPORTABLE = {
    "cast by ::": r"::",
    "integer division by //": r"//",
    "EXCLUDE": r"\bexclude\s*\(",
    "REPLACE of columns": r"\*\s*replace\s*\(",
    "strftime": r"\bstrftime\s*\(",
    "date_diff": r"\bdate_?diff\s*\(",
    "arg_max, arg_min": r"\barg_(max|min)\s*\(",
    "quantile_cont": r"\bquantile(_cont|_disc)?\s*\(",
    "list literal": r"\[",
    "struct literal or lambda": r"\{|->",
    "PIVOT": r"\b(un)?pivot\b",
    "ASOF": r"\basof\b",
    "GROUP BY ALL, ORDER BY ALL": r"\bby\s+all\b",
    "list, unnest, generate_series": r"\b(list|unnest|generate_series|range)\s*\(",
}


def unportable(sql: str) -> list[str]:
    """Constructs of `UNPORTABLE` in a statement, outside its texts and comments."""
    bare = re.sub(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL).lower()
    # What dbt's own dispatched split_part becomes on this engine.
    bare = re.sub(r"string_split\([^()]*\)\s*\[\s*\d\s*\]", " ", bare)
    return [name for name, pattern in UNPORTABLE.items() if re.search(pattern, bare)]


def test_every_statement_is_portable(built: Built) -> None:
    """What dbt sends to the engine, after all macros: models and data tests."""
    sent = {node["name"]: node["compiled_code"] for node in nodes(built, "model", "test")}
    assert len(sent) > 110
    assert {name: found for name, code in sent.items() if (found := unportable(code))} == {}


@pytest.mark.parametrize(
    "sql",
    ["select a::int", "select 7 // 2", "select * exclude (a) from t", "select * replace (1 as a) from t",
     "select strftime(d, '%Y')", "select date_diff('day', a, b)", "select arg_max(a, b)", "select [1, 2]",
     "select quantile_cont(a, 0.5)", "pivot t on a", "from t asof join u", "select a from t group by all"],
)  # fmt: skip
def test_an_unportable_statement_is_found(sql: str) -> None:
    assert unportable(sql)
    assert not unportable("select 'a::b [x] //' as note -- group by all\nfrom t")
