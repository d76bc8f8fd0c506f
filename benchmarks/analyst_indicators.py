"""Indicators of each area and year, as the analyst computes them: `fct_indicator_value`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from analyst_facts import CITY, seed
from analyst_reading import Records
from analyst_tables import Tables, areas_of, average_students, half_up, publish_status, ratio, rolled_up

KEYS = ["period", "area_code"]
SCHOOL_STAGES = ("preschool", "primary", "junior", "senior_general")
COHORT_YEARS = 8
# indicator: (numerator, denominator or none), columns of the table of their subject
OF_PUPILS = {
    "pre_enrolment": ("preschool", ""),
    "pre_public_share": ("preschool_public", "preschool"),
    "pre_inclusive_coverage": ("preschool_inclusive", "preschool"),
    "compulsory_enrolment": ("compulsory", ""),
    "primary_enrolment": ("primary", ""),
    "junior_enrolment": ("junior", ""),
    "senior_enrolment": ("senior", ""),
    "senior_general_enrolment": ("senior_general", ""),
    "senior_vocational_enrolment": ("senior_vocational", ""),
    "primary_large_class_share": ("primary_large", "primary_classes"),
    "junior_large_class_share": ("junior_large", "junior_classes"),
    "senior_large_class_share": ("senior_general_large", "senior_general_classes"),
    "school_count": ("schools", ""),
    "compulsory_standard_class_share": ("compulsory_standard", "compulsory_classes"),
    "vocational_general_ratio": ("senior_vocational", "senior_general"),
    "pre_public_enrolment": ("preschool_public", ""),
    "urban_compulsory_enrolment": ("compulsory_urban", ""),
    "compulsory_large_class_share": ("compulsory_large", "compulsory_classes"),
    "compulsory_super_class_share": ("compulsory_super", "compulsory_classes"),
}
OF_SCHOOLS = {
    "pre_grade2_plus_share": ("kindergartens_grade2_plus", "kindergartens"),
    "pre_grade1_plus_share": ("kindergartens_grade1_plus", "kindergartens"),
    "group_or_district_share": ("general_in_either", "general_schools"),
    "senior_oversize_schools": ("senior_oversize", ""),
    "group_schooling_share": ("compulsory_in_group", "compulsory_schools"),
    "group_schooling_share_core": ("core_in_group", "core_schools"),
    "district_schooling_share": ("compulsory_in_district", "compulsory_schools"),
    "district_schooling_share_core": ("core_in_district", "core_schools"),
    "compulsory_oversize_schools": ("compulsory_oversize", ""),
    "complete_middle_schools": ("complete_middle_schools", ""),
    "special_school_coverage_200k": ("large_with_special_school", "large_districts"),
}
OF_REGISTER = {
    "fulltime_teachers": ("teachers", ""),
    "teacher_bachelor_share": ("compulsory_bachelors", "compulsory_teachers"),
}
OF_QUALITY = {
    "pre_teacher_certified_share": ("preschool_certified", "preschool_teachers"),
    "mid_senior_title_share": ("school_mid_senior_titles", "school_teachers"),
    "teacher_certified_share": ("general_certified", "general_teachers"),
    "teacher_qualified_share": ("school_qualified", "school_teachers"),
    "compulsory_backbone_share": ("compulsory_backbone", "compulsory_teachers"),
    "city_backbone_teachers": ("school_city_backbone", ""),
    "vocational_dual_share_professional": ("vocational_dual_professionals", "vocational_professionals"),
    "vocational_dual_share_fulltime": ("vocational_dual_teachers", "vocational_teachers"),
}
OF_BOTH = {
    "primary_pupil_teacher_ratio": ("primary", "primary_teachers"),
    "junior_pupil_teacher_ratio": ("junior", "junior_teachers"),
    "senior_pupil_teacher_ratio": ("senior_general", "senior_general_teachers"),
    "pre_pupil_teacher_ratio": ("preschool", "preschool_teachers"),
}
OF_FINANCE = {
    "budget_spend_per_pupil_primary": ("budget_primary", "students_primary"),
    "budget_spend_per_pupil_junior": ("budget_junior", "students_junior"),
    "education_spend_total": ("spend_total", ""),
}
OF_ACCOUNTS = {
    "fiscal_education_funds": ("fiscal_education_funds", ""),
    "budget_education_spending": ("budget_education_spending", ""),
    "budget_education_share": ("budget_education_spending", "general_budget_spending"),
    "fiscal_education_share": ("fiscal_education_funds", "general_budget_spending"),
}
ENROLMENT, STAFF = "higher_education.enrolment", "higher_education.staff"
# indicator of the city as a whole: (numerator, denominator or none, materials)
OF_CITY = {
    "he_total_scale": ("enrolled", "", [ENROLMENT]),
    "he_postgraduate": ("postgraduates", "", [ENROLMENT]),
    "he_undergraduate": ("undergraduates", "", [ENROLMENT]),
    "he_graduates": ("graduates", "", [ENROLMENT]),
    "he_stem_share": ("stem_undergraduates", "undergraduates", [ENROLMENT]),
    "he_senior_title_share": ("senior_titles", "full_time", [STAFF]),
    "college_dual_share_professional": ("college_dual", "college_professional", [STAFF]),
    "college_dual_share_fulltime": ("college_dual", "college_full_time", [STAFF]),
    "vet_dual_share_professional": ("vet_dual_professional", "vet_professional", [STAFF, "teacher_register"]),
    "vet_dual_share_fulltime": ("vet_dual", "vet_full_time", [STAFF, "teacher_register"]),
    "avg_years_schooling": ("years_15", "people_15", ["population.attainment"]),
    "avg_years_schooling_working_age": ("years_16_59", "people_16_59", ["population.attainment"]),
    "compulsory_retention": ("final_year_pupils", "first_year_pupils", ["school_census.cohort"]),
}
UNITS = ["expected_units", "reported_units", "incomplete_units", "preliminary_units"]


def indicator_values(records: Records, tables: Tables) -> pd.DataFrame:
    """The mart: one value an indicator, area and period."""
    computed = pd.concat([by_area(records, tables), of_city(records, tables)], ignore_index=True)
    return with_series(chosen(valued(computed), official_values(records)))


# -- numerators and denominators of single areas ----------------------------------------------------------------------


def parts_of(subject: pd.DataFrame, indicators: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Numerator and denominator of each indicator of a subject."""
    found = []
    for name, (above, below) in indicators.items():
        part = subject[KEYS].assign(indicator_id=name, numerator=subject[above], denominator=float("nan"))
        if below:
            part["denominator"] = subject[below]
        found.append(part[part["numerator"].notna()])
    return pd.concat(found, ignore_index=True)


