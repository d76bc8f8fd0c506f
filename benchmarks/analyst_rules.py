"""The plan's standing rules, as the analyst checks them: each comparison that can be made, and each rule in a year."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from analyst_facts import seed
from analyst_reading import Records
from analyst_register import members_of_shares, plan_of_statement, spells, standing_at_year_end
from analyst_tables import Tables, half_up, ratio

AMOUNTS = [
    "general_budget_spending", "budget_education_spending", "fiscal_education_funds", "education_appropriation",
    "recurrent_revenue",
]  # fmt: skip
PAY = ["teacher_pay", "civil_servant_pay"]
UNITS = dict.fromkeys([*AMOUNTS, *PAY], "元") | {"education_share": "%"}
STATUS_ZH = {"holds": "符合", "broken": "违反", "cannot_assess": "无法评估"}
CASE = ["target_id", "area_code", "year", "school_kind"]


def rules_of() -> pd.DataFrame:
    """Rules that have a formula, with the years of their plan."""
    registry = seed("plan_registry")[["id", "unit_zh", "value_low"]]
    registry = registry.set_axis(["target_id", "unit_zh", "limit"], axis=1)
    rules = seed("standing_rule").merge(registry, on="target_id").merge(plan_of_statement(), on="target_id")
    rules = rules[rules["measure"].notna()].rename(columns={"area_code": "city"})
    return rules.assign(limit=pd.to_numeric(rules["limit"]), is_strict=rules["is_strict"] == "true")


def standing_rules(
    records: Records, tables: Tables, marts: dict[str, pd.DataFrame], counts: pd.DataFrame
) -> pd.DataFrame:
    """The mart: a row a case, and a summary a rule and year."""
    rules = rules_of()
    cases = pd.concat(
        [
            from_finance(rules, marts["mart_education_finance"]),
            from_fiscal(rules, fiscal_comparisons(records, tables)),
            from_indicators(rules, marts["fct_indicator_value"]),
            from_balance(rules, marts["mart_compulsory_balance"]),
            from_register(rules, records, tables, counts),
        ],
        ignore_index=True,
    )
    years = rule_years()
    names = ["target_id", "plan_id", "section", "indicator_zh", "year", "operator", "is_strict", "left_zh", "right_zh"]
    listed = cases.merge(years[names], on=["target_id", "year"]).assign(row_kind="case")
    keys = ["target_id", "year"]
    told = pd.crosstab([cases[key] for key in keys], cases["status"])
    told = told.reindex(columns=["holds", "broken", "cannot_assess"], fill_value=0)
    told.columns = ["cases_held", "cases_broken", "cases_unassessed"]
    summed = years[[*names, "city"]].join(told, on=keys).fillna(dict.fromkeys(told.columns, 0))
    held = (summed["cases_held"] > 0) & (summed["cases_unassessed"] == 0)
    summed["status"] = np.select([summed["cases_broken"] > 0, held], ["broken", "holds"], "cannot_assess")
    summed = summed.rename(columns={"city": "area_code"}).assign(row_kind="summary", school_kind="")
    frame = pd.concat([listed, summed], ignore_index=True)
    frame["status_zh"] = frame["status"].map(STATUS_ZH)
    return frame[
        [
            "target_id", "plan_id", "section", "indicator_zh", "row_kind", "area_code", "year", "school_kind",
            "operator", "is_strict", "left_zh", "left_value", "right_zh", "right_value", "unit_zh", "status",
            "status_zh", *told.columns,
        ]
    ]  # fmt: skip


def rule_years() -> pd.DataFrame:
    """Every rule of the plan in every year of it, with or without a formula."""
    registry = seed("plan_registry").rename(columns={"id": "target_id"})
    names = ["target_id", "kind", "section", "indicator_zh", "operator"]
    frame = registry[names].merge(plan_of_statement(), on="target_id").rename(columns={"area_code": "city"})
    rules = seed("standing_rule")[["target_id", "is_strict", "left_zh", "right_zh"]]
    frame = frame.merge(rules, on="target_id", how="left", indicator=True)
    frame = frame[(frame["kind"] == "standing_rule") | (frame["_merge"] == "both")]
    frame["is_strict"] = frame["is_strict"].map({"true": True, "false": False})
    frame["year"] = [list(range(row.first_year, row.final_year + 1)) for row in frame.itertuples()]
    return frame.drop(columns="_merge").explode("year").astype({"year": int})


def judged(frame: pd.DataFrame, unknown: Any, holds: Any) -> pd.DataFrame:
    """Cases with their status; those that cannot be compared say so."""
    status = np.select([unknown, holds], ["cannot_assess", "holds"], "broken")
    frame = frame.assign(
        status=status, left_value=half_up(frame["left_value"], 4), right_value=half_up(frame["right_value"], 4)
    )
    return frame[[*CASE, "unit_zh", "left_value", "right_value", "status"]]


def in_plan(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the plan's years."""
    return rows[rows["year"].between(rows["first_year"], rows["final_year"])]


