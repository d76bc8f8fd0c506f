"""The school census as the analyst reads it: collated lists and zips of school workbooks.

The cells of all files are collected first; then each sheet's rows are made numbers and checked in one go.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
from analyst_facts import area_code, census_layout, coded, codes, measures, properties, squeezed

YEARS = re.compile(r"(20\d{2})/20\d{2}学?年")
REPORTED = re.compile(r"填报日期[：:](20\d{2})年(\d{1,2})月(\d{1,2})日")
SCHOOL_CODE = r"(?:11|21|22|31|34|36|37|41|42|51|9[1-3])50\d{6}"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
NONE_MARKS = ["", "*", "-", "--", "—", "/"]
FLAGS = ["inclusive_private", "group_schooling", "district_schooling", "ethnic_school"]
KEY = ["delivery", "period", "school_code"]

Rows = list[list[Any]]
Place = tuple[str, int, int]  # form, line, column


@dataclass
class Census:
    """Cells of all files: profiles as fields, figures by sheet with the delivery, year and school they belong to."""

    profiles: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)
    figures: dict[str, list[dict[Place, Any]]] = field(default_factory=dict)
    deliveries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, sheet: str, delivery: dict[str, Any], school_code: str, figures: dict[Place, Any]) -> None:
        """The figures of one school on one sheet."""
        self.keys.setdefault(sheet, []).append((delivery["delivery"], delivery["period"], school_code))
        self.figures.setdefault(sheet, []).append(figures)

    def sheet(self, name: str) -> pd.DataFrame:
        """All schools of a sheet, (form, line, column) across."""
        frame = pd.DataFrame(self.figures[name], dtype=object)
        frame.columns = pd.MultiIndex.from_tuples(frame.columns)
        return frame.set_axis(pd.MultiIndex.from_tuples(self.keys[name], names=KEY), axis=0)


def read_census(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Schools, figures that have a name and those that have none (one row each), deliveries."""
    census = Census()
    for path in sorted(folder.iterdir()):
        with zipfile.ZipFile(path) as archive:
            is_list = "[Content_Types].xml" in archive.namelist()
        (read_list if is_list else read_zip)(path, census)
    schools, dropped = checked_schools(pd.DataFrame(census.profiles))
    known = pd.MultiIndex.from_frame(schools[KEY])
    figures = []
    for name in census.figures:
        values, bad = checked_sheet(census.sheet(name), name)
        bad |= ~values.index.isin(known) | values.index.duplicated()
        dropped = pd.concat([dropped, bad[bad].reset_index()["delivery"]])
        figures.append(listed_figures(values[~bad]))
    deliveries = pd.DataFrame(census.deliveries)
    lost = deliveries["delivery"].map(dropped.value_counts()).fillna(0)
    deliveries["rows_accepted"] = deliveries["rows_in"] - lost
    named, unnamed = (pd.concat(frames, ignore_index=True) for frames in zip(*figures, strict=True))
    return schools, named, unnamed, deliveries


def sheets_of(source: Any) -> dict[str, Rows]:
    """Sheet name -> rows of cells; blank cells are ''."""
    book = openpyxl.load_workbook(source, read_only=True, data_only=True)
    return {
        squeezed(sheet.title): [["" if cell is None else cell for cell in row] for row in sheet.values]
        for sheet in book.worksheets
    }


def reporting_date(cells: Iterable[Any]) -> pd.Timestamp | None:
    """The latest reporting date named."""
    texts = (squeezed(cell) for cell in cells if isinstance(cell, str))
    return max((pd.Timestamp(*map(int, found)) for text in texts for found in REPORTED.findall(text)), default=None)


# -- collated lists ---------------------------------------------------------------------------------------------------


def read_list(path: Path, census: Census) -> None:
    """One workbook a district."""
    sheets = sheets_of(path)
    title = squeezed(next(iter(sheets.values()))[0][0])
    year = YEARS.search(title)
    if year is None:
        raise ValueError(f"no school year in the title of {path.name}")
    area = area_code(title[: year.start()])
    delivery: dict[str, Any] = {"delivery": path.name, "period": int(year[1]), "area_code": area}
    days = [reporting_date(row[0] for row in rows[-3:]) for rows in sheets.values()]
    delivery |= {"reported_on": max(filter(None, days), default=None), "rows_in": 0}
    fields = [entry["field"] for entry in properties("school_census")["profile"]["fields"]]
    for name, rows in sheets.items():
        schools = [row for row in rows if str(row[0])[:1].isdigit()]
        delivery["rows_in"] += len(schools)
        if name in profile_sheets():
            census.profiles += [dict(zip(fields, row, strict=False)) | place_of(delivery) for row in schools]
        else:
            places = listed_places(name)
            for row in schools:
                census.add(name, delivery, row[0], dict(zip(places, row[2:], strict=False)))
    census.deliveries.append(delivery)