def summed(frame: pd.DataFrame, column: str, stages: tuple[str, ...]) -> pd.Series[float]:
    """Sum of a column over stages, by area and year."""
    return frame[frame["stage"].isin(stages)].groupby(KEYS)[column].sum(min_count=1)


def pupils_of(tables: Tables) -> pd.DataFrame:
    """Learners and classes of an area, stages side by side."""
    frame = tables.stage_areas.assign(large=lambda rows: rows["class_56_65"] + rows["class_ge66"])
    is_junior = frame["stage"] == "junior"
    frame["standard"] = frame["class_le45"] + frame["class_46_50"].where(is_junior, 0)
    compulsory = ("primary", "junior")
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in (*SCHOOL_STAGES, "senior_vocational")}
    groups |= {"compulsory": compulsory, "senior": ("senior_general", "senior_vocational")}
    found = {name: summed(frame, "enrolment", stages) for name, stages in groups.items()}
    found |= {
        f"preschool_{name}": summed(frame, f"enrolment_{name}", ("preschool",)) for name in ("public", "inclusive")
    }
    for name in ("primary", "junior", "senior_general", "compulsory"):
        found[f"{name}_large"] = summed(frame, "large", groups[name])
        found[f"{name}_classes"] = summed(frame, "class_total", groups[name])
    found["compulsory_standard"] = summed(frame, "standard", compulsory)
    found["compulsory_super"] = summed(frame, "class_ge66", compulsory)
    found["compulsory_urban"] = summed(frame, "enrolment_urban", compulsory)
    found["schools"] = frame.groupby(KEYS)["school_count"].sum(min_count=1)
    return pd.DataFrame(found).reset_index()


