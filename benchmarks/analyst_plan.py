"""How the plan's targets stand, as the analyst judges them: progress, evaluation, and an answer to every statement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from analyst_facts import seed
from analyst_indicators import crossing
from analyst_marts import target_met
from analyst_reading import Records
from analyst_register import plan_of_statement, plans_of, register_counts
from analyst_rules import standing_rules
from analyst_tables import Tables, half_up, ratio

Numbers = Any  # a column
TYPES_ZH = {
    "trend": "方向",
    "state": "状态",
    "maintain": "保持",
    "floor": "下限（起点已达到）",
    "range": "区间",
    "about": "约数",
    "coverage": "全覆盖",
    "share_of_units": "区县占比",
    "cumulative": "累计新增",
    "strict": "严格大于",
    "reach": "达到",
}
EVALUATIONS_ZH = {"annual": "年度评估", "mid_term": "中期评估", "final": "总结评估"}
STATUS_ORDER = ["achieved", "ahead", "on_pace", "held", "holds", "close", "behind", "worsening", "lost", "broken"]
GROUP_ORDER = {"约束性": 1, "预期性": 2, "未标属性": 3}
TRENDS = ["trend_up", "trend_down"]


def plan_marts(records: Records, tables: Tables, marts: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The marts about the plan."""
    counts = register_counts(records, tables)
    rules = standing_rules(records, tables, marts, counts)
    progress = plan_progress(records, marts, counts)
    return {
        "mart_plan_progress": progress,
        "mart_plan_evaluation": plan_evaluation(progress, rules),
        "mart_programme_targets": programme_targets(marts["fct_indicator_value"], progress, counts),
        "mart_standing_rules": rules,
    }


def status_texts(status: Numbers, is_final: Numbers) -> Numbers:
    """What a status is called in a year, and in the last one."""
    labels = seed("status_label").set_index("status")
    return status.map(labels["final_status_zh"]).where(is_final, status.map(labels["status_zh"]))


def missing_as_none(flags: Numbers, known: Numbers) -> Numbers:
    """True, False, or nothing where it is not known."""
    return flags.astype(object).where(known, None)


# -- what a target is judged on ---------------------------------------------------------------------------------------


def targets_of() -> pd.DataFrame:
    """Targets that an indicator of the same scope, or the register, can answer."""
    frame = seed("plan_registry").rename(columns={"id": "target_id", "baseline_2020": "baseline_text"})
    frame = frame.drop(columns="plan_id").merge(plan_of_statement(), on="target_id")
    frame = frame.merge(seed("target_indicator")[["target_id", "indicator_id"]], on="target_id", how="left")
    names = ["indicator_id", "direction", "decimals"]
    frame = frame.merge(seed("indicator")[names], on="indicator_id", how="left")
    frame = frame.merge(seed("indicator_scope")[["indicator_id", "scope_zh"]], on="indicator_id", how="left")
    rules = seed("register_rule")[["target_id", "count_kind", "denominator"]]
    frame = frame.merge(rules.rename(columns={"denominator": "counted_of"}), on="target_id", how="left")
    by_register = frame["indicator_id"].isna() & frame["count_kind"].notna()
    frame[["count_kind", "counted_of"]] = frame[["count_kind", "counted_of"]].where(by_register, None)
    city = dict(zip(seed("area")["area_code"], seed("area")["area_name_zh"], strict=True))
    own_scope = frame["scope_zh"].fillna(frame["area_code"].map(city))
    fits = (frame["scope"] == own_scope) | (
        frame["scope_zh"].isna() & frame["scope"].isin(["全市", "全市（以区县为单位）"])
    )
    kinds = ["headline_indicator", "programme_target", "text_target"]
    frame = frame[frame["kind"].isin(kinds) & (by_register | (frame["indicator_id"].notna() & fits))].copy()
    for name in ("value_low", "value_high"):
        frame[name] = pd.to_numeric(frame[name])
    frame["baseline"] = pd.to_numeric(frame["baseline_text"], errors="coerce")
    frame["direction"] = frame["direction"].fillna("up")
    # Counts are whole; a share of the register is shown like the shares of the indicators.
    by_kind = (frame["count_kind"] == "share").map({True: 2, False: 0})
    frame["decimals"] = pd.to_numeric(frame["decimals"]).fillna(by_kind)
    return frame


