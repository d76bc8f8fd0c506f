"""Marts about schools, teachers, money and balance, and the dimensions, as the analyst computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from analyst_facts import feed_table, seed
from analyst_reading import Records
from analyst_tables import Tables, areas_of, average_students, half_up, publish_status, ratio, rolled_up

KEYS = ["period", "area_code"]
VERDICTS_ZH = {"met": "达标", "not_met": "未达标", "cannot_assess": "无法评估", "excluded": "不计入"}
MEASURES = [  # measure, in Chinese, unit, amount, students it is divided by, units that lack the amount
    ("spend_total", "教育经费总支出", "元", "spend_total", "", "spend"),
    ("spend_fiscal", "财政补助支出", "元", "spend_fiscal", "", "spend"),
    ("budget_spend", "一般公共预算教育经费支出", "元", "spend_budget", "", "spend"),
    ("budget_education_spend", "一般公共预算教育支出", "元", "spend_budget_education", "", "spend"),
    ("budget_operating_spend", "一般公共预算教育事业费支出", "元", "spend_budget_operating", "", "spend"),
    ("budget_construction_spend", "一般公共预算基本建设支出", "元", "spend_budget_construction", "", "spend"),
    ("budget_public_funds", "一般公共预算公用经费支出", "元", "budget_public_funds", "", "public_funds"),
    ("average_students", "年平均学生数", "人", "average_students", "", "students"),
    ("spend_total_per_student", "生均教育经费总支出", "元", "spend_total", "average_students", "spend"),
    ("spend_fiscal_per_student", "生均财政补助支出", "元", "spend_fiscal", "average_students", "spend"),
    ("budget_spend_per_student", "生均一般公共预算教育经费", "元", "spend_budget", "average_students", "spend"),
    ("budget_operating_per_student", "生均一般公共预算教育事业费支出", "元", "spend_budget_operating",
     "average_students", "spend"),
    ("budget_public_funds_per_student", "生均一般公共预算公用经费支出", "元", "budget_public_funds",
     "students_public_funds", "public_funds"),
]  # fmt: skip
SPENDING = [
    "spend_total", "spend_fiscal", "spend_budget", "spend_budget_education", "spend_budget_operating",
    "spend_budget_construction", "budget_public_funds",
]  # fmt: skip
SHARES = {
    "contract_share": ("contract_teachers", "fulltime_teachers"),
    "bachelor_share": ("bachelor_teachers", "fulltime_teachers"),
    "master_share": ("master_teachers", "fulltime_teachers"),
    "qualified_share": ("qualified_teachers", "fulltime_teachers"),
    "above_required_share": ("above_required_teachers", "fulltime_teachers"),
    "senior_title_share": ("senior_title_teachers", "fulltime_teachers"),
    "mid_senior_title_share": ("mid_senior_title_teachers", "fulltime_teachers"),
    "backbone_share": ("backbone_teachers", "fulltime_teachers"),
    "certified_share": ("certified_teachers", "fulltime_teachers"),
    "dual_qualified_share_professional": ("dual_qualified_professionals", "professional_teachers"),
    "dual_qualified_share_fulltime": ("dual_qualified_teachers", "fulltime_teachers"),
}


def marts_of(records: Records, tables: Tables, indicators: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every mart that is not about the plan."""
    return {
        "dim_area": areas_of(),
        "dim_indicator": dim_indicator(),
        "dim_school": dim_school(tables),
        "dim_target": dim_target(),
        "fct_indicator_value": indicators,
        "mart_enrolment": enrolment(tables),
        "mart_class_size": class_size(tables),
        "mart_teacher_quality": teacher_quality(tables),
        "mart_education_finance": education_finance(tables),
        "mart_compulsory_balance": compulsory_balance(records, tables),
        "mart_preschool_inclusive": preschool_inclusive(tables, indicators),
        "mart_data_coverage": data_coverage(records, tables),
    }


