"""The school profile (form 1001) of the sample's schools in a year, by the field names of the contract.

Only the values of the profile belong here; where a layout shows them is in the contract and in the writers.
"""

import numpy as np

from sources.codelists import code_list
from sources.sample.census import DistrictYear
from sources.sample.geography import areas
from sources.sample.naming import town_names
from sources.sample.profiles import rate

_GRADES = ("model", "grade1", "grade2", "grade3", "ungraded")
_GRADES_2020 = np.cumsum([0.05, 0.17, 0.38, 0.30])
_COMPULSORY = ("211", "311", "312", "341", "345")


def school_profiles(world: DistrictYear) -> dict[int, dict[str, str]]:
    """School index -> profile field -> text as a form shows it ('' where the field does not apply)."""
    schools, year = world.frame.schools, world.year
    names, organisers = schools.names(year), schools.organisers(year)
    profiles: dict[int, dict[str, str]] = {}
    for index in world.schools.tolist():
        kind, organiser, urban = schools.type_code[index], organisers[index], schools.urban[index]
        place = _address_area(world, index)
        profiles[index] = {
            "school_code": schools.code[index],
            "school_name": names[index],
            "school_type_zh": code_list("school_type").labels[kind],
            "school_type_code": kind,
            "organiser_zh": code_list("organiser").labels[organiser],
            "organiser_code": organiser,
            "urban_rural_zh": code_list("urban_rural").labels[urban],
            "urban_rural_code": urban,
            "address_zh": f"重庆市{areas()[place].name}{town_names(place)[schools.town[index]]}镇",
            "address_code": f"{areas()[place].code}{100 + int(schools.town[index]):03d}{1 + index % 20:03d}",
            "authority_zh": "重庆市教育委员会" if world.area.municipal else f"{world.area.name}教育委员会",
            "authority_code": f"{world.area.code}000000",
            **_judgements(world, index, str(kind), str(organiser)),
        }
    return profiles


def _address_area(world: DistrictYear, index: int) -> int:
    """Schools of 市直属 stand in one of the nine central districts; all others in their own."""
    if not world.area.municipal:
        return world.area.index
    centre = [area.index for area in areas() if area.subgroup == "中心城区"]
    return centre[index % len(centre)]


def _judgements(world: DistrictYear, index: int, kind: str, organiser: str) -> dict[str, str]:
    """Grade of a kindergarten, recognition as inclusive, group and district schooling, ethnic school."""
    schools, year = world.frame.schools, world.year
    luck = float(schools.luck[index])
    kindergarten, compulsory = kind == "111", kind in _COMPULSORY
    labels = code_list("kindergarten_grade").labels
    step = 0.015 * (year - 2020)
    grade = _GRADES[int(np.searchsorted(_GRADES_2020 + step, luck, side="right"))]
    inclusive = organiser == "999" and schools.inclusive_from[index] <= year
    return {
        "kindergarten_grade": labels[grade] if kindergarten else "",
        "inclusive_private": _yes(inclusive) if kindergarten and organiser in ("999", "998") else "",
        "group_schooling": _yes((luck * 3.7) % 1 < rate("group_schooling", year)) if compulsory else "",
        "district_schooling": _yes((luck * 5.3) % 1 < rate("district_schooling", year)) if compulsory else "",
        "ethnic_school": _yes(world.area.ethnic and (luck * 7.9) % 1 < 0.3),
    }


def _yes(value: bool) -> str:
    return "是" if value else "否"
