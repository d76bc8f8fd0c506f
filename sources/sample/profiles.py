"""How large a sample city is: totals, school counts and rates by year, for each profile.

Belongs here: the anchors of the synthetic city and the smooth path between them.
Does not belong here: how the totals are laid out over schools (``frame``), or any file layout.

Sources of the anchors. The 2020 learners are the baselines of the plan (渝府发〔2021〕37号, box 1); 2019 is the
published series of the statistics bureau (primary, junior, general senior, special; the others follow the same
slope); the public and the inclusive share of 2025 were published on 2025-10-20. The learners of 2025 are assumptions
in the range of what the published total of 639.8万 learners leaves once higher education is taken off.

Teachers: 40.9万 full-time teachers were published for all levels in 2025. About 5.3万 of them teach in higher
education, which is not part of the sample; the ratios below give about 35.6万 in the register, 0.87 of the published
number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from warehouse.errors import UsageError

STAGES = ("preschool", "primary", "junior", "senior_general", "senior_vocational", "special")
PRESCHOOL, PRIMARY, JUNIOR, SENIOR, VOCATIONAL, SPECIAL = range(6)

# 2019 is simulated as well, because flows (graduates) and the students at the beginning of a fiscal year need the
# year before.
MODEL_YEARS = tuple(range(2019, 2026))
SAMPLE_YEARS = MODEL_YEARS[1:]

# stage -> (2019, 2020, 2025, bend): bend > 1 puts most of the change late, < 1 early.
_LEARNERS: Mapping[str, tuple[int, int, int, float]] = MappingProxyType(
    {
        "preschool": (1_002_000, 1_008_000, 780_000, 1.5),
        "primary": (2_062_948, 2_024_700, 1_955_000, 1.3),
        "junior": (1_115_764, 1_149_600, 1_235_000, 0.9),
        "senior_general": (616_561, 626_400, 715_000, 1.0),
        "senior_vocational": (434_000, 441_400, 395_000, 1.2),
        "special": (25_362, 27_000, 27_600, 1.0),
    }
)
# rate -> (2020, 2025), linear between; 2019 is taken as 2020.
_RATES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "public_share": (0.5015, 0.5703),
        "inclusive_share": (0.883, 0.952),
        "large_class_chance_primary": (0.036, 0.004),
        "large_class_chance_junior": (0.042, 0.004),
        "large_class_chance_senior": (0.075, 0.008),
        "group_schooling": (0.60, 0.72),
        "district_schooling": (0.60, 0.97),
    }
)
# stage -> pupils to a full-time teacher (2020, 2025)
PUPILS_PER_TEACHER: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "preschool": (14.3, 10.8),
        "primary": (16.0, 15.9),
        "junior": (13.7, 13.6),
        "senior_general": (15.5, 14.9),
        "senior_vocational": (18.0, 15.3),
        "special": (22.0, 20.0),
    }
)


@dataclass(frozen=True)
class Breed:
    """One kind of school: how many stood in 2020, how many opened and closed from 2021 to 2025.

    ``stages`` are (stage, weight) pairs; weights are relative sizes within a stage.
    """

    key: str
    type_codes: tuple[str, ...]
    prefix: str
    organisers: tuple[tuple[str, float], ...]
    stages: tuple[tuple[int, float], ...]
    standing_2020: int
    opened: int
    closed: int
    rural: float
    municipal_2020: int = 0

    @property
    def standing_2025(self) -> int:
        """Number of schools of this kind in 2025, districts and 市直属 together."""
        return self.standing_2020 + self.municipal_2020 + self.opened - self.closed


@dataclass(frozen=True)
class Profile:
    """A size of sample city; ``scale`` divides every city total."""

    name: str
    number: int
    scale: float
    even: bool
    attached_share: float
    breeds: tuple[Breed, ...]

    def learners(self, stage: int, year: int) -> int:
        """Learners of a stage on 1 September of ``year`` in the whole city."""
        before, base, goal, bend = _LEARNERS[STAGES[stage]]
        gone: float = 0.0 if year < 2020 else ((year - 2020) / 5) ** bend
        start = before if year < 2020 else base
        return round((start + (goal - base) * gone) / self.scale)


def rate(name: str, year: int) -> float:
    """A city-wide rate in ``year`` (fraction, not percent)."""
    base, goal = _RATES[name]
    return base + (goal - base) * (max(year, 2020) - 2020) / 5


def pupils_per_teacher(stage: int, year: int) -> float:
    """Pupils to one full-time teacher of ``stage`` in the whole city."""
    base, goal = PUPILS_PER_TEACHER[STAGES[stage]]
    return base + (goal - base) * (max(year, 2020) - 2020) / 5


_STATE = (("811", 0.93), ("812", 0.04), ("814", 0.03))
_STATE_KINDERGARTEN = (("811", 0.72), ("812", 0.06), ("813", 0.05), ("814", 0.06), ("815", 0.01), ("816", 0.10))
_PRIVATE = (("999", 0.995), ("998", 0.005))
_MOSTLY_STATE = (("811", 0.88), ("812", 0.03), ("999", 0.09))
_PRIMARY_STATE = (("811", 0.955), ("812", 0.015), ("999", 0.03))
_VOCATIONAL = (("811", 0.55), ("812", 0.15), ("813", 0.05), ("999", 0.25))

_KINDERGARTEN = ((PRESCHOOL, 1.0),)
_CITY_BREEDS = (
    Breed("kg_public", ("111",), "11", _STATE_KINDERGARTEN, ((PRESCHOOL, 1.0),), 2242, 330, 250, 0.45, 8),
    Breed("kg_private", ("111",), "11", _PRIVATE, ((PRESCHOOL, 0.62),), 4140, 150, 1457, 0.40),
    Breed("primary", ("211",), "21", _PRIMARY_STATE, ((PRIMARY, 1.0),), 2856, 50, 320, 0.60, 4),
    Breed("teaching_point", ("218",), "21", (("811", 1.0),), ((PRIMARY, 0.04),), 820, 0, 340, 1.0),
    Breed("junior", ("311",), "31", _MOSTLY_STATE, ((JUNIOR, 1.0),), 610, 15, 40, 0.65),
    Breed("nine_year", ("312",), "31", _MOSTLY_STATE, ((PRIMARY, 0.8), (JUNIOR, 0.7)), 249, 40, 5, 0.55, 1),
    Breed("complete_middle", ("341",), "34", _MOSTLY_STATE, ((JUNIOR, 1.5), (SENIOR, 1.0)), 196, 9, 2, 0.25, 9),
    Breed("senior", ("342",), "34", _MOSTLY_STATE, ((SENIOR, 0.9),), 32, 7, 1, 0.2),
    Breed("twelve_year", ("345",), "34", _MOSTLY_STATE, ((PRIMARY, 0.9), (JUNIOR, 0.9), (SENIOR, 0.5)), 22, 6, 0, 0.15),
    Breed("vocational", ("361", "362", "365", "365"), "36", _VOCATIONAL, ((VOCATIONAL, 1.0),), 121, 2, 22, 0.15, 26),
    Breed("technician", ("366",), "36", (("812", 0.7), ("999", 0.3)), ((VOCATIONAL, 0.9),), 32, 2, 4, 0.1, 6),
    Breed("special", ("514", "513", "512", "514"), "51", (("811", 1.0),), ((SPECIAL, 1.0),), 37, 2, 0, 0.1, 2),
)
_SMALL_BREEDS = (
    Breed("kg_public", ("111",), "11", _STATE_KINDERGARTEN, ((PRESCHOOL, 1.0),), 41, 4, 2, 0.45, 1),
    Breed("kg_private", ("111",), "11", _PRIVATE, ((PRESCHOOL, 0.62),), 76, 3, 14, 0.40),
    Breed("primary", ("211",), "21", _PRIMARY_STATE, ((PRIMARY, 1.0),), 62, 2, 4, 0.60),
    Breed("teaching_point", ("218",), "21", (("811", 1.0),), ((PRIMARY, 0.12),), 12, 0, 5, 1.0),
    Breed("junior", ("311",), "31", _MOSTLY_STATE, ((JUNIOR, 1.0),), 20, 1, 1, 0.65),
    Breed("nine_year", ("312",), "31", _MOSTLY_STATE, ((PRIMARY, 0.8), (JUNIOR, 0.7)), 14, 2, 0, 0.55),
    Breed("complete_middle", ("341",), "34", _MOSTLY_STATE, ((JUNIOR, 1.3), (SENIOR, 1.0)), 30, 1, 0, 0.25, 1),
    Breed("senior", ("342",), "34", _MOSTLY_STATE, ((SENIOR, 0.9),), 5, 0, 0, 0.2),
    Breed("twelve_year", ("345",), "34", _MOSTLY_STATE, ((PRIMARY, 0.9), (JUNIOR, 0.9), (SENIOR, 0.5)), 3, 0, 0, 0.15),
    Breed("vocational", ("365", "361", "362"), "36", _VOCATIONAL, ((VOCATIONAL, 1.0),), 14, 0, 1, 0.15, 2),
    Breed("technician", ("366",), "36", (("812", 1.0),), ((VOCATIONAL, 0.9),), 4, 0, 0, 0.1, 1),
    Breed("special", ("514", "513", "512"), "51", (("811", 1.0),), ((SPECIAL, 1.0),), 6, 0, 0, 0.1, 1),
)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "city": Profile("city", 1, 1, even=False, attached_share=0.25, breeds=_CITY_BREEDS),
        "small": Profile("small", 2, 60, even=True, attached_share=0.25, breeds=_SMALL_BREEDS),
    }
)


_GROWN = re.compile(r"(\w+)-x([1-9]\d?)")


def profile_of(name: str) -> Profile:
    """The profile of that name; `small-x4` is `small` with four times the schools and four times every total.

    Raises:
        UsageError: there is no such profile.
    """
    grown = _GROWN.fullmatch(name)
    base = grown[1] if grown else name
    if base not in PROFILES:
        raise UsageError(f"没有名为“{name}”的样例城市规模", f"可选：{'、'.join(PROFILES)}")
    return _times(PROFILES[base], name, int(grown[2])) if grown else PROFILES[base]


def _times(profile: Profile, name: str, factor: int) -> Profile:
    breeds = tuple(
        replace(
            breed,
            standing_2020=breed.standing_2020 * factor,
            opened=breed.opened * factor,
            closed=breed.closed * factor,
            municipal_2020=breed.municipal_2020 * factor,
        )
        for breed in profile.breeds
    )
    return replace(profile, name=name, scale=profile.scale / factor, breeds=breeds)
