"""The publication rules about indicators: `dim_indicator` and `fct_indicator_value`.

Belongs here: what must be true of values by indicator, area and year. What does not: subject marts
(`analyst_checks_marts.py`), the plan (`analyst_checks_plan.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from analyst_counts import (
    CONTROL_CHARACTER,
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
from analyst_reading import Records
from analyst_tables import standing

PLACE = ["indicator_id", "area_code"]
CELL = [*PLACE, "period"]
# Learners of all ages over one age group: such a rate may lie above 100.
NO_SHARES = [
    "pre_gross_enrolment", "compulsory_gross_enrolment", "senior_gross_enrolment", "compulsory_retention",
]  # fmt: skip
# Their feeds have no reporting day.
UNDATED = [
    "fulltime_teachers", "teacher_bachelor_share", "education_spend_total", "budget_spend_per_pupil_primary",
    "budget_spend_per_pupil_junior", "pre_teacher_certified_share", "mid_senior_title_share",
    "vocational_dual_share_professional", "vocational_dual_share_fulltime", "teacher_certified_share",
    "teacher_qualified_share", "compulsory_backbone_share", "city_backbone_teachers",
]  # fmt: skip
SUMS = [
    "pre_enrolment", "pre_public_share", "pre_inclusive_coverage", "compulsory_enrolment", "primary_enrolment",
    "junior_enrolment", "senior_enrolment", "senior_general_enrolment", "senior_vocational_enrolment",
    "primary_large_class_share", "junior_large_class_share", "senior_large_class_share", "education_spend_total",
    "budget_spend_per_pupil_primary", "budget_spend_per_pupil_junior",
]  # fmt: skip
OF_PERSONS = [
    "fulltime_teachers", "city_backbone_teachers", "primary_pupil_teacher_ratio", "junior_pupil_teacher_ratio",
    "senior_pupil_teacher_ratio", "pre_pupil_teacher_ratio", "pre_teacher_certified_share", "teacher_bachelor_share",
    "mid_senior_title_share", "teacher_certified_share", "teacher_qualified_share", "compulsory_backbone_share",
    "vocational_dual_share_professional", "vocational_dual_share_fulltime", "vet_dual_share_professional",
    "vet_dual_share_fulltime", "college_dual_share_professional", "college_dual_share_fulltime",
    "he_senior_title_share", "pre_enrolment", "pre_public_enrolment", "pre_public_share", "pre_inclusive_coverage",
    "compulsory_enrolment", "urban_compulsory_enrolment", "primary_enrolment", "junior_enrolment", "senior_enrolment",
    "senior_general_enrolment", "senior_vocational_enrolment", "vocational_general_ratio", "vet_progression_share",
]  # fmt: skip
CONDITIONS = {"building_area_per_student": (2, 100), "books_per_student": (2, 300), "equipment_per_student": (100, 1e5)}
UNDERGRADUATES = {2020: 91.56, 2021: 100.27, 2022: 106.61, 2023: 110.02, 2024: 112.79}
PARTS = {
    "compulsory_super_class_share": "compulsory_large_class_share",
    "pre_grade1_plus_share": "pre_grade2_plus_share",
}


def value_rules(records: Records, found: dict[str, pd.DataFrame]) -> Counts:
    """All rules about indicators and their values."""
    values = found["fct_indicator_value"]
    return (
        indicator_rules(found["dim_indicator"])
        | label_rules(values, found["dim_indicator"])
        | number_rules(values)
        | range_rules(values)
        | gross_rate_rules(values)
        | completeness_rules(values)
        | sum_rules(values, found["dim_area"])
        | stage_rules(values)
        | jump_rules(values)
        | pair_rules(values)
        | published_rules(records, values, found["dim_target"])
    )


def indicator_rules(indicators: pd.DataFrame) -> Counts:
    """What is said of each indicator."""
    headlines = indicators["headline_no"].value_counts().reindex(range(1, 18), fill_value=0)
    short = indicators["formula_zh"].isna() | (indicators["formula_zh"].str.strip().str.len() < 4)
    return {
        "dim_indicator.not_empty": at_least(indicators, 17),
        "dim_indicator.headline_complete": counted(headlines, headlines != 1),
        "dim_indicator.name_present": not_null(indicators, "name_zh"),
        "dim_indicator.unit_present": not_null(indicators, "unit_zh"),
        "dim_indicator.method_known": in_set(indicators, "method_expected", ["computed", "official"]),
        "dim_indicator.formula_present": counted(indicators, short, indicators["method_expected"] == "computed"),
        "dim_indicator.source_present": not_null(indicators, "source_zh"),
        "dim_indicator.no_person_number": none_holding(indicators),
    }


def label_rules(values: pd.DataFrame, indicators: pd.DataFrame) -> Counts:
    """Texts, codes and periods of values."""
    unit = values["indicator_id"].map(indicators.set_index("indicator_id")["unit_zh"])
    levels = ["city", "district", "municipal", "group"]
    return {
        "fct_value.not_empty": at_least(values, 1),
        "fct_value.ref_period_present": not_null(values, "ref_period"),
        "fct_value.no_person_number": none_holding(values),
        "fct_value.no_control_character": none_holding(values, CONTROL_CHARACTER),
        "fct_value.period_plausible": between(values, "period", 1990, 2040),
        "fct_value.method_known": in_set(values, "method", ["computed", "official"]),
        "fct_value.publish_status_known": in_set(values, "publish_status", ["final", "partial", "preliminary"]),
        "fct_value.publish_status_present": not_null(values, "publish_status"),
        "fct_value.area_level_known": in_set(values, "area_level", levels),
        "fct_value.unit_matches_indicator": counted(values, different(values["unit"], unit)),
    }


def number_rules(values: pd.DataFrame) -> Counts:
    """Values are what their numerators and denominators make."""
    value, above, below = values["value"], values["numerator"], values["denominator"]
    given, computed, percent = value.notna(), values["method"] == "computed", values["unit"] == "%"
    off_scale = above.isna() | ((value - above / 10_000).abs() > 1e-7)
    off_share = above.isna() | below.isna() | (below == 0) | ((value - 100 * above / below).abs() > 1e-6)
    share = percent & computed & ~values["indicator_id"].isin(NO_SHARES)
    small = above.between(1, 4) | below.between(1, 4)
    return {
        "fct_value.finite": counted(values, np.isinf(value), given),
        "fct_value.headcount_scale": counted(values, off_scale, (values["unit"] == "万人") & computed & given),
        "fct_value.share_recomputes": counted(values, off_share, percent & computed & given),
        "fct_value.numerator_within_denominator": counted(values, above > below, share & above.notna() & below.notna()),
        "fct_value.no_small_cells": counted(values, small, computed & values["indicator_id"].isin(OF_PERSONS)),
    }


def range_rules(values: pd.DataFrame) -> Counts:
    """Values lie where such values lie."""
    names, percent, official = values["indicator_id"], values["unit"] == "%", values["method"] == "official"
    share = percent & (values["method"] == "computed") & ~names.isin(NO_SHARES)
    per_pupil = names.isin(["budget_spend_per_pupil_primary", "budget_spend_per_pupil_junior"])
    per_teacher = names.isin([f"{stage}_pupil_teacher_ratio" for stage in ("primary", "junior", "senior")])
    spending = (names == "education_spend_total") & (values["area_level"] == "district")
    schooling = names.isin(["avg_years_schooling", "avg_years_schooling_working_age"])
    return {
        "fct_value.non_negative": between(values, "value", 0, None),
        "fct_value.share_within_100": between(values, "value", 0, 100, share),
        "fct_value.official_rate_plausible": between(values, "value", 5, 130, percent & official),
        "fct_value.spend_per_pupil_plausible": between(values, "value", 500, 100_000, per_pupil),
        "fct_value.spend_total_plausible": between(values, "value", 0, 500, spending),
        "fct_value.pupil_teacher_ratio_plausible": between(values, "value", 4, 35, per_teacher),
        "fct_value.years_of_schooling_plausible": between(values, "value", 6, 16, schooling),
        "fct_value.conditions_plausible": conditions_plausible(values),
    }


def gross_rate_rules(values: pd.DataFrame) -> Counts:
    """Gross rates and retention, where learners live elsewhere or come later."""
    names, level = values["indicator_id"], values["area_level"]
    of_area = names.isin(NO_SHARES[:3])
    of_city = (level == "city") & (of_area | (names == "he_gross_enrolment"))
    parts = level.isin(["district", "group"])
    return {
        "fct_value.city_gross_rate_plausible": between(values, "value", 5, 130, of_city),
        "fct_value.area_gross_rate_plausible": between(values, "value", 30, 200, of_area & parts),
        "fct_value.retention_plausible": between(values, "value", 80, 115, names == "compulsory_retention"),
    }


def conditions_plausible(values: pd.DataFrame) -> Count:
    """Buildings, books and equipment per student."""
    bounds = {f"{of}_{what}": span for of in ("compulsory", "vocational") for what, span in CONDITIONS.items()}
    own = values[values["indicator_id"].isin(bounds) & values["value"].notna()]
    low, high = (own["indicator_id"].map({name: span[at] for name, span in bounds.items()}) for at in (0, 1))
    return counted(own, (own["value"] < low) | (own["value"] > high))


def completeness_rules(values: pd.DataFrame) -> Counts:
    """A value is final only when everybody reported, and never a zero for somebody missing."""
    reported, expected = values["reported_units"], values["expected_units"]
    computed, known = values["method"] == "computed", reported.notna() & expected.notna()
    final = computed & (values["publish_status"] == "final")
    out_of_bounds = (reported > expected) | (reported < 0)
    dated = final & ~values["indicator_id"].isin(UNDATED)
    nobody = values["value"].notna() & (reported.fillna(0) == 0)
    return {
        "fct_value.no_zero_for_missing": counted(values, nobody, computed),
        "fct_value.reported_within_expected": counted(values, out_of_bounds, known),
        "fct_value.final_is_complete": counted(values, ~known | (reported < expected), final),
        "fct_value.as_of_present": not_null(values, "as_of", dated),
    }


def sum_rules(values: pd.DataFrame, areas: pd.DataFrame) -> Counts:
    """City and groups are the sums of their parts."""
    own = values[values["indicator_id"].isin(SUMS)]
    leaves = own[own["area_level"].isin(["district", "municipal"])]
    districts = own[own["area_level"] == "district"].merge(areas[["area_code", "group_code", "valid_from", "valid_to"]])
    districts["day"] = pd.to_datetime({"year": districts["period"], "month": 9, "day": 1})
    districts = standing(districts).drop(columns="area_code").rename(columns={"group_code": "area_code"})
    wholes = own[own["method"] == "computed"]
    keys = ["indicator_id", "period"]
    return {
        "fct_value.city_is_sum": is_sum(wholes[wholes["area_level"] == "city"], leaves, keys),
        "fct_value.group_is_sum": is_sum(wholes[wholes["area_level"] == "group"], districts, CELL),
    }


def is_sum(wholes: pd.DataFrame, parts: pd.DataFrame, keys: list[str]) -> Count:
    """Numerators and denominators of wholes against the sums of parts; missing counts as nothing."""
    sides = ["numerator", "denominator"]
    sums = wholes[keys].join(parts.groupby(keys)[sides].sum(), on=keys)[sides].fillna(0)
    return counted(wholes, ((wholes[sides].fillna(0) - sums).abs() > 0.01).any(axis=1))


def wide(values: pd.DataFrame, column: str) -> pd.DataFrame:
    """Computed indicators of an area and year, side by side."""
    computed = values[values["method"] == "computed"]
    found = computed.pivot(index=["area_code", "period"], columns="indicator_id", values=column)
    return found.reindex(columns=SUMS)


def stage_rules(values: pd.DataFrame) -> Counts:
    """Stages make up what they are stages of; teachers of districts may be counted twice, the city's never."""
    numerators, shares = wide(values, "numerator"), wide(values, "value")
    stages = {
        "compulsory": ["primary_enrolment", "junior_enrolment"],
        "senior": ["senior_general_enrolment", "senior_vocational_enrolment"],
    }
    found = {}
    for name, parts in stages.items():
        whole, sums = numerators[f"{name}_enrolment"], numerators[parts].sum(axis=1, min_count=1)
        found[f"fct_value.{name}_is_sum"] = counted(numerators, different(whole, sums), whole.notna() | sums.notna())
    public, inclusive = shares["pre_public_share"], shares["pre_inclusive_coverage"]
    found["fct_value.public_within_inclusive"] = counted(
        shares, public > inclusive + 1e-6, public.notna() & inclusive.notna()
    )
    teachers = values[values["indicator_id"] == "fulltime_teachers"]
    whole = teachers[teachers["area_level"] == "city"].groupby("period")["numerator"].max()
    parts_of = teachers[teachers["area_level"].isin(["district", "municipal"])].groupby("period")["numerator"]
    sums = parts_of.agg(["sum", "max"]).join(whole)
    wrong = sums["numerator"].isna() | (sums["numerator"] > sums["sum"]) | (sums["numerator"] < sums["max"])
    found["fct_value.teachers_city_within_sum"] = counted(sums, wrong)
    computed = values[(values["method"] == "computed") & values["value"].notna()]
    cities = (computed["area_level"] == "city").groupby([computed["indicator_id"], computed["period"]]).sum()
    return found | {"fct_value.city_present": counted(cities, cities != 1)}