def school_counts_of(tables: Tables) -> pd.DataFrame:
    """Schools of an area by kind, grade, size and form of cooperation."""
    stages = tables.school_stages
    keys = ["period", "school_code"]
    pupils = stages[stages["stage"].isin(["primary", "junior"])].groupby(keys)["enrolment"].sum(min_count=1)
    seniors = stages[stages["stage"] == "senior_general"].groupby(keys)["enrolment"].sum(min_count=1)
    schools = tables.schools.join(pupils.rename("pupils"), on=keys).join(seniors.rename("seniors"), on=keys)
    counts, names = schools["counts_as_school"], schools["stages"].fillna("")
    kindergarten = counts & (schools["counting_stage"] == "preschool")
    compulsory = counts & names.str.contains("primary|junior")
    general = counts & names.str.contains("primary|junior|senior_general")
    limit = names.str.contains("|", regex=False).map({True: 2500, False: 2000})
    grouped, districted = schools["group_schooling"], schools["district_schooling"]
    flags = {
        "kindergartens": kindergarten,
        "kindergartens_grade2_plus": kindergarten & schools["kindergarten_grade"].isin(["model", "grade1", "grade2"]),
        "kindergartens_grade1_plus": kindergarten & schools["kindergarten_grade"].isin(["model", "grade1"]),
        "general_schools": general,
        "general_in_either": general & (grouped | districted),
        "senior_oversize": general & (schools["seniors"] > 3000),
        "compulsory_schools": compulsory,
        "compulsory_in_group": compulsory & grouped,
        "compulsory_in_district": compulsory & districted,
        "compulsory_oversize": compulsory & (schools["pupils"] > limit),
        "complete_middle_schools": schools["school_type_code"] == "341",
        "special_schools": counts & (schools["counting_stage"] == "special"),
    }
    counted = schools[KEYS].assign(**{name: flag.astype(int) for name, flag in flags.items()}).groupby(KEYS).sum()
    frame = reported_areas(tables, "school_census").join(counted, on=KEYS)
    frame[list(flags)] = frame[list(flags)].fillna(0)
    areas = frame[["area_code"]].merge(areas_of(), on="area_code", how="left").set_index(frame.index)
    is_core = areas["subgroup_zh"] == "中心城区"
    is_large = (areas["area_level"] == "district") & (areas["population_2020"] >= 200_000)
    for name in ("in_group", "in_district", "schools"):
        frame[f"core_{name}"] = frame[f"compulsory_{name}"].where(is_core)
    frame["large_districts"] = is_large.astype(int)
    frame["large_with_special_school"] = (is_large & (frame["special_schools"] > 0)).astype(int)
    return frame


def reported_areas(tables: Tables, feed: str) -> pd.DataFrame:
    """Areas and years that handed in a feed."""
    rows = tables.feed_areas
    return rows.loc[(rows["feed"] == feed) & rows["is_reported"], KEYS].reset_index(drop=True)


def register_of(tables: Tables) -> pd.DataFrame:
    """Teachers of an area, stages side by side."""
    frame = tables.stage_areas
    found = {f"{name}_teachers": summed(frame, "fulltime_teachers", (name,)) for name in SCHOOL_STAGES}
    found["teachers"] = frame.groupby(KEYS)["fulltime_teachers"].sum(min_count=1)
    found["compulsory_teachers"] = summed(frame, "fulltime_teachers", ("primary", "junior"))
    found["compulsory_bachelors"] = summed(frame, "bachelor_teachers", ("primary", "junior"))
    return pd.DataFrame(found).reset_index()