# -- dimensions -------------------------------------------------------------------------------------------------------


def dim_indicator() -> pd.DataFrame:
    """The indicators as they are registered."""
    frame = seed("indicator").drop(columns=["official_fallback", "value_rule"])
    return frame.assign(
        feeds=frame["feeds"].str.replace("|", ","),
        headline_no=pd.to_numeric(frame["headline_no"]),
        decimals=pd.to_numeric(frame["decimals"]),
    )


def dim_target() -> pd.DataFrame:
    """The statements of the plan, with the indicator that answers each."""
    frame = seed("plan_registry").rename(columns={"id": "target_id", "baseline_2020": "baseline_text"})
    frame["baseline"] = pd.to_numeric(frame["baseline_text"], errors="coerce")
    for name in ("value_low", "value_high"):
        frame[name] = pd.to_numeric(frame[name])
    frame = frame.merge(seed("target_indicator")[["target_id", "indicator_id"]], on="target_id", how="left")
    return frame.drop(columns=["box_item", "quote_start", "quote_end", "missing_record_zh"])


def dim_school(tables: Tables) -> pd.DataFrame:
    """A row a version of a school: a new one begins when name, type, organiser or district change."""
    names = ["school_name", "school_type_code", "organiser_code", "area_code"]
    schools = tables.schools.sort_values(["school_code", "period"]).reset_index(drop=True)
    before = schools.groupby("school_code")[[*names, "period"]].shift()
    changed = (schools[names].fillna("") != before[names].fillna("")).any(axis=1) | before["period"].isna()
    schools["version"] = changed.groupby(schools["school_code"]).cumsum()
    by = schools.groupby(["school_code", "version"])
    versions = by.last().assign(valid_from_year=by["period"].min(), last=by["period"].max()).reset_index()
    latest = tables.feed_areas[(tables.feed_areas["feed"] == "school_census") & tables.feed_areas["is_reported"]]
    newest = versions["area_code"].map(latest.groupby("area_code")["period"].max())
    following = versions.groupby("school_code")["valid_from_year"].shift(-1)
    versions["valid_to_year"] = (following - 1).fillna(versions["last"].where(versions["last"] < newest))
    return versions[
        [
            "school_code", "valid_from_year", "valid_to_year", "school_name", "area_code", "school_type_code",
            "school_type_zh", "organiser_code", "organiser_zh", "is_public", "inclusive_private", "urban_rural_code",
            "kindergarten_grade",
        ]
    ].rename(columns={"inclusive_private": "is_inclusive_private"})  # fmt: skip


# -- learners, classes, teachers --------------------------------------------------------------------------------------


def enrolment(tables: Tables) -> pd.DataFrame:
    """Schools, learners, classes and teachers, and how many learners a teacher has."""
    names = ["school_count", "enrolment", "entrants", "graduates", "female", "class_count", "fulltime_teachers"]
    frame = rolled_up(tables.stage_areas[[*KEYS, "stage", *names]], tables.members, ["stage"])
    given = tables.feed_areas.pivot(index=["period", "area_code"], columns="feed", values="is_reported").reset_index()
    given["differs"] = (given["school_census"] != given["teacher_register"]).astype(int)
    differs = rolled_up(given[[*KEYS, "differs"]], tables.members, []).drop(columns="area_level")
    frame = frame.merge(differs, on=KEYS, how="left")
    pupils = ratio(frame["enrolment"], frame["fulltime_teachers"])
    return frame.assign(pupil_teacher_ratio=pupils.where(frame["differs"] == 0)).drop(columns="differs")


def class_size(tables: Tables) -> pd.DataFrame:
    """Classes by size, and the shares of large ones."""
    names = ["class_total", "class_le45", "class_46_55", "class_56_65", "class_ge66"]
    parts = tables.stage_areas[tables.stage_areas["class_total"].notna()]
    frame = rolled_up(parts[[*KEYS, "stage", *names]], tables.members, ["stage"])
    frame["class_ge56"] = frame["class_56_65"] + frame["class_ge66"]
    frame["share_ge56"] = 100 * ratio(frame["class_ge56"], frame["class_total"])
    frame["share_ge66"] = 100 * ratio(frame["class_ge66"], frame["class_total"])
    return frame


