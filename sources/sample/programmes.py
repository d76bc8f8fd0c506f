"""Recognition decisions of the sample city: what is granted and withdrawn for each statement that the register counts.

Belongs here: the events, made up from the plan registry's own targets. Does not belong here: messages and files
(``programme_files``). All objects are made up but the districts, whose decisions are made up as well.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

import numpy as np

from sources.codelists import code_list
from sources.sample.geography import CITY_CODE, areas
from sources.sample.vocab import SCHOOL_WORDS
from warehouse.registry import load
from warehouse.statement import Statement

LAST_CATALOGUE_YEAR = 2020
LAST_YEAR = 2025
# What a statement counts, by what its indicator is called; the first that fits.
_KINDS = (
    ("区县", "district"),
    ("专业", "major"),
    ("课程", "course"),
    ("学科|学位", "discipline"),
    ("团队|群体", "team"),
    ("教师等|人才", "person"),
    ("奖", "award"),
    ("平台|中心|装置|实验室|科研机构", "platform"),
    ("基地|园|学院|工作室|智库|机构", "base"),
    ("校|高职|大学", "school"),
)
# Shares of districts or schools are recognised one by one; this is how many there are to be recognised.
_DISTRICTS, _SCHOOLS = 38, 240
_NO_TARGET = 8
_BATCH = 100
_PROJECTS_A_YEAR = 12


@dataclass(frozen=True)
class Event:
    """One decision. ``target`` is a statement of the registry or a project code."""

    event_id: str
    target: str
    object_kind: str
    object_code: str
    object_name: str
    area_code: str
    level: str
    quantity: int
    decision: str
    decided_on: str
    document_no: str

    @property
    def year(self) -> int:
        """The year of the decision."""
        return int(self.decided_on[:4])

    @property
    def net(self) -> int:
        """What the decision adds to what is recognised."""
        return self.quantity if self.decision == "granted" else -self.quantity


@dataclass(frozen=True)
class Tally:
    """What stands recognised for a target at the end of a year, granted and not yet withdrawn: the quantity of all
    decisions, of those since 2016 and since 2021, and how many different objects have a code."""

    standing: int
    since_2016: int
    since_2021: int
    objects: int


def tally(made: Sequence[Event], target: str, year: int) -> Tally:
    """Count a target's decisions up to the end of a year; a withdrawal takes back the grant of the same number.

    Persons are handed in without a name or code, so nothing tells which grant of theirs is withdrawn: a withdrawal
    takes its number off the year it falls in.
    """
    own = [event for event in made if event.target == target and event.year <= year]
    withdrawn = {event.event_id[:-1] for event in own if event.decision == "withdrawn"}
    standing = [event for event in own if event.decision == "granted" and event.event_id[:-1] not in withdrawn]
    counting = [event for event in own if event.object_kind == "person"]
    counting += [event for event in standing if event.object_kind != "person"]

    def since(first: int) -> int:
        return sum(event.net for event in counting if event.year >= first)

    objects = {event.object_code for event in standing if event.object_code}
    return Tally(since(0), since(2016), since(2021), len(objects))


def counted() -> list[Statement]:
    """The statements of the registry that recognition decisions count for."""
    return [statement for statement in load() if "programme_register" in statement.data_source]


@cache
def events(seed: int) -> tuple[Event, ...]:
    """All decisions up to the last year, by day and number."""
    found = [event for number, statement in enumerate(counted()) for event in _of_statement(seed, number, statement)]
    found += _of_projects(seed)
    return tuple(sorted(found, key=lambda event: (event.decided_on, event.event_id)))


@dataclass(frozen=True)
class _Series:
    """What a statement's decisions have in common."""

    number: int
    target: str
    kind: str
    name: str
    level: str
    before: int
    total: int


