"""Higher education of the sample city: institutions, their students by level and discipline, their teachers by title.

Belongs here: the model. Does not belong here: objects (``higher_files``).

Anchors, in persons. Undergraduates (普通本专科): the published series 2020 to 2024, met exactly; their entrants and
graduates, and the number of institutions, likewise. Postgraduates: 8.31万 in 2020 (the plan) and 11.7万 in 2024
(published on 2025-10-20). The total of 111万 in 2020 is the plan's. Everything else is assumed. Codes 99001 and
following are given to no real institution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from sources.codelists import code_list
from sources.sample.frame import Floats, Ints, spread
from sources.sample.profiles import Profile
from sources.sample.vocab import SCHOOL_WORDS

_UNDERGRADUATES: Mapping[int, tuple[int, int, int]] = MappingProxyType(
    # year -> (students, entrants, graduates)
    {
        2020: (915_600, 273_900, 211_600),
        2021: (1_002_700, 296_800, 215_800),
        2022: (1_066_100, 295_500, 271_000),
        2023: (1_100_200, 283_000, 299_400),
        2024: (1_127_900, 301_700, 317_000),
        2025: (1_150_000, 305_000, 320_000),
    }
)
_POSTGRADUATES: Mapping[int, int] = MappingProxyType(
    {2020: 83_100, 2021: 91_000, 2022: 99_500, 2023: 108_200, 2024: 117_000, 2025: 121_500}
)
_OTHERS: Mapping[int, int] = MappingProxyType(
    {2020: 111_300, 2021: 122_000, 2022: 133_000, 2023: 144_000, 2024: 155_100, 2025: 161_000}
)
_INSTITUTIONS: Mapping[int, int] = MappingProxyType({2020: 68, 2021: 69, 2022: 70, 2023: 72, 2024: 73, 2025: 73})
_SMALL_INSTITUTIONS = 6
_TEACHERS = (47_000, 53_000)
# Of full-time teachers: those of professional courses, and dual-qualified ones in 2020 and 2025 (vocational colleges).
_PROFESSIONAL_SHARE, _DUAL_SHARE = 0.72, (0.505, 0.575)
_TITLE_SHARES = (0.13, 0.29, 0.37, 0.13, 0.03, 0.05)
_LEVEL_SHARES: Mapping[str, tuple[tuple[str, float], ...]] = MappingProxyType(
    {
        "postgraduate": (("doctor", 0.12), ("master", 0.88)),
        "undergraduate": (("bachelor", 0.56), ("college", 0.44)),
        "other": (("adult", 0.72), ("online", 0.20), ("self_study", 0.08)),
    }
)
# Relative weight of each discipline; those not named weigh one.
_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"07": 3.5, "08": 16, "09": 1.5, "10": 4, "11": 0, "12": 8, "14": 0.2, "46": 5, "51": 7, "52": 5, "53": 6, "57": 4}
)
MAJORS_FROM = 41


@dataclass(frozen=True)
class Institution:
    """One made-up institution."""

    code: str
    name: str
    kind: str

    @property
    def vocational(self) -> bool:
        """True for vocational colleges and vocational universities."""
        return self.kind != "university"


@dataclass(frozen=True)
class Students:
    """A row of an institution's students: (level, discipline) and three counts."""

    level: str
    discipline: str
    entrants: int
    enrolled: int
    graduates: int


@dataclass(frozen=True)
class Teachers:
    """A row of an institution's teachers; ``professional`` and ``dual`` are None where they are not asked for."""

    title: str
    full_time: int
    professional: int | None
    dual: int | None


@dataclass(frozen=True)
class HigherYear:
    """Students and teachers of every institution in a year."""

    year: int
    students: Mapping[Institution, list[Students]]
    teachers: Mapping[Institution, list[Teachers]]


@cache
def institutions() -> tuple[Institution, ...]:
    """All institutions in the order in which they came into being."""
    found: list[Institution] = []
    for number in range(max(_INSTITUTIONS.values())):
        kind = "university" if number % 5 in {0, 3} else "vocational_college"
        kind = "vocational_university" if number % 24 == 4 else kind
        ending = {"university": "大学", "vocational_college": "职业学院", "vocational_university": "职业技术大学"}[kind]
        word = SCHOOL_WORDS[number % len(SCHOOL_WORDS)]
        found.append(Institution(f"{99001 + number}", f"样例{word}{number + 1:02d}{ending}", kind))
    return tuple(found)


def standing(profile: Profile, year: int) -> tuple[Institution, ...]:
    """The institutions of a year; a small city has but a few."""
    return institutions()[: _SMALL_INSTITUTIONS if profile.even else _INSTITUTIONS[year]]


