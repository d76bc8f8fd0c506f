"""The city's frame: every school with its life from 2019 to 2025, its stages, learners and full-time teachers.

Belongs here: the schools, the (school, stage) slots and the two matrices that all else is derived from. The frame is
always built for all model years, so that a year is the same whichever other years are asked for.
Does not belong here: classes, persons, money (made district by district in ``district``, ``people``, ``finance``).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sources.sample import profiles as pf
from sources.sample.geography import GROUPS, WORKBOOK_AREAS, Area, areas, municipal_share
from sources.sample.naming import name_schools
from sources.sample.profiles import MODEL_YEARS, PRESCHOOL, SPECIAL, STAGES, Breed, Profile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

NEVER = 9999
PRIVATE_ORGANISERS = ("999", "998")
PUBLIC_KINDERGARTEN, INCLUSIVE_PRIVATE, OTHER_PRIVATE = range(3)
_URBAN_CODES = ("111", "112", "121", "122", "210", "220")


@dataclass(frozen=True)
class Schools:
    """One row a school, sorted by area. ``opened`` and ``closed`` are the first years standing and not standing."""

    code: Texts
    area: Ints
    breed: Ints
    type_code: Texts
    organiser: Texts
    organiser_after: Texts
    organiser_year: Ints
    inclusive_from: Ints
    opened: Ints
    closed: Ints
    successor: Ints
    type_changed: Bools
    name: Texts
    name_after: Texts
    renamed: Ints
    urban: Texts
    town: Ints
    luck: Floats

    def __len__(self) -> int:
        return len(self.code)

    def standing(self, year: int) -> Bools:
        """Which schools stand on 1 September of ``year``."""
        return (self.opened <= year) & (year < self.closed)

    def names(self, year: int) -> Texts:
        """School names in force in ``year``."""
        return np.where(self.renamed <= year, self.name_after, self.name)

    def organisers(self, year: int) -> Texts:
        """Organiser codes in force in ``year``."""
        return np.where(self.organiser_year <= year, self.organiser_after, self.organiser)

    @property
    def public(self) -> Bools:
        """Run by a public organiser (an organiser may change, but never between public and private)."""
        return ~np.isin(self.organiser.astype(str), PRIVATE_ORGANISERS)


@dataclass(frozen=True)
class Slots:
    """One row a (school, stage), sorted by area and school. Matrices are (slots, model years)."""

    school: Ints
    area: Ints
    stage: Ints
    attached: Bools
    weight: Floats
    enrolment: Ints
    teachers: Ints


@dataclass(frozen=True)
class Frame:
    """The city of one profile and seed."""

    profile: Profile
    seed: int
    schools: Schools
    slots: Slots

    def column(self, year: int) -> int:
        """Position of ``year`` in the matrices."""
        return MODEL_YEARS.index(year)


def spread(total: int, weights: Floats) -> Ints:
    """Split ``total`` by ``weights`` into whole numbers whose sum is exactly ``total`` (rounding the running sum)."""
    if not len(weights):
        return np.zeros(0, dtype=np.int64)
    running = np.rint(np.cumsum(weights) * (total / weights.sum()))
    running[-1] = total
    return np.asarray(np.diff(running, prepend=0), dtype=np.int64)


def round_running(values: Floats) -> Ints:
    """Round ``values`` so that wherever the running sum is whole, the rounded running sum equals it."""
    return np.asarray(np.diff(np.rint(np.cumsum(values) + 1e-7), prepend=0), dtype=np.int64)


@lru_cache(maxsize=4)
def build_frame(profile_name: str, seed: int) -> Frame:
    """Build the frame of a profile; the same seed gives the same frame on any machine."""
    profile = pf.profile_of(profile_name)
    rng = np.random.default_rng(np.random.SeedSequence([seed, profile.number, 1]))
    schools = _schools(profile, rng)
    slots = _slots(profile, schools, rng)
    return Frame(profile, seed, schools, slots)


def _schools(profile: Profile, rng: np.random.Generator) -> Schools:
    columns = [_breed_rows(profile, index, breed, rng) for index, breed in enumerate(profile.breeds)]
    merged = {key: np.concatenate([part[key] for part in columns]) for key in columns[0]}
    order = np.lexsort((merged["opened"], merged["breed"], merged["area"]))
    merged = {key: values[order] for key, values in merged.items()}
    count = len(order)
    luck = rng.random((count, 4))
    urban = _urban_codes(profile, merged["breed"], merged["area"], rng)
    town = rng.integers(1, 31, count)
    name, name_after = name_schools(profile, merged["breed"], merged["area"], urban, town=town, rng=rng)
    renamed = np.where(luck[:, 0] < 0.05, rng.integers(2021, 2026, count), NEVER)
    successor, type_changed = _successors(profile, merged, rng)
    return Schools(
        code=_codes(profile, merged["breed"]),
        organiser_after=np.where(merged["public"], "811", merged["organiser"]).astype(object),
        organiser_year=np.where(luck[:, 1] < 0.05, rng.integers(2021, 2026, count), NEVER),
        inclusive_from=_inclusive_from(merged, rng),
        successor=successor,
        type_changed=type_changed,
        name=name,
        name_after=name_after,
        renamed=renamed,
        urban=urban,
        town=town,
        luck=luck[:, 2],
        **{key: merged[key] for key in ("area", "breed", "type_code", "organiser", "opened", "closed")},
    )


def _breed_rows(
    profile: Profile, index: int, breed: Breed, rng: np.random.Generator
) -> dict[str, npt.NDArray[np.generic]]:
    counts = spread(breed.standing_2020 + breed.opened, _area_weights(profile, breed))
    area = np.repeat(np.arange(len(counts)), counts)
    opened, closed = np.zeros(len(area), dtype=np.int64), np.full(len(area), NEVER)
    shuffled = rng.permutation(len(area))
    opened[shuffled[: breed.opened]] = 2021 + np.arange(breed.opened) % 5
    closed[shuffled[breed.opened : breed.opened + breed.closed]] = 2021 + np.arange(breed.closed) % 5
    area = np.concatenate([area, np.full(breed.municipal_2020, len(areas()) - 1)])
    opened = np.concatenate([opened, np.zeros(breed.municipal_2020, dtype=np.int64)])
    closed = np.concatenate([closed, np.full(breed.municipal_2020, NEVER)])
    codes, shares = zip(*breed.organisers, strict=True)
    organiser = np.array(codes, dtype=object)[rng.choice(len(codes), len(area), p=shares)]
    organiser[area == len(areas()) - 1] = breed.organisers[0][0]
    kinds = np.array(breed.type_codes, dtype=object)[rng.integers(0, len(breed.type_codes), len(area))]
    return {
        "area": area,
        "breed": np.full(len(area), index),
        "opened": opened,
        "closed": closed,
        "organiser": organiser,
        "public": ~np.isin(organiser.astype(str), PRIVATE_ORGANISERS),
        "type_code": kinds,
    }


def _area_weights(profile: Profile, breed: Breed) -> Floats:
    districts = [area for area in areas() if not area.municipal]
    if profile.even:
        return np.array([area.population**0.15 for area in districts])
    stage = breed.stages[0][0]
    leaning = {"kg_public": 1.0, "kg_private": -1.0}.get(breed.key, 0.0)
    return np.array([a.learner_weight(stage) * a.school_factor * a.public_factor**leaning for a in districts])


def _inclusive_from(merged: dict[str, npt.NDArray[np.generic]], rng: np.random.Generator) -> Ints:
    """The year from which a private kindergarten is recognised as inclusive (认定普惠); never for all other schools."""
    count = len(merged["area"])
    draw, year = rng.random(count), rng.integers(2021, 2026, count)
    since = np.where(draw < 0.765, 0, np.where(draw < 0.90, year, NEVER))
    private_kindergarten = (merged["type_code"] == "111") & (merged["organiser"] == "999")
    return np.where(private_kindergarten, since, NEVER)


def _urban_codes(profile: Profile, breed: Ints, area: Ints, rng: np.random.Generator) -> Texts:
    rural = np.array([b.rural for b in profile.breeds])[breed]
    centre = np.array([a.municipal or a.subgroup == "中心城区" for a in areas()])[area]
    draw = rng.random(len(breed))
    place = np.where(draw < rural * np.where(centre, 0.35, 1.0), 2, np.where(centre | (draw > 0.8), 0, 1))
    return np.array(_URBAN_CODES, dtype=object)[place * 2 + rng.integers(0, 2, len(breed))]


def _codes(profile: Profile, breed: Ints) -> Texts:
    """10-digit school codes: category, 50, running number within the category."""
    prefixes = np.array([b.prefix for b in profile.breeds])[breed]
    codes = np.empty(len(breed), dtype=object)
    for prefix in np.unique(prefixes):
        rows = np.flatnonzero(prefixes == prefix)
        codes[rows] = [f"{prefix}50{number:06d}" for number in range(1, len(rows) + 1)]
    return codes


def _successors(
    profile: Profile, merged: dict[str, npt.NDArray[np.generic]], rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """Who takes over from a closed school: a new nine-year school (type change), a neighbour (merger) or -1."""
    area, breed, opened, closed = (merged[key].astype(np.int64) for key in ("area", "breed", "opened", "closed"))
    successor, changed = np.full(len(area), -1), np.zeros(len(area), dtype=np.bool_)
    keys = [b.key for b in profile.breeds]
    for new in np.flatnonzero((breed == keys.index("nine_year")) & (opened > 0)):
        old = np.flatnonzero(
            (breed == keys.index("primary")) & (area == area[new]) & (closed == opened[new]) & (successor < 0)
        )
        if len(old):
            successor[old[0]], changed[old[0]] = new, True
    staying = closed == NEVER
    for gone in np.flatnonzero((closed < NEVER) & (successor < 0)):
        near = np.flatnonzero(staying & (area == area[gone]) & (breed == breed[gone]) & (opened < closed[gone]))
        if len(near) and rng.random() < 0.6:
            successor[gone] = rng.choice(near)
    return successor, changed


def _slots(profile: Profile, schools: Schools, rng: np.random.Generator) -> Slots:
    school, stage, attached, weight = _slot_rows(profile, schools, rng)
    order = np.lexsort((attached, stage, school))
    school, stage, attached, weight = school[order], stage[order], attached[order], weight[order]
    area = schools.area[school]
    growth = rng.normal(0, 0.03, len(school))
    leaning = rng.normal(0, 0.05, (len(areas()), len(STAGES)))
    enrolment = np.zeros((len(school), len(MODEL_YEARS)), dtype=np.int64)
    teachers = np.zeros_like(enrolment)
    group_of_slot = np.array([_staffing(a) for a in areas()])[area]
    for column, year in enumerate(MODEL_YEARS):
        load = weight * np.exp(growth * (year - 2020)) * _ramp(schools, school, year)
        segment = _segments(schools, school, stage, year)
        for part in range(len(STAGES) + 2):
            rows = np.flatnonzero((segment == part) & (load > 0))
            total = _segment_total(profile, part, year)
            quota = _area_quota(profile, part, np.unique(area[rows]), leaning)
            enrolment[rows, column] = _two_levels(total, area[rows], load[rows], quota)
        for number in range(len(STAGES)):
            rows = np.flatnonzero((stage == number) & (enrolment[:, column] > 0))
            learners = enrolment[rows, column]
            wanted = round(learners.sum() / pf.pupils_per_teacher(number, year))
            teachers[rows, column] = np.maximum(spread(wanted, learners**0.94 * group_of_slot[rows]), 1)
    return Slots(school, area, stage, attached, weight, enrolment, teachers)


def _slot_rows(profile: Profile, schools: Schools, rng: np.random.Generator) -> tuple[Ints, Ints, Bools, Floats]:
    """(school, stage, attached, weight) of the stages of each breed, then of attached preschool and special classes."""
    parts: list[tuple[Ints, int, bool, Floats]] = []
    place = np.where(np.char.startswith(schools.urban.astype(str), "2"), 0.65, 1.0)
    for index, breed in enumerate(profile.breeds):
        rows = np.flatnonzero(schools.breed == index)
        size = rng.lognormal(0, 0.42, len(rows)) * place[rows]
        parts += [(rows, stage, False, size * weight) for stage, weight in breed.stages]
    primary = np.flatnonzero((schools.type_code == "211") & schools.public)
    hosts = primary[rng.random(len(primary)) < profile.attached_share]
    parts.append((hosts, PRESCHOOL, True, 0.19 * rng.lognormal(0, 0.4, len(hosts))))
    hosts = primary[rng.random(len(primary)) < 0.2]
    own = np.count_nonzero(np.char.startswith(schools.type_code.astype(str), "51"))
    parts.append((hosts, SPECIAL, True, 0.8 * own / len(hosts) * rng.lognormal(0, 0.3, len(hosts))))
    return (
        np.concatenate([rows for rows, _, _, _ in parts]),
        np.concatenate([np.full(len(rows), stage) for rows, stage, _, _ in parts]),
        np.concatenate([np.full(len(rows), attached) for rows, _, attached, _ in parts]),
        np.concatenate([weights for _, _, _, weights in parts]),
    )


def _ramp(schools: Schools, school: Ints, year: int) -> Floats:
    """0 where the school does not stand; a new school fills up over three years."""
    age = year - schools.opened[school]
    filling = np.where(age == 0, 0.45, np.where(age == 1, 0.75, 1.0))
    return filling * schools.standing(year)[school]


def _segments(schools: Schools, school: Ints, stage: Ints, year: int) -> Ints:
    """0 public, 1 inclusive private, 2 other private kindergartens; 2 + stage number for the other stages."""
    inclusive = schools.inclusive_from[school] <= year
    kindergarten = np.where(
        schools.public[school], PUBLIC_KINDERGARTEN, np.where(inclusive, INCLUSIVE_PRIVATE, OTHER_PRIVATE)
    )
    return np.where(stage == PRESCHOOL, kindergarten, stage + 2)


def _segment_total(profile: Profile, part: int, year: int) -> int:
    if part > OTHER_PRIVATE:
        return profile.learners(part - 2, year)
    children = profile.learners(PRESCHOOL, year)
    public = round(children * pf.rate("public_share", year))
    inclusive = round(children * pf.rate("inclusive_share", year)) - public
    return (public, inclusive, children - public - inclusive)[part]


def _area_quota(profile: Profile, part: int, present: Ints, leaning: Floats) -> Floats:
    """Weight of each area (by index) for a segment; 0 where no school of the segment stands."""
    stage = max(part - 2, 0)
    public_power = (1.0, -1.0, -1.0)[part] if part <= OTHER_PRIVATE else 0.0
    weights = np.zeros(len(areas()))
    for area in areas():
        if area.index in present and not area.municipal:
            weights[area.index] = area.learner_weight(stage) * area.public_factor**public_power
    if profile.even:
        weights = weights**0.35
    weights *= np.exp(leaning[:, stage])
    share = municipal_share(stage) if len(areas()) - 1 in present else 0.0
    weights[-1] = weights[:-1].sum() * share / (1 - share)
    return weights


def _two_levels(total: int, area: Ints, load: Floats, quota: Floats) -> Ints:
    """Split ``total`` over areas by ``quota``, then over their slots by ``load``; sums are exact at both levels."""
    by_area = spread(total, quota)
    mass = np.bincount(area, weights=load, minlength=len(quota))
    return round_running(by_area[area] * load / mass[area])


def _staffing(area: Area) -> float:
    """Teachers per learner relative to the city: smaller classes in the mountains need more."""
    return dict(zip(GROUPS, (0.97, 1.04, 1.07), strict=True)).get(area.group, 1.0)


def is_workbook_area(area: Area) -> bool:
    """True for the counties that hand in school workbooks instead of a list."""
    return area.code in WORKBOOK_AREAS