def facts_of(targets: pd.DataFrame, indicators: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Values of each target by year, from indicators and from the register."""
    names = ["target_id", "period", "value", "numerator", "denominator", "method", "publish_status", "segment"]
    indicators = indicators.rename(columns={"series_segment": "segment"})
    found = targets[["target_id", "indicator_id", "area_code"]].merge(indicators, on=["indicator_id", "area_code"])
    registered = counts.assign(method="register", segment="")
    return pd.concat([found[names], registered[names]], ignore_index=True)


def target_years(records: Records, indicators: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """What a target is judged on in a plan year: its numbers, the year's value, its baseline, the start of its line."""
    targets = targets_of()
    facts = facts_of(targets, indicators, counts)
    last = records.deliveries["period"].max()
    years = [target.Index for target in targets.itertuples() for _ in range(target.first_year, target.final_year + 1)]
    frame = targets.loc[years].assign(
        year=[year for t in targets.itertuples() for year in range(t.first_year, t.final_year + 1)]
    )
    frame["is_final"], frame["is_due"] = frame["year"] == frame["final_year"], frame["year"] <= last
    frame = frame.merge(facts.rename(columns={"period": "year"}), on=["target_id", "year"], how="left")
    complete = facts[facts["publish_status"] != "partial"]
    based = complete[["target_id", "period", "value"]].set_axis(
        ["target_id", "baseline_year", "value_at_baseline"], axis=1
    )
    frame = frame.merge(based, on=["target_id", "baseline_year"], how="left")
    # A line begins, for comparison, with the first complete value of its own segment.
    starts = complete[complete["value"].notna()].merge(targets[["target_id", "baseline_year"]], on="target_id")
    starts = starts[starts["period"] >= starts["baseline_year"]].sort_values("period")
    starts = starts.drop_duplicates(["target_id", "segment"])[["target_id", "segment", "period", "value"]]
    starts.columns = ["target_id", "segment", "start_year", "start_value"]
    frame = frame.merge(starts, on=["target_id", "segment"], how="left")
    begun = frame["start_year"] < frame["year"]
    frame["start_year"], frame["start_value"] = frame["start_year"].where(begun), frame["start_value"].where(begun)
    return frame.join(breaks_crossed(targets, facts), on=["target_id", "year"])


def breaks_crossed(targets: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Breaks between a target's baseline and a year: those that forbid a judgement, and what is said of all."""
    names = ["target_id", "indicator_id", "area_code", "baseline_year"]
    pairs = crossing(targets[names].merge(facts[["target_id", "period", "method"]], on="target_id"))
    pairs = pairs[(pairs["baseline_year"] < pairs["first_year"]) & (pairs["period"] >= pairs["first_year"])]
    pairs = pairs.sort_values("first_year", kind="stable").rename(columns={"period": "year"})
    forbidding = pairs[pairs["breaks_progress"] == "true"]
    keys = ["target_id", "year"]
    return pd.DataFrame(
        {
            "series_note": pairs.groupby(keys)["note_zh"].agg("；".join),
            "break_zh": forbidding.groupby(keys)["title_zh"].agg("、".join),
        }
    )


# -- progress ---------------------------------------------------------------------------------------------------------


def compound_growth(start: Numbers, end: Numbers, years: Numbers) -> Numbers:
    """Growth a year that leads from start to end."""
    grown = (end / start.where(start > 0)).where(end >= 0)
    return grown ** (1.0 / years.where(years != 0)) - 1


def plan_progress(records: Records, marts: dict[str, pd.DataFrame], counts: pd.DataFrame) -> pd.DataFrame:
    """Every target in every year of its plan."""
    frame = target_years(records, marts["fct_indicator_value"], counts)
    frame["target"] = frame["value_low"].fillna(frame["value_high"])
    frame = with_baseline(frame)
    frame["is_complete"] = frame["publish_status"].notna() & (frame["publish_status"] != "partial")
    frame = with_type(frame)
    frame = with_meeting(frame)
    frame["reason"] = unassessable_reasons(frame)
    frame = with_pace(frame)
    frame["status"] = progress_statuses(frame)
    frame["status_zh"] = status_texts(frame["status"], frame["is_final"])
    frame["target_type_zh"] = frame["target_type"].map(TYPES_ZH)
    frame["target_high"] = frame["value_high"]
    return frame[
        [
            "target_id", "indicator_id", "plan_id", "area_code", "year", "baseline", "target", "operator", "binding",
            "value", "method", "expected_by_now", "pace_ratio", "status", "status_zh", "gap", "forecast",
            "target_type", "target_type_zh", "target_high", "baseline_used", "baseline_source", "numerator",
            "denominator", "publish_status", "reason", "is_met", "value_published", "is_met_as_published",
            "forecast_method", "required_growth", "actual_growth", "open_sdg_ratio", "open_sdg_reading", "series_note",
        ]
    ]  # fmt: skip


def with_baseline(frame: pd.DataFrame) -> pd.DataFrame:
    """Where a target starts from: zero when it counts what is new, else the plan's number, else the data's."""
    frame["is_cumulative"] = (frame["measure_type"] == "cumulative_new_count") | (frame["count_kind"] == "new")
    from_data = frame["value_at_baseline"].where(frame["baseline_text"].isna())
    frame["baseline_used"] = frame["baseline"].fillna(from_data).mask(frame["is_cumulative"], 0)
    cases = [frame["is_cumulative"], frame["baseline"].notna(), from_data.notna()]
    frame["baseline_source"] = np.select(cases, ["zero", "plan", "data"], "")
    own = frame["baseline"].fillna(frame["value_at_baseline"]).where(frame["break_zh"].isna())
    frame["compared_with"] = own.fillna(frame["start_value"])
    return frame


def with_type(frame: pd.DataFrame) -> pd.DataFrame:
    """By which rule a target is judged, and what kind of target it is."""
    start, target, down = frame["baseline_used"], frame["target"], frame["direction"] == "down"
    reached = (down & (start < target)) | (~down & (start > target))
    cases = [target.isna(), start.isna(), start == target, reached]
    frame["judged_as"] = np.select(cases, ["no_number", "no_baseline", "maintain", "floor"], "pace")
    vague = frame["qualifier"].fillna("").str.contains("basically|about")
    operator = frame["operator"]
    frame["is_approximate"] = (operator == "about") | vague
    types = {
        "trend": operator.isin(TRENDS),
        "state": target.isna(),
        "maintain": frame["judged_as"] == "maintain",
        "floor": frame["judged_as"] == "floor",
        "range": operator == "range",
        "about": frame["is_approximate"],
        "coverage": operator == "coverage_all",
        "share_of_units": frame["counted_of"] == "districts",
        "cumulative": frame["is_cumulative"],
        "strict": operator.isin([">", "<"]),
    }
    frame["target_type"] = np.select(list(types.values()), list(types), "reach")
    return frame


def with_meeting(frame: pd.DataFrame) -> pd.DataFrame:
    """Whether a target is met, by the value and as it is published; a direction is read from where it began."""
    value, start, operator = frame["value"], frame["compared_with"], frame["operator"]
    is_trend, is_down = operator.isin(TRENDS), operator == "trend_down"
    by_number = target_met(value, operator, frame["target"], frame["direction"])
    better = ((value < start) | ((value == 0) & (start == 0))).where(is_down, value > start)
    by_trend = missing_as_none(better, value.notna() & start.notna())
    frame["is_met"] = by_number.where(~is_trend, by_trend)
    frame["is_lost"] = (value > start).where(is_down, value < start)
    frame["value_published"] = half_up(value, frame["decimals"])
    published = target_met(frame["value_published"], operator, frame["target"], frame["direction"])
    frame["is_met_as_published"] = published.where(~is_trend, None)
    down = frame["direction"] == "down"
    frame["is_held"] = (value <= frame["target"]).where(down, value >= frame["target"])
    return frame


def unassessable_reasons(frame: pd.DataFrame) -> Numbers:
    """Why a target cannot be judged in a year; nothing where it can."""
    value, is_trend, is_final = frame["value"], frame["target_type"] == "trend", frame["is_final"]
    not_pace = frame["judged_as"] != "pace"
    cases = {
        "not_yet_due": value.isna() & ~frame["is_due"],
        "no_data": value.isna(),
        "incomplete": frame["publish_status"] == "partial",
        "definition_changed": frame["break_zh"].notna(),
        "no_number": frame["target_type"] == "state",
        "no_baseline": is_trend & frame["compared_with"].isna(),
        "": frame["is_met"].eq(True),
        "not_yet_due ": (frame["measure_type"] == "event") & ~is_final,
        "no_tolerance": frame["is_approximate"] & (is_final | not_pace),
        "no_baseline ": ~is_trend & (frame["judged_as"] == "no_baseline") & ~is_final,
    }
    found = pd.Series(np.select(list(cases.values()), list(cases), ""), index=frame.index).str.strip()
    return found.where(found != "", None)


def with_pace(frame: pd.DataFrame) -> pd.DataFrame:
    """Where a target ought to be by now, how fast it moves and where that leads."""
    value, start, target = frame["value"], frame["baseline_used"], frame["target"]
    span, gone = frame["final_year"] - frame["baseline_year"], frame["year"] - frame["baseline_year"]
    due = gone / span
    is_pace = frame["judged_as"] == "pace"
    comparable = (frame["reason"] != "definition_changed") & frame["is_complete"]
    expected = (start + (target - start) * due).where(is_pace)
    frame["expected_by_now"] = expected.where(~frame["judged_as"].isin(["maintain", "floor"]), target)
    frame["pace_ratio"] = (ratio(value - start, target - start) / due).where(is_pace & comparable)
    down = frame["direction"] == "down"
    frame["gap"] = (target - value).mask(down, value - target).where(frame["is_complete"])
    frame["required_growth"] = compound_growth(start, target, span)
    growth = compound_growth(start, value, gone)
    frame["actual_growth"] = growth.where(comparable)
    frame["open_sdg_ratio"] = ratio(growth, frame["required_growth"]).where(is_pace & comparable)
    reading = pd.cut(
        frame["open_sdg_ratio"], [-np.inf, 0, 0.6, 0.95, np.inf], right=False,
        labels=["deterioration", "limited", "progress", "on_track"],
    ).astype(object)  # fmt: skip
    frame["open_sdg_reading"] = reading.mask(frame["is_met"].eq(True) & reading.notna(), "achieved")
    return with_forecast(frame, due)


def with_forecast(frame: pd.DataFrame, due: Numbers) -> pd.DataFrame:
    """Where a straight line leads: from the baseline, or from the start of the series where it breaks."""
    value, start = frame["value"], frame["baseline_used"]
    can = ~frame["is_final"] & frame["is_complete"] & value.notna() & (frame["operator"] != "state")
    from_baseline = can & start.notna() & frame["series_note"].isna()
    in_series = can & ~from_baseline & frame["start_value"].notna()
    methods = ["linear_from_baseline", "linear_in_series"]
    frame["forecast_method"] = np.select([from_baseline, in_series], methods, "")
    passed, left = frame["year"] - frame["start_year"], frame["final_year"] - frame["year"]
    further = value + (value - frame["start_value"]) / passed * left
    frame["forecast"] = (start + (value - start) / due).where(from_baseline, further.where(in_series))
    return frame


def progress_statuses(frame: pd.DataFrame) -> Numbers:
    """What is said of a target in a year."""
    bands = seed("progress_band")
    edges = pd.to_numeric(bands["lower_bound"]).fillna(-np.inf).sort_values()
    labels = bands["status"].loc[edges.index].tolist()
    band = pd.cut(frame["pace_ratio"], [*edges, np.inf], right=False, labels=labels).astype(object)
    is_met, is_trend = frame["is_met"].eq(True), frame["target_type"] == "trend"
    is_level = frame["judged_as"].isin(["maintain", "floor"])
    is_held, is_lost = frame["is_held"].eq(True), frame["is_lost"].eq(True)
    cases = [
        (frame["reason"].notna(), "cannot_assess"),
        (frame["is_final"] & is_met, "achieved"),
        (frame["is_final"], "behind"),
        (is_level & is_held, "held"),
        (is_level, "lost"),
        (is_trend & is_met, "on_pace"),
        (is_trend & is_lost, "worsening"),
        (is_trend, "behind"),
        (is_met, "achieved"),
    ]
    found = np.select([where for where, _ in cases], [status for _, status in cases], "")
    return pd.Series(found, index=frame.index).replace("", None).fillna(band)


# -- evaluation -------------------------------------------------------------------------------------------------------


def evaluations_of() -> pd.DataFrame:
    """Evaluations of each plan: every year, in the middle, at the end."""
    found = []
    for plan in plans_of().itertuples():
        annual = [("annual", year) for year in range(plan.first_year, plan.final_year + 1)]
        kinds = [*annual, ("mid_term", plan.mid_term_year), ("final", plan.final_year)]
        found += [(plan.plan_id, plan.area_code, kind, year, plan.final_year) for kind, year in kinds]
    return pd.DataFrame(found, columns=["plan_id", "area_code", "evaluation_kind", "year", "final_year"])


def plan_evaluation(progress: pd.DataFrame, rules: pd.DataFrame) -> pd.DataFrame:
    """How many targets stand where; the binding ones by name and first, never averaged with the others."""
    keys = ["plan_id", "area_code", "evaluation_kind", "year"]
    evaluations = evaluations_of()
    judged = judged_targets(evaluations, progress)
    by_status = [*keys, "group_zh", "status", "status_zh"]
    counted = judged.groupby(by_status, dropna=False).size().reset_index(name="target_count")
    summaries = rules.loc[rules["row_kind"] == "summary", ["plan_id", "year", "status", "status_zh"]]
    ruled = evaluations.merge(summaries, on=["plan_id", "year"]).assign(group_zh="常设规则")
    ruled = ruled.groupby(by_status, dropna=False).size().reset_index(name="target_count")
    stacked = {
        "overall": overall_rows(evaluations, judged),
        "target": judged[judged["group_zh"] == "约束性"].assign(target_count=1),
        "count": pd.concat([counted, ruled]),
    }
    frame = pd.concat([rows.assign(row_kind=kind) for kind, rows in stacked.items()], ignore_index=True)
    frame["kind_order"] = frame["row_kind"].map({"overall": 1, "target": 2, "count": 3})
    frame["group_order"] = frame["group_zh"].map(GROUP_ORDER).fillna(4)
    frame["status_order"] = frame["status"].map({name: at for at, name in enumerate(STATUS_ORDER)}).fillna(99)
    order = ["kind_order", "group_order", "status_order", "target_id", "status_zh"]
    frame = frame.sort_values([*keys, *order], kind="stable")
    frame["row_no"] = frame.groupby(["plan_id", "evaluation_kind", "year"]).cumcount() + 1
    frame["evaluation_kind_zh"] = frame["evaluation_kind"].map(EVALUATIONS_ZH)
    return frame[
        [
            *keys, "evaluation_kind_zh", "row_no", "row_kind", "group_zh", "target_id", "indicator_zh", "status",
            "status_zh", "target_count", "value", "target", "value_year",
        ]
    ]  # fmt: skip


def judged_targets(evaluations: pd.DataFrame, progress: pd.DataFrame) -> pd.DataFrame:
    """One row a target and evaluation; a review in the middle takes the newest year that can be judged."""
    registry = seed("plan_registry").rename(columns={"id": "target_id"})
    names = ["plan_id", "area_code", "target_id", "binding", "year", "status", "status_zh", "value", "target"]
    pairs = evaluations.merge(progress[names].rename(columns={"year": "value_year"}), on=["plan_id", "area_code"])
    earlier = (pairs["evaluation_kind"] == "mid_term") & (pairs["year"] >= pairs["value_year"])
    pairs = pairs[(pairs["year"] == pairs["value_year"]) | earlier]
    pairs = pairs.merge(registry[["target_id", "indicator_zh", "duplicate_of"]], on="target_id")
    pairs = pairs[pairs["duplicate_of"].isna()]
    pairs["group_zh"] = pairs["binding"].fillna("未标属性")
    pairs["unknown"] = (pairs["status"] == "cannot_assess").astype(int)
    pairs = pairs.sort_values(["unknown", "value_year"], ascending=[True, False], kind="stable")
    return pairs.drop_duplicates(["plan_id", "evaluation_kind", "year", "target_id"])


def overall_rows(evaluations: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """What the binding targets decide."""
    keys = ["plan_id", "evaluation_kind", "year"]
    binding = judged[judged["group_zh"] == "约束性"]
    counts = pd.crosstab([binding[key] for key in keys], binding["status"])
    counts = counts.reindex(columns=[*STATUS_ORDER, "cannot_assess"], fill_value=0)
    frame = evaluations.join(counts, on=keys).fillna(dict.fromkeys(counts.columns, 0))
    frame["target_count"] = frame[list(counts.columns)].sum(axis=1)
    late = frame["behind"] + frame["worsening"] + frame["lost"]
    is_final = frame["year"] == frame["final_year"]
    cases = [frame["target_count"] == 0, late > 0, frame["cannot_assess"] > 0, is_final, frame["close"] > 0]
    names = ["cannot_assess", "behind", "cannot_assess", "achieved", "close"]
    frame["status"] = np.select(cases, names, "on_pace")
    frame["status_zh"] = status_texts(frame["status"], is_final)
    return frame.drop(columns=counts.columns).assign(group_zh="总体", indicator_zh="约束性指标决定的总体结论")


# -- every statement --------------------------------------------------------------------------------------------------


def statement_years() -> pd.DataFrame:
    """Targets in every year of the plan; what the plan says was reached, at the end of the baseline year."""
    frame = seed("plan_registry").rename(columns={"id": "target_id"})
    frame = frame.drop(columns="plan_id").merge(plan_of_statement(), on="target_id")
    for name in ("value_low", "value_high"):
        frame[name] = pd.to_numeric(frame[name])
    is_fact = frame["kind"] == "baseline_fact"
    facts = frame[is_fact].assign(year=frame["baseline_year"])
    targets = frame[frame["kind"].isin(["programme_target", "text_target"])]
    spans = [list(range(row.first_year, row.final_year + 1)) for row in targets.itertuples()]
    frame = pd.concat([targets.assign(year=spans).explode("year"), facts], ignore_index=True)
    links = seed("target_indicator").set_index("target_id")["indicator_id"]
    known = frame["target_id"].map(links).fillna(frame["duplicate_of"].map(links))
    frame["fact_indicator"] = known.where(frame["kind"] == "baseline_fact")
    return frame.astype({"year": int})


def programme_targets(indicators: pd.DataFrame, progress: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """An answer to every statement, and by what it is answered."""
    frame = statement_years()
    values = ["value", "numerator", "denominator", "method"]
    complete = indicators[indicators["publish_status"] != "partial"]
    of_indicator = ["indicator_id", "area_code", "period"]
    partial = seed("target_partial_answer").set_index("target_id")["indicator_id"]
    frame["partial_indicator"] = frame["duplicate_of"].fillna(frame["target_id"]).map(partial)
    answers = {
        "own": (progress, ["target_id", "area_code", "year"], ["target_id", "area_code", "year"]),
        "facts": (counts.assign(method="register"), ["target_id", "period"], ["target_id", "year"]),
        "base": (complete, of_indicator, ["fact_indicator", "area_code", "year"]),
        "other": (progress, ["target_id", "area_code", "year"], ["duplicate_of", "area_code", "year"]),
        "part": (indicators, of_indicator, ["partial_indicator", "area_code", "year"]),
    }
    for name, (table, theirs, ours) in answers.items():
        extra = [column for column in ("status", "indicator_id") if column in table and column not in theirs]
        found = table[[*theirs, *values, *extra]].set_index(theirs).assign(found=True)
        frame = frame.join(found.add_prefix(f"{name}_"), on=ours)
    frame["facts_found"] = frame["facts_found"].where(frame["kind"] == "baseline_fact")
    frame.loc[frame["facts_found"].isna(), [f"facts_{name}" for name in values]] = None
    spans = period_facts(indicators)
    frame["span_value"] = frame["target_id"].map(spans["value"])
    frame["span_indicator"] = frame["target_id"].map(spans["indicator_id"])
    frame["span_method"] = pd.Series("computed", index=frame.index).where(frame["span_value"].notna())
    return answered(frame)


def first_given(frame: pd.DataFrame, names: list[str]) -> Numbers:
    """The first value of several columns."""
    found = frame[names[0]]
    for name in names[1:]:
        found = found.where(found.notna(), frame[name])
    return found


def answered(frame: pd.DataFrame) -> pd.DataFrame:
    """The answer that comes first: own target, register, indicator, span of years, same target elsewhere, a part."""
    base_indicator = frame["fact_indicator"].where(frame["base_found"].notna())
    frame = frame.assign(base_indicator_id=base_indicator)
    frame["indicator_id"] = first_given(
        frame, ["own_indicator_id", "base_indicator_id", "span_indicator", "other_indicator_id", "partial_indicator"]
    )
    for name in ("value", "method"):
        sources = ["own", "facts", "base", "span", "other", "part"]
        frame[name] = first_given(frame, [f"{source}_{name}" for source in sources])
    for name in ("numerator", "denominator"):
        frame[name] = first_given(frame, [f"{source}_{name}" for source in ("own", "facts", "base", "other", "part")])
    readings = seed("register_rule").set_index("target_id")["reading_zh"]
    ruled = frame["own_found"].notna() & frame["own_indicator_id"].isna() & frame["target_id"].isin(readings.index)
    frame["reading_zh"] = frame["target_id"].map(readings).where(ruled)
    cases = {
        "register": ruled | frame["facts_found"].notna(),
        "indicator": frame["own_found"].notna() | frame["base_value"].notna() | frame["span_indicator"].notna(),
        "duplicate": frame["other_found"].notna(),
        "part": frame["partial_indicator"].notna(),
    }
    frame["answered_by"] = np.select(list(cases.values()), list(cases), "none")
    frame["status"] = frame["own_status"].fillna("cannot_assess")
    frame["status_zh"] = status_texts(frame["status"], frame["year"] == frame["final_year"])
    return frame[
        [
            "target_id", "plan_id", "kind", "section", "box", "indicator_zh", "scope", "operator", "value_low",
            "value_high", "unit_zh", "area_code", "year", "answered_by", "indicator_id", "value", "method", "status",
            "status_zh", "numerator", "denominator", "reading_zh",
        ]
    ]  # fmt: skip


def period_facts(indicators: pd.DataFrame) -> pd.DataFrame:
    """What the plan says of several years together: a sum, a growth a year, or how much faster one side grew."""
    facts = seed("period_fact").merge(plan_of_statement()[["target_id", "area_code"]], on="target_id")
    complete = indicators[indicators["publish_status"] != "partial"]
    values = complete.set_index(["indicator_id", "area_code", "period"])[["value", "numerator", "denominator"]]
    return pd.DataFrame(
        {
            "indicator_id": facts["indicator_id"].tolist(),
            "value": [period_value(fact, values) for fact in facts.itertuples()],
        },
        index=facts["target_id"],
    )


def period_value(fact: Any, values: pd.DataFrame) -> float:
    """The value of one such fact; missing where a year is."""
    first, last = int(fact.first_year), int(fact.last_year)
    years = range(first, last + 1) if fact.measure == "sum" else (first, last)
    found = values.reindex([(fact.indicator_id, fact.area_code, year) for year in years])
    if found["value"].isna().any():
        return float("nan")
    if fact.measure == "sum":
        return float(found["value"].sum())
    span = pd.Series([last - first])
    above, below = (
        compound_growth(
            found[side].iloc[[0]].reset_index(drop=True), found[side].iloc[[-1]].reset_index(drop=True), span
        )
        for side in ("numerator", "denominator")
    )
    return float(100 * (above - (below if fact.measure == "growth_gap" else 0)).iloc[0])
