"""The residents of the sample city by area, year and age, and the attainment of its adults.

Belongs here: a population that fits the learners of the model: the plan's gross enrolment rates of 2020 and its years
of schooling come out of it. Does not belong here: documents (``population_files``).

Anchors. Residents: the census of 2020 (32,054,159, the sum of the districts) and the bulletin of 2022 (3213.34万); the
rest is assumed. Rates: the baselines of the plan for 2020, the figures published on 2025-10-20 from 2024 on. Years of
schooling: the plan's 9.8 and 10.86 for 2020, the published 10.02 for 2022; the rest is assumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from sources.sample.frame import Floats, Ints, spread
from sources.sample.geography import Area, areas
from sources.sample.profiles import JUNIOR, PRESCHOOL, PRIMARY, SENIOR, VOCATIONAL, Profile

SINGLE_AGES = 25
# First ages of the bands above the single ages; the last band is open.
BANDS = (25, 30, 35, 40, 45, 50, 55, 60, 65)
_BAND_SHARES = (6.2, 8.2, 6.5, 6.2, 8.4, 10.0, 8.5, 5.5, 17.1)
_RESIDENTS: Mapping[int, float] = MappingProxyType(
    {2020: 32_054_159, 2021: 32_093_780, 2022: 32_133_400, 2023: 32_040_000, 2024: 31_950_000, 2025: 31_860_000}
)
_PRESCHOOL_RATE = (0.903, 0.935)
_SENIOR_RATE = (0.985, 0.9847)
_YEARS_15: Mapping[int, float] = MappingProxyType(
    {2020: 9.80, 2021: 9.91, 2022: 10.02, 2023: 10.11, 2024: 10.20, 2025: 10.29}
)
_YEARS_16_59: Mapping[int, float] = MappingProxyType(
    {2020: 10.86, 2021: 10.97, 2022: 11.08, 2023: 11.18, 2024: 11.28, 2025: 11.38}
)
# (level of the code list, years of schooling, share of 15+, share of 16-59) before the mean is met
LEVELS: tuple[tuple[str, int, float, float], ...] = (
    ("none", 0, 0.035, 0.010),
    ("primary", 6, 0.270, 0.170),
    ("junior", 9, 0.325, 0.370),
    ("senior", 12, 0.180, 0.215),
    ("college", 15, 0.095, 0.120),
    ("bachelor", 16, 0.085, 0.103),
    ("postgraduate", 19, 0.010, 0.012),
)


@dataclass(frozen=True)
class Group:
    """People of an age range by attainment: first and last age (None: open) and counts in the order of ``LEVELS``."""

    first: int
    last: int | None
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Population:
    """Residents of one year: ``ages[age, district]`` for single ages, ``bands[band, district]`` above; city groups."""

    year: int
    ages: Ints
    bands: Ints
    groups: tuple[Group, ...]


def population_of(profile: Profile, seed: int, year: int) -> Population:
    """The residents of every district at the end of ``year``."""
    districts = [area for area in areas() if not area.municipal]
    totals = spread(round(_RESIDENTS[year] / profile.scale), _weights(profile, districts, None))
    leaning = _leaning(profile, seed, len(districts))
    ages = np.stack(
        [
            spread(count, _weights(profile, districts, _stage(age)) * leaning)
            for age, count in enumerate(_single_ages(profile, year))
        ]
    )
    shares = np.array(_BAND_SHARES)
    bands = np.stack([spread(int(rest), shares) for rest in totals - ages.sum(axis=0)], axis=1)
    return Population(year, ages, bands, _groups(ages, bands, year))


def _leaning(profile: Profile, seed: int, count: int) -> Floats:
    rng = np.random.default_rng(np.random.SeedSequence([seed, profile.number, 21]))
    return np.exp(rng.normal(0, 0.02, count))


def _weights(profile: Profile, districts: Sequence[Area], stage: int | None) -> Floats:
    weights = np.array([area.population if stage is None else area.learner_weight(stage) for area in districts])
    return np.asarray(weights**0.35 if profile.even else weights, dtype=np.float64)


def _stage(age: int) -> int | None:
    """Young residents live where the learners of their age are; adults do as all residents do."""
    bounds = ((6, PRESCHOOL), (12, PRIMARY), (15, JUNIOR), (18, SENIOR))
    return next((stage for bound, stage in bounds if age < bound), None)


def _between(ends: tuple[float, float], year: int) -> float:
    """Linear from 2020 to 2024, then level."""
    return ends[0] + (ends[1] - ends[0]) * min(year - 2020, 4) / 4


def _single_ages(profile: Profile, year: int) -> list[int]:
    """City totals of the ages 0 to 24; 3-5 and 15-17 are what the gross rates make of the learners."""
    children = round(profile.learners(PRESCHOOL, year) / _between(_PRESCHOOL_RATE, year))
    seniors = profile.learners(SENIOR, year) + profile.learners(VOCATIONAL, year)
    falling = 0.80 - 0.03 * (year - 2020)
    parts = (
        (round(children * falling), (0.31, 0.33, 0.36)),
        (children, (0.32, 0.33, 0.35)),
        (round(profile.learners(PRIMARY, year) / 0.996), (1.0, 1.01, 1.0, 0.99, 1.0, 1.0)),
        (round(profile.learners(JUNIOR, year) / 1.004), (1.0, 1.0, 1.0)),
        (round(seniors / _between(_SENIOR_RATE, year)), (1.0, 1.0, 0.99)),
        (round(2_380_000 / profile.scale), (1.05, 1.04, 1.02, 1.0, 0.98, 0.96, 0.95)),
    )
    return [count for total, shares in parts for count in spread(total, np.array(shares)).tolist()]


def _groups(ages: Ints, bands: Ints, year: int) -> tuple[Group, ...]:
    single, upper = ages.sum(axis=1), bands.sum(axis=1)
    adults = int(single[15:].sum() + upper.sum())
    working = int(single[16:].sum() + upper[: BANDS.index(60)].sum())
    return (
        Group(15, None, _attainment(adults, [level[2] for level in LEVELS], _YEARS_15[year])),
        Group(16, 59, _attainment(working, [level[3] for level in LEVELS], _YEARS_16_59[year])),
    )


def _attainment(people: int, shares: Sequence[float], mean: float) -> tuple[int, ...]:
    """People by level so that their years of schooling are ``mean`` to within one year over all of them."""
    counts = dict(zip([level[0] for level in LEVELS], spread(people, _tilted(shares, mean)).tolist(), strict=True))
    years = {level[0]: level[1] for level in LEVELS}
    missing = round(mean * people) - sum(counts[level] * years[level] for level in counts)
    # From primary to junior three years each, the rest from college to bachelor one year each.
    for count, lower, upper in ((missing // 3, "primary", "junior"), (missing % 3, "college", "bachelor")):
        counts[lower] -= count
        counts[upper] += count
    return tuple(counts.values())


def _tilted(shares: Sequence[float], mean: float) -> Floats:
    """The shares leaning towards more schooling, or less, until their mean is ``mean`` (found by halving)."""
    years = np.array([level[1] for level in LEVELS], dtype=np.float64)
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        weights = np.array(shares) * np.exp(middle * years)
        low, high = (middle, high) if (weights * years).sum() < mean * weights.sum() else (low, middle)
    return np.asarray(np.array(shares) * np.exp(low * years), dtype=np.float64)
