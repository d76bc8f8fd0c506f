"""A small candidate on which every publication rule passes: 5 districts, the municipal schools, 2020-2024.

Written as SQL over a few generating tables (tests/fixtures/expectations), independent of the product's models, so that
the gate is tried on marts that nobody computed with the code under trial. One enrolment model feeds records and marts:
a primary grade of a district holds `grade` pupils, everything else is a fixed multiple of it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

FIXTURES = Path(__file__).parents[2] / "fixtures" / "expectations"
HEADLINES = [
    "pre_enrolment",
    "pre_gross_enrolment",
    "pre_public_share",
    "compulsory_enrolment",
    "primary_enrolment",
    "junior_enrolment",
    "compulsory_retention",
    "senior_enrolment",
    "senior_general_enrolment",
    "senior_vocational_enrolment",
    "senior_gross_enrolment",
    "he_total_scale",
    "he_postgraduate",
    "he_undergraduate",
    "he_gross_enrolment",
    "avg_years_schooling",
    "avg_years_schooling_working_age",
]
# indicator: (unit, {year: value}); undergraduates are the published series, the others plausible round figures.
OFFICIAL = {
    "pre_gross_enrolment": ("%", [90.3, 90.9, 91.5, 92.0, 92.6]),
    "compulsory_retention": ("%", [95.5, 95.6, 95.7, 95.8, 95.9]),
    "senior_gross_enrolment": ("%", [98.5, 98.6, 98.6, 98.6, 98.7]),
    "he_total_scale": ("万人", [111.0, 118.0, 125.0, 129.0, 132.0]),
    "he_postgraduate": ("万人", [8.31, 8.9, 9.6, 10.2, 10.6]),
    "he_undergraduate": ("万人", [91.56, 100.27, 106.61, 110.02, 112.79]),
    "he_gross_enrolment": ("%", [53.3, 55.9, 58.0, 60.5, 61.9]),
    "avg_years_schooling": ("年", [9.8, 9.9, 10.0, 10.1, 10.2]),
    "avg_years_schooling_working_age": ("年", [10.86, 11.1, 11.3, 11.5, 11.7]),
}
# Computed: unit, numerator, denominator.
FURTHER = {
    "compulsory_gross_enrolment": ("%", 9_900, 10_000),
    "budget_education_share": ("%", 150_000_000, 1_000_000_000),
    "fiscal_education_share": ("%", 200_000_000, 1_000_000_000),
    "compulsory_equipment_per_student": ("元", 30_000_000, 10_000),
    "compulsory_large_class_share": ("%", 20, 1_000),
    "compulsory_super_class_share": ("%", 5, 1_000),
}
TARGETS = {
    "pre_gross_enrolment": (">", 93.0),
    "compulsory_retention": (">", 96.0),
    "senior_gross_enrolment": (">", 98.5),
    "he_total_scale": ("=", 120.0),
    "he_postgraduate": (">", 10.0),
    "he_undergraduate": ("=", 100.5),
    "he_gross_enrolment": ("=", 60.0),
    "avg_years_schooling": ("=", 10.4),
    "avg_years_schooling_working_age": ("=", 12.0),
}


def _sql(name: str) -> str:
    return (FIXTURES / f"{name}.sql").read_text(encoding="utf-8")


def build(path: Path) -> Path:
    """Write the candidate's database and return its path."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(_sql("model_records_and_marts"))
        _official(connection)
        _further(connection)
        _indicators(connection)
        _targets(connection)
        connection.execute(_sql("model_progress_and_coverage"))
        connection.execute(_sql("model_subject_marts"))
        _units_of_money(connection)
        _take_out_small_cells(connection)
        _published_before(connection)
        connection.execute("drop schema model cascade")
        connection.execute("checkpoint")
    return path


# The counts of persons of a mart, and what gives them away.
SMALL = {
    "mart_enrolment": (["fulltime_teachers"], ["pupil_teacher_ratio"]),
    "mart_teacher_quality": (
        [
            "fulltime_teachers",
            "contract_teachers",
            "bachelor_teachers",
            "senior_title_teachers",
            "mid_senior_title_teachers",
            "backbone_teachers",
            "certified_teachers",
            "age_le29",
            "age_30_39",
        ],
        ["certified_share"],
    ),
}


NOTHING_TAKEN_OUT = (
    "mart_compulsory_balance",
    "mart_education_finance",
    "mart_plan_evaluation",
    "mart_plan_progress",
    "mart_programme_targets",
    "mart_standing_rules",
)


def _units_of_money(connection: duckdb.DuckDBPyConnection) -> None:
    """Five equal units behind each kind of school of a district, so that none dominates."""
    connection.execute("create schema intermediate")
    connection.execute(
        "create table intermediate.int_area_member as"
        " select y as period, area_code, area_level, part as part_area_code from model.member cross join model.year"
    )
    connection.execute(
        "create table intermediate.int_finance_unit_year as"
        " select period, area_code, 'u' || n as unit_code, school_kind,"
        " amount / 5 as spend_total, amount / 5 as spend_fiscal, amount / 5 as spend_budget,"
        " amount / 5 as spend_budget_education, amount / 5 as spend_budget_operating,"
        " cast(0 as decimal(18, 2)) as spend_budget_construction, amount / 5 as budget_public_funds"
        " from marts.mart_education_finance cross join range(5) as units(n)"
        " where measure = 'spend_total' and school_kind <> 'all' and area_level in ('district', 'municipal')"
    )