def quality_of(tables: Tables) -> pd.DataFrame:
    """Qualified, titled and certified teachers of an area."""
    frame = tables.teachers
    vocational, compulsory = ("senior_vocational",), ("primary", "junior")
    columns = {
        "preschool_teachers": ("fulltime_teachers", ("preschool",)),
        "preschool_certified": ("certified_teachers", ("preschool",)),
        "school_teachers": ("fulltime_teachers", SCHOOL_STAGES),
        "school_mid_senior_titles": ("mid_senior_title_teachers", SCHOOL_STAGES),
        "school_qualified": ("qualified_teachers", SCHOOL_STAGES),
        "school_city_backbone": ("city_backbone_teachers", SCHOOL_STAGES),
        "general_teachers": ("fulltime_teachers", SCHOOL_STAGES[1:]),
        "general_certified": ("certified_teachers", SCHOOL_STAGES[1:]),
        "compulsory_teachers": ("fulltime_teachers", compulsory),
        "compulsory_backbone": ("backbone_teachers", compulsory),
        "vocational_teachers": ("fulltime_teachers", vocational),
        "vocational_professionals": ("professional_teachers", vocational),
        "vocational_dual_teachers": ("dual_qualified_teachers", vocational),
        "vocational_dual_professionals": ("dual_qualified_professionals", vocational),
    }
    return pd.DataFrame({name: summed(frame, *what) for name, what in columns.items()}).reset_index()


def money_of(tables: Tables) -> pd.DataFrame:
    """Spending and average students of an area."""
    units = tables.units
    with_students = units[units["average_students"].notna()]
    ends = with_students.groupby([*KEYS, "stage"], dropna=False)[["students_start", "students_end"]].sum()
    students = average_students(ends["students_start"], ends["students_end"]).reset_index(name="students")
    found = {"spend_total": units.groupby(KEYS)["spend_total"].sum()}
    for stage in ("primary", "junior"):
        found[f"budget_{stage}"] = units[units["stage"] == stage].groupby(KEYS)["spend_budget"].sum()
        found[f"students_{stage}"] = students[students["stage"] == stage].groupby(KEYS)["students"].sum()
    frame = reported_areas(tables, "education_finance").join(pd.DataFrame(found), on=KEYS)
    return frame.fillna(0)


def gross_rates_of(tables: Tables) -> pd.DataFrame:
    """Learners of all ages over the residents of the official age group; municipal schools have no residents."""
    both = reported_areas(tables, "school_census").merge(reported_areas(tables, "population"), on=KEYS)
    people = both.merge(tables.population, on=KEYS, how="left").set_index(KEYS)
    rates = {
        "pre_gross_enrolment": (("preschool",), "residents_3_5"),
        "compulsory_gross_enrolment": (("primary", "junior"), "residents_6_14"),
        "senior_gross_enrolment": (("senior_general", "senior_vocational"), "residents_15_17"),
    }
    found = []
    for name, (stages, residents) in rates.items():
        learners = summed(tables.stage_areas, "enrolment", stages)
        part = people.assign(indicator_id=name, numerator=learners, denominator=people[residents])
        found.append(part[["indicator_id", "numerator", "denominator"]].reset_index())
    return pd.concat(found, ignore_index=True)


def accounts_of(records: Records, tables: Tables) -> pd.DataFrame:
    """Fiscal accounts under the areas they belong to; a share needs both sides."""
    areas = tables.area_years[["period", "area_code", "reporting_code"]]
    rows = records.accounts.rename(columns={"area_code": "reporting_code"}).merge(
        areas, on=["period", "reporting_code"]
    )
    parts = parts_of(rows, OF_ACCOUNTS)
    needs_below = parts["indicator_id"].map({name: bool(below) for name, (_, below) in OF_ACCOUNTS.items()})
    return parts[~needs_below | parts["denominator"].notna()]