def teacher_quality(tables: Tables) -> pd.DataFrame:
    """Full-time teachers by education, title, certificate and age."""
    parts = tables.teachers.drop(columns="city_backbone_teachers")
    frame = rolled_up(parts, tables.members, ["stage"])
    for share, (above, below) in SHARES.items():
        frame[share] = 100 * ratio(frame[above], frame[below])
    return covered(frame, tables, "teacher_register")


def covered(frame: pd.DataFrame, tables: Tables, feed: str) -> pd.DataFrame:
    """Rows with how complete the feed is there."""
    coverage = tables.coverage[(tables.coverage["feeds"] == feed) & (tables.coverage["subgroup_zh"] == "")]
    coverage = coverage.assign(publish_status=publish_status(coverage))
    return frame.merge(coverage[[*KEYS, "publish_status", "reported_units", "expected_units"]], on=KEYS)


# -- money ------------------------------------------------------------------------------------------------------------


def education_finance(tables: Tables) -> pd.DataFrame:
    """Spending by kind of school, in all and per student, and its growth."""
    kinds = pd.concat([tables.units, tables.units.assign(school_kind="all")], ignore_index=True)
    totals = rolled_up(kind_sums(kinds), tables.members, ["school_kind"])
    totals[SPENDING] = totals[SPENDING].round(2)  # sums of floats: money has two decimals
    found = []
    for measure, measure_zh, unit, amount, students, lacking in MEASURES:
        part = totals[["area_code", "area_level", "period", "school_kind"]].assign(
            measure=measure, measure_zh=measure_zh, unit=unit, amount=half_up(totals[amount], 4)
        )
        part["value"], part["average_students"] = part["amount"], float("nan")
        part["units_left_out"] = totals[f"without_{lacking}"]
        if students:
            part["average_students"] = half_up(totals[students], 4)
            part["value"] = half_up(ratio(totals[amount], totals[students]), 4)
            part["units_left_out"] += totals["without_students"]
            part = part[part["school_kind"] != "all"]
        found.append(part)
    frame = covered(pd.concat(found, ignore_index=True), tables, "education_finance")
    keys = ["area_code", "period", "school_kind", "measure"]
    before = frame[[*keys, "value", "publish_status"]].assign(period=frame["period"] + 1)
    before = before.rename(columns={"value": "previous_value", "publish_status": "previous_status"})
    frame = frame.merge(before, on=keys, how="left")
    final = (frame["publish_status"] == "final") & (frame["previous_status"] == "final")
    growth = 100 * (ratio(frame["value"], frame["previous_value"]) - 1)
    return frame.assign(growth_percent=growth.where(final)).drop(columns="previous_status")


def kind_sums(units: pd.DataFrame) -> pd.DataFrame:
    """Sums of an area's units by kind of school."""
    keys = ["period", "area_code", "school_kind"]
    with_students = units["average_students"].notna()
    units = units.assign(
        without_spend=units["spend_total"].isna().astype(int),
        without_students=(~with_students).astype(int),
        without_public_funds=units["budget_public_funds"].isna().astype(int),
    )
    lacking = ["without_spend", "without_students", "without_public_funds"]
    sums = units.groupby(keys)[[*SPENDING, *lacking]].sum(min_count=1)
    with_funds = with_students & units["budget_public_funds"].notna()
    for name, where in (("average_students", with_students), ("students_public_funds", with_funds)):
        ends = units[where].groupby(keys)[["students_start", "students_end"]].sum()
        sums[name] = average_students(ends["students_start"], ends["students_end"])
    return sums.reset_index()