def with_before(values: pd.DataFrame, column: str) -> pd.DataFrame:
    """Each value beside that of the row before; `follows` where that is last year's."""
    rows = values.sort_values(CELL)
    before = rows.groupby(PLACE)[[column, "period"]].shift()
    follows = (before["period"] == rows["period"] - 1) & rows[column].notna() & before[column].notna()
    return rows.assign(before=before[column], follows=follows)


def jump_rules(values: pd.DataFrame) -> Counts:
    """From one year to the next nothing jumps, and nothing stays exactly the same."""
    final, computed, level = values["publish_status"] == "final", values["method"] == "computed", values["area_level"]
    percent = values["unit"] == "%"
    city = with_before(values[(level == "city") & computed & final & ~percent], "value")
    shares = with_before(values[(level == "city") & final & percent], "value")
    amounts = values["unit"].isin(["万人", "所", "亿元"])
    districts = with_before(values[(level == "district") & computed & final & amounts], "value")
    least = districts["unit"].map({"万人": 0.1, "所": 10.0}).fillna(0)
    large = (districts["before"] > 0) & (districts["before"] >= least)
    copied = values["indicator_id"].isin(["pre_enrolment", "primary_enrolment", "junior_enrolment"])
    copies = with_before(values[(level == "district") & copied], "numerator")
    same = (copies["numerator"] == copies["before"]) & (copies["numerator"] > 0)
    return {
        "fct_value.city_jump": counted(city, growth(city) > 0.1, city["follows"] & (city["before"] > 0)),
        "fct_value.city_share_jump": counted(shares, (shares["value"] - shares["before"]).abs() > 5, shares["follows"]),
        "fct_value.district_jump": counted(districts, growth(districts) > 0.3, districts["follows"] & large),
        "fct_value.stale_copy": counted(copies, same, copies["follows"]),
    }