def conditions_of(records: Records, tables: Tables) -> pd.DataFrame:
    """Area, books and equipment per learner; a school of several stages shares by learners."""
    keys = ["period", "school_code"]
    wanted = {"building_area_m2": 1, "books": 1, "equipment_value_wan": 10_000}
    figures = records.figures
    figures = figures[figures["form"].isin(["5176", "5377"]) & figures["measure"].isin(list(wanted))]
    wide = figures.pivot_table(index=["delivery", *keys], columns="measure", values="value", aggfunc="sum")
    wide = wide.reindex(columns=list(wanted)).fillna(0).reset_index()
    stages = tables.school_stages
    learners = stages.groupby(keys)["enrolment"].sum().rename("all")
    compulsory = stages[stages["stage"].isin(["primary", "junior"])].groupby(keys)["enrolment"].sum()
    vocational = stages[stages["stage"] == "senior_vocational"].groupby(keys)["enrolment"].sum()
    schools = wide.merge(tables.schools[["delivery", "area_code", *keys]], on=["delivery", *keys])
    schools = schools.join(learners, on=keys).join(compulsory.rename("compulsory"), on=keys)
    schools = schools.join(vocational.rename("vocational"), on=keys)
    found = []
    for part in ("compulsory", "vocational"):
        own = schools[(schools[part] > 0) & (schools["all"] > 0)]
        for measure, factor in wanted.items():
            name = measure.removesuffix("_m2").removesuffix("_value_wan")
            amount = own[measure] * own[part] / own["all"] * factor
            sums = own[KEYS].assign(numerator=amount, denominator=own[part]).groupby(KEYS).sum().reset_index()
            found.append(sums.assign(indicator_id=f"{part}_{name}_per_student"))
    return pd.concat(found, ignore_index=True)


def by_area(records: Records, tables: Tables) -> pd.DataFrame:
    """All indicators that districts add up to, with how complete they are."""
    pupils, register = pupils_of(tables), register_of(tables)
    both = pupils.merge(register, on=KEYS)
    both = both[both["schools"].notna() & both["teachers"].notna()]
    parts = [
        parts_of(pupils, OF_PUPILS),
        parts_of(school_counts_of(tables), OF_SCHOOLS),
        parts_of(register, OF_REGISTER),
        parts_of(quality_of(tables), OF_QUALITY),
        parts_of(both, OF_BOTH),
        parts_of(money_of(tables), OF_FINANCE),
        gross_rates_of(tables),
        accounts_of(records, tables),
        conditions_of(records, tables),
    ]
    totals = rolled_up(pd.concat(parts, ignore_index=True), tables.members, ["indicator_id"])
    totals = totals.merge(seed("indicator")[["indicator_id", "feeds"]], on="indicator_id")
    totals = totals.merge(seed("indicator_scope")[["indicator_id", "subgroup_zh"]], on="indicator_id", how="left")
    totals["subgroup_zh"] = totals["subgroup_zh"].fillna("")
    keys = ["feeds", "subgroup_zh", "period", "area_code", "area_level"]
    return totals.merge(tables.coverage[[*keys, *UNITS, "as_of"]], on=keys)


# -- the city as a whole ----------------------------------------------------------------------------------------------


def of_city(records: Records, tables: Tables) -> pd.DataFrame:
    """Indicators that only the city as a whole has: universities, attainment, a cohort that moves."""
    facts = pd.concat([higher_of(records, tables), attained_of(records), cohort_of(tables)], axis=1)
    materials = materials_of(records, tables)
    found = []
    for name, (above, below, needs) in OF_CITY.items():
        part = pd.DataFrame({"indicator_id": name, "numerator": facts[above], "denominator": float("nan")})
        if below:
            part["denominator"] = facts[below]
        own = materials[materials["material"].isin(needs)]
        units = own.groupby("period").agg({**dict.fromkeys(UNITS, "sum"), "as_of": "max"})
        found.append(part[part["numerator"].notna()].join(units, how="inner").rename_axis("period").reset_index())
    return pd.concat(found, ignore_index=True).assign(area_code=CITY, area_level="city")


