"""The publication rules about areas, schools and the marts of single subjects.

Belongs here: what must be true of dimensions, learners, teachers, classes, money, balance, preschool and coverage. What
does not: values of indicators (`analyst_checks_values.py`), the plan (`analyst_checks_plan.py`).
"""

from __future__ import annotations

import pandas as pd
from analyst_counts import (
    CONTROL_CHARACTER,
    STRAY_BLANK,
    Count,
    Counts,
    at_least,
    between,
    counted,
    different,
    in_set,
    none_holding,
    not_null,
)
from analyst_facts import STAGES, feed_table
from analyst_reading import Records
from analyst_tables import Tables, area_years_of, standing

LEVELS = ["city", "district", "municipal", "group", "functional", "unconfirmed"]
PARTS = ["district", "municipal"]
PLACE = ["area_code", "period"]
KEYS = [*PLACE, "stage"]
STAGE_INDICATORS = {
    "preschool": "pre_enrolment",
    "primary": "primary_enrolment",
    "junior": "junior_enrolment",
    "senior_general": "senior_general_enrolment",
    "senior_vocational": "senior_vocational_enrolment",
}
AGES = ["age_le29", "age_30_39", "age_40_49", "age_50_59", "age_ge60", "age_unknown"]
OF_ALL_TEACHERS = [
    "contract_teachers", "bachelor_teachers", "master_teachers", "qualified_teachers", "above_required_teachers",
    "mid_senior_title_teachers", "backbone_teachers", "certified_teachers", "professional_teachers",
    "dual_qualified_teachers",
]  # fmt: skip
TEACHER_COUNTS = [
    "fulltime_teachers", *OF_ALL_TEACHERS, "education_unknown", "senior_title_teachers", "dual_qualified_professionals",
    *AGES,
]  # fmt: skip
SHARES = [
    "contract_share", "bachelor_share", "master_share", "qualified_share", "above_required_share",
    "senior_title_share", "mid_senior_title_share", "backbone_share", "certified_share",
    "dual_qualified_share_professional", "dual_qualified_share_fulltime",
]  # fmt: skip
# Shares of which the gate asks only that they are not above 100.
UNBOUNDED_BELOW = [
    "above_required_share", "master_share", "senior_title_share", "backbone_share",
    "dual_qualified_share_professional",
]  # fmt: skip
SPENDING = {
    "spend_total": "spend_total",
    "spend_fiscal": "spend_fiscal",
    "spend_budget": "budget_spend",
    "spend_budget_education": "budget_education_spend",
    "spend_budget_operating": "budget_operating_spend",
    "spend_budget_construction": "budget_construction_spend",
    "budget_public_funds": "budget_public_funds",
}
SCHOOL_KINDS = [*STAGES, "other", "unclassified", "all"]


def mart_rules(records: Records, tables: Tables, found: dict[str, pd.DataFrame]) -> Counts:
    """All rules about dimensions and subjects."""
    pupils, money = found["mart_enrolment"], found["mart_education_finance"]
    coverage = found["mart_data_coverage"]
    return (
        area_rules(found["dim_area"])
        | school_text_rules(found["dim_school"])
        | school_rules(found["dim_school"])
        | enrolment_rules(pupils)
        | enrolment_sum_rules(pupils, found)
        | teacher_rules(found["mart_teacher_quality"], pupils)
        | class_rules(found["mart_class_size"], pupils)
        | money_rules(money)
        | money_sum_rules(money, tables)
        | balance_rules(found["mart_compulsory_balance"])
        | variation_rules(found["mart_compulsory_balance"])
        | preschool_rules(found["mart_preschool_inclusive"], found["fct_indicator_value"])
        | coverage_rules(coverage)
        | quarantine_rules(coverage)
        | delivery_rules(coverage, records)
    )


# -- areas and schools ------------------------------------------------------------------------------------------------


