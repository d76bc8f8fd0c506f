"""The publication rules as the analyst checks them, in pandas, on the frames that are there: those about the records.

A rule answers with how many rows it examined and how many of them fail. The rules are those of
`expectations/rules/*.yaml`, worded anew; what a number means and why it was chosen is said there.

Belongs here: rules about what was delivered, and `check`, which runs all rules. What does not: rules about marts
(`analyst_checks_marts.py`), which rules are left out or not compared and why (`analyst_checks_left.py`), and comparing
the counts with the gate's (`analyst_agreement.py`).

Two wordings differ from the gate's where no tidy file can tell: texts are searched in the columns that the analyst
has, and rows of figures are compared figure by figure, not as one joined text without its blanks.
"""

from __future__ import annotations

from functools import cached_property

import pandas as pd
from analyst_checks_marts import mart_rules
from analyst_checks_plan import plan_rules
from analyst_checks_values import value_rules
from analyst_counts import Count, Counts, counted, none_holding
from analyst_facts import column_of_codes
from analyst_reading import Records
from analyst_tables import BANDS, Tables, half_up

PUPIL_FORMS = ["3112", "3115", "3118"]
CLASS_FORMS = ["2106", "2107", "2108"]
STAGE_OF_FORM = dict(zip(PUPIL_FORMS + CLASS_FORMS, ["primary", "junior", "senior_general"] * 2, strict=True))
GRADES = [f"grade_{number}" for number in range(1, 7)]
IN_A_ROW = ["enrolment", "female", "entrants", *GRADES]
FEWEST = dict(zip(BANDS, [1, 26, 31, 36, 41, 46, 51, 56, 61, 66], strict=True))
MOST = dict(zip(BANDS, [25, 30, 35, 40, 45, 50, 55, 60, 65, 120], strict=True))
SCHOOL_YEAR = ["delivery", "school_code", "period"]
AREA_YEAR = ["area_code", "period"]
# Texts of the register that are handed on. Not among them: the identity number, in whose place eduplan has a pseudonym.
TEACHER_TEXTS = [
    "area_code", "school_code", "post_kind", "post_category", "education", "title", "stage", "certificate_stage",
    "subject", "backbone", "delivery",
]  # fmt: skip
MONEY = [f"金额{number}" for number in range(1, 9)]
UNIT = ["delivery", "地区代码", "年度", "单位代码"]
MONEY_YEAR = ["地区代码", "年度"]
WAGES = [
    "基本工资", "津贴补贴", "绩效工资", "奖金", "机关事业单位基本养老保险缴费", "住房公积金", "职工基本医疗保险缴费",
    "职业年金缴费", "其他社会保障缴费", "伙食补助费",
]  # fmt: skip


def check(records: Records, tables: Tables, found: dict[str, pd.DataFrame]) -> Counts:
    """Rule -> rows examined, rows failing."""
    census, finance = Census(records), Finance(records)
    return (
        mart_rules(records, tables, found)
        | value_rules(records, found)
        | plan_rules(found)
        | figure_rules(census)
        | grade_rules(census)
        | class_rules(census)
        | repeated_rows(census)
        | register_rules(records, census)
        | money_rules(finance)
        | unit_rules(finance)
    )


# -- school census ----------------------------------------------------------------------------------------------------


class Census:
    """The school census in the shapes that several rules look at."""

    def __init__(self, records: Records) -> None:
        self.schools = records.schools
        self.values = pd.concat([records.figures, records.unnamed], ignore_index=True)
        is_own = records.figures["form"].isin(STAGE_OF_FORM)
        own = records.figures[is_own | (records.figures["measure"] == "full_time_teachers")]
        log = records.deliveries[records.deliveries["feed"] == "school_census"]
        self.areas = log.set_index("delivery")["area_code"]
        own = own.assign(area_code=own["delivery"].map(self.areas))
        self.teachers = own[own["measure"] == "full_time_teachers"]
        self.pupils = own[own["form"].isin(PUPIL_FORMS) & (own["line_no"] == 1)]
        self.classes = own[own["form"].isin(CLASS_FORMS)]

    @cached_property
    def pupil_rows(self) -> pd.DataFrame:
        """Pupils of a school and form, its figures across."""
        keys = [*SCHOOL_YEAR, "area_code", "form"]
        wide = self.pupils.pivot_table(index=keys, columns="measure", values="value", aggfunc="sum")
        return wide.reindex(columns=IN_A_ROW).reset_index()