def _of_statement(seed: int, number: int, statement: Statement) -> Iterator[Event]:
    rng = np.random.default_rng(np.random.SeedSequence([seed, 41, number]))
    kind = _kind(statement)
    before, goal = _counts(statement, kind)
    total = before + round(goal * float(rng.uniform(0.85, 1.12)))
    total = min(total, _DISTRICTS) if kind == "district" else total
    level = "national" if re.search("国家|教育部|国内", statement.indicator_zh) else "municipal"
    series = _Series(number, statement.id, kind, statement.indicator_zh, level, min(before, total), total)
    size = _BATCH if kind == "person" else 1
    places = rng.permutation(_DISTRICTS)
    for at, first in enumerate(range(0, total, size)):
        granted = _granted(
            series, at, min(size, total - first), _year(series, first, rng), int(places[at % _DISTRICTS])
        )
        yield granted
        if kind != "district" and granted.year < LAST_YEAR and rng.random() < 0.015:
            yield _withdrawn(granted)


def _kind(statement: Statement) -> str:
    """What is recognised: a district where the statement counts by district, else what its indicator names."""
    if "以区县为单位" in statement.scope:
        return "district"
    return next((kind for pattern, kind in _KINDS if re.search(pattern, statement.indicator_zh)), "project")


def _counts(statement: Statement, kind: str) -> tuple[int, int]:
    """(recognised before 2021, to be recognised from then on)."""
    whole = {"district": _DISTRICTS}.get(kind, _SCHOOLS)
    goal = statement.value_low if statement.value_low is not None else Decimal(_NO_TARGET)
    wanted = int(goal * whole / 100) if statement.unit_zh == "%" else int(goal)
    if statement.kind == "baseline_fact":
        return wanted, 0
    baseline = re.match(r"\d+$", statement.baseline_2020)
    before = min(int(baseline[0]), wanted) if baseline and statement.unit_zh != "%" else 0
    return before, wanted - before


def _year(series: _Series, first: int, rng: np.random.Generator) -> int:
    """Old ones at any time before 2021, new ones evenly over the five years."""
    if first < series.before:
        return int(rng.integers(2016, LAST_CATALOGUE_YEAR + 1))
    share = (first - series.before) / max(series.total - series.before, 1)
    return LAST_CATALOGUE_YEAR + 1 + int(share * 5)


def _granted(series: _Series, at: int, quantity: int, year: int, place: int) -> Event:
    area = areas()[place]
    code, name = f"{series.number:03d}{at + 1:04d}", f"样例{SCHOOL_WORDS[at % len(SCHOOL_WORDS)]}{at + 1}"
    if series.kind == "district":
        code, name = area.code, area.name
    return Event(
        event_id=f"R{series.number:03d}-{at + 1:04d}-G",
        target=series.target,
        object_kind=series.kind,
        object_code=code,
        object_name=name,
        # A seventh belongs to the city's own institutions.
        area_code=CITY_CODE if series.kind != "district" and at % 7 == 3 else area.code,
        level=series.level,
        quantity=quantity,
        decision="granted",
        decided_on=_day(year, series.number * 31 + at * 17),
        document_no=f"样例教发〔{year}〕{series.number + 1}号",
    )


def _withdrawn(granted: Event) -> Event:
    year = granted.year + 1
    return replace(
        granted,
        event_id=f"{granted.event_id[:-1]}W",
        decision="withdrawn",
        decided_on=f"{year}{granted.decided_on[4:]}",
        document_no=f"样例教发〔{year}〕撤{granted.event_id[1:4]}号",
    )


def _day(year: int, draw: int) -> str:
    return f"{year}-{draw % 12 + 1:02d}-{draw % 28 + 1:02d}"


def _of_projects(seed: int) -> Iterator[Event]:
    """Projects that are counted under their own code and not under a statement."""
    labels = code_list("recognition_object").labels
    for year in range(LAST_CATALOGUE_YEAR + 1, LAST_YEAR + 1):
        rng = np.random.default_rng(np.random.SeedSequence([seed, 42, year]))
        for at in range(_PROJECTS_A_YEAR):
            series = _Series(
                900 + year % 100, f"YLXM-{year}-{at + 1:03d}", "project", labels["project"], "municipal", 0, 1
            )
            yield _granted(series, at, 1, year, int(rng.integers(0, _DISTRICTS)))
