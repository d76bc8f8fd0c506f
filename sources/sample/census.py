"""The census of one district and year as figures: which school reports which form, and the number at every address.

Belongs here: turning pupils, people and premises into (form, line, column) figures, and the school profile.
Does not belong here: sheets, headers and cells (``census_lists``, ``school_workbooks``), nor the truth (``indicators``
counts from the model's own arrays, not from these figures).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sources.sample.frame import Floats, Frame, Ints
from sources.sample.geography import Area
from sources.sample.people import (
    ADMIN,
    BELOW,
    FULL_TIME,
    SUPPORT,
    WORKER,
    RegisterYear,
    Roster,
    backbone,
    dual_qualified,
    education,
    professional,
)
from sources.sample.profiles import JUNIOR, PRESCHOOL, PRIMARY, SENIOR, SPECIAL, VOCATIONAL
from sources.sample.pupils import StagePupils, stage_pupils
from sources.sample.vocab import ART, MUSIC, PHYSICAL, SUBJECTS

Address = tuple[int, int]
BLANK = -1
# Addresses whose value is kept in hundredths (万元 with two decimals).
HUNDREDTHS = {("5176", (5, 1)), ("5377", (5, 1))}
_BAND_FORMS = {PRIMARY: "2106", JUNIOR: "2107", SENIOR: "2108"}
_DEGREE_FORMS = {PRIMARY: "4155p", JUNIOR: "4155j", SENIOR: "4156"}
_SCHOOL_TYPES = ("211", "311", "312", "341", "342", "345")
_VOCATIONAL_TYPES = ("361", "362", "365", "366")


@dataclass(frozen=True)
class FormTable:
    """Figures of one canonical form: ``values`` is (schools, addresses); BLANK where a cell stays empty."""

    form: str
    school: Ints
    addresses: tuple[Address, ...]
    values: Ints

    def column(self, address: Address) -> Ints:
        """All schools' figures at an address."""
        return np.asarray(self.values[:, self.addresses.index(address)], dtype=np.int64)


@dataclass(frozen=True)
class DistrictYear:
    """All that is known of a district in a year; ``schools`` are the standing schools (indexes into the frame)."""

    frame: Frame
    area: Area
    year: int
    schools: Ints
    pupils: Mapping[int, StagePupils]
    roster: Roster
    register: RegisterYear

    @property
    def column(self) -> int:
        """Position of the year in the frame's matrices."""
        return self.frame.column(self.year)


def district_year(frame: Frame, roster: Roster, register: RegisterYear, area: Area, year: int) -> DistrictYear:
    """Gather the pupils and people of a district and year."""
    schools = np.flatnonzero((frame.schools.area == area.index) & frame.schools.standing(year))
    stages = (PRESCHOOL, PRIMARY, JUNIOR, SENIOR, VOCATIONAL, SPECIAL)
    pupils = {stage: stage_pupils(frame, area, stage, year) for stage in stages}
    return DistrictYear(frame, area, year, schools, pupils, roster, register)


def form_tables(world: DistrictYear) -> dict[str, FormTable]:
    """Every form of the district by canonical number, in catalogue order."""
    tables = [*_kindergarten_tables(world)]
    for stage, form in _BAND_FORMS.items():
        tables.append(_band_table(form, world.pupils[stage]))
    tables += [_primary_table(world), _junior_table(world), _senior_table(world)]
    tables += [_special_table(world), _vocational_table(world)]
    tables += [_staff_table(world, "4149", _SCHOOL_TYPES), _staff_table(world, "4251", _VOCATIONAL_TYPES)]
    tables += [_degree_table(world, stage, form) for stage, form in _DEGREE_FORMS.items()]
    tables += [_professional_table(world), _backbone_table(world)]
    tables += [_sports_table(world), _premises_table(world, "5176", _SCHOOL_TYPES)]
    tables.append(_premises_table(world, "5377", _VOCATIONAL_TYPES))
    return {table.form: table for table in tables}


def _table(form: str, school: Ints, cells: Mapping[Address, Ints | int]) -> FormTable:
    columns = [np.broadcast_to(np.asarray(values, dtype=np.int64), len(school)) for values in cells.values()]
    return FormTable(form, school, tuple(cells), np.stack(columns, axis=1))