def place_of(delivery: dict[str, Any]) -> dict[str, Any]:
    """Where a profile comes from."""
    return {name: delivery[name] for name in ("delivery", "period", "area_code")}


def profile_sheets() -> dict[str, str]:
    """Sheet of the profile -> its layout in school workbooks."""
    return {sheet["name"]: sheet["layout"] for sheet in properties("school_census")["profile"]["sheets"]}


@cache
def listed_places(name: str) -> list[Place]:
    """What stands in the columns of a sheet of a list, from the third."""
    places = []
    for form, sheet in census_layout()[name]:
        lines = set(sheet.get("lines") or [line["number"] for line in form["lines"]])
        for part in form["listed"]:
            if part["line"] in lines:
                places += [(form["form"], part["line"], column) for column in part["columns"]]
    return places


# -- zips of school workbooks -----------------------------------------------------------------------------------------


def read_zip(path: Path, census: Census) -> None:
    """One workbook a school."""
    profiles: list[dict[str, Any]] = []
    delivery: dict[str, Any] = {"delivery": path.name, "period": 0, "reported_on": None, "rows_in": 0}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            profile, forms = read_workbook(sheets_of(io.BytesIO(archive.read(info))), delivery)
            profiles.append(profile)
            for name, figures in forms.items():
                census.add(name, delivery, profile["school_code"], figures)
    claims = Counter(str(profile.get("authority_code", ""))[:6] for profile in profiles)
    delivery["area_code"] = claims.most_common(1)[0][0]
    census.profiles += [profile | place_of(delivery) for profile in profiles]
    census.deliveries.append(delivery)


def read_workbook(
    sheets: dict[str, Rows], delivery: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[Place, Any]]]:
    """A school's profile, and its figures by sheet."""
    if not delivery["period"]:
        texts = (squeezed(cell) for rows in sheets.values() for row in rows[:15] for cell in row if cell)
        delivery["period"] = next(int(found[1]) for text in texts if (found := YEARS.search(text)))
    delivery["rows_in"] += 1
    profile: dict[str, Any] = {}
    forms = {}
    for name, rows in sheets.items():
        if name == "封面":
            found = reporting_date(cell for row in rows for cell in row)
            delivery["reported_on"] = max(filter(None, (delivery["reported_on"], found)), default=None)
        elif name in profile_sheets():
            profile |= grid_profile(rows) if profile_sheets()[name] == "grid" else vertical_profile(rows)
        elif name[:2] in {"基础", "教基", "中职"}:
            record, supplement, lines = form_sheet(rows, name)
            delivery["rows_in"] += lines
            profile |= supplement
            if record:
                forms[name] = record
    return profile, forms


def index_row(rows: Rows) -> tuple[int, int, dict[int, int]]:
    """Row and column of the line numbers, and figure number -> column; without one, a place below the sheet."""
    for at, row in enumerate(rows[:15]):
        if "乙" in row:
            line = row.index("乙")
            return at, line, {int(cell): line + 1 + k for k, cell in enumerate(row[line + 1 :]) if cell}
        if "编号" in row and "内容" in row:
            return at, row.index("编号"), {1: row.index("内容")}
    return len(rows), 0, {}


def vertical_profile(rows: Rows) -> dict[str, Any]:
    """The profile of the forms since 2021: a line an item."""
    top, line, figures = index_row(rows)
    fields = {entry["line"]: entry["field"] for entry in properties("school_census")["profile"]["fields"]}
    numbered = ((str(row[line]), row[figures[1]]) for row in rows[top + 1 :])
    return {fields[int(no)]: text for no, text in numbered if no.isdecimal() and int(no) in fields}


def grid_profile(rows: Rows) -> dict[str, Any]:
    """The profile of the 2020 form: values stand below their labels."""
    places: dict[str, tuple[int, int]] = {}
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            if isinstance(cell, str) and cell:
                places.setdefault(squeezed(cell), (at, column))
    found = {}
    for entry in properties("school_census")["profile"]["fields"]:
        if entry.get("grid") in places:
            at, column = places[entry["grid"]]
            label = {"value": "", "name": "名称", "code": "代码"}[entry["take"]]
            labelled = (row for row in range(at + 1, at + 4) if label in map(squeezed, rows[row]))
            found[entry["field"]] = rows[next(labelled) if label else at + 1][column]
    return found