def figure_rules(census: Census) -> Counts:
    """Single figures: none negative, none without its school, no heaps of round ones."""
    values = census.values
    with_figures = values[SCHOOL_YEAR].drop_duplicates()
    profiles = census.schools.groupby(SCHOOL_YEAR).size().rename("profiles")
    profiles = with_figures.join(profiles, on=SCHOOL_YEAR)["profiles"]
    large = values[values["form"].isin(PUPIL_FORMS) & (values["value"] >= 20)]
    by_area = [large["delivery"].map(census.areas), large["period"]]
    heaps = (large["value"] % 5 == 0).groupby(by_area).agg(["size", "sum"])
    return {
        "census.figures_non_negative": counted(values, values["value"] < 0),
        "census.school_behind_figures": counted(profiles, profiles != 1),
        "forensic.last_digits": counted(heaps, heaps["sum"] > 0.5 * heaps["size"], heaps["size"] >= 20),
    }


def grade_rules(census: Census) -> Counts:
    """Grades make up the pupils of a school, and of an area; girls are some of them."""
    rows = census.pupil_rows.assign(grades=census.pupil_rows[GRADES].sum(axis=1, min_count=1))
    pupils, grades, female = rows["enrolment"], rows["grades"], rows["female"]
    known = pupils.notna() & grades.notna()
    sums = rows[rows["form"] == "3112"].groupby(AREA_YEAR)[["enrolment", "grades"]].sum(min_count=1)
    apart = (sums["grades"] - sums["enrolment"]).abs() > 0.02 * sums["enrolment"]
    names = dict(zip(PUPIL_FORMS, ["primary", "junior", "senior"], strict=True))
    found = {
        f"census.{name}_grades_sum": counted(rows, grades != pupils, known & (rows["form"] == form))
        for form, name in names.items()
    }
    return found | {
        "census.female_within_enrolment": counted(rows, female > pupils, female.notna() & pupils.notna()),
        "census.grades_sum_by_area": counted(sums, sums["grades"].isna() | apart, sums["enrolment"].notna()),
    }


def class_rules(census: Census) -> Counts:
    """Classes by size make up all classes, hold about as many pupils as there are, and do not heap below the line."""
    classes = census.classes
    bands = classes[classes["measure"].isin(BANDS)]
    keys = [*SCHOOL_YEAR, "form"]
    whole = classes[classes["measure"] == "class_total"].groupby(keys)["value"].sum()
    by_school = pd.DataFrame({"whole": whole, "bands": bands.groupby(keys)["value"].sum()})
    keys = [*AREA_YEAR, "form"]
    by_area = bands.pivot_table(index=keys, columns="measure", values="value", aggfunc="sum").reindex(columns=BANDS)
    lower, upper, above = (by_area[name].fillna(0) for name in ("band_46_50", "band_51_55", "band_56_60"))
    heaped = (upper >= 10) & (upper > lower) & (above < 0.1 * upper)
    return {
        "census.class_bands_sum": counted(
            by_school, by_school["bands"] != by_school["whole"], by_school.notna().all(axis=1)
        ),
        "forensic.classes_below_line": counted(by_area, heaped, by_area.sum(axis=1) >= 20),
        "census.bands_hold_pupils": pupils_in_classes(census, bands),
    }


