"""Tables between records and marts: areas and who reported, schools, learners by stage, teachers, finance units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from analyst_facts import FIRST_YEAR, LAST_YEAR, STAGES, column_of_codes, feed_table, seed
from analyst_reading import Records

FORM_STAGES = {
    "2105": "preschool",
    "3111": "preschool",
    "2106": "primary",
    "3112": "primary",
    "2107": "junior",
    "3115": "junior",
    "2108": "senior_general",
    "3118": "senior_general",
    "3221": "senior_vocational",
    "3120": "special",
}
LE45 = ["band_le25", "band_26_30", "band_31_35", "band_36_40", "band_41_45"]
BANDS = [*LE45, "band_46_50", "band_51_55", "band_56_60", "band_61_65", "band_ge66"]
COUNTS = ["enrolment", "entrants", "graduates", "expected_graduates", "female"]
OTHER_COUNTS = ["leavers", "class_total", "classes_total"]
CLASS_SIZES = ["class_total", "class_le45", "class_46_50", "class_46_55", "class_56_65", "class_ge66"]
WITH_CLASSES = ["preschool", "primary", "junior", "senior_general"]
EDUCATION_RANK = {"doctor": 6, "master": 5, "bachelor": 4, "college": 3, "secondary": 2, "below": 1}
CERTIFICATE_RANK = {"preschool": 1, "primary": 2, "junior": 3, "senior_general": 4, "vocational": 4}
CERTIFICATE_RANK |= {"senior_vocational": 4, "higher": 5}
GOODS, CAPITAL = "商品和服务支出", "资本性支出"


@dataclass
class Tables:
    """What the marts are made of."""

    area_years: pd.DataFrame
    members: pd.DataFrame
    population: pd.DataFrame
    feed_areas: pd.DataFrame
    coverage: pd.DataFrame
    schools: pd.DataFrame
    school_stages: pd.DataFrame
    stage_areas: pd.DataFrame
    teachers: pd.DataFrame
    units: pd.DataFrame


def tables_of(records: Records) -> Tables:
    """All tables between records and marts."""
    area_years = area_years_of()
    members = members_of(area_years)
    population = population_of(records, area_years)
    feed_areas = feed_areas_of(records, area_years, population)
    schools = schools_of(records, area_years)
    stages = school_stages_of(records, schools)
    teachers = teacher_quality_of(records, area_years, feed_areas)
    return Tables(
        area_years=area_years,
        members=members,
        population=population,
        feed_areas=feed_areas,
        coverage=coverage_of(feed_areas, members),
        schools=schools,
        school_stages=stages,
        stage_areas=stage_areas_of(feed_areas, schools, stages, teachers),
        teachers=teachers,
        units=finance_units_of(records, area_years),
    )


def ratio(above: Any, below: Any) -> pd.Series[float]:
    """A quotient; missing where nothing is below."""
    return above / below.where(below != 0)


def half_up(values: Any, places: Any) -> Any:
    """Rounded as people round: half away from zero."""
    scale = 10.0**places
    return np.sign(values) * np.floor(values.abs() * scale + 0.5) / scale


def rolled_up(parts: pd.DataFrame, members: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Sums of an area's parts: districts, groups, the city. A sum of nothing but missing values is missing."""
    joined = members.merge(
        parts.rename(columns={"area_code": "part_area_code"}), on=["period", "part_area_code"], how="inner"
    )
    numbers = [name for name in parts if name not in {"area_code", "period", *by}]
    return joined.groupby(["area_code", "area_level", "period", *by])[numbers].sum(min_count=1).reset_index()


# -- areas ------------------------------------------------------------------------------------------------------------


def areas_of() -> pd.DataFrame:
    """The areas with dates and numbers."""
    areas = seed("area").copy()
    areas["valid_from"], areas["valid_to"] = pd.to_datetime(areas["valid_from"]), pd.to_datetime(areas["valid_to"])
    areas["population_2020"] = pd.to_numeric(areas["population_2020"])
    return areas


def years_of() -> pd.DataFrame:
    """The years that are laid out, with the day areas are looked at."""
    years = pd.DataFrame({"period": range(FIRST_YEAR, LAST_YEAR + 1)})
    years["day"] = pd.to_datetime({"year": years["period"], "month": 9, "day": 1})
    years["year_end"] = pd.to_datetime({"year": years["period"], "month": 12, "day": 31})
    return years


def standing(frame: pd.DataFrame, day: str = "day") -> pd.DataFrame:
    """Rows whose area exists on the day."""
    exists = (frame["valid_from"] <= frame[day]) & ~(frame["valid_to"] < frame[day])
    return frame[exists]