def higher_year(profile: Profile, seed: int, year: int) -> HigherYear:
    """Students and teachers of a year; city totals are met exactly."""
    places = standing(profile, year)
    students: dict[Institution, list[Students]] = {place: [] for place in places}
    head, entrants, graduates = _UNDERGRADUATES[year]
    totals = {
        "postgraduate": (_POSTGRADUATES[year], _POSTGRADUATES[year] * 34 // 100, _POSTGRADUATES[year] * 27 // 100),
        "undergraduate": (head, entrants, graduates),
        "other": (_OTHERS[year], _OTHERS[year] * 40 // 100, _OTHERS[year] * 33 // 100),
    }
    for group, numbers in totals.items():
        scaled = [round(number / profile.scale) for number in numbers]
        _add(students, _places_of(places, group), group, scaled, seed)
    return HigherYear(year, students, _teachers(profile, places, students, year))


def _places_of(places: tuple[Institution, ...], group: str) -> dict[str, list[Institution]]:
    """Who teaches at each level of a group: postgraduates at every second university, colleges in vocational ones."""
    universities = [place for place in places if not place.vocational]
    bachelors = [place for place in places if place.kind != "vocational_college"]
    colleges = [place for place in places if place.vocational]
    by_group: dict[str, list[list[Institution]]] = {
        "postgraduate": [universities[::4], universities[::2]],
        "undergraduate": [bachelors, colleges],
        "other": [universities, universities[::2], universities[::3]],
    }
    levels = [level for level, _ in _LEVEL_SHARES[group]]
    return dict(zip(levels, by_group[group], strict=True))


def _add(
    students: dict[Institution, list[Students]],
    places: Mapping[str, list[Institution]],
    group: str,
    totals: list[int],
    seed: int,
) -> None:
    """Split the totals of a group over levels, institutions and disciplines."""
    keys: list[tuple[Institution, str, str]] = []
    weights: list[float] = []
    for level, share in _LEVEL_SHARES[group]:
        own = [(place, code) for place in places[level] for code in _disciplines(level)]
        mass = np.array([_weight(place, code, seed) for place, code in own])
        keys += [(place, level, code) for place, code in own]
        weights += (share * mass / mass.sum()).tolist()
    enrolled = spread(totals[0], np.array(weights))
    flows = [_flow(total, enrolled) for total in totals[1:]]
    for (place, level, code), count, came, left in zip(
        keys, enrolled.tolist(), flows[0].tolist(), flows[1].tolist(), strict=True
    ):
        if count:
            students[place].append(Students(level, code, came, count, left))


def _flow(total: int, enrolled: Ints) -> Ints:
    """Entrants or graduates in proportion to students, never more than there are."""
    return np.minimum(spread(total, enrolled.astype(np.float64)), enrolled)


def _disciplines(level: str) -> list[str]:
    """Colleges teach groups of majors (专业大类), all others disciplines (学科门类)."""
    codes = [code for code in code_list("discipline").labels if _WEIGHTS.get(code, 1.0) > 0]
    return [code for code in codes if (int(code) >= MAJORS_FROM) == (level == "college")]


def _weight(place: Institution, code: str, seed: int) -> float:
    """How much an institution teaches a discipline: the same in every year, a third of them not at all."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 31, int(place.code), int(code)]))
    draw, size = rng.random(), float(np.exp(rng.normal(0, 0.4)))
    return 0.0 if draw < 0.33 and code not in {"08", "46"} else size * _WEIGHTS.get(code, 1.0)


def _teachers(
    profile: Profile, places: tuple[Institution, ...], students: Mapping[Institution, list[Students]], year: int
) -> dict[Institution, list[Teachers]]:
    gone = (year - 2020) / 5
    total = round((_TEACHERS[0] + (_TEACHERS[1] - _TEACHERS[0]) * gone) / profile.scale)
    weights: Floats = np.array([sum(row.enrolled for row in students[place]) for place in places], dtype=np.float64)
    dual = _DUAL_SHARE[0] + (_DUAL_SHARE[1] - _DUAL_SHARE[0]) * gone
    titles = list(code_list("title").labels)
    found: dict[Institution, list[Teachers]] = {}
    for place, count in zip(places, spread(total, weights).tolist(), strict=True):
        rows = zip(titles, spread(count, np.array(_TITLE_SHARES)).tolist(), strict=True)
        found[place] = [
            Teachers(
                title,
                number,
                round(number * _PROFESSIONAL_SHARE) if place.vocational else None,
                round(number * dual) if place.vocational else None,
            )
            for title, number in rows
        ]
    return found
