"""Code lists and areas: what a label or code that somebody wrote means.

What belongs here: reading the seeds `code_*.csv`, `area*.csv` of the dbt project and looking things up in them. What
does not: the lists themselves (the seeds are their one home) and the decision what an unknown label does to a row.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

from sources.labels import plain
from warehouse.errors import Fault
from warehouse.paths import project_root
from warehouse.registry import load as load_registry

CITY: Final = "500000"
_REPORTING_LEVELS: Final = ("city", "district")
_CITY_NAMES: Final = ("重庆市", "重庆")


@dataclass(frozen=True)
class CodeList:
    """One list: codes in order with their Chinese labels, and every known spelling of each."""

    name: str
    labels: dict[str, str]
    spellings: dict[str, str]
    extras: dict[str, dict[str, str]]

    def find(self, text: str) -> str | None:
        """The code for a code, label or alias, in any width and with blanks; None when unknown."""
        return self.spellings.get(_spelling(text))


def _spelling(text: str) -> str:
    return plain(text).lower()


def _rows(seeds: Path, name: str) -> Iterator[dict[str, str]]:
    path = seeds / f"{name}.csv"
    if not path.is_file():
        raise Fault(f"找不到代码表 {path.name}。", "请确认项目目录完整（dbt_project/seeds）。")
    with path.open(encoding="utf-8", newline="") as handle:
        yield from csv.DictReader(handle)


def _project() -> str:
    """What decides where the seeds are; part of every cache's key, and cheap enough to be asked for each value."""
    return os.environ.get("EDUPLAN_PROJECT", "")


def _seeds() -> Path:
    return project_root() / "dbt_project" / "seeds"


def code_list(name: str) -> CodeList:
    """The code list `code_<name>.csv`. Raises Fault when it does not exist or a spelling means two things."""
    return _code_list(name, _project())


@cache
def _code_list(name: str, project: str) -> CodeList:
    del project
    seeds = _seeds()
    labels: dict[str, str] = {}
    spellings: dict[str, str] = {}
    extras: dict[str, dict[str, str]] = {}
    for row in _rows(seeds, f"code_{name}"):
        code = row["code"]
        labels[code], extras[code] = row["label_zh"], row
        for text in (code, row["label_zh"], *row["aliases"].split("|")):
            if text and spellings.setdefault(_spelling(text), code) != code:
                raise Fault(f"代码表 {name} 中“{text}”有两种含义（{seeds.name}）。")
    return CodeList(name, labels, spellings, extras)


@dataclass(frozen=True)
class Area:
    """One area of the seed `area.csv`; valid_from/valid_to bound its life (None: open)."""

    code: str
    name_zh: str
    level: str
    parent_code: str
    valid_from: date
    valid_to: date | None

    def valid(self, on: date) -> bool:
        """True when the area existed on that day."""
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True)
class _Alias:
    code: str
    valid_from: date | None
    valid_to: date | None

    def valid(self, on: date) -> bool:
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True)
class _Past:
    code_now: str
    from_year: int
    to_year: int | None


@dataclass(frozen=True)
class Areas:
    """Areas by name and code, aware of when a name or code was valid."""

    by_code: dict[str, Area]
    aliases: dict[str, tuple[_Alias, ...]]
    history: dict[str, tuple[_Past, ...]]

    def find(self, name: str, year: int) -> str | None:
        """Area code for a name, alias or code as of 1 September of `year`; None when unknown.

        市直属 (in any spelling) is '500000', its code as a reporter. A former name is known in every year.
        """
        on = date(year, 9, 1)
        text = plain(name)
        if text.isascii() and text[:6].isdigit():
            return self.resolve_code(text, year)
        for candidate in _stripped(text):
            for alias in self.aliases.get(candidate, ()):
                if alias.valid(on):
                    return alias.code
        return None

    def resolve_code(self, code: str, year: int) -> str | None:
        """Today's area code for a 6- or 12-digit code as valid in `year`; retired codes lead to their successor."""
        prefix = code[:6]
        area = self.by_code.get(prefix)
        if area is not None and area.valid(date(year, 9, 1)):
            return prefix
        for past in self.history.get(prefix, ()):
            if past.from_year <= year <= (past.to_year or 9999):
                return past.code_now
        last = self.history.get(prefix, ())
        return last[-1].code_now if last else None

    def reporting(self, code: str) -> str | None:
        """The area that reports for `code`: itself, the district a functional area belongs to, or None."""
        area = self.by_code.get(code)
        if area is None:
            return None
        if area.level in _REPORTING_LEVELS:
            return code
        parent = self.by_code.get(area.parent_code)
        return parent.code if parent is not None and parent.level == "district" else None

    def name(self, code: str) -> str:
        """The area's name for messages; 500000 as a reporter is 市直属."""
        if code == CITY:
            return "市直属"
        area = self.by_code.get(code)
        return area.name_zh if area else code


def _stripped(text: str) -> Iterator[str]:
    yield text
    for city in _CITY_NAMES:
        if text.startswith(city) and text != city:
            yield text.removeprefix(city)


def areas() -> Areas:
    """All areas, their aliases and their history. Raises Fault when a seed is missing."""
    return _areas(_project())


@cache
def _areas(project: str) -> Areas:
    del project
    seeds = _seeds()
    by_code = {row["area_code"]: _area(row) for row in _rows(seeds, "area")}
    aliases: dict[str, list[_Alias]] = {}
    for row in _rows(seeds, "area_alias"):
        alias = _Alias(row["area_code"], _date(row["valid_from"]), _date(row["valid_to"]))
        if alias.code not in by_code:
            raise Fault(f"区县别名“{row['alias']}”指向不存在的代码 {alias.code}（{seeds.name}）。")
        aliases.setdefault(plain(row["alias"]), []).append(alias)
    history: dict[str, list[_Past]] = {}
    for row in _rows(seeds, "area_history"):
        past = _Past(row["code_now"], int(row["from_year"]), int(row["to_year"]) if row["to_year"] else None)
        history.setdefault(row["code_then"], []).append(past)
        # A name of today keeps the life its alias gives it; only names that are gone are known for ever.
        aliases.setdefault(plain(row["area_name_zh"]), [_Alias(past.code_now, None, None)])
    return Areas(
        by_code=by_code,
        aliases={name: tuple(found) for name, found in aliases.items()},
        history={code: tuple(found) for code, found in history.items()},
    )


def _area(row: dict[str, str]) -> Area:
    return Area(
        code=row["area_code"],
        name_zh=row["area_name_zh"],
        level=row["area_level"],
        parent_code=row["parent_code"],
        valid_from=date.fromisoformat(row["valid_from"]),
        valid_to=_date(row["valid_to"]),
    )


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def statements() -> frozenset[str]:
    """The ids of all statements of the plan registry. Raises UsageError when the registry cannot be read."""
    return _statements(_project())


@cache
def _statements(project: str) -> frozenset[str]:
    del project
    return frozenset(statement.id for statement in load_registry())