def at_least(frame: pd.DataFrame) -> pd.Series[bool]:
    """Whether the left side is above the right one, or the same where that is enough."""
    left, right = frame["left_value"], frame["right_value"]
    return (left > right) | ((left == right) & ~frame["is_strict"])


def from_finance(rules: pd.DataFrame, money: pd.DataFrame) -> pd.DataFrame:
    """Spending, in all or per student by kind of school, against the year before."""
    own = rules[rules["comparison"] == "previous_year"].drop(columns="unit_zh")
    keys = ["area_code", "year", "school_kind", "measure"]
    money = money[money["area_level"] != "group"].rename(
        columns={"period": "year", "value": "left_value", "unit": "unit_zh"}
    )
    names = ["left_value", "publish_status", "units_left_out"]
    before = money[[*keys, *names]].assign(year=money["year"] + 1)
    before.columns = [*keys, "right_value", "status_before", "left_out_before"]
    frame = in_plan(own.merge(money, on="measure").merge(before, on=keys, how="left"))
    per_student = frame["measure"].str.endswith("per_student")
    is_all, is_other = frame["school_kind"] == "all", frame["school_kind"].isin(["other", "unclassified"])
    frame = frame[(is_all & ~per_student) | (~is_all & ~is_other & per_student)]
    unknown = frame[["left_value", "right_value"]].isna().any(axis=1) | (frame["units_left_out"] > 0)
    unknown |= (frame["publish_status"] != "final") | (frame["status_before"] != "final")
    return judged(frame, unknown | (frame["left_out_before"] > 0), at_least(frame))


def fiscal_areas(records: Records, tables: Tables) -> pd.DataFrame:
    """Fiscal accounts of districts and city; a sum without one part's amount would be silently smaller."""
    areas = tables.area_years[["period", "area_code", "reporting_code"]]
    parts = areas.merge(
        records.accounts.rename(columns={"area_code": "reporting_code"}), on=["period", "reporting_code"], how="left"
    ).rename(columns={"area_code": "part_area_code"})
    parts = parts[parts["period"].isin(records.accounts["period"])]
    keys = ["area_code", "area_level", "period"]
    frame = tables.members.merge(parts, on=["period", "part_area_code"])
    frame = frame[frame["area_level"] != "group"]
    grouped = frame.groupby(keys)
    reported = grouped["status"].count()
    found = grouped[AMOUNTS].sum(min_count=1).where(grouped[AMOUNTS].count().eq(reported, axis=0))
    # Average pay has no sum; it stands for single areas only.
    for name in PAY:
        found[name] = grouped[name].max().where(grouped.size() == 1)
    found["education_share"] = 100 * ratio(found["budget_education_spending"], found["general_budget_spending"])
    early = frame["status"].eq("preliminary").groupby([frame[key] for key in keys]).any()
    found["is_partial"], found["is_early"] = reported < grouped.size(), early
    return found.reset_index().rename(columns={"period": "year"})


def fiscal_comparisons(records: Records, tables: Tables) -> pd.DataFrame:
    """Every pair of fiscal figures that a rule compares."""
    accounts = fiscal_areas(records, tables)
    keys = ["area_code", "area_level", "year"]
    now = accounts.melt([*keys, "is_partial"], list(UNITS), "measure", "value")
    before = now.assign(year=now["year"] + 1).rename(columns={"value": "before", "is_partial": "was_partial"})
    pairs = now.merge(before, on=[*keys, "measure"], how="left")
    pairs["growth"] = 100 * (ratio(pairs["value"], pairs["before"]) - 1)
    pairs["unknown_before"] = pairs["was_partial"].isna() | pairs["was_partial"].eq(True)
    others = pairs[[*keys, "measure", "value", "growth"]]
    revenue = others[others["measure"] == "recurrent_revenue"].drop(columns=["measure", "value"])
    paid = others[others["measure"] == "civil_servant_pay"].drop(columns=["measure", "growth"])
    by_growth = pairs[pairs["measure"] == "education_appropriation"].merge(revenue, on=keys, suffixes=("", "_other"))
    by_pay = pairs[pairs["measure"] == "teacher_pay"].merge(paid, on=keys, suffixes=("", "_other"))
    unit = pairs["measure"].map(UNITS)
    frame = pd.concat(
        [
            pairs.assign(
                comparison="fiscal_previous_year", unit_zh=unit, left_value=pairs["value"], right_value=pairs["before"]
            ),
            by_growth.assign(
                comparison="fiscal_growth", unit_zh="%", left_value=by_growth["growth"],
                right_value=by_growth["growth_other"],
            ),
            by_pay.assign(
                comparison="fiscal_pay", unit_zh="元", left_value=by_pay["value"], right_value=by_pay["value_other"],
                unknown_before=False,
            ),
        ],
        ignore_index=True,
    )  # fmt: skip
    sides = frame[["left_value", "right_value"]].isna().any(axis=1)
    frame["unknown"] = frame["is_partial"] | frame["unknown_before"] | sides
    frame = frame[(frame["measure"] != "teacher_pay") | (frame["area_level"] != "city")]
    names = ["area_code", "year", "measure", "comparison", "unit_zh", "left_value", "right_value", "unknown"]
    return frame[names]


