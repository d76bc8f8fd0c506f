"""The publication rules about the plan: its targets, their progress and evaluation, standing rules, every statement.

Belongs here: what must be true of the marts about the plan. What does not: values (`analyst_checks_values.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from analyst_counts import Count, Counts, at_least, between, counted, different, in_set, none_holding, not_null
from analyst_facts import CITY

YEARS = pd.DataFrame({"year": range(2021, 2026)})
STATUSES = ["achieved", "ahead", "on_pace", "close", "behind", "worsening", "held", "lost", "cannot_assess"]
REASONS = [
    "no_data", "not_yet_due", "incomplete", "definition_changed", "no_number", "no_baseline", "no_tolerance",
]  # fmt: skip
OPERATORS = [
    "=", ">", ">=", "<", "<=", "about", "range", "increase_by", "coverage_all", "trend_up", "trend_down", "state",
]  # fmt: skip
EVALUATION = ["plan_id", "evaluation_kind", "year"]
BINDING = "约束性"


def plan_rules(found: dict[str, pd.DataFrame]) -> Counts:
    """All rules about the plan."""
    targets, progress = found["dim_target"], found["mart_plan_progress"]
    return (
        target_rules(targets)
        | progress_rules(progress, targets)
        | judgement_rules(progress, found)
        | standing_rules(found["mart_standing_rules"], targets)
        | statement_rules(found["mart_programme_targets"], targets)
        | evaluation_rules(found["mart_plan_evaluation"], progress, targets)
    )


def target_rules(targets: pd.DataFrame) -> Counts:
    """The registry of targets."""
    low, high, baseline = targets["value_low"], targets["value_high"], targets["baseline"]
    is_headline, numbers = targets["kind"] == "headline_indicator", targets[["value_low", "value_high", "baseline"]]
    headlines = is_headline.groupby(targets["plan_id"]).sum()
    bindings = (is_headline & (targets["binding"] == BINDING)).groupby(targets["plan_id"]).sum()
    return {
        "dim_target.not_empty": at_least(targets, 17),
        "dim_target.headline_count": counted(headlines, headlines != 17),
        "dim_target.binding_count": counted(bindings, bindings != 2),
        "dim_target.binding_known": in_set(targets, "binding", [BINDING, "预期性"]),
        "dim_target.headline_binding_stated": not_null(targets, "binding", is_headline),
        "dim_target.quote_present": not_null(targets, "quote_zh"),
        "dim_target.range_order": counted(targets, high < low, low.notna() & high.notna()),
        "dim_target.numbers_finite": counted(targets, np.isinf(numbers).any(axis=1), numbers.notna().any(axis=1)),
        "dim_target.headline_numbers_present": counted(targets, low.isna() | baseline.isna(), is_headline),
        "dim_target.headline_indicator_linked": not_null(targets, "indicator_id", is_headline),
        "dim_target.operator_known": in_set(targets, "operator", OPERATORS),
        "dim_target.no_person_number": none_holding(targets),
    }


def once_a_year(rows: pd.DataFrame, targets: pd.DataFrame, kinds: list[str]) -> Count:
    """Each target of these kinds has one status in each year of the plan."""
    keys = ["target_id", "year"]
    wanted = targets.loc[targets["kind"].isin(kinds), ["target_id"]].merge(YEARS, how="cross")
    stated = wanted.join(rows.groupby(keys)["status"].count(), on=keys)["status"]
    return counted(stated, stated != 1)


def progress_rules(progress: pd.DataFrame, targets: pd.DataFrame) -> Counts:
    """Labels of progress, and that nothing is left unsaid."""
    status, reason = progress["status"], progress["reason"]
    of_city = progress[progress["area_code"] == CITY]
    bindings = of_city[of_city["binding"] == BINDING].groupby("year")["target_id"].nunique()
    bindings = bindings.reindex(YEARS["year"], fill_value=0)
    unsure = status == "cannot_assess"
    odd_reason = (unsure != reason.notna()) | (reason.notna() & ~reason.isin(REASONS))
    numbers = progress[["value", "pace_ratio", "forecast", "gap", "expected_by_now"]]
    return {
        "progress.not_empty": at_least(progress, 1),
        "progress.no_person_number": none_holding(progress),
        "progress.status_known": in_set(progress, "status", STATUSES),
        "progress.status_present": not_null(progress, "status"),
        "progress.status_zh_present": not_null(progress, "status_zh"),
        "progress.years": between(progress, "year", 2021, 2025),
        "progress.headline_each_year": once_a_year(of_city, targets, ["headline_indicator"]),
        "progress.binding_each_year": counted(bindings, bindings < 2),
        "progress.missing_is_cannot_assess": counted(progress, ~unsure, progress["value"].isna()),
        "progress.reason_known": counted(progress, odd_reason),
        "progress.numbers_finite": counted(progress, np.isinf(numbers).any(axis=1)),
    }


def judgement_rules(progress: pd.DataFrame, found: dict[str, pd.DataFrame]) -> Counts:
    """What is judged is what was measured and signed."""
    value, gap, target = progress["value"], progress["gap"], progress["target"]
    facts = found["fct_indicator_value"].rename(columns={"period": "year"})
    keys = ["indicator_id", "area_code", "year"]
    fact = progress[keys].join(facts.set_index(keys)[["value", "publish_status"]], on=keys)
    partial = fact["publish_status"] == "partial"
    by_data = progress["method"].notna() & (progress["method"] != "register")
    no_fact = fact["value"].isna() | ((value - fact["value"]).abs() > 1e-6)
    off_gap = ((gap.abs() - (target - value).abs()).abs() > 1e-6) & (gap != 0)
    forecast = progress["forecast"]
    far = (forecast < 0.5 * value) | (forecast > 2 * value)
    measured = value.notna() & gap.notna() & target.notna()
    level = target == progress["baseline"]
    return {
        "progress.pace_needs_distance": counted(progress, progress["pace_ratio"].notna(), level),
        "progress.value_equals_fact": counted(progress, no_fact, value.notna() & by_data),
        "progress.partial_is_cannot_assess": counted(progress, progress["status"] != "cannot_assess", partial),
        "progress.matches_registry": matches_registry(progress, found["dim_target"]),
        "progress.met_really_met": met_really_met(progress, found["dim_indicator"]),
        "progress.gap_recomputes": counted(progress, off_gap, measured),
        "progress.forecast_plausible": counted(progress, far, forecast.notna() & (value > 0) & by_data),
    }


def matches_registry(progress: pd.DataFrame, targets: pd.DataFrame) -> Count:
    """Baseline, target, binding and operator are those that were signed."""
    signed = targets.assign(target=targets["value_low"].fillna(targets["value_high"])).set_index("target_id")
    wrong = pd.Series(False, index=progress.index)
    for name in ("baseline", "target", "binding", "operator"):
        wrong |= different(progress[name], progress["target_id"].map(signed[name]))
    return counted(progress, wrong)


def met_really_met(progress: pd.DataFrame, indicators: pd.DataFrame) -> Count:
    """What is called achieved is achieved."""
    value, target, operator = progress["value"], progress["target"], progress["operator"]
    direction = progress["indicator_id"].map(indicators.set_index("indicator_id")["direction"])
    down = operator.isin(["<", "<="]) | ((direction == "down") & ~operator.isin([">", ">="]))
    missed = (value < target).where(~down, value > target)
    strict = ((operator == ">") & (value <= target)) | ((operator == "<") & (value >= target))
    scope = (progress["status"] == "achieved") & ~operator.isin(["trend_up", "trend_down"])
    return counted(progress, value.isna() | target.isna() | strict | missed, scope)


def standing_rules(rules: pd.DataFrame, targets: pd.DataFrame) -> Counts:
    """Standing rules: each in every year, and its cases."""
    is_case, is_summary = rules["row_kind"] == "case", rules["row_kind"] == "summary"
    left, right = rules["left_value"], rules["right_value"]
    holds = (left > right) | ((left == right) & ~rules["is_strict"].eq(True))
    judged = is_case & (rules["status"] != "cannot_assess")
    wrong = ((rules["status"] == "holds") != holds) & left.notna() & right.notna()
    said = rules[["cases_held", "cases_broken", "cases_unassessed"]].sum(axis=1).where(is_summary, 0)
    keys = [rules["target_id"], rules["year"]]
    summed, cases = said.groupby(keys).sum(), is_case.groupby(keys).sum()
    return {
        "standing_rules.not_empty": at_least(rules, 1),
        "standing_rules.no_person_number": none_holding(rules),
        "standing_rules.status_known": in_set(rules, "status", ["holds", "broken", "cannot_assess"]),
        "standing_rules.every_year": once_a_year(rules[is_summary], targets, ["standing_rule"]),
        "standing_rules.status_matches_sides": counted(rules, wrong, judged),
        "standing_rules.summary_counts_cases": counted(summed, summed != cases),
    }


def statement_rules(rows: pd.DataFrame, targets: pd.DataFrame) -> Counts:
    """Every statement of the plan has an answer."""
    value, above, below = rows["value"], rows["numerator"], rows["denominator"]
    by_register = rows["answered_by"] == "register"
    measured = rows["answered_by"].isin(["indicator", "register"])
    no_count = (value != above) | (value != np.floor(value))
    no_share = (below <= 0) | ((value - 100 * above / below).abs() > 1e-6) | (value > 100)
    wrong = above.isna() | (above < 0) | no_count.where(below.isna(), no_share)
    answers = ["indicator", "register", "duplicate", "part", "none"]
    kinds = ["programme_target", "text_target"]
    return {
        "programme_targets.not_empty": at_least(rows, 1),
        "programme_targets.no_person_number": none_holding(rows),
        "programme_targets.answered_by_known": in_set(rows, "answered_by", answers),
        "programme_targets.status_known": in_set(rows, "status", STATUSES),
        "programme_targets.every_year": once_a_year(rows, targets, kinds),
        "programme_targets.judged_only_when_measured": counted(rows, rows["status"] != "cannot_assess", ~measured),
        "programme_targets.value_finite": counted(rows, np.isinf(value), value.notna()),
        "programme_targets.register_counts": counted(rows, wrong, by_register & value.notna()),
    }


def evaluation_rules(rows: pd.DataFrame, progress: pd.DataFrame, targets: pd.DataFrame) -> Counts:
    """An evaluation says of each target what its progress says, and of the whole what the binding ones decide."""
    own = rows[rows["row_kind"] == "target"]
    keys = ["target_id", "area_code", "year"]
    judged = own[["target_id", "area_code"]].assign(year=own["value_year"])
    judged = judged.join(progress.set_index(keys)["status"], on=keys)["status"]
    return {
        "evaluation.not_empty": at_least(rows, 1),
        "evaluation.no_person_number": none_holding(rows),
        "evaluation.kind_known": in_set(rows, "evaluation_kind", ["annual", "mid_term", "final"]),
        "evaluation.status_known": in_set(rows, "status", [*STATUSES, "holds", "broken"]),
        "evaluation.binding_listed": binding_listed(rows, targets),
        "evaluation.binding_caps_overall": binding_caps_overall(rows),
        "evaluation.counts_every_target": counts_every_target(rows, progress, targets),
        "evaluation.status_is_progress": counted(own, different(own["status"], judged)),
    }


def binding_listed(rows: pd.DataFrame, targets: pd.DataFrame) -> Count:
    """Every binding headline target is listed."""
    is_binding = (targets["binding"] == BINDING) & (targets["kind"] == "headline_indicator")
    bindings = targets[is_binding].groupby("plan_id").size().rename("bindings")
    listed = rows["target_id"].where(rows["row_kind"] == "target").groupby([rows[key] for key in EVALUATION]).nunique()
    both = listed.rename("listed").to_frame().join(bindings, on="plan_id").fillna(0)
    return counted(both, both["listed"] != both["bindings"])


def binding_caps_overall(rows: pd.DataFrame) -> Count:
    """A binding target that is behind, or cannot be judged, decides."""
    keys = [rows[key] for key in EVALUATION]
    is_target, status = rows["row_kind"] == "target", rows["status"]
    late = (is_target & status.isin(["behind", "worsening", "lost"])).groupby(keys).sum() > 0
    unsure = (is_target & (status == "cannot_assess")).groupby(keys).sum() > 0
    overall = status.where(rows["row_kind"] == "overall").groupby(keys).first()
    wrong = overall.isna() | (late & (overall != "behind")) | (~late & unsure & (overall != "cannot_assess"))
    return counted(overall, wrong)


def counts_every_target(rows: pd.DataFrame, progress: pd.DataFrame, targets: pd.DataFrame) -> Count:
    """Counts add up to all targets that are not said twice."""
    once = targets.loc[targets["duplicate_of"].fillna("") == "", "target_id"]
    wanted = progress[progress["target_id"].isin(once)].groupby("plan_id")["target_id"].nunique().rename("wanted")
    is_count = (rows["row_kind"] == "count") & (rows["group_zh"] != "常设规则")
    said = rows["target_count"].where(is_count, 0).groupby([rows[key] for key in EVALUATION]).sum()
    both = said.rename("said").to_frame().join(wanted, on="plan_id").fillna(0)
    return counted(both, both["said"] != both["wanted"])
