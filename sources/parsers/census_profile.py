"""The school profile (form 1001): from texts, wherever they stood, to a checked record.

What belongs here: the rules of a profile row, and which area a delivery belongs to. What does not: finding the texts in
a list or a school workbook (`census_list`, `census_workbook`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from sources.catalogue import ProfileField
from sources.codelists import CITY, areas, code_list
from sources.parsers.result import Reporter
from warehouse.records import RECORD_SCHEMAS

SCHOOL_TABLE: Final = "school_census__school"
SCHOOL_CODE: Final = re.compile(r"(?:11|21|22|31|34|36|37|41|42|51|9[1-3])50\d{6}")
_YES_NO: Final = {"true": True, "false": False}
_NOT_APPLICABLE: Final = {"", "*", "-", "--", "—", "/"}
_AREA_CODE: Final = re.compile(r"\d{6}(?:\d{6})?")


@dataclass(frozen=True)
class Where:
    """Member, sheet and 1-based row of a profile, and the cells of its fields: field -> cell like 'C5'."""

    member: str
    sheet: str
    row: int
    cells: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class School:
    """One checked profile. `authority_code` is that of the education authority in charge; '' when none is named."""

    where: Where
    code: str
    name: str
    type_code: str
    organiser_code: str
    urban_rural_code: str
    address_code: str
    authority_code: str
    kindergarten_grade: str | None
    flags: tuple[bool | None, bool | None, bool | None, bool | None]


def check_school_code(
    reporter: Reporter, where: Where, code: str, *, column: str = "学校标识码", cell: str | None = None
) -> bool:
    """True when the code is a school code; otherwise a finding is recorded."""
    if SCHOOL_CODE.fullmatch(code):
        return True
    rule = "census.bad_school_code" if code else "census.missing_school_code"
    reporter.add(rule, member=where.member, sheet=where.sheet, row=where.row, column=column, cell=cell, value=code)
    return False


class ProfileCheck:
    """Checks profiles of one delivery against the contract's code lists."""

    def __init__(self, reporter: Reporter, letters: Mapping[str, str] | None = None) -> None:
        """`letters`: field -> column letter, where every profile is one row of a table."""
        self._reporter = reporter
        self._letters = letters or {}
        self._fields = {entry.field: entry for entry in reporter.contract.catalogue.profile.fields}
        self._lists = {
            name: code_list(entry.code_list) for name, entry in self._fields.items() if entry.code_list is not None
        }
        # field and text -> code: a column has few different texts.
        self._known: dict[tuple[str, str], str | None] = {}

    def check(self, texts: Mapping[str, str], where: Where) -> School | None:
        """A School, or None (with findings) when the row must be quarantined. `texts`: field -> text, '' if blank."""
        code = texts.get("school_code", "")
        good = check_school_code(self._reporter, where, code, cell=self._cell("school_code", where))
        name = texts.get("school_name", "")
        if not name:
            self._add("census.missing_school_name", where, "school_name", "")
        type_code = self._code("school_type", texts, where, rule="census.unknown_school_type")
        organiser = self._code("organiser", texts, where)
        urban_rural = self._code("urban_rural", texts, where)
        optional = {field: self._optional(field, texts, where) for field in _OPTIONAL}
        missing = type_code is None or organiser is None or urban_rural is None
        if not good or not name or missing or _UNKNOWN in optional.values():
            return None
        return School(
            where=where,
            code=code,
            name=name,
            type_code=str(type_code),
            organiser_code=str(organiser),
            urban_rural_code=str(urban_rural),
            address_code=_area_digits(texts.get("address_code", "")),
            authority_code=_area_digits(texts.get("authority_code", "")),
            kindergarten_grade=optional["kindergarten_grade"],
            flags=_flags(optional),
        )

    def _code(
        self, what: str, texts: Mapping[str, str], where: Where, *, rule: str = "census.unknown_code"
    ) -> str | None:
        """The code decides; the name stands in where the code is blank."""
        entry = self._fields[f"{what}_code"]
        text = texts.get(f"{what}_code", "") or texts.get(f"{what}_zh", "")
        found = self._find(entry.field, text) if text else None
        if found is None:
            self._add(rule, where, entry.field, text)
        return found

    def _find(self, field: str, text: str) -> str | None:
        key = (field, text)
        if key not in self._known:
            self._known[key] = self._lists[field].find(text)
        return self._known[key]

    def _optional(self, field: str, texts: Mapping[str, str], where: Where) -> str | None:
        text = texts.get(field, "")
        if text in _NOT_APPLICABLE:
            return None
        found = self._find(field, text)
        if found is None:
            self._add("census.unknown_code", where, field, text)
            return _UNKNOWN
        return found

    def _add(self, rule: str, where: Where, field: str, value: str) -> None:
        column = _label(self._fields[field])
        cell = self._cell(field, where)
        self._reporter.add(
            rule, member=where.member, sheet=where.sheet, row=where.row, column=column, cell=cell, value=value
        )

    def _cell(self, field: str, where: Where) -> str | None:
        letter = self._letters.get(field)
        return f"{letter}{where.row}" if letter else where.cells.get(field)