def pupils_in_classes(census: Census, bands: pd.DataFrame) -> Count:
    """As many pupils as classes of these sizes hold, give or take 5 %."""
    keys = [*AREA_YEAR, "stage"]
    pupils = census.pupils[census.pupils["measure"] == "enrolment"]
    pupils = pupils.assign(stage=pupils["form"].map(STAGE_OF_FORM)).groupby(keys)["value"].sum()
    bands = bands.assign(
        stage=bands["form"].map(STAGE_OF_FORM),
        fewest=bands["value"] * bands["measure"].map(FEWEST),
        most=bands["value"] * bands["measure"].map(MOST),
    )
    held = bands.groupby(keys)[["fewest", "most"]].sum().join(pupils.rename("pupils"), how="outer")
    outside = (held["pupils"] < held["fewest"] * 0.95) | (held["pupils"] > held["most"] * 1.05)
    return counted(held, outside, (held["pupils"] > 0) & (held["most"] > 0))


def repeated_rows(census: Census) -> Counts:
    """No row of a school is last year's row, or a neighbour's."""
    rows = census.pupil_rows.sort_values(["school_code", "form", "period"], kind="stable")
    before = rows.groupby(["school_code", "form"])[["period", *IN_A_ROW]].shift()
    figures = rows[IN_A_ROW]
    same = ((figures == before[IN_A_ROW]) | (figures.isna() & before[IN_A_ROW].isna())).all(axis=1)
    twins = rows.fillna(dict.fromkeys(IN_A_ROW, -1)).duplicated([*AREA_YEAR, "form", *IN_A_ROW], keep=False)
    large = rows["enrolment"] >= 50
    return {
        "forensic.repeats_last_year": counted(rows, same, large & (before["period"] == rows["period"] - 1)),
        "forensic.repeats_neighbour": counted(rows, twins, large),
    }


# -- teacher register -------------------------------------------------------------------------------------------------


def register_rules(records: Records, census: Census) -> Counts:
    """Persons of an area and year: plausible ages, valid numbers, one kind of post; about as many as the census has."""
    teachers = records.teachers
    posts = teachers[[*AREA_YEAR, "person", "age"]].assign(contract=teachers["post_kind"] == "contract")
    unchecked = teachers["id_type"].map(column_of_codes("id_type", "checked")) == "false"
    posts["invalid"] = posts["age"].isna() & ~unchecked
    keys = [*AREA_YEAR, "person"]
    persons = posts.groupby(keys, sort=False).agg(
        age=("age", "min"),
        invalid=("invalid", "max"),
        any_contract=("contract", "max"),
        all_contract=("contract", "min"),
    )
    told = pd.DataFrame(
        {
            "odd_ages": ~persons["age"].between(17, 75),
            "invalid": persons["invalid"],
            "doubled": persons["any_contract"] != persons["all_contract"],
        }
    )
    areas = told.groupby(level=AREA_YEAR).agg(["sum", "size"])
    shares = {"age_plausible": "odd_ages", "id_valid_share": "invalid", "counted_once": "doubled"}
    found = {
        f"register.{rule}": counted(areas, areas[name, "sum"] > 0.02 * areas[name, "size"])
        for rule, name in shares.items()
    }
    return found | {
        "register.no_person_number": none_holding(teachers[TEACHER_TEXTS]),
        "register.agrees_with_census": agreeing_with_census(teachers, census),
    }


def agreeing_with_census(teachers: pd.DataFrame, census: Census) -> Count:
    """Teachers by name are within 10 % of those the schools count."""
    own = teachers.loc[teachers["post_category"] == "full_time_teacher", [*AREA_YEAR, "person"]].drop_duplicates()
    reported = census.teachers[census.teachers["line_no"] == 1].groupby(AREA_YEAR)["value"].sum()
    both = own.groupby(AREA_YEAR).size().rename("named").to_frame().join(reported.rename("reported"), how="inner")
    return counted(both, (both["named"] - both["reported"]).abs() > 0.1 * both["reported"])


# -- finance statistics -----------------------------------------------------------------------------------------------