def growth(rows: pd.DataFrame) -> Any:
    """How far a value is from the one before, as a share of it."""
    return (rows["value"] / rows["before"] - 1).abs()


def beside(values: pd.DataFrame, narrow: str, wide_one: str, keys: list[str]) -> pd.DataFrame:
    """Values of one indicator beside those of another."""
    columns = [*keys, "value", "numerator"]
    other = values.loc[values["indicator_id"] == wide_one, columns]
    return values[values["indicator_id"] == narrow].merge(other, on=keys, suffixes=("", "_other"))


def pair_rules(values: pd.DataFrame) -> Counts:
    """Parts are not above their wholes."""
    same = ["area_code", "period", "method"]
    schooling = beside(values, "avg_years_schooling_working_age", "avg_years_schooling", same)
    higher = beside(values, "he_total_scale", "he_postgraduate", same)
    others = values.loc[values["indicator_id"] == "he_undergraduate", [*same, "value"]]
    higher = higher.merge(others, on=same, suffixes=("", "_undergraduate"))
    budget = beside(
        values[values["area_level"] == "city"], "budget_education_share", "fiscal_education_share", same[:2]
    )
    parts = pd.concat([beside(values, narrow, whole, same[:2]) for narrow, whole in PARTS.items()])
    learners = higher["value_other"] + higher["value_undergraduate"]
    return {
        "fct_value.working_age_above_all": counted(schooling, schooling["value"] < schooling["value_other"]),
        "fct_value.higher_parts_within_total": counted(higher, learners > higher["value"] + 0.01),
        "fct_value.budget_share_within_fiscal": counted(budget, budget["value"] > budget["value_other"]),
        "fct_value.parts_of_classes_and_grades": counted(parts, parts["numerator"] > parts["numerator_other"]),
    }