def higher_of(records: Records, tables: Tables) -> pd.DataFrame:
    """Students and staff of higher education by year, beside the teachers of secondary vocational schools."""
    students, staff = records.students, records.staff
    under = students[students["scale_group"] == "undergraduate"]
    stem = under[under["field"].isin(["science", "engineering", "agriculture", "medicine"])]
    colleges = staff[staff["institution_kind"].isin(["vocational_college", "vocational_university"])]
    senior = staff[staff["title"].isin(["senior_full", "senior_associate"])]
    found = {
        "enrolled": students.groupby("period")["enrolled"].sum(),
        "postgraduates": students[students["scale_group"] == "postgraduate"].groupby("period")["enrolled"].sum(),
        "undergraduates": under.groupby("period")["enrolled"].sum(),
        "stem_undergraduates": stem.groupby("period")["enrolled"].sum(),
        "graduates": students.groupby("period")["graduates"].sum(min_count=1),
        "full_time": staff.groupby("period")["full_time_teachers"].sum(),
        "senior_titles": senior.groupby("period")["full_time_teachers"].sum(),
        "college_full_time": colleges.groupby("period")["full_time_teachers"].sum(),
        "college_professional": colleges.groupby("period")["professional_teachers"].sum(min_count=1),
        "college_dual": colleges.groupby("period")["dual_qualified"].sum(min_count=1),
    }
    schools = tables.teachers[tables.teachers["stage"] == "senior_vocational"].groupby("period").sum(numeric_only=True)
    frame = pd.DataFrame(found)
    frame["vet_dual"] = frame["college_dual"] + schools["dual_qualified_teachers"]
    frame["vet_dual_professional"] = frame["college_dual"] + schools["dual_qualified_professionals"]
    frame["vet_professional"] = frame["college_professional"] + schools["professional_teachers"]
    frame["vet_full_time"] = frame["college_full_time"] + schools["fulltime_teachers"]
    return frame


def attained_of(records: Records) -> pd.DataFrame:
    """Years of schooling of the city's residents, over 15 and of working age."""
    people = records.attainment[records.attainment["area_code"] == CITY]
    years = dict(zip(seed("code_attainment")["code"], seed("code_attainment")["years"].astype(float), strict=True))
    people = people.assign(years=people["residents"] * people["attainment"].map(years))
    over_15 = people[(people["age_from"] == 15) & people["age_to"].isna()].groupby("period")
    working = people[(people["age_from"] == 16) & (people["age_to"] == 59)].groupby("period")
    return pd.DataFrame(
        {
            "years_15": over_15["years"].sum(),
            "people_15": over_15["residents"].sum(),
            "years_16_59": working["years"].sum(),
            "people_16_59": working["residents"].sum(),
        }
    )


def cohort_of(tables: Tables) -> pd.DataFrame:
    """Who is about to finish junior school, and who began primary school eight years before."""
    rows = tables.stage_areas[tables.stage_areas["school_count"].notna()]
    finishing = rows.loc[rows["stage"] == "junior", [*KEYS, "expected_graduates"]]
    starting = rows.loc[rows["stage"] == "primary", [*KEYS, "entrants"]]
    starting = starting.assign(period=starting["period"] + COHORT_YEARS)
    sums = finishing.merge(starting, on=KEYS).groupby("period")[["expected_graduates", "entrants"]].sum(min_count=1)
    return sums.set_axis(["final_year_pupils", "first_year_pupils"], axis=1)


