"""Learners, grades and classes of one district in one year, derived from the frame's enrolment.

Belongs here: how the children of a (school, stage) are spread over grades, ages, classes and class sizes.
Every figure is drawn from a generator seeded by (seed, area, year), so a year does not depend on which others are made.
Does not belong here: form layouts (``census``) and teachers (``people``).
"""

from dataclasses import dataclass

import numpy as np

from sources.sample.frame import Bools, Floats, Frame, Ints, round_running
from sources.sample.geography import Area
from sources.sample.profiles import JUNIOR, PRESCHOOL, PRIMARY, SENIOR, SPECIAL, VOCATIONAL, rate

GRADES = {PRIMARY: 6, JUNIOR: 3, SENIOR: 3, VOCATIONAL: 3, SPECIAL: 9, PRESCHOOL: 4}
# Upper bounds of the first nine class-size bands; the tenth is open (66 and more).
BAND_BOUNDS = (25, 30, 35, 40, 45, 50, 55, 60, 65)
FIRST_LARGE_BAND = 7
_CLASS_SIZE = {PRIMARY: {"G2": 41, "G3": 43}, JUNIOR: {"G2": 46, "G3": 47}, SENIOR: {"G2": 49, "G3": 50}}
_USUAL_SIZE = {PRIMARY: 42, JUNIOR: 45, SENIOR: 48}
_CHANCE = {
    PRIMARY: "large_class_chance_primary",
    JUNIOR: "large_class_chance_junior",
    SENIOR: "large_class_chance_senior",
}


@dataclass(frozen=True)
class StagePupils:
    """Figures of the slots of one stage; ``slot`` indexes the frame's slots, all arrays run along it."""

    slot: Ints
    school: Ints
    attached: Bools
    enrolment: Ints
    female: Ints
    minority: Ints
    grades: Ints
    entrants: Ints
    graduates: Ints
    bands: Ints
    classes: Ints


def stage_pupils(frame: Frame, area: Area, stage: int, year: int) -> StagePupils:
    """Pupils of a stage in an area on 1 September of ``year``; graduates and entrants over the year before."""
    rows = standing_slots(frame, area, stage, year)
    enrolment = frame.slots.enrolment[rows, frame.column(year)]
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 3, area.index, year, stage]))
    share = np.clip(0.472 + rng.normal(0, 0.012, len(rows)), 0.3, 0.7)
    ethnic = (0.55 if area.ethnic else 0.04) * np.clip(1 + rng.normal(0, 0.15, len(rows)), 0.3, 1.7)
    grades = grades_of(frame, area, stage, year)[rows]
    bands = _bands(rng, area, stage, year, enrolment)
    return StagePupils(
        slot=rows,
        school=frame.slots.school[rows],
        attached=frame.slots.attached[rows],
        enrolment=enrolment,
        female=np.floor(enrolment * share).astype(np.int64),
        minority=np.floor(enrolment * np.minimum(ethnic, 0.97)).astype(np.int64),
        grades=grades,
        entrants=grades[:, 0].copy(),
        graduates=_graduates(frame, area, stage, year, rows),
        bands=bands,
        classes=_kindergarten_classes(grades) if stage == PRESCHOOL else bands.sum(axis=1, keepdims=True),
    )


def standing_slots(frame: Frame, area: Area, stage: int, year: int) -> Ints:
    """Slots of a stage in an area whose school stands in ``year``."""
    slots = frame.slots
    here = (slots.area == area.index) & (slots.stage == stage) & frame.schools.standing(year)[slots.school]
    return np.flatnonzero(here)


def grades_of(frame: Frame, area: Area, stage: int, year: int) -> Ints:
    """Learners by grade (preschool: nursery, small, middle, large), one row a slot of the city; 0 for the others."""
    rows = standing_slots(frame, area, stage, year)
    result = np.zeros((len(frame.slots.school), GRADES[stage]), dtype=np.int64)
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 4, area.index, year, stage]))
    shares = _grade_shares(stage, year) * np.exp(rng.normal(0, 0.05, (len(rows), GRADES[stage])))
    enrolment = frame.slots.enrolment[rows, frame.column(year)]
    parts = enrolment[:, None] * shares / shares.sum(axis=1, keepdims=True)
    result[rows] = round_running(parts.reshape(-1)).reshape(parts.shape)
    return result


def _grade_shares(stage: int, year: int) -> Floats:
    """Relative cohort sizes by grade: the cohorts that entered about 2022 are the largest."""
    if stage == PRESCHOOL:
        return np.array([0.035, 0.27, 0.33, 0.365])
    entered = year - np.arange(GRADES[stage]) - (0 if stage == PRIMARY else 6)
    return np.asarray(1 + 0.08 * np.exp(-(((entered - 2022) / 2.5) ** 2)), dtype=np.float64)


def _graduates(frame: Frame, area: Area, stage: int, year: int, rows: Ints) -> Ints:
    """Last grade of the year before; nobody graduates from a school that did not stand, or before the model begins."""
    if year - 1 < 2019:
        return np.zeros(len(rows), dtype=np.int64)
    before = grades_of(frame, area, stage, year - 1)[rows, -1]
    return np.asarray(before - before // 400, dtype=np.int64)


def _bands(rng: np.random.Generator, area: Area, stage: int, year: int, enrolment: Ints) -> Ints:
    """Classes by the ten class-size bands, one row a slot; no rows of bands for stages without the form."""
    bands = np.zeros((len(enrolment), len(BAND_BOUNDS) + 1), dtype=np.int64)
    if stage not in _CHANCE or not len(enrolment):
        return bands
    target = _CLASS_SIZE[stage].get(area.group, _USUAL_SIZE[stage])
    count = np.ceil(enrolment / target).astype(np.int64)
    count = np.where(enrolment >= 15 * GRADES[stage], np.maximum(count, GRADES[stage]), count)
    slot, size = _class_sizes(rng, enrolment, count, rate(_CHANCE[stage], year) * (1.3 if area.group == "G3" else 1.0))
    np.add.at(bands, (slot, np.searchsorted(BAND_BOUNDS, size, side="left")), 1)
    return bands


def _class_sizes(rng: np.random.Generator, enrolment: Ints, count: Ints, chance: float) -> tuple[Ints, Ints]:
    """Draw a size for every class; a slot's sizes add up to its enrolment. ``chance``: that of an oversized class."""
    slot = np.repeat(np.arange(len(count)), count)
    mean = (enrolment / np.maximum(count, 1))[slot]
    size = mean * (1 + rng.normal(0, 0.05, len(slot)))
    oversized = (rng.random(len(slot)) < chance) & (mean > 36)
    size = np.where(oversized, 59 + rng.exponential(2.5, len(slot)), np.maximum(size, 1.0))
    total = np.bincount(slot, weights=size, minlength=len(count))
    scaled = size * (enrolment / np.maximum(total, 1e-9))[slot]
    return slot, round_running(scaled)


def _kindergarten_classes(grades: Ints) -> Ints:
    """Classes by age group (托 小 中 大), at most 20, 25, 30 and 35 children each."""
    return np.asarray(-(-grades // np.array([20, 25, 30, 35])), dtype=np.int64)