# -- balance of compulsory education ----------------------------------------------------------------------------------


def school_resources(records: Records, tables: Tables) -> pd.DataFrame:
    """What a school has. A blank cell of a form that was handed in is none of it; without the form it is not known."""
    keys = ["delivery", "period", "school_code"]
    forms = ["1102", "4155p", "4155j", "5170", "5176"]
    figures = records.figures[records.figures["form"].isin(forms)]
    wide = figures.pivot_table(index=keys, columns=["form", "measure"], values="value", aggfunc="sum")
    has = figures.assign(has=True).pivot_table(index=keys, columns="form", values="has", aggfunc="any")
    has = has.reindex(columns=forms).eq(True)  # missing is no
    degrees = ["teachers_doctor", "teachers_master", "teachers_bachelor"]
    sources = {
        "above_required_primary": ("4155p", [*degrees, "teachers_college"]),
        "above_required_junior": ("4155j", degrees),
        "pe_music_art_primary": ("4155p", ["teachers_pe", "teachers_music", "teachers_art"]),
        "pe_music_art_junior": ("4155j", ["teachers_pe", "teachers_music", "teachers_art"]),
        "backbone_primary": ("1102", ["backbone_primary"]),
        "backbone_junior": ("1102", ["backbone_junior"]),
        "teaching_area_m2": ("5176", ["teaching_area_m2"]),
        "sports_area_m2": ("5170", ["sports_area_m2"]),
        "equipment_value_wan": ("5176", ["equipment_value_wan"]),
        "network_classrooms": ("5176", ["network_classrooms"]),
    }
    frame = pd.DataFrame(index=wide.index)
    for name, (form, measures) in sources.items():
        columns = [(form, measure) for measure in measures if (form, measure) in wide]
        frame[name] = wide[columns].sum(axis=1).where(has[form])
    frame["equipment_value_yuan"] = frame.pop("equipment_value_wan") * 10_000
    return frame.reset_index().merge(tables.schools[keys], on=keys).drop(columns="delivery")


