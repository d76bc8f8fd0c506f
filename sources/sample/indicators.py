"""The truth: every computed indicator and the enrolment table, counted from the model's own arrays.

Belongs here: numerators and denominators per area and year, and adding them up to groups and the city. Nothing here
looks at a form, a cell or a file, so that the truth does not share a mistake with the writers.
A count over undamaged rows takes away exactly what ``Removed`` and the damage masks name.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sources.sample.census import DistrictYear
from sources.sample.damage import Removed
from sources.sample.finance import JUNIOR_KIND, PRIMARY_KIND, FinanceYear
from sources.sample.frame import Bools, Ints
from sources.sample.geography import CITY_CODE, Area
from sources.sample.people import BACHELOR, FULL_TIME, education
from sources.sample.profiles import JUNIOR, PRESCHOOL, PRIMARY, SENIOR, SPECIAL, STAGES, VOCATIONAL
from sources.sample.pupils import FIRST_LARGE_BAND

# (form of the pupils, form of the classes) by stage
_PUPIL_FORMS = {PRESCHOOL: "3111", PRIMARY: "3112", JUNIOR: "3115", SENIOR: "3118", VOCATIONAL: "3221", SPECIAL: "3120"}
_CLASS_FORMS = {PRESCHOOL: "2105", PRIMARY: "2106", JUNIOR: "2107", SENIOR: "2108"}
# A school counts once, under the highest stage of its type; teaching points (218) do not count as schools.
_COUNTED_AS = {
    "111": PRESCHOOL,
    "211": PRIMARY,
    "311": JUNIOR,
    "312": JUNIOR,
    "341": SENIOR,
    "342": SENIOR,
    "345": SENIOR,
    "361": VOCATIONAL,
    "362": VOCATIONAL,
    "365": VOCATIONAL,
    "366": VOCATIONAL,
    "512": SPECIAL,
    "513": SPECIAL,
    "514": SPECIAL,
}
_ONE = (1, 1)


@dataclass(frozen=True)
class StageCount:
    """One row of the enrolment truth. Persons are distinct full-time teachers of the register."""

    schools: int
    enrolment: int
    entrants: int
    graduates: int
    female: int
    classes: int
    teachers: int

    def __add__(self, other: "StageCount") -> "StageCount":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return StageCount(*(left + right for left, right in pairs))


@dataclass(frozen=True)
class Kept:
    """What still counts: census figures, register rows, and (unit, form) first lines of the finance database."""

    removed: Removed
    register: Bools
    finance_lost: frozenset[tuple[int, str, int]]


@dataclass(frozen=True)
class AreaTruth:
    """Indicators (id -> numerator and denominator; None where there is none) and stage counts of an area and year."""

    area: Area
    year: int
    indicators: Mapping[str, tuple[Decimal, Decimal | None]]
    stages: Mapping[str, StageCount]


def area_truth(world: DistrictYear, money: FinanceYear, kept: Kept) -> AreaTruth:
    """Count one area and year."""
    teachers = _teachers(world, kept.register)
    stages = {STAGES[stage]: _stage_count(world, stage, teachers, kept.removed) for stage in range(len(STAGES))}
    counts: dict[str, tuple[int | Decimal, int | Decimal | None]] = {}
    counts |= _enrolment(stages)
    counts |= _preschool(world, kept.removed)
    counts |= _large_classes(world, kept.removed)
    counts["school_count"] = (sum(count.schools for count in stages.values()), None)
    counts["fulltime_teachers"] = (_distinct(world, kept.register), None)
    for name, stage in (("primary", "primary"), ("junior", "junior"), ("senior", "senior_general")):
        counts[f"{name}_pupil_teacher_ratio"] = (stages[stage].enrolment, stages[stage].teachers)
    counts["teacher_bachelor_share"] = _bachelors(world, kept.register)
    counts |= _money(money, kept.finance_lost)
    exact = {
        name: (Decimal(top), None if bottom is None else Decimal(bottom)) for name, (top, bottom) in counts.items()
    }
    return AreaTruth(world.area, world.year, exact, stages)


def _teachers(world: DistrictYear, rows: Bools) -> dict[int, int]:
    """Distinct full-time teachers by teaching stage."""
    roster = world.roster
    person = np.unique(world.register.person[rows])
    person = person[roster.category[person] == FULL_TIME]
    counts = np.bincount(roster.stage[person], minlength=len(STAGES))
    return {stage: int(count) for stage, count in enumerate(counts.tolist())}


def _distinct(world: DistrictYear, rows: Bools) -> int:
    person = np.unique(world.register.person[rows])
    return int(np.count_nonzero(world.roster.category[person] == FULL_TIME))


def _bachelors(world: DistrictYear, rows: Bools) -> tuple[int, int]:
    """Compulsory full-time teachers with a bachelor's degree or more, and all of them."""
    roster = world.roster
    person = np.unique(world.register.person[rows])
    compulsory = np.isin(roster.stage[person], (PRIMARY, JUNIOR)) & (roster.category[person] == FULL_TIME)
    person = person[compulsory]
    return int(np.count_nonzero(education(roster, person, world.year) <= BACHELOR)), len(person)