_OPTIONAL: Final = (
    "kindergarten_grade",
    "inclusive_private",
    "group_schooling",
    "district_schooling",
    "ethnic_school",
)
_UNKNOWN: Final = "?"


def _flags(optional: Mapping[str, str | None]) -> tuple[bool | None, bool | None, bool | None, bool | None]:
    first, second, third, fourth = (_YES_NO.get(optional[name] or "") for name in _OPTIONAL[1:])
    return first, second, third, fourth


def _label(entry: ProfileField) -> str:
    return entry.label


def _area_digits(text: str) -> str:
    return text if _AREA_CODE.fullmatch(text) else ""


def _claim(school: School, *, municipal: bool) -> str:
    """The 6-digit area a school claims: its authority's, else its address's.

    市直属 schools stand in every district, so under that title an address says nothing.
    """
    return (school.authority_code or ("" if municipal else school.address_code))[:6]


def majority_area(schools: Sequence[School], year: int, *, municipal: bool = False) -> str | None:
    """The area most schools claim; None when none claims one. Ties go to the smaller code."""
    known = areas()
    claims = [claim for claim in (_claim(school, municipal=municipal) for school in schools) if claim]
    counts: Counter[str] = Counter()
    for claim, count in Counter(claims).items():
        counts[known.resolve_code(claim, year) or claim] += count
    return min(counts, key=lambda code: (-counts[code], code)) if counts else None


def of_area(schools: Sequence[School], area_code: str, year: int, reporter: Reporter) -> list[School]:
    """The schools that belong to the area; the others are findings (quarantine)."""
    known = areas()
    good: list[School] = []
    resolved: dict[str, str | None] = {"": area_code}
    for school in schools:
        claim = _claim(school, municipal=area_code == CITY)
        if claim not in resolved:
            resolved[claim] = known.resolve_code(claim, year)
        area = resolved[claim]
        if area == area_code:
            good.append(school)
            continue
        reporter.add(
            "census.wrong_area_row",
            member=school.where.member,
            sheet=school.where.sheet,
            row=school.where.row,
            column="属地管理教育行政部门代码",
            value=claim,
            detail=known.name(area) if area else "重庆市以外",
        )
    return good


def school_table(schools: Sequence[School], *, year: int, area_code: str, delivery_id: str) -> pa.Table:
    """The record table of checked schools."""
    rows = [
        {
            "stat_year": year,
            "form_year": year,
            "area_code": area_code,
            "school_code": school.code,
            "school_name": school.name,
            "school_type_code": school.type_code,
            "organiser_code": school.organiser_code,
            "urban_rural_code": school.urban_rural_code,
            "address_code": school.address_code,
            "kindergarten_grade": school.kindergarten_grade,
            "inclusive_private": school.flags[0],
            "group_schooling": school.flags[1],
            "district_schooling": school.flags[2],
            "ethnic_school": school.flags[3],
            "delivery_id": delivery_id,
            "member": school.where.member,
            "sheet": school.where.sheet,
            "row_no": school.where.row,
        }
        for school in schools
    ]
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMAS[SCHOOL_TABLE])