def area_years_of() -> pd.DataFrame:
    """Districts and the municipal schools, a row a year; `reporting_code` is whose reports are theirs."""
    frame = standing(years_of().merge(areas_of(), how="cross"))
    frame = frame[frame["area_level"].isin(["district", "municipal"])].copy()
    frame["reporting_code"] = frame["area_code"].where(frame["area_level"] != "municipal", frame["parent_code"])
    names = ["period", "area_code", "area_level", "area_name_zh", "parent_code", "group_code", "reporting_code"]
    return frame[names].reset_index(drop=True)


def members_of(area_years: pd.DataFrame) -> pd.DataFrame:
    """Which districts make up an area in a year: itself, its group, the city."""
    leaves = area_years.assign(part_area_code=area_years["area_code"])
    wholes = standing(years_of().merge(areas_of(), how="cross"))[["period", "area_code", "area_level"]]
    names = ["period", "area_code", "area_level", "part_area_code"]
    parts = leaves[["period", "parent_code", "group_code", "area_level", "part_area_code"]]
    city = wholes[wholes["area_level"] == "city"].merge(
        parts.drop(columns="area_level"), left_on=["period", "area_code"], right_on=["period", "parent_code"]
    )
    districts = parts[parts["area_level"] == "district"].drop(columns="area_level")
    groups = wholes[wholes["area_level"] == "group"].merge(
        districts, left_on=["period", "area_code"], right_on=["period", "group_code"]
    )
    return pd.concat([leaves[names], city[names], groups[names]], ignore_index=True)


def population_of(records: Records, area_years: pd.DataFrame) -> pd.DataFrame:
    """Residents of the official age groups; single ages only, since a band may reach beyond a group."""
    districts = area_years.loc[area_years["area_level"] == "district", ["period", "area_code"]]
    people = records.residents[records.residents["age_from"] == records.residents["age_to"]]
    people = people.merge(districts, on=["period", "area_code"])
    keys = ["period", "area_code"]
    found = records.residents.merge(districts, on=keys)[keys].drop_duplicates().set_index(keys)
    for first, last in ((3, 5), (6, 14), (15, 17)):
        own = people[people["age_from"].between(first, last)]
        found[f"residents_{first}_{last}"] = own.groupby(keys)["residents"].sum()
    found["ages_reported"] = people[people["age_from"].between(3, 17)].groupby(keys).size()
    found["ages_reported"] = found["ages_reported"].fillna(0)
    return found.reset_index()


# -- who reported -----------------------------------------------------------------------------------------------------


def feed_areas_of(records: Records, area_years: pd.DataFrame, population: pd.DataFrame) -> pd.DataFrame:
    """What each area handed in of each feed, a row a year."""
    feeds = feed_table()
    due = feeds[feeds["per_area"]].assign(parts_expected=feeds["parts"].str.len())
    log = records.deliveries.rename(columns={"area_code": "reporting_code"})
    log = log.assign(is_district=~log["part"].str.startswith("school:"), is_final=log["part"] != "preliminary")
    counted = log.groupby(["feed", "reporting_code", "period"], as_index=False).agg(
        deliveries=("part", "size"),
        parts=("is_district", "sum"),
        finals=("is_final", "sum"),
        rows_quarantined=("rows_quarantined", "sum"),
        reported_on=("reported_on", "max"),
    )
    names = ["period", "area_code", "area_name_zh", "reporting_code"]
    frame = due[["feed", "parts_expected"]].merge(area_years[names], how="cross")
    frame = frame.merge(counted, on=["feed", "reporting_code", "period"], how="left")
    frame = frame.merge(population[["period", "area_code", "ages_reported"]], on=["period", "area_code"], how="left")
    frame["is_reported"] = frame["deliveries"].notna()
    few_ages = (frame["feed"] == "population") & (frame["ages_reported"] < 15)
    frame["is_complete"] = (frame["parts"].fillna(0) >= frame["parts_expected"]) & ~few_ages
    frame["is_preliminary"] = frame["finals"] == 0
    frame["rows_quarantined"] = frame["rows_quarantined"].fillna(0)
    kept = ["feed", *names[:3], "is_reported", "is_complete", "is_preliminary", "rows_quarantined", "reported_on"]
    return pd.concat([frame[kept], fiscal_areas_of(records, area_years)[kept]], ignore_index=True)


