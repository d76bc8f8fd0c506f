"""Fiscal accounts of the sample city: what every district and the city's own level spend, by year.

Belongs here: the model, in whole hundreds of yuan (0.01万元), so that every sum is exact. Does not belong here: files
(``fiscal_files``).

Anchors: general budget spending and spending on education as published to 2019 (4848亿, 728亿), and government
education funds of 4184亿 over 2016 to 2020; what follows is assumed on the same slope, scaled like the learners of the
profile. Pay is assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from sources.sample.frame import Floats, Ints, spread
from sources.sample.geography import Area, areas
from sources.sample.profiles import Profile

# year -> 亿元: general budget, education in it, government education funds, recurrent revenue
_TOTALS: Mapping[int, tuple[float, float, float, float]] = MappingProxyType(
    {
        2020: (4_894.0, 754.0, 989.0, 3_010.0),
        2021: (4_985.0, 784.0, 1_036.0, 3_095.0),
        2022: (5_080.0, 812.0, 1_079.0, 3_170.0),
        2023: (5_260.0, 842.0, 1_122.0, 3_260.0),
        2024: (5_440.0, 873.0, 1_166.0, 3_350.0),
        2025: (5_620.0, 905.0, 1_211.0, 3_440.0),
    }
)
# Of the city's own level.
_OWN_SHARES = (0.27, 0.11, 0.16, 0.30)
_UNITS_OF_A_HUNDRED_MILLION = 1_000_000
AMOUNTS = (
    "general_budget_spending",
    "budget_education_spending",
    "education_operating",
    "capital_construction",
    "education_surcharge",
    "fiscal_education_funds",
    "education_appropriation",
    "recurrent_revenue",
)


@dataclass(frozen=True)
class Account:
    """One area's year: amounts in hundreds of yuan in the order of ``AMOUNTS``, average pay in yuan."""

    area: Area
    year: int
    amounts: tuple[int, ...]
    civil_servant_pay: int
    teacher_pay: int


def accounts(profile: Profile, seed: int, year: int) -> list[Account]:
    """The accounts of all districts, then of the city's own level; city totals are met exactly."""
    columns = [
        _split(profile, seed, round(total * _UNITS_OF_A_HUNDRED_MILLION / profile.scale), own, stream)
        for stream, (total, own) in enumerate(zip(_TOTALS[year], _OWN_SHARES, strict=True))
    ]
    budget, education, funds, revenue = columns
    construction, surcharge = education // 23, education // 16
    appropriation = education + education // 40
    table = np.stack(
        [
            budget,
            education,
            education - construction - surcharge,
            construction,
            surcharge,
            funds,
            appropriation,
            revenue,
        ],
        axis=1,
    )
    pay = _pay(profile, seed, year)
    return [
        Account(area, year, tuple(row), *levels)
        for area, row, levels in zip(areas(), table.tolist(), pay.tolist(), strict=True)
    ]


def _split(profile: Profile, seed: int, total: int, own: float, stream: int) -> Ints:
    """Over the districts by residents and means, and the city's own level."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, profile.number, 51, stream // 2]))
    people: Floats = np.array([area.population for area in areas() if not area.municipal], dtype=np.float64)
    weights = (people**0.35 if profile.even else people**0.85) * np.exp(rng.normal(0, 0.08, len(people)))
    share = weights / weights.sum() * (1 - own)
    return spread(total, np.append(share, own))


def _pay(profile: Profile, seed: int, year: int) -> Ints:
    """Average pay of civil servants and of teachers, which the law wants to be no less; a few districts miss it."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, profile.number, 52]))
    level = 112_000 * 1.021 ** (year - 2020)
    civil = level * np.exp(rng.normal(0, 0.05, len(areas())))
    ratio = 1.012 + rng.normal(0, 0.008, len(areas())) + 0.001 * (year - 2020)
    return np.asarray(np.rint(np.stack([civil, civil * ratio], axis=1)), dtype=np.int64)