def materials_of(records: Records, tables: Tables) -> pd.DataFrame:
    """How complete the materials are that only the city has: a row a material and year."""
    people = records.attainment[records.attainment["area_code"] == CITY]
    attainment = people.groupby("period", as_index=False).agg(
        levels=("attainment", "nunique"),
        preliminary_units=("version", lambda texts: int((texts == "preliminary").any())),
        as_of=("published_on", "max"),
    )
    attainment["incomplete_units"] = (attainment["levels"] < len(seed("code_attainment"))).astype(int)
    attainment = attainment.assign(material="population.attainment", expected_units=1, reported_units=1)
    coverage = tables.coverage
    is_register = (coverage["feeds"] == "teacher_register") & (coverage["subgroup_zh"] == "")
    register = coverage[is_register & (coverage["area_level"] == "city")].assign(material="teacher_register")
    census = reported_areas(tables, "school_census")
    later = census.merge(census.assign(period=census["period"] + COHORT_YEARS), on=KEYS)
    cohort = tables.area_years.groupby("period").size().reset_index(name="expected_units")
    cohort["reported_units"] = cohort["period"].map(later["period"].value_counts()).fillna(0)
    cohort = cohort.assign(material="school_census.cohort", incomplete_units=0, preliminary_units=0, as_of=pd.NaT)
    found = pd.concat([higher_materials_of(records), attainment, register, cohort], ignore_index=True)
    return found.loc[found["reported_units"] > 0, ["period", "material", *UNITS, "as_of"]]


def higher_materials_of(records: Records) -> pd.DataFrame:
    """Institutions that reported; whoever reported last year is expected this year, if anybody is."""
    log = records.deliveries[records.deliveries["feed"] == "higher_education"]
    named = log["part"].str.split("-", expand=True)
    log = log.assign(institution=named[0], material=named[1])
    now = log[["period", "institution"]]
    before = now.assign(period=now["period"] + 1)
    expected = pd.concat([now, before[before["period"].isin(now["period"])]]).drop_duplicates()
    frame = expected.merge(pd.DataFrame({"material": ["enrolment", "staff"]}), how="cross")
    frame = frame.merge(log[["period", "institution", "material", "reported_on"]], how="left", indicator=True)
    frame["is_reported"] = frame["_merge"] == "both"
    found = frame.groupby(["period", "material"], as_index=False).agg(
        expected_units=("institution", "size"), reported_units=("is_reported", "sum"), as_of=("reported_on", "max")
    )
    return found.assign(material="higher_education." + found["material"], incomplete_units=0, preliminary_units=0)


# -- values -----------------------------------------------------------------------------------------------------------


def valued(computed: pd.DataFrame) -> pd.DataFrame:
    """Values by the indicator's rule, period label and status."""
    names = ["indicator_id", "value_rule", "unit_zh"]
    frame = computed.drop(columns="feeds", errors="ignore").merge(
        seed("indicator")[[*names, "feeds"]], on="indicator_id"
    )
    above, below, rule = frame["numerator"], frame["denominator"], frame["value_rule"]
    frame["value"] = above / rule.map({"wan": 1e4, "yi": 1e8, "count": 1})
    frame["value"] = frame["value"].fillna(ratio(above, below) * rule.map({"percent": 100, "ratio": 1}))
    year = frame["period"].astype(str)
    label = year + "/" + (frame["period"] + 1).astype(str) + "学年初"
    label = label.mask(frame["feeds"].isin(["education_finance", "fiscal_accounts"]), year + "财政年度")
    frame["ref_period"] = label.mask(frame["feeds"] == "population", year + "年末")
    frame["publish_status"] = publish_status(frame)
    only_early = (frame["publish_status"] == "final") & (frame["preliminary_units"] > 0)
    frame["publish_status"] = frame["publish_status"].mask(only_early, "preliminary")
    return frame.rename(columns={"unit_zh": "unit"}).drop(columns=["value_rule", "feeds"])


def official_values(records: Records) -> pd.DataFrame:
    """The most trusted published value of the city, by indicator and year."""
    figures = records.official[records.official["area_code"] == CITY]
    ranks = {"official": 1, "high": 2, "medium": 3}
    trust = figures["confidence"].str.extract("^(official|high|medium)", expand=False).map(ranks).fillna(4)
    best = figures.assign(trust=trust).sort_values("trust", kind="stable").drop_duplicates(["indicator_id", "period"])
    best = best.merge(seed("indicator")[["indicator_id", "unit_zh"]], on="indicator_id", suffixes=("_given", ""))
    names = ["indicator_id", "area_code", "period", "ref_period", "value", "unit_zh"]
    return best[names].rename(columns={"unit_zh": "unit"}).assign(area_level="city")