def fiscal_areas_of(records: Records, area_years: pd.DataFrame) -> pd.DataFrame:
    """One file holds the accounts of every district: who is in it has reported."""
    days = records.deliveries[["delivery", "reported_on"]]
    accounts = records.accounts[["area_code", "period", "status", "delivery"]].merge(days, on="delivery", how="left")
    frame = area_years.merge(
        accounts.rename(columns={"area_code": "reporting_code"}), on=["reporting_code", "period"], how="left"
    )
    reported = frame["status"].notna()
    return frame.assign(
        feed="fiscal_accounts",
        is_reported=reported,
        is_complete=reported,
        is_preliminary=frame["status"] == "preliminary",
        rows_quarantined=0,
    )


def coverage_of(feed_areas: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """How complete the feeds of an indicator are, by area and year; only where anybody reported."""
    indicators = seed("indicator").merge(seed("indicator_scope"), on="indicator_id", how="left")
    computed = indicators[indicators["method_expected"] == "computed"]
    sets = computed[["feeds", "subgroup_zh"]].fillna({"subgroup_zh": ""}).drop_duplicates()
    needs = sets.assign(feed=sets["feeds"].str.split("|")).explode("feed")
    leaves = needs.merge(feed_areas, on="feed").merge(
        seed("area")[["area_code", "subgroup_zh"]].rename(columns={"subgroup_zh": "own_subgroup"}), on="area_code"
    )
    leaves = leaves[(leaves["subgroup_zh"] == "") | (leaves["subgroup_zh"] == leaves["own_subgroup"])]
    leaves = leaves.groupby(["feeds", "subgroup_zh", "period", "area_code"], as_index=False).agg(
        is_reported=("is_reported", "all"),
        is_complete=("is_complete", "all"),
        is_preliminary=("is_preliminary", "any"),
        rows_quarantined=("rows_quarantined", "sum"),
        as_of=("reported_on", "max"),
    )
    reported = leaves["is_reported"]
    leaves["expected_units"], leaves["reported_units"] = 1, reported.astype(int)
    leaves["incomplete_units"] = (reported & ~leaves["is_complete"]).astype(int)
    leaves["preliminary_units"] = (reported & leaves["is_preliminary"]).astype(int)
    leaves["rows_quarantined"] = leaves["rows_quarantined"].where(reported, 0)
    leaves["as_of"] = leaves["as_of"].where(reported)
    joined = members.merge(leaves.rename(columns={"area_code": "part_area_code"}), on=["period", "part_area_code"])
    units = ["expected_units", "reported_units", "incomplete_units", "preliminary_units", "rows_quarantined"]
    found = joined.groupby(["feeds", "subgroup_zh", "period", "area_code", "area_level"], as_index=False).agg(
        {**dict.fromkeys(units, "sum"), "as_of": "max"}
    )
    return found[found["reported_units"] > 0]


def publish_status(coverage: pd.DataFrame) -> pd.Series[str]:
    """Partial where somebody is missing or something incomplete."""
    partial = (coverage["reported_units"] < coverage["expected_units"]) | (coverage["incomplete_units"] > 0)
    return partial.map({True: "partial", False: "final"})


# -- schools and learners ---------------------------------------------------------------------------------------------


def schools_of(records: Records, area_years: pd.DataFrame) -> pd.DataFrame:
    """One row a school and year, with what its codes mean."""
    areas = area_years[["period", "area_code", "reporting_code"]]
    schools = records.schools.rename(columns={"area_code": "reporting_code"}).merge(
        areas, on=["period", "reporting_code"]
    )
    kind, organiser = schools["school_type_code"], schools["organiser_code"]
    schools["school_type_zh"] = kind.map(column_of_codes("school_type", "label_zh"))
    schools["stages"] = kind.map(column_of_codes("school_type", "stages"))
    schools["counting_stage"] = schools["stages"].str.split("|").str[-1]
    schools["counts_as_school"] = kind.map(column_of_codes("school_type", "counts_as_school")) == "true"
    schools["organiser_zh"] = organiser.map(column_of_codes("organiser", "label_zh"))
    schools["is_public"] = organiser.map(column_of_codes("organiser", "is_public")) == "true"
    schools["is_urban"] = schools["urban_rural_code"].str[:2].isin(["11", "12"])
    schools["is_inclusive"] = schools["is_public"] | schools["inclusive_private"]
    schools = schools.sort_values(["area_code", "delivery"], kind="stable")
    return schools.drop_duplicates(["period", "school_code"])


def school_stages_of(records: Records, schools: pd.DataFrame) -> pd.DataFrame:
    """Learners and classes of each stage of a school."""
    figures = records.figures.assign(stage=records.figures["form"].map(FORM_STAGES))
    wanted = [*COUNTS, *OTHER_COUNTS, *BANDS]
    figures = figures[figures["stage"].notna() & figures["measure"].isin(wanted)]
    wide = figures.pivot_table(
        index=["delivery", "period", "school_code", "stage"], columns="measure", values="value", aggfunc="max"
    ).reindex(columns=wanted)
    wide["graduates"] = wide[["graduates", "leavers"]].max(axis=1)
    wide["class_count"] = wide[["class_total", "classes_total"]].max(axis=1)
    bands = wide[BANDS].fillna(0)
    wide["class_le45"] = bands[LE45].sum(axis=1)
    wide["class_46_50"] = bands["band_46_50"]
    wide["class_46_55"] = bands["band_46_50"] + bands["band_51_55"]
    wide["class_56_65"] = bands["band_56_60"] + bands["band_61_65"]
    wide["class_ge66"] = bands["band_ge66"]
    wide[CLASS_SIZES] = wide[CLASS_SIZES].where(wide["class_total"].notna())
    kept = wide[[*COUNTS, "class_count", *CLASS_SIZES]].reset_index()
    names = ["delivery", "period", "school_code", "area_code", "is_public", "is_urban", "is_inclusive"]
    return kept.merge(schools[names], on=["delivery", "period", "school_code"])


def stage_areas_of(
    feed_areas: pd.DataFrame, schools: pd.DataFrame, stages: pd.DataFrame, teachers: pd.DataFrame
) -> pd.DataFrame:
    """Schools, learners, classes and teachers by area, year and stage; 0 where reported and nothing there."""
    keys = ["period", "area_code", "stage"]
    two = feed_areas[feed_areas["is_reported"] & feed_areas["feed"].isin(["school_census", "teacher_register"])]
    reported = two.groupby(["period", "area_code"])["feed"].agg(set).reset_index(name="given")
    frame = reported.merge(pd.DataFrame({"stage": STAGES}), how="cross")
    counted = schools[schools["counts_as_school"]].rename(columns={"counting_stage": "stage"})
    for name in ("public", "urban", "inclusive"):
        stages = stages.assign(**{f"enrolment_{name}": stages["enrolment"].where(stages[f"is_{name}"], 0)})
    groups = [f"enrolment_{name}" for name in ("public", "urban", "inclusive")]
    census = [*COUNTS, *groups, "class_count", *CLASS_SIZES]
    sums = stages.groupby(keys)[census].sum(min_count=1).reset_index()
    frame = frame.merge(counted.groupby(keys).size().reset_index(name="school_count"), on=keys, how="left")
    frame = frame.merge(sums, on=keys, how="left")
    frame = frame.merge(teachers[[*keys, "fulltime_teachers", "bachelor_teachers"]], on=keys, how="left")
    has_census = frame["given"].map(lambda feeds: "school_census" in feeds)
    has_register = frame["given"].map(lambda feeds: "teacher_register" in feeds)
    with_classes = frame["stage"].isin(WITH_CLASSES)
    with_sizes = with_classes & (frame["stage"] != "preschool")
    shown = dict.fromkeys(["school_count", *COUNTS, *groups], has_census)
    shown |= {"class_count": has_census & with_classes} | dict.fromkeys(CLASS_SIZES, has_census & with_sizes)
    shown |= dict.fromkeys(["fulltime_teachers", "bachelor_teachers"], has_register)
    for name, where in shown.items():
        frame[name] = frame[name].fillna(0).where(where)
    return frame.drop(columns="given")


# -- teachers ---------------------------------------------------------------------------------------------------------


def teacher_quality_of(records: Records, area_years: pd.DataFrame, feed_areas: pd.DataFrame) -> pd.DataFrame:
    """Full-time teachers at their main post, counted by area, year and stage."""
    areas = area_years[["period", "area_code", "reporting_code"]]
    posts = records.teachers.rename(columns={"area_code": "reporting_code"}).merge(
        areas, on=["period", "reporting_code"]
    )
    posts["rank"] = (posts["post_kind"] != "established").astype(int)
    posts = posts.sort_values(["rank", "school_code"], kind="stable").drop_duplicates(["period", "person"])
    flags = teacher_flags(posts[posts["post_category"] == "full_time_teacher"])
    keys = ["period", "area_code", "stage"]
    counted = flags.groupby(keys).sum().reset_index()
    reported = feed_areas[(feed_areas["feed"] == "teacher_register") & feed_areas["is_reported"]]
    frame = reported[["period", "area_code"]].merge(pd.DataFrame({"stage": STAGES}), how="cross")
    frame = frame.merge(counted, on=keys, how="left")
    numbers = [name for name in counted if name not in keys]
    frame[numbers] = frame[numbers].fillna(0)
    standards = frame[["stage"]].merge(seed("teacher_standard"), on="stage", how="left")
    frame["qualified_teachers"] = frame["qualified_teachers"].where(standards["qualified_from"].notna())
    frame["above_required_teachers"] = frame["above_required_teachers"].where(standards["above_required_from"].notna())
    return frame


def teacher_flags(teachers: pd.DataFrame) -> pd.DataFrame:
    """A column of 0 and 1 for everything that is counted of teachers."""
    standards = teachers[["stage"]].merge(seed("teacher_standard"), on="stage", how="left").set_index(teachers.index)
    rank, age = teachers["education"].map(EDUCATION_RANK), teachers["age"]
    certified = teachers["certificate_stage"].map(CERTIFICATE_RANK) >= teachers["stage"].map(CERTIFICATE_RANK)
    is_special = teachers["stage"] == "special"
    flags = {
        "fulltime_teachers": teachers["stage"].notna(),
        "contract_teachers": teachers["post_kind"] == "contract",
        "bachelor_teachers": rank >= EDUCATION_RANK["bachelor"],
        "master_teachers": rank >= EDUCATION_RANK["master"],
        "education_unknown": teachers["education"].isna(),
        "qualified_teachers": rank >= standards["qualified_from"].map(EDUCATION_RANK),
        "above_required_teachers": rank >= standards["above_required_from"].map(EDUCATION_RANK),
        "senior_title_teachers": teachers["title"].isin(["senior_full", "senior_associate"]),
        "mid_senior_title_teachers": teachers["title"].isin(["senior_full", "senior_associate", "intermediate"]),
        "backbone_teachers": teachers["backbone"].isin(["national", "municipal", "district"]),
        "city_backbone_teachers": teachers["backbone"].isin(["national", "municipal"]),
        "certified_teachers": certified.where(~is_special, teachers["certificate_stage"].notna()),
        "professional_teachers": teachers["professional_course"],
        "dual_qualified_teachers": teachers["dual_qualified"],
        "dual_qualified_professionals": teachers["dual_qualified"] & teachers["professional_course"],
        "age_le29": age < 30,
        "age_30_39": age.between(30, 39),
        "age_40_49": age.between(40, 49),
        "age_50_59": age.between(50, 59),
        "age_ge60": age >= 60,
        "age_unknown": age.isna(),
    }
    return teachers[["period", "area_code", "stage"]].assign(**{name: flag.astype(int) for name, flag in flags.items()})


# -- finance ----------------------------------------------------------------------------------------------------------


def average_students(start: pd.Series[float], end: pd.Series[float]) -> pd.Series[float]:
    """Eight months of one school year, four of the next; with ten decimals, as twelfths are added up."""
    return ((start * 8 + end * 4) / 12).round(10)


def finance_units_of(records: Records, area_years: pd.DataFrame) -> pd.DataFrame:
    """One row a unit and year: students at both ends, spending, public funds."""
    lines = records.finance
    keys = ["年度", "地区代码", "单位代码"]
    first = lines[(lines["行次"] == 1) & lines["表号"].isin(["jz_1", "jz_3"])]
    students = first[first["表号"] == "jz_1"].groupby(keys)[["金额1", "金额2"]].max()
    spending = first[first["表号"] == "jz_3"].groupby(keys)[[f"金额{number}" for number in range(1, 7)]].max()
    students.columns = ["students_start", "students_end"]
    spending.columns = [
        "spend_total", "spend_fiscal", "spend_budget", "spend_budget_education", "spend_budget_operating",
        "spend_budget_construction",
    ]  # fmt: skip
    units = first.groupby(keys)[["学校类别代码"]].max().join(students).join(spending)
    groups = lines[lines["表号"] == "jz_3"]
    for name, item in (("goods", GOODS), ("capital", CAPITAL)):
        own = groups[(groups["项目"] == item) | groups["项目"].str.endswith(f"、{item}")]
        units[name] = own.groupby(keys)["金额3"].sum(min_count=1)
    units["stage"] = units["学校类别代码"].map(column_of_codes("school_kind_finance", "stage"))
    units["school_kind"] = units["stage"].replace("vocational", "senior_vocational").fillna("unclassified")
    units["average_students"] = average_students(units["students_start"], units["students_end"])
    units["budget_public_funds"] = units["goods"] + units["capital"] - units["spend_budget_construction"].fillna(0)
    units = units.reset_index().rename(
        columns={"年度": "period", "地区代码": "reporting_code", "单位代码": "unit_code"}
    )
    return units.merge(area_years[["period", "area_code", "reporting_code"]], on=["period", "reporting_code"])
