"""Names of the sample's schools: unique within an area, put together from word lists.

Only the making of school names belongs here; personal names are made in ``people``.
"""

import numpy as np
import numpy.typing as npt

from sources.sample.geography import areas
from sources.sample.profiles import Profile
from sources.sample.vocab import KINDERGARTEN_WORDS, SCHOOL_WORDS, TOWN_HEADS, TOWN_TAILS

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

_SUFFIX = {
    "kg_public": "幼儿园",
    "kg_private": "幼儿园",
    "primary": "小学校",
    "teaching_point": "村小学",
    "junior": "初级中学校",
    "nine_year": "九年制学校",
    "complete_middle": "中学校",
    "senior": "高级中学校",
    "twelve_year": "学校",
    "vocational": "职业教育中心",
    "technician": "技工学校",
    "special": "特殊教育学校",
}
_DIGITS = ("", "一", "二", "三", "四", "五", "六", "七", "八", "九")
# Up to the ninety-ninth of a name: eight cities' schools in one need more than ten.
_ORDINALS = (
    "",
    *(f"第{digit}" for digit in _DIGITS[2:]),
    *(f"第{ten if ten != '一' else ''}十{digit}" for ten in _DIGITS[1:] for digit in _DIGITS),
)


def town_names(area_index: int) -> tuple[str, ...]:
    """Thirty made-up towns of an area; the same for every seed, because address codes point at them."""
    rng = np.random.default_rng(np.random.SeedSequence([20210, area_index]))
    picks = rng.permutation(len(TOWN_HEADS) * len(TOWN_TAILS))[:31]
    return tuple(TOWN_HEADS[pick // len(TOWN_TAILS)] + TOWN_TAILS[pick % len(TOWN_TAILS)] for pick in picks)


def name_schools(
    profile: Profile, breed: Ints, area: Ints, urban: Texts, *, town: Ints, rng: np.random.Generator
) -> tuple[Texts, Texts]:
    """(name, name after a renaming) of every school; both are unique within their area."""
    words = rng.integers(0, 1000, (len(breed), 2))
    towns = [town_names(index) for index in range(len(areas()))]
    taken: dict[int, set[str]] = {}
    names = np.empty((2, len(breed)), dtype=object)
    for row in range(len(breed)):
        key = profile.breeds[breed[row]].key
        place = areas()[area[row]].name + _quarter(towns[area[row]][town[row]], urban[row], key, town[row] % 3 == 0)
        for form in (0, 1):
            names[form, row] = _free(place, key, int(words[row, form]), taken.setdefault(int(area[row]), set()))
    return names[0], names[1]


def _quarter(town: str, urban: str, key: str, township: bool) -> str:
    """Town or quarter within the district; city schools other than kindergartens go without."""
    if urban.startswith("2"):
        return town + ("乡" if township else "镇")
    if urban.startswith("12"):
        return town + "镇"
    return town if key.startswith("kg") else ""


def _free(place: str, key: str, pick: int, taken: set[str]) -> str:
    """The first free combination of place, word and ordinal."""
    words = KINDERGARTEN_WORDS if key.startswith("kg") else SCHOOL_WORDS
    for step in range(len(words) * len(_ORDINALS)):
        word = words[(pick + step) % len(words)]
        ordinal = _ORDINALS[step // len(words)]
        name = f"{place}{word}{ordinal}{_SUFFIX[key]}"
        if name not in taken:
            taken.add(name)
            return name
    raise ValueError(f"no free school name left in {place}")