def balance_schools(resources: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """Schools with primary or junior learners, a row a stage; `excluded` are outside the evaluation."""
    keys = ["period", "school_code"]
    stages = tables.school_stages[tables.school_stages["stage"].isin(["primary", "junior", "senior_general"])]
    whole = stages.groupby(keys)["enrolment"].sum(min_count=1).rename("school_pupils")
    own = stages.groupby([*keys, "stage"])["enrolment"].sum(min_count=1).rename("pupils")
    frame = tables.schools.merge(pd.DataFrame({"stage": ["primary", "junior"]}), how="cross")
    frame = frame.join(whole, on=keys).join(own, on=[*keys, "stage"])
    frame = frame.merge(resources[keys].assign(has_resources=True), on=keys, how="left")
    is_point = frame["school_type_code"] == "218"
    named = pd.Series(
        [stage in (stages or "") for stage, stages in zip(frame["stage"], frame["stages"], strict=True)],
        index=frame.index,
    )
    in_scope = named & (frame["counts_as_school"] | is_point)
    small = is_point & ((frame["pupils"] < 50) | frame["has_resources"].isna())
    frame["excluded"] = ~(frame["pupils"] > 0) | ~in_scope | small
    return frame[in_scope | (frame["pupils"] > 0)]


def school_items(schools: pd.DataFrame, resources: pd.DataFrame) -> pd.DataFrame:
    """The seven items of each school and stage; what a school has as a whole is shared out by pupils."""
    keys = ["period", "school_code"]
    frame = schools[~schools["excluded"]].merge(resources, on=keys, how="left")
    is_primary = frame["stage"] == "primary"
    amounts: dict[int, Any] = {}
    for number, name in enumerate(("above_required", "backbone", "pe_music_art"), start=1):
        amounts[number] = frame[f"{name}_primary"].where(is_primary, frame[f"{name}_junior"])
    share = frame["pupils"] / frame["school_pupils"]
    wholes = ("teaching_area_m2", "sports_area_m2", "equipment_value_yuan", "network_classrooms")
    amounts |= {number: frame[name] * share for number, name in enumerate(wholes, start=4)}
    names = [*KEYS, "school_code", "stage", "pupils"]
    items = pd.concat(
        [frame[names].assign(item_no=number, amount=amount) for number, amount in amounts.items()], ignore_index=True
    )
    items = items.merge(balance_standards(), on=["item_no", "stage"])
    items["value"] = items["per_pupils"] * items["amount"] / items["pupils"]
    # Rounded: what lies on the line must not fall below it by the last bit of a product.
    reached, line = (items["amount"] * items["per_pupils"]).round(8), items["line"] * items["pupils"]
    known = items["amount"].notna()
    items["is_line_met"] = (reached >= line.round(8)).astype(object).where(known, None)
    items["is_floor_met"] = (reached >= (line * items["floor_share"]).round(8)).astype(object).where(known, None)
    items["verdict"] = np.select([~known, items["is_line_met"].eq(True)], ["cannot_assess", "met"], "not_met")
    return items


def balance_standards() -> pd.DataFrame:
    """Lines and limits of the seven items."""
    standards = seed("balance_standard").drop(columns=["record_zh", "source"])
    numbers = ["item_no", "per_pupils", "line", "floor_share", "cv_limit"]
    standards[numbers] = standards[numbers].apply(pd.to_numeric)
    return standards


def school_verdicts(schools: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Met with six of seven items and the other at the floor."""
    keys = [*KEYS, "school_code", "stage"]
    counted = items.assign(
        items=1,
        items_assessed=items["amount"].notna().astype(int),
        items_met=items["is_line_met"].eq(True).astype(int),
        at_floor=items["is_floor_met"].eq(True).astype(int),
    )
    names = ["items", "items_assessed", "items_met", "at_floor"]
    frame = schools[[*keys, "pupils", "excluded"]].join(counted.groupby(keys)[names].sum(), on=keys)
    assessed = frame["items_assessed"]
    failed = (assessed - frame["items_met"] > 1) | (assessed > frame["at_floor"])
    cases = [frame["excluded"], failed, assessed < frame["items"]]
    frame["verdict"] = np.select(cases, ["excluded", "not_met", "cannot_assess"], "met")
    return frame.drop(columns=["excluded", "items", "at_floor"])


def area_items(items: pd.DataFrame) -> pd.DataFrame:
    """The seven items of an area: value, and how far its schools lie apart."""
    keys = [*KEYS, "stage", "item_no"]
    given = items[items["amount"].notna()]
    frame = items.groupby(keys)[["amount"]].sum(min_count=1)
    frame["pupils"] = given.groupby(keys)["pupils"].sum()
    frame["school_count"] = given.groupby(keys).size()
    frame["schools"] = items.groupby(keys).size()
    frame["schools_met"] = items["is_line_met"].eq(True).groupby([items[key] for key in keys]).sum()
    frame = frame.fillna({"school_count": 0})
    mean = ratio(frame["amount"], frame["pupils"]).rename("mean")
    given = given.join(mean, on=keys)
    given["square"] = given["pupils"] * (ratio(given["amount"] / given["pupils"], given["mean"]) - 1) ** 2
    frame["cv"] = np.sqrt(ratio(given.groupby(keys)["square"].sum(min_count=1), frame["pupils"]))
    frame = frame.reset_index().merge(balance_standards(), on=["item_no", "stage"])
    frame["value"] = frame["per_pupils"] * ratio(frame["amount"], frame["pupils"])
    unknown = frame["cv"].isna() | (frame["schools"] > frame["school_count"])
    frame["verdict"] = np.select([frame["cv"] > frame["cv_limit"], unknown], ["not_met", "cannot_assess"], "met")
    return frame


def area_verdicts(schools: pd.DataFrame, items: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """Met when all schools and all seven items are; municipal schools belong to districts nobody names."""
    keys = [*KEYS, "stage"]
    counts = pd.crosstab([schools[key] for key in keys], schools["verdict"])
    counts = counts.reindex(columns=["met", "not_met", "cannot_assess", "excluded"], fill_value=0)
    frame = pd.DataFrame(
        {
            "school_count": counts[["met", "not_met", "cannot_assess"]].sum(axis=1),
            "schools_met": counts["met"],
            "schools_excluded": counts["excluded"],
            "pupils": schools[schools["verdict"] != "excluded"].groupby(keys)["pupils"].sum(min_count=1),
        }
    )
    told = pd.crosstab([items[key] for key in keys], items["verdict"])
    told = told.reindex(columns=["met", "not_met", "cannot_assess"], fill_value=0).reindex(frame.index, fill_value=0)
    frame["items_met"], frame["items_assessed"] = told["met"], told["met"] + told["not_met"]
    parts, met = frame["school_count"] + told.sum(axis=1), frame["schools_met"] + told["met"]
    frame["verdict"] = verdict_of_all(parts, met, counts["not_met"] + told["not_met"])
    frame = frame.reset_index().merge(tables.area_years[[*KEYS, "area_level"]], on=KEYS)
    frame["verdict"] = frame["verdict"].mask(frame["area_level"] == "municipal", "cannot_assess")
    return frame.drop(columns="area_level")


def verdict_of_all(parts: Any, met: Any, not_met: Any) -> Any:
    """Met when all parts are; not met when one is not."""
    return np.select([not_met > 0, (parts == 0) | (met < parts)], ["not_met", "cannot_assess"], "met")


def compulsory_balance(records: Records, tables: Tables) -> pd.DataFrame:
    """Schools and districts against the lines of balanced compulsory education."""
    resources = school_resources(records, tables)
    schools = balance_schools(resources, tables)
    items = school_items(schools, resources)
    verdicts, areas = school_verdicts(schools, items), area_items(items)
    stacked = {
        "school_item": items,
        "school": verdicts.assign(item_zh="学校综合（七项中六项达标，其余一项不低于标准的85%）"),
        "area_item": areas,
        "area": area_verdicts(verdicts, areas, tables).assign(item_zh="区县综合（各校达标，七项差异系数均不超过限值）"),
    }
    frame = pd.concat([rows.assign(row_kind=kind) for kind, rows in stacked.items()], ignore_index=True)
    frame = frame.fillna({"item_no": 0, "school_code": "", "unit_zh": ""})
    frame["cv_limit"] = frame["cv_limit"].where(frame["row_kind"] == "area_item")
    frame["verdict_zh"] = frame["verdict"].map(VERDICTS_ZH)
    frame = frame.merge(tables.area_years[[*KEYS, "area_level"]], on=KEYS)
    return frame[
        [
            "area_code", "area_level", "period", "stage", "school_code", "item_no", "row_kind", "item_zh", "unit_zh",
            "pupils", "amount", "value", "line", "is_line_met", "is_floor_met", "items_assessed", "items_met",
            "school_count", "schools_met", "schools_excluded", "cv", "cv_limit", "verdict", "verdict_zh",
        ]
    ]  # fmt: skip


# -- preschool education ----------------------------------------------------------------------------------------------


def target_met(value: Any, operator: Any, target: Any, direction: Any = "") -> pd.Series[Any]:
    """Whether a value meets its target; missing without a value or a target."""
    down = (direction == "down") & ~operator.isin([">", "<", ">=", "<="])
    met = pd.Series(
        np.select(
            [operator == ">", operator == "<", (operator == "<=") | down],
            [value > target, value < target, value <= target],
            value >= target,
        ),
        index=value.index,
    )
    return met.astype(object).where(value.notna() & target.notna(), None)


def preschool_inclusive(tables: Tables, indicators: pd.DataFrame) -> pd.DataFrame:
    """Districts against the standard of inclusive preschool education."""
    census = tables.feed_areas[(tables.feed_areas["feed"] == "school_census") & tables.feed_areas["is_reported"]]
    districts = tables.area_years[tables.area_years["area_level"] == "district"][KEYS].merge(census[KEYS], on=KEYS)
    standards = seed("preschool_standard").drop(columns="source")
    standards = standards.assign(
        item_no=standards["item_no"].astype(int), threshold=pd.to_numeric(standards["threshold"])
    )
    facts = indicators[["indicator_id", *KEYS, "value", "numerator", "denominator", "publish_status"]]
    frame = districts.merge(standards, how="cross").merge(facts, on=["indicator_id", *KEYS], how="left")
    is_met = target_met(frame["value"], frame["operator"], frame["threshold"]).eq(True)
    unknown = frame["indicator_id"].isna() | frame["value"].isna() | (frame["publish_status"] != "final")
    frame["verdict"] = np.select([unknown, is_met], ["cannot_assess", "met"], "not_met")
    counts = pd.crosstab([frame[key] for key in KEYS], frame["verdict"])
    counts = counts.reindex(columns=["met", "not_met", "cannot_assess"], fill_value=0)
    whole = counts.set_axis(["items_met", "items_not_met", "items_unassessed"], axis=1)
    whole["verdict"] = verdict_of_all(counts.sum(axis=1), counts["met"], counts["not_met"])
    whole = whole.reset_index().assign(item_no=0, group_zh="综合", item_zh="区县综合（各项均达标）")
    frame = pd.concat([frame, whole], ignore_index=True)
    frame["verdict_zh"] = frame["verdict"].map(VERDICTS_ZH)
    return frame.drop(columns=["missing_record_zh", "publish_status"])


# -- coverage ---------------------------------------------------------------------------------------------------------


def data_coverage(records: Records, tables: Tables) -> pd.DataFrame:
    """What was due from whom, and what came."""
    feeds = feed_table()
    log = records.deliveries.rename(columns={"area_code": "reporting_code", "part": "part_given"})
    log = log.merge(feeds[["feed", "per_area", "period_kind"]], on="feed")
    log["part"] = log["part_given"].where(log["per_area"], "")
    latest = log.groupby("period_kind")["period"].max()
    parts = feeds.explode("parts").rename(columns={"parts": "part"})
    parts["latest"] = parts["period_kind"].map(latest).fillna(log["period"].max())
    spans = tables.area_years[["period", "area_code", "reporting_code"]].merge(parts, how="cross")
    spans = spans[spans["period"].between(spans["first_year"], spans["latest"])]
    by_area = spans[spans["per_area"]]
    cities = areas_of().query("area_level == 'city'")["area_code"]
    dated = spans.loc[~spans["per_area"] & (spans["period_kind"] != "any"), ["feed", "period"]]
    undated = parts.loc[~parts["per_area"] & (parts["period_kind"] == "any"), ["feed"]].assign(period=0)
    of_city = pd.concat([dated, undated]).drop_duplicates().merge(cities.to_frame(), how="cross")
    of_city = of_city.assign(reporting_code=of_city["area_code"], part="")
    keys = ["feed", "reporting_code", "period", "part"]
    due = pd.concat([by_area[[*keys, "area_code"]], of_city[[*keys, "area_code"]]]).assign(expected=True)
    frame = due.merge(log, on=keys, how="outer")
    frame["expected"] = frame["expected"].eq(True)
    frame["area_code"] = frame["area_code"].fillna(frame["reporting_code"])
    frame["part"] = frame["part_given"].fillna(frame["part"])
    frame["status"] = frame["status"].map({"accepted": "received", "partly": "partly"}).fillna("missing")
    names = ["feed", "area_code", "period", "part", "expected", "status"]
    return frame[[*names, "rows_in", "rows_accepted", "rows_quarantined", "reported_on"]]