def _kindergarten_tables(world: DistrictYear) -> Iterable[FormTable]:
    kids = world.pupils[PRESCHOOL]
    classes = {(1, 1): kids.classes.sum(axis=1)} | {(1, 2 + n): kids.classes[:, n] for n in range(4)}
    yield _table("2105", kids.school, classes)
    nursery, small, middle, large = kids.grades.T
    older = large // 20
    entrants = (nursery, small - small // 18, middle // 12, large // 30)
    cells: dict[Address, Ints | int] = {(1, 1): sum(entrants, np.zeros_like(nursery))}
    cells |= {(1, 2 + n): part for n, part in enumerate(entrants)}
    cells |= {(1, 6): kids.enrolment, (1, 7): kids.female}
    cells |= {(1, 8 + n): part for n, part in enumerate((nursery, small, middle, large))}
    cells |= {(1, 12): kids.graduates, (2, 6): kids.female, (3, 6): kids.minority, (4, 6): kids.enrolment // 400}
    cells |= {(5 + n, 6): part for n, part in enumerate((nursery, small, middle, large - older, older))}
    yield _table("3111", kids.school, cells)
    yield _kindergarten_staff(world)


def _kindergarten_staff(world: DistrictYear) -> FormTable:
    kids = world.pupils[PRESCHOOL]
    own = np.flatnonzero(~kids.attached)
    school, teachers = kids.school[own], world.frame.slots.teachers[kids.slot[own], world.column]
    heads = _staff_count(world, ADMIN, school)
    health, nurses, other = (teachers >= 6).astype(np.int64), kids.classes[own].sum(axis=1), 1 + teachers // 6
    total = heads + teachers + health + nurses + other
    public = world.frame.schools.public[school]
    cells: dict[Address, Ints | int] = {(1, 1): total, (1, 2): heads, (1, 3): teachers, (1, 4): health}
    cells |= {(1, 5): nurses, (1, 6): other, (1, 7): teachers // 25, (1, 8): 0}
    cells |= {(2, 1): total - total // 12, (2, 3): teachers - teachers // 30, (3, 1): total // 20}
    cells |= {(4, 1): np.where(public, total // 2, 0), (5, 1): teachers - teachers // 5}
    return _table("4148", school, cells)


def _band_table(form: str, pupils: StagePupils) -> FormTable:
    cells: dict[Address, Ints | int] = {(1, 1): pupils.bands.sum(axis=1)}
    cells |= {(2 + band, 1): pupils.bands[:, band] for band in range(pupils.bands.shape[1])}
    return _table(form, pupils.school, cells)


def _primary_table(world: DistrictYear) -> FormTable:
    pupils = world.pupils[PRIMARY]
    none, one, two = pupils.entrants // 400, pupils.entrants // 30, pupils.entrants // 8
    cells: dict[Address, Ints | int] = {(1, 1): pupils.graduates, (1, 2): pupils.entrants, (1, 3): none, (1, 4): one}
    cells |= {(1, 5): two, (1, 6): pupils.entrants - none - one - two, (1, 7): pupils.enrolment, (1, 8): pupils.female}
    cells |= {(1, 9 + grade): pupils.grades[:, grade] for grade in range(6)}
    cells |= {(1, 15): pupils.grades[:, -1]} | _subset_lines(world, pupils, 7)
    return _table("3112", pupils.school, cells)


def _junior_table(world: DistrictYear) -> FormTable:
    pupils = world.pupils[JUNIOR]
    cells = _pupil_cells(pupils, 3) | {(1, 8): 0, (1, 9): pupils.grades[:, -1]}
    return _table("3115", pupils.school, cells | _subset_lines(world, pupils, 3))


def _senior_table(world: DistrictYear) -> FormTable:
    pupils = world.pupils[SENIOR]
    cells = _pupil_cells(pupils, 3) | {(1, 8): pupils.grades[:, -1], (2, 3): pupils.female, (3, 3): pupils.minority}
    return _table("3118", pupils.school, cells | {(4, 3): pupils.enrolment * 2 // 3})


def _special_table(world: DistrictYear) -> FormTable:
    pupils = world.pupils[SPECIAL]
    return _table("3120", pupils.school, _pupil_cells(pupils, 0) | {(2, 3): pupils.female, (3, 3): pupils.minority})


def _vocational_table(world: DistrictYear) -> FormTable:
    pupils = world.pupils[VOCATIONAL]
    cells = _pupil_cells(pupils, 3) | {(1, 8): 0, (2, 3): pupils.female, (3, 3): pupils.minority}
    return _table("3221", pupils.school, cells)


def _pupil_cells(pupils: StagePupils, grades: int) -> dict[Address, Ints | int]:
    """Columns 1 to 4 (graduates, entrants, enrolment, female) and the first ``grades`` grades from column 5."""
    cells: dict[Address, Ints | int] = {(1, 1): pupils.graduates, (1, 2): pupils.entrants}
    cells |= {(1, 3): pupils.enrolment, (1, 4): pupils.female}
    return cells | {(1, 5 + grade): pupils.grades[:, grade] for grade in range(grades)}


def _subset_lines(world: DistrictYear, pupils: StagePupils, column: int) -> dict[Address, Ints | int]:
    """Lines 2 to 12 of the compulsory stages: girls, minorities, boarders, migrant and left-behind children."""
    city = world.area.municipal or world.area.subgroup == "中心城区"
    migrant = pupils.enrolment * (28 if city else 9) // 100
    workers, boarders = migrant * 7 // 10, pupils.enrolment * (8 if city else 30) // 100
    lines = {2: pupils.female, 3: pupils.minority, 5: boarders, 6: migrant, 7: migrant // 3, 8: migrant - migrant // 3}
    lines |= {9: workers, 10: workers // 3, 11: workers - workers // 3}
    lines[12] = pupils.enrolment * (2 if city else 18) // 100
    return {(line, column): values for line, values in lines.items()}


def _own_schools(world: DistrictYear, types: tuple[str, ...]) -> Ints:
    return world.schools[np.isin(world.frame.schools.type_code[world.schools].astype(str), types)]


def _staff_count(world: DistrictYear, category: int, school: Ints) -> Ints:
    """People in posts of a category at each of ``school``."""
    posts = world.roster.posts
    rows = np.flatnonzero(posts.category == category)
    heads = (posts.last - posts.first)[rows, world.column]
    counts = np.bincount(posts.school[rows], weights=heads, minlength=len(world.frame.schools))
    return counts[school].astype(np.int64)


def _teachers_of(world: DistrictYear, school: Ints) -> Ints:
    """Full-time teachers of the stages a school runs itself; teachers of attached classes are counted elsewhere."""
    slots = world.frame.slots
    weights = np.where(slots.attached, 0, slots.teachers[:, world.column])
    return np.bincount(slots.school, weights=weights, minlength=len(world.frame.schools))[school].astype(np.int64)


def _staff_table(world: DistrictYear, form: str, types: tuple[str, ...]) -> FormTable:
    school = _own_schools(world, types)
    parts = [_teachers_of(world, school)] + [_staff_count(world, kind, school) for kind in (ADMIN, SUPPORT, WORKER)]
    total: Ints = np.stack(parts).sum(axis=0)
    public = world.frame.schools.public[school]
    cells: dict[Address, Ints | int] = {(1, 1): total}
    cells |= {(1, 2 + n): part for n, part in enumerate(parts)}
    cells |= {(1, 6): 0, (1, 7): parts[0] // 50, (1, 8): parts[0] // 120, (2, 1): total * 6 // 10, (3, 1): total // 15}
    return _table(form, school, cells | {(4, 1): np.where(public, total - total // 20, 0)})


def _in_post(world: DistrictYear) -> tuple[Ints, Ints]:
    """(person, slot) of the full-time teachers in post; second posts and retired people are left to the register."""
    rows = ~world.register.extra & (world.roster.category[world.register.person] == FULL_TIME)
    person = world.register.person[rows]
    return person, world.roster.posts.slot[world.roster.post[person]]


def _per_slot(world: DistrictYear, slot: Ints, chosen: Ints, pupils: StagePupils) -> Ints:
    counts = np.bincount(slot[chosen], minlength=len(world.frame.slots.school))
    return counts[pupils.slot].astype(np.int64)


def _degree_table(world: DistrictYear, stage: int, form: str) -> FormTable:
    pupils = world.pupils[stage]
    person, slot = _in_post(world)
    level = education(world.roster, person, world.year)
    subject = np.array(SUBJECTS[stage])
    own = world.roster.stage[person] == stage
    cells: dict[Address, Ints | int] = {(1, 1): _per_slot(world, slot, np.flatnonzero(own), pupils)}
    for number in range(BELOW + 1):
        cells[2 + number, 1] = _per_slot(world, slot, np.flatnonzero(own & (level == number)), pupils)
    for number, names in enumerate((PHYSICAL, MUSIC, ART)):
        teaches = own & np.isin(world.roster.subject[person], np.flatnonzero(np.isin(subject, names)))
        cells[1, 2 + number] = _per_slot(world, slot, np.flatnonzero(teaches), pupils)
    table = _table(form, pupils.school, cells)
    # Teaching points report with their central school and hand in no teacher form of their own.
    types = world.frame.schools.type_code[table.school].astype(str)
    keep = np.isin(types, _SCHOOL_TYPES) & ~pupils.attached
    return FormTable(form, table.school[keep], table.addresses, table.values[keep])


def _professional_table(world: DistrictYear) -> FormTable:
    pupils = world.pupils[VOCATIONAL]
    person, slot = _in_post(world)
    dual = np.flatnonzero(dual_qualified(world.roster, person, world.year))
    cells: dict[Address, Ints | int] = {
        (1, 1): _per_slot(world, slot, np.flatnonzero(professional(world.roster, person)), pupils),
        (1, 2): _per_slot(world, slot, dual, pupils),
    }
    return _table("4261", pupils.school, cells)


def _backbone_table(world: DistrictYear) -> FormTable:
    school = _own_schools(world, _SCHOOL_TYPES)
    person, slot = _in_post(world)
    level = backbone(world.roster, person)
    chosen = (level > 0) & (level <= 3)
    cells: dict[Address, Ints | int] = {}
    for line, stage in ((26, PRIMARY), (27, JUNIOR), (28, SENIOR)):
        rows = chosen & (world.roster.stage[person] == stage)
        where = world.frame.slots.school[slot[rows]]
        runs = np.isin(school, world.frame.slots.school[world.frame.slots.stage == stage])
        counts = np.bincount(where, minlength=len(world.frame.schools))[school]
        cells[line, 1] = np.where(runs, counts, BLANK)
    return _table("1102", school, cells)


def _capacity(world: DistrictYear, school: Ints) -> Ints:
    """Largest enrolment of a school over the model years: buildings do not shrink with it."""
    slots = world.frame.slots
    total = np.zeros((len(world.frame.schools), slots.enrolment.shape[1]), dtype=np.int64)
    np.add.at(total, slots.school, slots.enrolment)
    return np.asarray(total[school].max(axis=1), dtype=np.int64)


def _luck(world: DistrictYear, school: Ints, low: float, high: float, stream: int) -> Floats:
    """A per-school constant between ``low`` and ``high``, the same in every year."""
    draw = (world.frame.schools.luck[school] * (1 + stream) * 7.13) % 1.0
    return np.asarray(low + (high - low) * draw, dtype=np.float64)


def _sports_table(world: DistrictYear) -> FormTable:
    school = _own_schools(world, _SCHOOL_TYPES)
    area = np.rint(_capacity(world, school) * _luck(world, school, 5.5, 13.0, 1)).astype(np.int64)
    return _table("5170", school, {(1, 1): area})


def _premises_table(world: DistrictYear, form: str, types: tuple[str, ...]) -> FormTable:
    school = _own_schools(world, types)
    capacity = _capacity(world, school)
    building = np.rint(capacity * _luck(world, school, 8.0, 15.0, 2)).astype(np.int64)
    growth = 1 + 0.05 * (world.year - 2020)
    cells: dict[Address, Ints | int] = {
        (1, 1): building,
        (2, 1): np.rint(building * _luck(world, school, 0.45, 0.62, 3)).astype(np.int64),
        (3, 1): np.rint(capacity * _luck(world, school, 18, 42, 4)).astype(np.int64),
        (4, 1): np.rint(capacity / _luck(world, school, 32, 46, 5) + 1).astype(np.int64),
        # 1500 to 4200 yuan a pupil, in hundredths of 万元 (100 yuan)
        (5, 1): np.rint(capacity * _luck(world, school, 15, 42, 6) * growth).astype(np.int64),
    }
    return _table(form, school, cells)