def area_rules(areas: pd.DataFrame) -> Counts:
    """The areas."""
    in_force, level = areas["valid_to"].isna(), areas["area_level"]
    code = r"[0-9]{6}(?:-direct)?|[0-9]{3}[0-9A-Z]{3}|G[0-9]+"
    wholes = level[in_force].value_counts().reindex(["city", "municipal"], fill_value=0)
    is_district = level == "district"
    backwards = areas["valid_to"] <= areas["valid_from"]
    return {
        "dim_area.not_empty": at_least(areas, 3),
        "dim_area.code_format": counted(areas, ~areas["area_code"].str.fullmatch(code)),
        "dim_area.name_present": not_null(areas, "area_name_zh"),
        "dim_area.level_known": in_set(areas, "area_level", LEVELS),
        "dim_area.one_city": counted(wholes, wholes != 1),
        "dim_area.group_known": counted(areas, ~areas["group_code"].isin(["G1", "G2", "G3"]), is_district & in_force),
        "dim_area.validity_order": counted(areas, backwards, areas["valid_from"].notna()),
        "dim_area.population_plausible": between(areas, "population_2020", 100_000, 3_000_000, is_district),
        "dim_area.no_person_number": none_holding(areas),
    }


def school_text_rules(schools: pd.DataFrame) -> Counts:
    """Codes and texts of schools."""
    zones = ["111", "112", "121", "122", "123", "210", "220"]
    return {
        "dim_school.not_empty": at_least(schools, 1),
        "dim_school.code_format": counted(schools, ~schools["school_code"].str.fullmatch("[0-9]{10}")),
        "dim_school.name_present": not_null(schools, "school_name"),
        "dim_school.name_clean": none_holding(schools, STRAY_BLANK),
        "dim_school.no_control_character": none_holding(schools, CONTROL_CHARACTER),
        "dim_school.no_person_number": none_holding(schools),
        "dim_school.type_known": not_null(schools, "school_type_zh"),
        "dim_school.urban_rural_known": in_set(schools, "urban_rural_code", zones),
    }


def school_rules(schools: pd.DataFrame) -> Counts:
    """Who runs a school, and from when to when."""
    public, organiser = schools["is_public"], schools["organiser_code"]
    private = organiser.isin(["998", "999"])
    ordered = schools.sort_values(["school_code", "valid_from_year"])
    following = ordered.groupby("school_code")["valid_from_year"].shift(-1)
    overlap = following.notna() & ~(ordered["valid_to_year"] <= following)
    return {
        "dim_school.ownership_known": not_null(schools, "is_public"),
        "dim_school.public_matches_organiser": counted(schools, public == private, organiser.notna() & public.notna()),
        "dim_school.inclusive_only_private": counted(schools, public, schools["is_inclusive_private"]),
        "dim_school.version_order": counted(schools, schools["valid_to_year"] < schools["valid_from_year"]),
        "dim_school.versions_apart": counted(ordered, overlap),
    }


# -- learners, teachers, classes --------------------------------------------------------------------------------------


def enrolment_rules(rows: pd.DataFrame) -> Counts:
    """Learners of an area and stage."""
    pupils, female, entrants, teachers = (
        rows[name] for name in ("enrolment", "female", "entrants", "fulltime_teachers")
    )
    persons = ["enrolment", "entrants", "graduates", "female", "fulltime_teachers"]
    smallest = rows[[*persons, "school_count", "class_count"]].min(axis=1)
    odd = (rows["stage"] != "special") & ((female < 0.3 * pupils) | (female > 0.65 * pupils))
    ratio = rows["pupil_teacher_ratio"]
    off_ratio = (teachers.fillna(0) == 0) | pupils.isna() | ((ratio - pupils / teachers).abs() > 1e-6)
    no_school = rows["school_count"].fillna(0) == 0
    return {
        "enrolment.not_empty": at_least(rows, 1),
        "enrolment.no_person_number": none_holding(rows),
        "enrolment.stage_known": in_set(rows, "stage", list(STAGES)),
        "enrolment.non_negative": counted(rows, smallest < 0),
        "enrolment.female_within_total": counted(rows, female > pupils, female.notna() & pupils.notna()),
        "enrolment.female_share_plausible": counted(rows, odd, female.notna() & (pupils >= 1000)),
        "enrolment.entrants_within_total": counted(rows, entrants > pupils, entrants.notna() & pupils.notna()),
        "enrolment.schools_behind_pupils": counted(rows, no_school, (rows["stage"] == "primary") & (pupils > 0)),
        "enrolment.ratio_finite": counted(rows, ~ratio.between(0, float("inf"), "left"), ratio.notna()),
        "enrolment.ratio_recomputes": counted(rows, off_ratio, ratio.notna()),
        "enrolment.no_small_cells": counted(rows, small(rows[persons])),
    }


