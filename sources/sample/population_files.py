"""The statistics bureau's page sets as the REST connector snapshots them: one JSON document an area, year and version.

Belongs here: documents, their versions, and the damage done to them. Does not belong here: how many people there are
(``population``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from sources.codelists import code_list
from sources.sample.damage import DamagedRow, choose, pick
from sources.sample.geography import CITY_CODE, areas
from sources.sample.population import BANDS, LEVELS, SINGLE_AGES, Population, population_of
from sources.sample.profiles import profile_of
from warehouse.files import canonical_json

FEED = "population"
Item = dict[str, Any]
# What the service says in Chinese for some districts, and in 万人: both are agreed spellings.
_CHINESE = {"age": "年龄", "residents": "常住人口", "unit": "单位", "published_on": "发布日期"}
_DAMAGE = {
    "population.not_a_number": ("residents", "约三千"),
    "population.negative": ("residents", -5),
    "population.bad_age": ("age", "幼儿"),
}


@dataclass(frozen=True)
class Key:
    """What a count is of: area, year, first and last age (None: open), and the level of attainment or ''."""

    area_code: str
    year: int
    first: int
    last: int | None
    level: str


@dataclass
class PopulationWritten:
    """What was written, and ``counts``: what is left of the versions that count, without damaged rows."""

    rows: int = 0
    damaged: list[DamagedRow] = field(default_factory=list)
    counts: dict[Key, int] = field(default_factory=dict)


def write_population(profile: str, years: Sequence[int], seed: int, dirt: float, folder: Path) -> PopulationWritten:
    """Write the documents of the years."""
    written = PopulationWritten()
    number = profile_of(profile).number
    for year in years:
        model = population_of(profile_of(profile), seed, year)
        for place, (version, day, factor) in enumerate(_versions(year)):
            for code, counts in _documents(model, factor).items():
                rng = np.random.default_rng(np.random.SeedSequence([seed, number, 22, int(code), year, place]))
                lost = _document(folder, counts, Edition(code, year, version, day), rng, dirt)
                _note(written, counts, lost)
    return written


@dataclass(frozen=True)
class Edition:
    """Which document: area, year, version and day of publication."""

    code: str
    year: int
    version: str
    day: str


def _document(
    folder: Path, counts: dict[Key, int], edition: Edition, rng: np.random.Generator, dirt: float
) -> dict[int, DamagedRow]:
    """Write one document; returns its damaged rows by place."""
    items = [_item(key, count) | {"published_on": edition.day} for key, count in counts.items()]
    chinese = int(edition.code) % 7 == 3
    if chinese:
        items = [_in_ten_thousands(item) for item in items]
    lost = _damage(rng, items, dirt)
    if chinese:
        items = [{_CHINESE[name]: value for name, value in item.items()} for item in items]
    name = f"population_{edition.year}_{edition.code}_{edition.version}.json"
    document = {"area": edition.code, "items": items, "version": edition.version, "year": edition.year}
    (folder / name).write_bytes(canonical_json(document) + b"\n")
    return {
        row: DamagedRow(FEED, name, "", "", row + 1, rule, "damage", edition.code, edition.year)
        for row, rule in lost.items()
    }


def _note(written: PopulationWritten, counts: dict[Key, int], lost: dict[int, DamagedRow]) -> None:
    """Note what counts now: a later version replaces the one before as a whole."""
    written.rows += len(counts)
    written.damaged += lost.values()
    kept = {key: count for row, (key, count) in enumerate(counts.items()) if row not in lost}
    written.counts = {key: value for key, value in written.counts.items() if key not in counts} | kept


def _versions(year: int) -> tuple[tuple[str, str, float], ...]:
    """(version, day of publication, factor on the residents that count), the one that counts last.

    The figures of 2020 were first estimated on the base of the census before and revised when the new one was known.
    """
    final = ("final", f"{year + 1}-03-25", 1.0)
    if year == 2020:
        return ("final", "2021-03-25", 0.981), ("census_revised", "2021-05-20", 1.0)
    return (("preliminary", f"{year + 1}-02-10", 0.998), final) if year == 2025 else (final,)


def _documents(model: Population, factor: float) -> dict[str, dict[Key, int]]:
    """Counts by area: the residents of every district, and of the city its attainment tables."""
    found: dict[str, dict[Key, int]] = {}
    firsts = [*range(SINGLE_AGES), *BANDS]
    residents = np.rint(np.concatenate([model.ages, model.bands]) * factor).astype(np.int64)
    for column, area in enumerate(area for area in areas() if not area.municipal):
        found[area.code] = {
            Key(area.code, model.year, first, _last(first), ""): count
            for first, count in zip(firsts, residents[:, column].tolist(), strict=True)
        }
    found[CITY_CODE] = {
        Key(CITY_CODE, model.year, group.first, group.last, level[0]): count
        for group in model.groups
        for level, count in zip(LEVELS, group.counts, strict=True)
    }
    return found


def _last(first: int) -> int | None:
    if first < SINGLE_AGES:
        return first
    return None if first == BANDS[-1] else first + 4


def _item(key: Key, count: int) -> Item:
    if not key.level:
        return {"age": _label(key), "residents": count, "unit": "人"}
    level = code_list("attainment").labels[key.level]
    return {"age_group": _label(key), "attainment": level, "residents": count, "unit": "人"}


def _label(key: Key) -> str:
    if key.last is None:
        return f"{key.first}岁及以上"
    return str(key.first) if key.first == key.last else f"{key.first}-{key.last}"


def _damage(rng: np.random.Generator, items: list[Item], dirt: float) -> dict[int, str]:
    """Spoil some items in place; returns the rule by row."""
    lost: dict[int, str] = {}
    for row in pick(rng, len(items), dirt):
        rule = choose(rng, tuple(_DAMAGE))
        name, value = _DAMAGE[rule]
        items[row][name if name in items[row] else "age_group"] = value
        lost[row] = rule
    return lost


def _in_ten_thousands(item: Item) -> Item:
    """The item in 万人, exactly."""
    return item | {"residents": float(Decimal(item["residents"]) / 10_000), "unit": "万人"}
