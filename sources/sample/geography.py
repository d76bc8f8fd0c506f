"""The 38 districts and counties and 市直属 as the sample city uses them: weights, group differences, codes for
birthplaces.

Belongs here: what tells one area from another in the model. Names, codes, groups and populations themselves come from
the seed ``dbt_project/seeds/area.csv``, which is their one home.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from sources.sample.profiles import JUNIOR, PRESCHOOL, PRIMARY, SENIOR, SPECIAL, VOCATIONAL
from sources.sample.vocab import words
from warehouse.errors import Fault
from warehouse.paths import project_root

CITY_CODE = "500000"
MUNICIPAL_KEY = "500000-direct"
# Two small counties hand in zips of real-form school workbooks instead of a collated list.
WORKBOOK_AREAS = ("500229", "500238")

GROUPS = ("G1", "G2", "G3")
_STAGES = (PRESCHOOL, PRIMARY, JUNIOR, SENIOR, VOCATIONAL, SPECIAL)
# Learners per resident relative to the city, by 一区两群 group (assumptions: the mountain districts have more
# children in compulsory schools, fewer in senior and vocational schools).
_LEARNER_FACTOR: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "G1": (1.00, 0.97, 0.96, 1.00, 1.05, 1.0),
        "G2": (0.98, 1.03, 1.05, 1.02, 0.92, 1.0),
        "G3": (1.05, 1.12, 1.14, 0.98, 0.88, 1.0),
    }
)
_SCHOOL_FACTOR: Mapping[str, float] = MappingProxyType({"G1": 0.92, "G2": 1.15, "G3": 1.25})
_PUBLIC_FACTOR: Mapping[str, float] = MappingProxyType({"G1": 0.94, "G2": 1.10, "G3": 1.22})
# Share of the city's learners of a stage in 市直属 schools.
_MUNICIPAL_SHARE = (0.003, 0.002, 0.012, 0.03, 0.17, 0.05)

# Chongqing codes no longer in use: the Sichuan codes of people registered before 1997 and codes of former counties. The
# 51xxxx codes are from memory and unconfirmed; an ID number is valid by its form and check character, not by this list.
_FORMER_CODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "500101": ("512221",),
        "500102": ("512301",),
        "500103": ("510202",),
        "500104": ("510203",),
        "500105": ("510205",),
        "500106": ("510206",),
        "500107": ("510207",),
        "500108": ("510208",),
        "500109": ("510209",),
        "500110": ("510223", "500222"),
        "500111": ("510230", "500225"),
        "500112": ("510224",),
        "500113": ("510222",),
        "500114": ("513521", "500239"),
        "500115": ("510221", "500221"),
        "500116": ("510225", "500381"),
        "500117": ("510226", "500382"),
        "500118": ("510229", "500383"),
        "500119": ("512323", "500384"),
        "500120": ("510232", "500227"),
        "500151": ("510228", "500224"),
        "500152": ("510227", "500223"),
        "500153": ("510231", "500226"),
        "500154": ("512222", "500234"),
        "500155": ("512224", "500228"),
        "500156": ("512326", "500232"),
        "500229": ("512229",),
        "500230": ("512324",),
        "500231": ("512322",),
        "500233": ("512223",),
        "500235": ("512225",),
        "500236": ("512226",),
        "500237": ("512227",),
        "500238": ("512228",),
        "500240": ("513522",),
        "500241": ("513523",),
        "500242": ("513524",),
        "500243": ("513525",),
        CITY_CODE: ("510200",),
    }
)
# One birthplace outside the city for each reporting area, so that no two areas can make up the same ID number.
_OUTSIDE_CODES = words(
    "510104 510105 510106 510107 510108 510302 510303 510304 510502 510503 510504 510521 510522 510702 510802 510902 "
    "511002 511102 511302 511303 511304 511321 511322 511402 511502 511602 511702 520102 520103 520302 520303 420502 "
    "420503 422801 422802 610102 610103 430102 430104"
)


@dataclass(frozen=True)
class Area:
    """A reporting area. ``code`` is what deliveries carry, ``key`` what the marts call it (they differ for 市直属)."""

    index: int
    code: str
    key: str
    name: str
    short: str
    group: str
    subgroup: str
    population: int
    ethnic: bool

    @property
    def municipal(self) -> bool:
        """True for 市直属, which belongs to no district and to no group."""
        return self.code == CITY_CODE

    @property
    def level(self) -> str:
        """``municipal`` or ``district``."""
        return "municipal" if self.municipal else "district"

    def learner_weight(self, stage: int) -> float:
        """Weight of the area among districts for learners of a stage."""
        return self.population * _LEARNER_FACTOR[self.group][stage]

    @property
    def school_factor(self) -> float:
        """Schools per learner relative to the city: mountain districts have more and smaller schools."""
        return _SCHOOL_FACTOR[self.group]

    @property
    def public_factor(self) -> float:
        """Leaning towards public kindergartens relative to the city."""
        return _PUBLIC_FACTOR[self.group]

    @property
    def birth_codes(self) -> tuple[str, str, str]:
        """Area parts of ID numbers of this area's people: current, former, outside the city; no two areas share one."""
        own = "500001" if self.municipal else self.code
        return own, _FORMER_CODES[self.code][-1], _OUTSIDE_CODES[self.index]

    @property
    def old_birth_code(self) -> str:
        """The area part people born before 1997 carry."""
        return _FORMER_CODES[self.code][0]


def municipal_share(stage: int) -> float:
    """Share of the city's learners of a stage who are in 市直属 schools."""
    return _MUNICIPAL_SHARE[stage]


@cache
def areas() -> tuple[Area, ...]:
    """38 districts by code, then 市直属.

    Raises:
        Fault: the seed is missing or does not list 38 districts.
    """
    path = project_root() / "dbt_project" / "seeds" / "area.csv"
    rows = [row for row in _read(path) if row["area_level"] == "district" and not _later(row)]
    rows.sort(key=lambda row: row["area_code"])
    if len(rows) != 38:
        raise Fault(f"{path.name} 应列出 38 个区县，实际 {len(rows)} 个", "请检查 dbt_project/seeds/area.csv")
    districts = [_district(index, row) for index, row in enumerate(rows)]
    municipal = Area(len(districts), CITY_CODE, MUNICIPAL_KEY, "市直属", "市直属", "", "", 0, ethnic=False)
    return (*districts, municipal)


def area_of(code: str) -> Area:
    """The area that reports under ``code``."""
    return next(area for area in areas() if area.code == code)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def _later(row: dict[str, str]) -> bool:
    """Areas that came into being after the years of the sample."""
    return row.get("valid_from", "") >= "2025-11"


def _district(index: int, row: dict[str, str]) -> Area:
    return Area(
        index=index,
        code=row["area_code"],
        key=row["area_code"],
        name=row["area_name_zh"],
        short=row["short_name_zh"],
        group=row["group_code"],
        subgroup=row.get("subgroup_zh", ""),
        population=int(row["population_2020"]),
        ethnic=bool(row.get("ethnic_area_zh", "")),
    )