def form_sheet(rows: Rows, name: str) -> tuple[dict[Place, Any], dict[str, Any], int]:
    """Figures of one form sheet, its lines that belong to the profile, and how many lines it has."""
    top, line_column, columns = index_row(rows)
    places = {}
    layout = census_layout().get(name, [])
    # Where a form has a sheet to itself, lines that the layout does not know are kept too, as far as they are numbers.
    only = layout[0][0]["form"] if len(layout) == 1 and not layout[0][1].get("lines") else ""
    for form, sheet in layout:
        for line in sheet.get("lines") or [entry["number"] for entry in form["lines"]]:
            places[line + sheet.get("line_offset", 0)] = (form["form"], line)
    supplements = supplement_lines() if "1102" in {form for form, _ in places.values()} else {}
    record: dict[Place, Any] = {}
    supplement: dict[str, Any] = {}
    lines = 0
    for row in rows[top + 1 :]:
        if not str(row[line_column]).isdecimal():
            continue
        lines += 1
        number = int(row[line_column])
        if number in supplements:
            supplement[supplements[number]] = row[columns[1]]
        elif number in places:
            record |= {(*places[number], column): row[spot] for column, spot in columns.items()}
        elif only:
            figures = {(only, number, column): row[spot] for column, spot in columns.items()}
            record |= {place: cell for place, cell in figures.items() if NUMBER.fullmatch(str(cell).strip())}
    return record, supplement, lines


def supplement_lines() -> dict[int, str]:
    """Line of the supplement form -> field of the profile."""
    fields = properties("school_census")["profile"]["fields"]
    return {entry["supplement_line"]: entry["field"] for entry in fields if entry.get("supplement_line")}


# -- checks -----------------------------------------------------------------------------------------------------------


def checked_schools(texts: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Profiles that break no rule, with codes looked up; and the deliveries of the others."""
    texts = texts.fillna("")
    schools = texts[[*KEY, "area_code"]].copy()
    schools["school_name"] = texts["school_name"].str.split().str.join(" ")
    for what in ("school_type", "organiser", "urban_rural"):
        given = texts[f"{what}_code"].where(texts[f"{what}_code"] != "", texts[f"{what}_zh"])
        schools[f"{what}_code"] = coded(given, what)
    bad = schools.isna().any(axis=1) | (schools["school_name"] == "")
    bad |= ~texts["school_code"].str.fullmatch(SCHOOL_CODE)
    claim = texts["authority_code"].str[:6]
    bad |= (claim != "") & (claim != texts["area_code"])
    for name in ("kindergarten_grade", *FLAGS):
        given = texts[name].str.strip() if name in texts else pd.Series("", index=texts.index)
        given = given.where(~given.isin(NONE_MARKS))
        schools[name] = coded(given, "kindergarten_grade" if name == "kindergarten_grade" else "yes_no")
        bad |= given.notna() & schools[name].isna()
    schools[FLAGS] = schools[FLAGS] == codes("yes_no")["是"]
    bad |= schools.duplicated(KEY)
    return schools[~bad], texts.loc[bad, "delivery"]


def checked_sheet(texts: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Numbers, and which rows break a rule: no number, negative, not whole, a sum or a subset that does not fit."""
    given = texts.where(~texts.isin(NONE_MARKS))
    values = given.apply(pd.to_numeric, errors="coerce")
    bad = (values.isna() & given.notna()).any(axis=1) | (values < 0).any(axis=1)
    for form, _ in census_layout()[name]:
        own = values[form["form"]]
        if form["unit"] in {"人", "个"}:
            bad |= (own % 1 > 0).any(axis=1)
        for check in form["checks"]:
            places = [tuple(check["whole"]), *map(tuple, check["parts"])]
            if set(places) <= set(own.columns):
                bad |= mismatch(own[places], check["kind"])
    return values, bad


def mismatch(cells: pd.DataFrame, kind: str) -> pd.Series[bool]:
    """Rows whose parts (all columns but the first) do not fit their whole; blanks are not compared."""
    whole, parts = cells.iloc[:, 0], cells.iloc[:, 1:]
    wrong = (parts.sum(axis=1) - whole).abs() > 1e-6 if kind == "sum" else parts.max(axis=1) > whole + 1e-6
    return wrong & cells.notna().all(axis=1)


def listed_figures(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a figure: those that have a name, and the others."""
    values.columns = pd.MultiIndex.from_tuples(
        [(form, line, measures().get((form, line, column), "")) for form, line, column in values.columns],
        names=["form", "line_no", "measure"],
    )
    is_named = values.columns.get_level_values("measure") != ""
    named, unnamed = (
        values.loc[:, own].melt(ignore_index=False).dropna(subset="value").reset_index()
        for own in (is_named, ~is_named)
    )
    return named, unnamed