def from_fiscal(rules: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Fiscal accounts against the year before, growth against growth, pay against pay."""
    frame = in_plan(rules.drop(columns="unit_zh").merge(pairs, on=["measure", "comparison"]))
    return judged(frame.assign(school_kind="all"), frame["unknown"], at_least(frame))


def from_indicators(rules: pd.DataFrame, indicators: pd.DataFrame) -> pd.DataFrame:
    """Indicators against a limit: a floor for every district; a ratio of the city that is only roughly meant."""
    own = rules[rules["comparison"].isin(["floor", "about"])]
    facts = indicators.rename(columns={"indicator_id": "measure", "period": "year", "value": "left_value"})
    frame = in_plan(own.merge(facts.drop(columns="unit"), on="measure"))
    is_about = frame["comparison"] == "about"
    is_whole = (frame["area_code"] == frame["city"]) | ~is_about
    frame = frame[is_whole & (is_about | frame["area_level"].isin(["city", "district"]))]
    frame = frame.assign(right_value=frame["limit"], school_kind="all")
    unknown = frame["left_value"].isna() | (frame["publish_status"] != "final")
    # No tolerance is agreed for what is roughly meant.
    return judged(frame, unknown | (frame["comparison"] == "about"), at_least(frame))


def from_balance(rules: pd.DataFrame, balance: pd.DataFrame) -> pd.DataFrame:
    """Whether every school of a district meets every item."""
    own = rules[rules["comparison"] == "all_schools"].drop(columns="unit_zh")
    areas = balance[(balance["row_kind"] == "area") & (balance["area_level"] == "district")]
    areas = areas.rename(columns={"period": "year", "stage": "school_kind"})
    names = ["area_code", "year", "school_kind", "schools_met", "school_count"]
    frame = in_plan(own.merge(areas[names], how="cross"))
    share = 100 * ratio(frame["schools_met"], frame["school_count"])
    frame = frame.assign(left_value=share, right_value=100.0, unit_zh="%")
    unknown = (frame["schools_met"] < frame["school_count"]) | (frame["school_count"] == 0)
    return judged(frame, unknown, True)


def from_register(rules: pd.DataFrame, records: Records, tables: Tables, counts: pd.DataFrame) -> pd.DataFrame:
    """Whether each district's recognition stands at the end of the year."""
    own = rules[rules["comparison"] == "register_district"].drop(columns="unit_zh")
    members = members_of_shares(tables).query("denominator == 'districts'").rename(columns={"period": "year"})
    frame = in_plan(own.merge(members[["year", "area_code"]], how="cross"))
    known = counts[["target_id", "period", "publish_status"]].set_axis(["measure", "year", "register_status"], axis=1)
    frame = frame.merge(known, on=["measure", "year"])
    granted = spells(records).rename(columns={"target_id": "measure", "object_code": "district"})
    now = frame[["measure", "year"]].drop_duplicates().merge(granted, on="measure").rename(columns={"year": "period"})
    now = standing_at_year_end(now)[["measure", "period", "district"]].drop_duplicates()
    keys = ["measure", "year", "area_code"]
    frame = frame.merge(now.set_axis(keys, axis=1).assign(stands=True), on=keys, how="left")
    ever = granted[["measure", "district"]].drop_duplicates().set_axis(["measure", "area_code"], axis=1)
    frame = frame.merge(ever.assign(was_granted=True), on=["measure", "area_code"], how="left")
    stands = frame["stands"].eq(True)
    rolled_out = frame["measure"] == frame["target_id"]
    not_yet = rolled_out & (frame["year"] < frame["final_year"])
    never = ~rolled_out & frame["was_granted"].isna()
    unknown = (frame["register_status"] != "final") | (~stands & (not_yet | never))
    frame = frame.assign(left_value=stands.astype(float), right_value=1.0, unit_zh="个", school_kind="all")
    return judged(frame, unknown, stands)
