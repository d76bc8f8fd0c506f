"""Good deliveries of the flat feeds, and for every rule of each a delivery that breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Build = Callable[[], bytes]
Row = dict[str, Any]


def document(head: Row, items: list[Any]) -> bytes:
    return json.dumps({**head, "items": items}, ensure_ascii=False).encode()


# -- population -------------------------------------------------------------------------------------------------------

POPULATION_HEAD: Row = {"area": "500103", "year": 2023, "version": "final"}


def residents() -> list[Row]:
    ages: list[Row] = [{"age": str(age), "residents": 4000 + age, "unit": "人"} for age in range(3)]
    return [*ages, {"age": "65岁及以上", "residents": 99_000, "unit": "人"}]


def attainment() -> list[Row]:
    base = {"area": "500000", "year": 2023, "version": "正式", "published_on": "2024年3月25日"}
    return [
        base | {"age_group": "15岁及以上", "attainment": "小学", "residents": "1000"},
        base | {"age_group": "16-59", "attainment": "大学本科", "residents": "2,000"},
    ]


def population(change: Row | None = None, *, head: Row | None = None, drop: str = "") -> Build:
    """The residents with the first item changed; a value of None takes the key away."""

    def build() -> bytes:
        items = residents()
        items[0] = {name: value for name, value in (items[0] | (change or {})).items() if value is not None}
        kept = [{name: value for name, value in item.items() if name != drop} for item in items]
        return document(POPULATION_HEAD | (head or {}), kept)

    return build


POPULATION_GOOD: list[Build] = [
    population(),
    lambda: document({}, attainment()),
    lambda: document(POPULATION_HEAD | {"area": "渝中区", "version": "普查修订"}, residents()),
]
POPULATION_BAD: dict[str, Build] = {
    "population.unreadable": lambda: b'{"items": [',
    "population.no_rows": lambda: document(POPULATION_HEAD, []),
    "population.missing_column": population(drop="residents"),
    "population.duplicate_column": population({"人数": 1}),
    "population.unknown_area": population(head={"area": "某某区"}),
    "population.unknown_year": population(head={"year": "去年"}),
    "population.unknown_part": population(head={"version": "草稿"}),
    "population.unknown_header": population({"colour": "red"}),
    "population.bad_row": lambda: document(POPULATION_HEAD, [*residents(), ["3", 5]]),
    "population.missing_required": population({"residents": ""}),
    "population.bad_area": lambda: document(POPULATION_HEAD, [item | {"area": "某某区"} for item in residents()[:1]]),
    "population.wrong_area": lambda: document(POPULATION_HEAD, [item | {"area": "500105"} for item in residents()[:1]]),
    "population.wrong_year": lambda: document(POPULATION_HEAD, [item | {"year": "2022"} for item in residents()[:1]]),
    "population.wrong_part": lambda: document(
        POPULATION_HEAD, [item | {"version": "初步"} for item in residents()[:1]]
    ),
    "population.unknown_code": lambda: document({}, [attainment()[0], attainment()[1] | {"attainment": "自学成才"}]),
    "population.bad_date": population({"published_on": "20240230"}),
    "population.bad_age": population({"age": "幼儿"}),
    "population.not_a_number": population({"residents": "约三千"}),
    "population.negative": population({"residents": -1}),
    "population.not_whole": population({"residents": "1.23456", "unit": "万人"}),
    "population.unknown_unit": population({"unit": "元"}),
    "population.unit_converted": population({"residents": "0.4", "unit": "万人"}),
    "population.duplicate_key": population({"age": "1岁"}),
}

FLAT_GOOD: dict[str, list[Build]] = {"population": POPULATION_GOOD}
FLAT_BAD: dict[str, dict[str, Build]] = {"population": POPULATION_BAD}