class Finance:
    """The finance statistics: lines, and units with what their first lines say."""

    def __init__(self, records: Records) -> None:
        self.lines = records.finance
        self.schools = records.schools["school_code"].unique()

    @cached_property
    def units(self) -> pd.DataFrame:
        """A unit and year: income, spending, pupils, wages; spending per pupil to the cent."""
        lines = self.lines
        first = lines[lines["行次"] == 1]
        units = lines[(lines["行次"] == 1) | (lines["表号"] == "jz_3")].groupby(UNIT)[["学校类别代码"]].min()
        for name, form, amount in (
            ("income", "jz_2", "金额1"),
            ("spending", "jz_3", "金额1"),
            ("pupils", "jz_1", "金额2"),
        ):
            units[name] = first[first["表号"] == form].groupby(UNIT)[amount].max()
        wages = lines[(lines["表号"] == "jz_3") & lines["项目"].isin(WAGES)].groupby(UNIT)["金额1"]
        units["wages"], units["largest_wage"] = wages.sum(min_count=1), wages.max()
        known = (units["pupils"] > 0) & (units["spending"] > 0)
        units["per_pupil"] = half_up((units["spending"] / units["pupils"]).where(known), 2)
        return units.reset_index().rename(columns={"学校类别代码": "kind"})


def money_rules(finance: Finance) -> Counts:
    """Amounts of single lines, and spending where there is nobody to spend it on."""
    lines = finance.lines
    amounts = lines[MONEY]
    total, part = lines["金额1"], lines["金额3"]
    both = (lines["表号"] == "jz_3") & total.notna() & part.notna()
    return {
        "finance.money_non_negative": counted(lines, amounts.min(axis=1) < 0, amounts.notna().any(axis=1)),
        "finance.part_within_total": counted(lines, part > total, both),
        "finance.spending_has_pupils": spending_without_pupils(lines),
        "finance.unit_has_school": units_without_school(finance),
    }


def spending_without_pupils(lines: pd.DataFrame) -> Count:
    """Primary schools and junior schools that spend have pupils."""
    first = lines[(lines["行次"] == 1) & lines["学校类别代码"].isin(["61", "413"])]
    spending = first[first["表号"] == "jz_3"].groupby(UNIT)["金额1"].max().rename("spending")
    students = first[first["表号"] == "jz_1"]
    pupils = students[["金额1", "金额2"]].fillna(0).sum(axis=1).groupby([students[key] for key in UNIT]).max()
    both = spending.to_frame().join(pupils.rename("pupils"))
    return counted(both, both["pupils"].fillna(0) == 0, both["spending"] > 0)


def units_without_school(finance: Finance) -> Count:
    """Of an area's units at most 5 % have a school code that the census does not know."""
    lines = finance.lines
    own = lines[(lines["行次"] == 1) & (lines["表号"] == "jz_3")]
    own = own[[*MONEY_YEAR, "单位代码", "学校标识码"]].drop_duplicates()
    unknown = ~own["学校标识码"].isin(finance.schools)
    areas = unknown.groupby([own[key] for key in MONEY_YEAR]).agg(["sum", "size"])
    areas = areas if len(finance.schools) else areas.iloc[:0]
    return counted(areas, areas["sum"] > 0.05 * areas["size"])


def unit_rules(finance: Finance) -> Counts:
    """Units whose figures look as if they had been made to fit."""
    units = finance.units
    income, spending, per_pupil = units["income"], units["spending"], units["per_pupil"]
    areas = [units[key] for key in MONEY_YEAR]
    kinds = [*areas, units["kind"]]
    both, equal = (income > 0) & (spending > 0), (income > 0) & (income == spending)
    reporting = both.groupby(areas).transform("sum")
    balanced = equal.groupby(areas).transform("sum")
    of_kind = per_pupil.groupby(kinds, dropna=False).transform("count")
    alike = per_pupil.groupby([*kinds, per_pupil], dropna=False).transform("size")
    return {
        "forensic.income_equals_spending": counted(
            units, equal & (balanced > 0.5 * reporting), both & (reporting >= 10)
        ),
        "forensic.wages_in_one_line": counted(units, units["largest_wage"] > 0.95 * units["wages"], units["wages"] > 0),
        "forensic.same_spending_per_pupil": counted(units, alike > 0.3 * of_kind, per_pupil.notna() & (of_kind >= 10)),
    }