def published_rules(records: Records, values: pd.DataFrame, targets: pd.DataFrame) -> Counts:
    """What was published elsewhere, and the plan's baselines, come out again."""
    city = values[values["area_level"] == "city"]
    expected = pd.Series(UNDERGRADUATES if len(records.official) else {}, dtype=float)
    own = city[city["indicator_id"] == "he_undergraduate"].set_index("period").reindex(expected.index)
    off = own["value"].isna() | ((own["method"] != "computed") & ((own["value"] - expected).abs() > 0.005))
    headlines = targets.loc[targets["kind"] == "headline_indicator", ["indicator_id", "baseline"]]
    base = city[(city["period"] == 2020) & (city["method"] == "computed")].merge(headlines, on="indicator_id")
    apart = (base["value"] - base["baseline"]).abs() > 0.005 * base["baseline"].abs()
    percent = values["unit"] == "%"
    final = (values["method"] == "computed") & (values["publish_status"] == "final") & values["value"].notna()
    figures = records.official[records.official["unit_zh"] == "%"]
    told = figures.groupby(CELL)["value"].agg(["min", "max"]).reset_index()
    both = values[percent & final].merge(told, on=CELL)
    far = (both["value"] < both["min"] - 5) | (both["value"] > both["max"] + 5)
    return {
        "fct_value.undergraduate_as_published": counted(own, off),
        "fct_value.baseline_as_published": counted(base, base["value"].isna() | apart),
        "fct_value.rate_near_published": counted(both, far),
    }