def chosen(computed: pd.DataFrame, official: pd.DataFrame) -> pd.DataFrame:
    """What records give in full stands before what was published; a published value may stand in for a partial one."""
    keys = ["indicator_id", "area_code", "period"]
    rules = seed("indicator")[["indicator_id", "official_fallback", "method_expected"]]
    computed = computed.merge(rules, on="indicator_id").merge(
        official[[*keys, "value"]].rename(columns={"value": "published"}), on=keys, how="left"
    )
    fallback = computed["official_fallback"] == "true"
    stands = computed["published"].isna() | (computed["publish_status"] != "partial") | ~fallback
    rest = official.merge(rules, on="indicator_id").merge(
        computed.loc[stands, keys].assign(is_computed=True), on=keys, how="left"
    )
    known = rest[keys].merge(computed[keys].drop_duplicates().assign(known=True), on=keys, how="left")["known"]
    left_out = known.isna() & (rest["official_fallback"] != "true") & (rest["method_expected"] != "official")
    rest = rest[rest["is_computed"].isna() & ~left_out.set_axis(rest.index)]
    rest = rest.assign(method="official", publish_status="final")
    return pd.concat([computed[stands].assign(method="computed"), rest], ignore_index=True)


def breaks_of() -> pd.DataFrame:
    """Breaks of series, with numbers as numbers."""
    breaks = seed("series_break").rename(columns={"indicator_id": "of_indicator", "area_code": "of_area"})
    breaks = breaks.rename(columns={"method": "of_method"})
    return breaks.assign(first_year=breaks["first_year"].astype(int))


def crossing(frame: pd.DataFrame) -> pd.DataFrame:
    """Every pair of a value and a break that concerns it; an empty cell of a break stands for all."""
    pairs = frame.merge(breaks_of(), how="cross")
    fits = pairs["indicator_id"] == pairs["of_indicator"]
    fits |= pairs["of_indicator"].isna() & pairs["of_area"].notna()
    fits &= pairs["of_area"].isna() | (pairs["area_code"] == pairs["of_area"])
    return pairs[fits & (pairs["of_method"].isna() | (pairs["method"] == pairs["of_method"]))]


def with_series(values: pd.DataFrame) -> pd.DataFrame:
    """Which stretch of its line a value lies on, and where the line breaks."""
    keys = ["indicator_id", "area_code", "period"]
    pairs = crossing(values[[*keys, "method"]])
    passed = pairs[pairs["period"] >= pairs["first_year"]].sort_values("break_id", kind="stable")
    grouped: Any = passed.groupby(keys)
    known = pd.DataFrame(
        {
            "series_segment": grouped["break_id"].agg("|".join),
            "breaks": grouped["title_zh"].agg("、".join),
            "last_break": grouped["first_year"].max(),
        }
    )
    frame = values.join(known, on=keys).fillna({"series_segment": "", "breaks": "", "last_break": 0})
    frame = frame.sort_values(keys, kind="stable").reset_index(drop=True)
    before = frame.groupby(keys[:2])[["period", "series_segment", "breaks"]].shift()
    begins = before["period"].isna() & (frame["last_break"] == frame["period"])
    changes = before["period"].notna() & (before["series_segment"] != frame["series_segment"])
    longer = frame["series_segment"].str.len() > before["series_segment"].str.len()
    between = "与" + before["period"].astype("Int64").astype(str) + "年之间数列中断："
    broken = (between + frame["breaks"].where(longer, before["breaks"])).where(changes)
    frame["series_break_zh"] = broken.mask(begins, "数列自本年开始：" + frame["breaks"])
    for name in ("numerator", "denominator"):
        frame[name] = half_up(frame[name], 4)
    names = [
        *keys, "area_level", "ref_period", "value", "numerator", "denominator", "unit", "method", "publish_status",
        "reported_units", "expected_units", "as_of", "series_segment", "series_break_zh",
    ]  # fmt: skip
    return frame[names]