def small(numbers: pd.DataFrame) -> pd.Series[bool]:
    """Rows in which a number of persons is above 0 and below 5."""
    return ((numbers > 0) & (numbers < 5)).any(axis=1)


def by_level(rows: pd.DataFrame, names: list[str], keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sums of the city and of its parts; missing where nobody has a number."""
    level = rows["area_level"]
    index = rows[keys].drop_duplicates().set_index(keys).index
    whole = rows[level == "city"].groupby(keys)[names].sum(min_count=1).reindex(index)
    return whole, rows[level.isin(PARTS)].groupby(keys)[names].sum(min_count=1).reindex(index)


def enrolment_sum_rules(rows: pd.DataFrame, found: dict[str, pd.DataFrame]) -> Counts:
    """City and groups are the sums of their parts; learners are those of the indicators."""
    whole, parts = by_level(rows, ["enrolment", "entrants"], ["period", "stage"])
    areas = found["dim_area"][["area_code", "group_code", "valid_from", "valid_to"]]
    districts = rows[rows["area_level"] == "district"].merge(areas, on="area_code")
    districts["day"] = pd.to_datetime({"year": districts["period"], "month": 9, "day": 1})
    summed = standing(districts).groupby(["group_code", "period", "stage"])["enrolment"].sum(min_count=1)
    groups = rows[rows["area_level"] == "group"]
    of_parts = groups[KEYS].join(summed.rename_axis(KEYS), on=KEYS)["enrolment"]
    values = found["fct_indicator_value"].set_index(["indicator_id", *PLACE])["numerator"]
    own = rows.assign(indicator_id=rows["stage"].map(STAGE_INDICATORS))
    own = own[own["indicator_id"].notna() & own["enrolment"].notna()].join(values, on=["indicator_id", *PLACE])
    return {
        "enrolment.city_is_sum": counted(whole, different(whole, parts).any(axis=1)),
        "enrolment.group_is_sum": counted(groups, different(groups["enrolment"], of_parts)),
        "enrolment.equals_fact": counted(own, different(own["enrolment"], own["numerator"])),
    }


def teacher_rules(rows: pd.DataFrame, pupils: pd.DataFrame) -> Counts:
    """Teachers of an area and stage."""
    teachers = rows["fulltime_teachers"]
    low = rows[[name for name in SHARES if name not in UNBOUNDED_BELOW]].min(axis=1)
    above = rows[OF_ALL_TEACHERS].max(axis=1) > teachers
    above |= rows["dual_qualified_professionals"] > rows["professional_teachers"]
    above |= rows["senior_title_teachers"] > rows["mid_senior_title_teachers"]
    ages = rows[AGES].sum(axis=1, skipna=False)
    certified = (rows["certified_share"] - 100 * rows["certified_teachers"] / teachers).abs() > 1e-6
    other = rows[KEYS].join(pupils.set_index(KEYS)["fulltime_teachers"], on=KEYS)["fulltime_teachers"]
    return {
        "teacher_quality.not_empty": at_least(rows, 1),
        "teacher_quality.no_person_number": none_holding(rows),
        "teacher_quality.stage_known": in_set(rows, "stage", list(STAGES)),
        "teacher_quality.shares_within_100": counted(rows, (low < 0) | (rows[SHARES].max(axis=1) > 100)),
        "teacher_quality.parts_within_total": counted(rows, above),
        "teacher_quality.ages_add_up": counted(rows, ages.notna() & teachers.notna() & (ages != teachers)),
        "teacher_quality.share_recomputes": counted(rows, certified, teachers > 0),
        "teacher_quality.equals_enrolment": counted(rows, different(teachers, other)),
        "teacher_quality.no_small_cells": counted(rows, small(rows[TEACHER_COUNTS])),
    }


def class_rules(rows: pd.DataFrame, pupils: pd.DataFrame) -> Counts:
    """Classes of an area and stage by size."""
    names = ["class_le45", "class_46_55", "class_56_65", "class_ge66"]
    total, large, super_large = rows["class_total"], rows["share_ge56"], rows["share_ge66"]
    bands = rows[names].sum(axis=1, skipna=False)
    above = rows["class_56_65"] + rows["class_ge66"]
    shares = rows[["share_ge56", "share_ge66"]]
    outside = ((shares < 0) | (shares > 100)).any(axis=1) | (super_large > large)
    off = (total.fillna(0) == 0) | ((large - 100 * rows["class_ge56"] / total).abs() > 1e-6)
    whole, parts = by_level(rows, ["class_total", "class_ge56"], ["period", "stage"])
    both = rows.merge(pupils[[*KEYS, "enrolment"]], on=KEYS)
    crowded = (both["enrolment"] < 8 * both["class_total"]) | (both["enrolment"] > 70 * both["class_total"])
    return {
        "class_size.not_empty": at_least(rows, 1),
        "class_size.no_person_number": none_holding(rows),
        "class_size.non_negative": counted(rows, rows[["class_total", *names, "class_ge56"]].min(axis=1) < 0),
        "class_size.bands_add_up": counted(rows, different(total, bands)),
        "class_size.large_adds_up": counted(rows, different(rows["class_ge56"], above)),
        "class_size.shares_within_100": counted(rows, outside, shares.notna().any(axis=1)),
        "class_size.share_recomputes": counted(rows, off, large.notna()),
        "class_size.city_is_sum": counted(whole, different(whole, parts).any(axis=1)),
        "class_size.pupils_per_class": counted(both, crowded, (both["class_total"] > 0) & both["enrolment"].notna()),
    }


# -- money ------------------------------------------------------------------------------------------------------------


def money_rules(rows: pd.DataFrame) -> Counts:
    """Spending of an area and kind of school."""
    value, students = rows["value"], rows["average_students"]
    apart = (value * students - rows["amount"]).abs() > 0.01 + 0.0001 * (value + students)
    per_student = rows["measure"] == "budget_spend_per_student"
    return {
        "finance_mart.not_empty": at_least(rows, 1),
        "finance_mart.no_person_number": none_holding(rows),
        "finance_mart.school_kind_known": in_set(rows, "school_kind", SCHOOL_KINDS),
        "finance_mart.value_non_negative": between(rows, "value", 0, None),
        "finance_mart.measure_labelled": not_null(rows, "measure_zh"),
        "finance_mart.per_student_plausible": between(rows, "value", 500, 200_000, per_student),
        "finance_mart.growth_plausible": between(rows, "growth_percent", -60, 60),
        "finance_mart.per_student_recomputes": counted(rows, apart, (students > 0) & value.notna()),
    }


def money_sum_rules(rows: pd.DataFrame, tables: Tables) -> Counts:
    """The city is the sum of its parts; no amount gives away what one unit spends."""
    whole, parts = by_level(rows, ["amount"], ["measure", "school_kind", "period"])
    off = (whole["amount"].fillna(0) - parts["amount"].fillna(0)).abs() > 0.01
    keys = [*PLACE, "school_kind", "measure"]
    measure = rows["measure"].replace("budget_operating_per_student", "budget_operating_spend")
    told = rows.assign(measure=measure.str.replace("_per_student", ""))
    told = told.merge(largest_units(tables), on=keys)
    rest = told["total"] - told["first"] - told["second"]
    shown = told["amount"].notna() | told["value"].notna()
    return {
        "finance_mart.city_is_sum": counted(whole, off),
        "finance_mart.no_dominated_cells": counted(told, shown & (rest < told["first"] * 10 / 100)),
    }


def largest_units(tables: Tables) -> pd.DataFrame:
    """What all units of an area spend, and the two that spend most."""
    units = tables.units.rename(columns=SPENDING).rename(columns={"area_code": "part_area_code"})
    rows = units.melt(["period", "part_area_code", "school_kind"], list(SPENDING.values()), "measure", "amount")
    rows = rows[rows["amount"].notna() & (rows["amount"] != 0)]
    rows = pd.concat([rows, rows.assign(school_kind="all")]).assign(amount=lambda told: told["amount"].abs())
    rows = rows.merge(tables.members, on=["period", "part_area_code"])
    grouped = rows.sort_values("amount", ascending=False).groupby([*PLACE, "school_kind", "measure"])["amount"]
    found = grouped.agg(total="sum", first="max").reset_index()
    second = rows.assign(second=rows["amount"]).loc[grouped.nth(1).index]
    return found.merge(second[[*PLACE, "school_kind", "measure", "second"]], how="left").fillna({"second": 0})


# -- balance and preschool --------------------------------------------------------------------------------------------


def balance_rules(rows: pd.DataFrame) -> Counts:
    """Schools and districts against the lines of balanced compulsory education."""
    keys = ["school_code", "period", "stage"]
    of_persons = rows["item_no"].isin([1, 2, 3]) & rows["row_kind"].isin(["school_item", "area_item"])
    schools = rows[(rows["row_kind"] == "school") & (rows["verdict"] != "excluded")]
    items = rows[rows["row_kind"] == "school_item"].groupby(keys).size().rename("items")
    items = schools.join(items, on=keys)["items"]
    return {
        "balance.not_empty": at_least(rows, 1),
        "balance.no_person_number": none_holding(rows),
        "balance.verdict_known": in_set(rows, "verdict", ["met", "not_met", "cannot_assess", "excluded"]),
        "balance.stage_known": in_set(rows, "stage", ["primary", "junior"]),
        "balance.verdict_present": not_null(rows, "verdict"),
        "balance.value_non_negative": between(rows, "value", 0, None),
        "balance.seven_items": counted(items, items != 7),
        "balance.no_small_cells": counted(rows, small(rows[["amount"]]), of_persons),
    }


def variation_rules(rows: pd.DataFrame) -> Counts:
    """Coefficients of variation and what they decide."""
    cv, limit, verdict = rows["cv"], rows["cv_limit"], rows["verdict"]
    wrong = ((verdict == "met") & ~(cv <= limit)) | ((verdict == "not_met") & ~(cv > limit))
    given = rows[cv.notna() & (limit > 0)]
    share = given["cv"] / given["cv_limit"]
    sides = pd.DataFrame({"below": share.between(0.97, 1, "right"), "above": share.between(1, 1.03, "right")})
    sides = sides.groupby([given["period"], given["stage"]]).sum()
    return {
        "balance.cv_range": counted(rows, ~cv.between(0, float("inf"), "left"), cv.notna()),
        "balance.cv_plausible": counted(rows, cv > 5, cv.notna()),
        "balance.verdict_matches_cv": counted(rows, wrong, rows["row_kind"] == "area_item"),
        "forensic.variation_below_limit": counted(sides, (sides["below"] >= 8) & (sides["below"] > 4 * sides["above"])),
    }


def preschool_rules(rows: pd.DataFrame, values: pd.DataFrame) -> Counts:
    """Districts against the standard of inclusive preschool education."""
    value, line = rows["value"], rows["threshold"]
    met = (value <= line).where(rows["operator"] == "<=", value >= line)
    judged = (rows["item_no"] > 0) & (rows["verdict"] != "cannot_assess")
    wrong = ((rows["verdict"] == "met") != met) & value.notna()
    share = (rows["unit_zh"] == "%") & (rows["indicator_id"] != "pre_gross_enrolment")
    linked = rows[rows["indicator_id"].notna()]
    keys = ["indicator_id", *PLACE]
    fact = linked[keys].join(values.set_index(keys)["value"], on=keys)["value"]
    verdicts = (rows["item_no"] == 0).groupby([rows[key] for key in PLACE]).sum()
    return {
        "preschool_inclusive.not_empty": at_least(rows, 1),
        "preschool_inclusive.no_person_number": none_holding(rows),
        "preschool_inclusive.verdict_known": in_set(rows, "verdict", ["met", "not_met", "cannot_assess"]),
        "preschool_inclusive.share_range": between(rows, "value", 0, 100, share),
        "preschool_inclusive.verdict_matches_line": counted(rows, wrong, judged),
        "preschool_inclusive.value_equals_fact": counted(linked, different(linked["value"], fact)),
        "preschool_inclusive.one_verdict": counted(verdicts, verdicts != 1),
    }


# -- coverage ---------------------------------------------------------------------------------------------------------


def coverage_rules(rows: pd.DataFrame) -> Counts:
    """What was due and what came."""
    status, amounts = rows["status"], rows[["rows_in", "rows_accepted", "rows_quarantined"]]
    came = status.isin(["received", "partly"])
    parts = rows["rows_accepted"] + rows["rows_quarantined"]
    missing = status.isin(["missing", "refused", "held"])
    return {
        "coverage.not_empty": at_least(rows, 1),
        "coverage.no_person_number": none_holding(rows),
        "coverage.status_known": in_set(rows, "status", ["received", "partly", "missing", "refused", "held"]),
        "coverage.status_present": not_null(rows, "status"),
        "coverage.rows_reconcile": counted(rows, different(rows["rows_in"], parts), came),
        "coverage.counts_non_negative": counted(rows, amounts.min(axis=1) < 0),
        "coverage.received_has_rows": counted(rows, ~(rows["rows_accepted"] > 0), came),
        "coverage.expected_received": counted(rows, missing, rows["expected"]),
        "coverage.row_for_each_area": row_for_each_area(rows),
    }


def quarantine_rules(rows: pd.DataFrame) -> Counts:
    """How many rows were left out, by feed and by area; and no report before its year."""
    rows_in, left_out = rows["rows_in"], rows["rows_quarantined"]
    feeds = rows[rows_in > 0].groupby("feed")[["rows_in", "rows_quarantined"]].sum()
    share = feeds["rows_quarantined"] / feeds["rows_in"]
    early = rows["reported_on"].dt.year < rows["period"]
    return {
        "coverage.quarantine_share": counted(feeds, share > 0.05),
        "coverage.quarantine_share_severe": counted(feeds, share > 0.2),
        "coverage.area_quarantine_share": counted(rows, left_out > 0.2 * rows_in, rows_in >= 20),
        "coverage.reported_after_period": counted(rows, early, rows["reported_on"].notna() & (rows["period"] > 0)),
    }


def reporting(codes: pd.Series[str]) -> pd.Series[str]:
    """Whose reports are an area's: municipal schools report as the city."""
    return codes.str.removesuffix("-direct")


def row_for_each_area(rows: pd.DataFrame) -> Count:
    """Every district of a year stands in the table of each feed that districts hand in."""
    feeds = feed_table()
    due = rows[rows["feed"].isin(feeds.loc[feeds["per_area"], "feed"]) & (rows["period"] > 0)]
    wanted = due[["feed", "period"]].drop_duplicates().merge(area_years_of()[PLACE], on="period")
    keys = ["feed", "period", "area_code"]
    shown = rows.assign(area_code=reporting(rows["area_code"])).groupby(keys).size().rename("shown")
    shown = wanted.assign(area_code=reporting(wanted["area_code"])).join(shown, on=keys)["shown"]
    return counted(shown, shown.isna())


def delivery_rules(rows: pd.DataFrame, records: Records) -> Counts:
    """Every delivery stands in the table once, with its own numbers. Known by feed, area, year and part, for want of an
    id; the part of a feed of the whole city is there under its own name."""
    keys = ["feed", "area_code", "period", "part"]
    came = rows[rows["status"].isin(["received", "partly"])]
    came = came.assign(area_code=reporting(came["area_code"]))
    log = records.deliveries
    shown = log[keys].join(came.groupby(keys).size().rename("shown"), on=keys)["shown"]
    counts = ["rows_accepted", "rows_quarantined"]
    read = came[keys].join(log.drop_duplicates(keys).set_index(keys)[counts], on=keys)
    wrong = different(came[counts], read[counts]).any(axis=1)
    return {
        "coverage.delivery_known": counted(came, wrong | read[counts].isna().any(axis=1)),
        "coverage.every_delivery_shown": counted(shown, shown != 1),
    }