def _take_out_small_cells(connection: duckdb.DuckDBPyConnection) -> None:
    """Small counts of persons leave the model marts as they leave the real ones; complements do not matter here."""
    for table in NOTHING_TAKEN_OUT:
        connection.execute(f"alter table marts.{table} add column suppressed varchar")
    for table, (columns, derived) in SMALL.items():
        named = ", ".join(f"case when {column} between 1 and 4 then '{column}' end" for column in columns)
        connection.execute(f"update marts.{table} set suppressed = nullif(concat_ws(',', {named}), '')")
        for column in derived:
            connection.execute(f"update marts.{table} set {column} = null where suppressed is not null")
        for column in columns:
            connection.execute(f"update marts.{table} set {column} = null where {column} between 1 and 4")


def _published_before(connection: duckdb.DuckDBPyConnection) -> None:
    """What readers saw before: one indicator that no other rule's fault touches, with values that differ a little."""
    connection.execute(
        "create table records.last_release as select '20240401T080000+0800-0a1b2c3d' as release_id, indicator_id,"
        " area_code, period, value * 1.01 as value from marts.fct_indicator_value"
        " where indicator_id = 'he_postgraduate'"
    )


def _official(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [
        (indicator, 2020 + n, value, unit)
        for indicator, (unit, values) in OFFICIAL.items()
        for n, value in enumerate(values)
    ]
    connection.executemany(
        "insert into marts.fct_indicator_value select ?, '500000', 'city', year, year || '年', ?, null, null, ?, "
        "'official', 'final', null, null, null, '统计公报', null from (select ?::int as year)",
        [(indicator, value, unit, year) for indicator, year, value, unit in rows],
    )


def _further(connection: duckdb.DuckDBPyConnection) -> None:
    """Rates, shares and means of the feeds beside census, register and finance: one district and the city."""
    connection.executemany(
        "insert into marts.fct_indicator_value select ?, area, level, year, year || '年', ?::double * ? / ?, ?, ?, ?,"
        " 'computed', 'final', 1, 1, date '2024-03-01', null, null"
        " from (select unnest(generate_series(2021, 2023))::int as year),"
        " (values ('500000', 'city'), ('500103', 'district')) as places(area, level)",
        [
            (name, 100 if unit == "%" else 1, top, bottom, top, bottom, unit)
            for name, (unit, top, bottom) in FURTHER.items()
        ],
    )


def _indicators(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "create table marts.dim_indicator (indicator_id varchar, headline_no int, name_zh varchar, name_en varchar,"
        " topic_zh varchar, unit_zh varchar, direction varchar, method_expected varchar, formula_zh varchar,"
        " numerator_zh varchar, denominator_zh varchar, source_zh varchar, decimals int, series_version varchar)"
    )
    connection.execute(
        "insert into marts.dim_indicator select indicator_id, null, indicator_id || '指标', indicator_id, '综合',"
        " any_value(unit), 'up', any_value(method), '分子除以分母', '分子', '分母', '报表', 2, 'v1'"
        " from marts.fct_indicator_value group by indicator_id"
    )
    connection.executemany(
        "update marts.dim_indicator set headline_no = ? where indicator_id = ?",
        [(number, indicator) for number, indicator in enumerate(HEADLINES, start=1)],
    )


def _targets(connection: duckdb.DuckDBPyConnection) -> None:
    """Official targets are the plan's own; computed ones lie five per cent above the model city's baseline."""
    connection.execute(
        "create table marts.dim_target (target_id varchar, plan_id varchar, indicator_id varchar, kind varchar,"
        " section varchar, box varchar, topic_zh varchar, indicator_zh varchar, quote_zh varchar, operator varchar,"
        " value_low double, value_high double, unit_zh varchar, baseline double, baseline_text varchar,"
        " binding varchar, scope varchar, school_level varchar, measure_type varchar, qualifier varchar,"
        " duplicate_of varchar, data_source varchar, note varchar)"
    )
    connection.execute(
        "insert into marts.dim_target select 'box1.' || i.indicator_id, 'model-plan', i.indicator_id,"
        " 'headline_indicator', '二(三)专栏1', '1', '综合', i.name_zh, i.name_zh || '	达到目标', '=', v.value * 1.05,"
        " null, i.unit_zh, v.value, null, case when i.indicator_id in ('compulsory_retention',"
        " 'avg_years_schooling_working_age') then '约束性' else '预期性' end, '全市', '全部', 'stock',"
        " null, null, '报表', null"
        " from marts.dim_indicator as i join marts.fct_indicator_value as v on v.indicator_id = i.indicator_id"
        " where i.headline_no is not null and v.area_level = 'city' and v.period = 2020"
    )
    connection.executemany(
        "update marts.dim_target set operator = ?, value_low = ? where indicator_id = ?",
        [(operator, value, indicator) for indicator, (operator, value) in TARGETS.items()],
    )
    connection.execute(
        "insert into marts.dim_target (target_id, plan_id, kind, indicator_zh, quote_zh, operator, value_low,"
        " value_high) values ('text.range', 'model-plan', 'programme_target', '建成所数', '建成2至3所', 'range', 2, 3)"
    )
    connection.execute(
        "insert into marts.dim_target (target_id, plan_id, indicator_id, kind, indicator_zh, quote_zh, operator,"
        " value_low) values ('box3.public', 'model-plan', 'pre_public_share', 'programme_target', '公办占比',"
        " '达到40%', '=', 40), ('rule.fund.per_student', 'model-plan', null, 'standing_rule', '生均只增不减',"
        " '只增不减', '>=', null)"
    )