def _stage_count(world: DistrictYear, stage: int, teachers: Mapping[int, int], removed: Removed) -> StageCount:
    pupils = world.pupils[stage]
    counted = removed.kept(_PUPIL_FORMS[stage], 1, pupils.school)
    with_classes = stage in _CLASS_FORMS
    classes = removed.kept(_CLASS_FORMS[stage], 1, pupils.school) if with_classes else np.zeros_like(counted)
    return StageCount(
        schools=sum(
            _COUNTED_AS.get(world.frame.schools.type_code[school]) == stage and school not in removed.schools
            for school in world.schools.tolist()
        ),
        enrolment=_total(pupils.enrolment, counted),
        entrants=_entrants(world, stage, counted),
        graduates=_total(pupils.graduates, counted),
        female=_total(pupils.female, counted),
        classes=int(pupils.classes[classes].sum()),
        teachers=teachers[stage],
    )


def _entrants(world: DistrictYear, stage: int, counted: Bools) -> int:
    """First grade; in kindergartens those who came into any age group during the year."""
    pupils = world.pupils[stage]
    if stage != PRESCHOOL:
        return _total(pupils.entrants, counted)
    nursery, small, middle, large = pupils.grades.T
    return _total(nursery + (small - small // 18) + middle // 12 + large // 30, counted)


def _total(values: Ints, chosen: Bools) -> int:
    return int(values[chosen].sum())


def _enrolment(stages: Mapping[str, StageCount]) -> dict[str, tuple[int | Decimal, int | Decimal | None]]:
    learners = {stage: count.enrolment for stage, count in stages.items()}
    return {
        "pre_enrolment": (learners["preschool"], None),
        "primary_enrolment": (learners["primary"], None),
        "junior_enrolment": (learners["junior"], None),
        "compulsory_enrolment": (learners["primary"] + learners["junior"], None),
        "senior_general_enrolment": (learners["senior_general"], None),
        "senior_vocational_enrolment": (learners["senior_vocational"], None),
        "senior_enrolment": (learners["senior_general"] + learners["senior_vocational"], None),
    }


def _preschool(world: DistrictYear, removed: Removed) -> dict[str, tuple[int | Decimal, int | Decimal | None]]:
    kids, schools = world.pupils[PRESCHOOL], world.frame.schools
    counted = removed.kept("3111", 1, kids.school)
    public = schools.public[kids.school]
    inclusive = public | (schools.inclusive_from[kids.school] <= world.year)
    everyone = _total(kids.enrolment, counted)
    return {
        "pre_public_share": (_total(kids.enrolment, counted & public), everyone),
        "pre_inclusive_coverage": (_total(kids.enrolment, counted & inclusive), everyone),
    }


def _large_classes(world: DistrictYear, removed: Removed) -> dict[str, tuple[int | Decimal, int | Decimal | None]]:
    found: dict[str, tuple[int | Decimal, int | Decimal | None]] = {}
    for name, stage in (("primary", PRIMARY), ("junior", JUNIOR), ("senior", SENIOR)):
        pupils = world.pupils[stage]
        bands = pupils.bands[removed.kept(_CLASS_FORMS[stage], 1, pupils.school)]
        found[f"{name}_large_class_share"] = (int(bands[:, FIRST_LARGE_BAND:].sum()), int(bands.sum()))
    return found


def _money(
    money: FinanceYear, lost: frozenset[tuple[int, str, int]]
) -> dict[str, tuple[int | Decimal, int | Decimal | None]]:
    def counted(form: str) -> Bools:
        return np.array([(unit, form, 1) not in lost for unit in money.unit.tolist()], dtype=np.bool_)

    people, spending = counted("jz_1"), counted("jz_3")
    found: dict[str, tuple[int | Decimal, int | Decimal | None]] = {}
    for name, kind in (("primary", PRIMARY_KIND), ("junior", JUNIOR_KIND)):
        own = money.kind == kind
        twelfths = _total(money.students_before * 8 + money.students_after * 4, own & people)
        # Twelfths of a student have endless decimals; they are rounded once, when the truth is written.
        found[f"budget_spend_per_pupil_{name}"] = (
            Decimal(_total(money.budget, own & spending)) / 100,
            Decimal(twelfths) / 12,
        )
    found["education_spend_total"] = (Decimal(_total(money.spending, spending)) / 100, None)
    return found


def roll_up(truths: Iterable[AreaTruth]) -> list[tuple[str, str, int, AreaTruth]]:
    """(area_code, area_level, year, truth) of the city, the groups, the districts and 市直属, in that order by year.

    Groups contain districts only; the city is the districts and 市直属 together.
    """
    members: dict[tuple[int, str, str], list[AreaTruth]] = defaultdict(list)
    ranked = sorted(truths, key=lambda truth: (truth.year, truth.area.index))
    for truth in ranked:
        members[truth.year, "city", CITY_CODE].append(truth)
        if truth.area.group:
            members[truth.year, "group", truth.area.group].append(truth)
        members[truth.year, truth.area.level, truth.area.key].append(truth)
    order = ("city", "group", "district", "municipal")
    keys = sorted(members, key=lambda key: (key[0], order.index(key[1]), key[2]))
    return [(code, level, year, _sum(members[year, level, code])) for year, level, code in keys]


def _sum(parts: list[AreaTruth]) -> AreaTruth:
    indicators: dict[str, tuple[Decimal, Decimal | None]] = {}
    for name in parts[0].indicators:
        pairs = [part.indicators[name] for part in parts]
        bottoms = [bottom for _, bottom in pairs if bottom is not None]
        indicators[name] = (sum((top for top, _ in pairs), Decimal(0)), sum(bottoms, Decimal(0)) if bottoms else None)
    stages: dict[str, StageCount] = {}
    for stage in STAGES:
        total = parts[0].stages[stage]
        for part in parts[1:]:
            total += part.stages[stage]
        stages[stage] = total
    return AreaTruth(parts[0].area, parts[0].year, indicators, stages)
