"""The floor: what the bare engine costs. One plain script with pyarrow, python-calamine, NumPy and DuckDB.

It parses the same bytes as eduplan (collated lists, zips of school workbooks, teacher CSV and workbooks, the finance
SQLite, the JSON, JSON Lines, Parquet and CSV of the flat feeds, the official CSV), runs the same row checks, computes
the same marts from the same SQL, runs the same tests and publication rules as plain SQL and writes the same mart
Parquet. It imports no framework, and of eduplan's rooms only the function that takes sensitive cells out. It keeps no
archive, ledger, receipts, findings, report, fingerprint, history or original spelling of a figure: that is what eduplan
is compared with.

Facts (form layouts, code lists, areas) are data and are read from the same YAML and CSV files. The SQL comes as text in
`--plan` (see `sqltext.py`): the floor measures the engine, not a second wording of the formulas; that the formulas are
right is proven in `tests/`. Files must be tidy (a sample with dirt 0): rows that break a rule are counted and dropped,
but renamed or moved headers are not understood.

    python benchmarks/floor.py --sample DIR --plan plan.json --out DIR [--workers 2]     prints one JSON object
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import hmac
import io
import json
import multiprocessing
import os
import re
import sqlite3
import sys
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import yaml
from python_calamine import CalamineWorkbook

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "dbt_project" / "seeds"
FEEDS = ROOT / "sources" / "feeds"
KEY = b"the floor publishes no pseudonym"
CITY = "500000"
SCHOOL_CODE = re.compile(r"(?:11|21|22|31|34|36|37|41|42|51|9[1-3])50\d{6}")
YEARS = re.compile(r"(20\d{2})\s*/\s*20\d{2}\s*学?年")
REPORTED = re.compile(r"填报日期[：:](20\d{2})年(\d{1,2})月(\d{1,2})日")
BLANKS = re.compile(r"\s+")
MONTH_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int32)
CHECK_CHARS = np.frombuffer(b"10X98765432", dtype=np.uint8)

TEXT, INT, BOOL, DATE = pa.string(), pa.int32(), pa.bool_(), pa.date32()

FIGURE, YUAN, INSTANT = pa.decimal128(18, 4), pa.decimal128(18, 2), pa.timestamp("us")


def fields(*groups: tuple[pa.DataType, str]) -> pa.Schema:
    """Groups of a type and blank-separated names, then the columns that say where a row came from."""
    lineage = ((TEXT, "delivery_id member sheet"), (INT, "row_no"))
    return pa.schema([(name, kind) for kind, names in (*groups, *lineage) for name in names.split()])


SCHEMAS = {
    "school_census__school": fields(
        (INT, "stat_year form_year"),
        (TEXT, "area_code school_code school_name school_type_code organiser_code urban_rural_code address_code"),
        (TEXT, "kindergarten_grade"),
        (BOOL, "inclusive_private group_schooling district_schooling ethnic_school"),
    ),
    "school_census__figure": fields(
        (INT, "stat_year form_year"),
        (TEXT, "area_code school_code form"),
        (INT, "line_no column_no"),
        (TEXT, "measure"),
        (FIGURE, "value"),
        (TEXT, "source_cell"),
    ),
    "teacher_register__teacher": fields(
        (INT, "stat_year"),
        (TEXT, "area_code school_code person_key post_kind post_category sex"),
        (INT, "age"),
        (BOOL, "id_valid"),
        (TEXT, "education title teaching_stage certificate_stage subject backbone_level"),
        (BOOL, "dual_qualified professional_course pe_music_art"),
    ),
    "education_finance__line": fields(
        (INT, "fiscal_year"),
        (TEXT, "area_code unit_code unit_name school_code school_kind_code form"),
        (INT, "line_no"),
        (TEXT, "item"),
        (YUAN, " ".join(f"amount_{number}" for number in range(1, 9))),
        (INSTANT, "updated_at"),
    ),
    "official_figures__figure": fields(
        (TEXT, "indicator_id indicator_zh level_zh area_code"),
        (INT, "stat_year"),
        (TEXT, "ref_period"),
        (FIGURE, "value"),
        (TEXT, "unit_zh source confidence note"),
    ),
    "population__resident": fields(
        (INT, "stat_year"),
        (TEXT, "area_code version"),
        (INT, "age_from age_to residents"),
        (DATE, "published_on"),
    ),
    "population__attainment": fields(
        (INT, "stat_year"),
        (TEXT, "area_code version"),
        (INT, "age_group_from age_group_to"),
        (TEXT, "attainment"),
        (INT, "residents"),
        (DATE, "published_on"),
    ),
    "higher_education__enrolment": fields(
        (INT, "stat_year"),
        (TEXT, "institution_code institution_name institution_kind level discipline"),
        (INT, "entrants enrolled graduates"),
        (DATE, "reported_on"),
    ),
    "higher_education__staff": fields(
        (INT, "stat_year"),
        (TEXT, "institution_code institution_name institution_kind title"),
        (INT, "full_time_teachers professional_teachers dual_qualified"),
        (DATE, "reported_on"),
    ),
    "fiscal_accounts__account": fields(
        (INT, "fiscal_year"),
        (TEXT, "area_code status"),
        (YUAN, "general_budget_spending budget_education_spending education_operating capital_construction"),
        (YUAN, "education_surcharge fiscal_education_funds education_appropriation recurrent_revenue"),
        (YUAN, "civil_servant_pay teacher_pay"),
    ),
    "programme_register__event": fields(
        (TEXT, "event_id statement_id project_code object_kind object_code object_name area_code level"),
        (INT, "quantity"),
        (TEXT, "decision"),
        (DATE, "decided_on"),
        (TEXT, "document_no"),
        (INT, "sequence"),
    ),
}


# -- facts ------------------------------------------------------------------------------------------------------------


def seed(name: str) -> list[dict[str, str]]:
    """Rows of a seed file."""
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def codes(name: str) -> dict[str, str]:
    """Every spelling of a code list, lower case -> code."""
    found: dict[str, str] = {}
    for row in seed(f"code_{name}"):
        for text in (row["code"], row["label_zh"], *row["aliases"].split("|")):
            if text:
                found.setdefault(text.lower(), row["code"])
    return found


@cache
def contract(feed: str) -> dict[str, Any]:
    """A feed's contract, as it is written."""
    found: dict[str, Any] = yaml.load((FEEDS / f"{feed}.odcs.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    return found


@cache
def properties(feed: str) -> dict[str, Any]:
    """A contract's custom properties."""
    return {entry["property"]: entry["value"] for entry in contract(feed)["customProperties"]}


@cache
def flat_tables(feed: str) -> dict[str, list[dict[str, Any]]]:
    """Table -> its columns: what the contract agrees about each; `headings` are its spellings."""
    return {
        table["name"]: [
            {
                **(info := entry["customProperties"][0]["value"]),
                "name": entry["name"],
                "type": entry["logicalType"],
                "required": entry.get("required", False),
                "key": entry.get("primaryKey", False),
                "headings": [heading(text) for text in (info["header"], *info.get("aliases", ()))],
            }
            for entry in table["properties"]
        ]
        for table in contract(feed)["schema"]
    }


def heading(text: str) -> str:
    """What spellings of one header share."""
    return unicodedata.normalize("NFKC", plain(text)).removeprefix("其中:")


@dataclass
class Facts:
    """Layouts, code lists and areas; loaded once, before the workers are forked."""

    census: dict[str, Any] = field(default_factory=lambda: properties("school_census"))
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    areas: dict[str, str] = field(default_factory=dict)
    reporting: set[str] = field(default_factory=set)
    scales: dict[str, Decimal] = field(default_factory=dict)
    statements: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    unchecked_ids: set[str] = field(default_factory=set)
    layouts: dict[int, dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = (path.stem.removeprefix("code_") for path in SEEDS.glob("code_*.csv"))
        self.lists = {name: codes(name) for name in names}
        self.areas = {row["alias"]: row["area_code"] for row in seed("area_alias")}
        self.reporting = {row["area_code"] for row in seed("area") if row["area_level"] in {"city", "district"}}
        self.scales = {row["code"]: Decimal(row["scale"]) for row in seed("code_unit")}
        self.statements = {row["id"] for row in seed("plan_registry")}
        self.left = {row["code"] for row in seed("code_duty_status") if row["in_post"] == "false"}
        self.unchecked_ids = {row["code"] for row in seed("code_id_type") if row["checked"] == "false"}

    def layout(self, year: int) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
        """Sheet name -> (form, its place on that sheet), for a form year."""
        if year not in self.layouts:
            found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
            for form in self.census["forms"]:
                for sheet in form["sheets"]:
                    if sheet.get("first_year", 0) <= year <= sheet.get("last_year", 9999):
                        found.setdefault(sheet["name"], []).append((form, sheet))
            self.layouts[year] = found
        return self.layouts[year]

    def profile_sheet(self, year: int) -> dict[str, Any]:
        """The sheet that carries the profile in a form year."""
        sheets = self.census["profile"]["sheets"]
        return next(s for s in sheets if s.get("first_year", 0) <= year <= s.get("last_year", 9999))

    def area(self, text: str) -> str:
        """The reporting code of an area, by name or code."""
        bare = text.removeprefix("重庆市") if text not in {"重庆市", "重庆"} else text
        return bare[:6] if bare[:6].isdigit() else self.areas[bare]

    def required(self, year: int, kind: str) -> set[str]:
        """Sheets a school of this type must have."""
        layout = self.layout(year).items()
        return {name for name, blocks in layout for form, _ in blocks if kind in form["required_for"]}


def measures(form: dict[str, Any]) -> dict[tuple[int, int], str]:
    """(line, column) -> measure."""
    first = form["lines"][0]["number"]
    named = {(first, c["number"]): c["measure"] for c in form["columns"] if c.get("measure")}
    return named | {tuple(entry["at"]): entry["measure"] for entry in form.get("measures", ())}


def lines_of(form: dict[str, Any], sheet: dict[str, Any]) -> list[int]:
    """Canonical lines of a form that stand on a sheet."""
    return sheet.get("lines") or [line["number"] for line in form["lines"]]


FACTS = Facts()


# -- what a file becomes ----------------------------------------------------------------------------------------------


@dataclass
class Delivery:
    """One file (or one area and year of finance lines) as read."""

    feed: str
    sha256: str
    file_name: str
    area_code: str = ""
    period: int = 0
    part: str = ""
    reported_on: date | None = None
    rows_in: int = 0
    rows_accepted: int = 0
    tables: dict[str, str] = field(default_factory=dict)

    @property
    def delivery_id(self) -> str:
        """The same hash that eduplan uses."""
        return "d" + hashlib.sha256(f"{self.feed}\n{self.sha256}".encode()).hexdigest()[:16]

    def write(self, out: Path, name: str, columns: dict[str, Any], count: int) -> None:
        """Constants are repeated; one Parquet a table."""
        schema = SCHEMAS[name]
        constants = {"delivery_id": self.delivery_id, "area_code": self.area_code, "member": "", "sheet": ""}
        constants |= dict.fromkeys(("stat_year", "form_year", "fiscal_year"), self.period)
        arrays = []
        for entry in schema:
            given = columns.get(entry.name, constants.get(entry.name))
            if given is None or isinstance(given, str | int):
                given = pa.nulls(count, entry.type) if given is None else pa.repeat(pa.scalar(given, entry.type), count)
            arrays.append(given if isinstance(given, pa.Array) else pa.array(given, entry.type))
        path = out / f"{self.delivery_id}-{name}.parquet"
        table = pa.Table.from_arrays([a.cast(f.type) for a, f in zip(arrays, schema, strict=True)], schema=schema)
        pq.write_table(table, path, compression="zstd")
        self.tables[name] = str(path)


def reported(texts: Iterable[Any]) -> date | None:
    """The latest reporting date named in texts."""
    days = [
        date(*map(int, match)) for text in texts if isinstance(text, str) for match in REPORTED.findall(plain(text))
    ]
    return max(days, default=None)


def plain(text: str) -> str:
    """Text without blanks."""
    return BLANKS.sub("", text)


def number(cell: Any) -> float:
    """A figure cell: NaN for blank and none-marks, inf for what is no number."""
    if cell.__class__ is float:
        return cell  # type: ignore[no-any-return]
    text = str(cell).strip()
    if text in {"", "*", "-", "--", "—", "/"}:
        return np.nan
    try:
        return float(text)
    except ValueError:
        return np.inf


def decimals(values: Any, scale: int) -> pa.Array:
    """Floats as decimals."""
    return pa.array(np.round(values, scale), pa.float64()).cast(pa.decimal128(18, scale), safe=False)


def column_letters(at: int) -> str:
    """0 -> A."""
    letters, at = "", at + 1
    while at:
        at, rest = divmod(at - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


# -- school census: collated lists ------------------------------------------------------------------------------------


def read_census(path: Path, out: Path) -> Delivery:
    """A collated list or a zip of school workbooks."""
    data = path.read_bytes()
    delivery = Delivery("school_census", hashlib.sha256(data).hexdigest(), path.name)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        is_list = "[Content_Types].xml" in archive.namelist()
        if not is_list:
            read_workbooks(archive, delivery, out)
            return delivery
    read_list(CalamineWorkbook.from_filelike(io.BytesIO(data)), delivery, out)
    return delivery


@dataclass
class Profile:
    """A checked profile row."""

    values: dict[str, Any]
    row_no: int


def read_list(book: CalamineWorkbook, delivery: Delivery, out: Path) -> None:
    """One workbook a district, a sheet a form, a row a school."""
    sheets = {name.strip(): book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
    title = plain(next(iter(sheets.values()))[0][0])
    year = YEARS.search(title)
    if year is None:
        raise ValueError(f"no school year in the title of {delivery.file_name}")
    delivery.period, delivery.area_code = int(year[1]), FACTS.area(title[: year.start()])
    delivery.reported_on = reported(row[0] for rows in sheets.values() for row in rows[-3:])
    profile_name = FACTS.profile_sheet(delivery.period)["name"]
    profiles = list_profiles(sheets[profile_name], delivery)
    accepted = {profile.values["school_code"] for profile in profiles}
    needed = {name for p in profiles for name in FACTS.required(delivery.period, p.values["school_type_code"])}
    if needed - set(sheets):
        raise ValueError(f"{delivery.file_name} lacks sheets {needed - set(sheets)}")
    delivery.rows_accepted += len(profiles)
    write_profiles(profiles, delivery, out)
    parts = [
        list_figures(rows, FACTS.layout(delivery.period)[name], accepted, delivery)
        for name, rows in sheets.items()
        if name != profile_name
    ]
    write_figures(parts, delivery, out)


def data_rows(rows: list[list[Any]]) -> tuple[int, int]:
    """First and last+1 row of the data below the index row; a total row is left out by its text."""
    top = next(at for at in range(12) if rows[at][0] == "甲" and rows[at][1] == "乙")
    end = len(rows)
    while end > top + 1 and not str(rows[end - 1][0])[:1].isdigit():
        end -= 1
    return top + 1, end


def list_profiles(rows: list[list[Any]], delivery: Delivery) -> list[Profile]:
    """The profile rows that break no rule."""
    first, end = data_rows(rows)
    fields = [entry["field"] for entry in FACTS.census["profile"]["fields"]]
    good: list[Profile] = []
    seen: set[str] = set()
    for at in range(first, end):
        if not str(rows[at][0])[:1].isdigit():
            continue
        delivery.rows_in += 1
        values = checked_profile(dict(zip(fields, rows[at], strict=False)), delivery)
        if values is not None and values["school_code"] not in seen:
            seen.add(values["school_code"])
            good.append(Profile(values, at + 1))
    return good


def checked_profile(texts: dict[str, Any], delivery: Delivery) -> dict[str, Any] | None:
    """Codes looked up, flags made booleans; None when a rule is broken."""
    claim = str(texts.get("authority_code") or "")[:6]
    values: dict[str, Any] = {"school_code": texts["school_code"], "address_code": texts["address_code"]}
    values["school_name"] = " ".join(texts["school_name"].split())
    for what in ("school_type", "organiser", "urban_rural"):
        text = str(texts.get(f"{what}_code") or texts.get(f"{what}_zh") or "")
        values[f"{what}_code"] = FACTS.lists[what].get(text.lower())
    bad = None in values.values() or not values["school_name"] or not SCHOOL_CODE.fullmatch(values["school_code"])
    for what in ("kindergarten_grade", "inclusive_private", "group_schooling", "district_schooling", "ethnic_school"):
        text = str(texts.get(what, "")).strip()
        known = FACTS.lists["kindergarten_grade" if what == "kindergarten_grade" else "yes_no"]
        found = None if text in {"", "*", "-", "--", "—", "/"} else known.get(text.lower(), "?")
        bad = bad or found == "?"
        values[what] = found if what == "kindergarten_grade" or found is None else found == "true"
    return None if bad or (claim and delivery.area_code and claim != delivery.area_code) else values


def write_profiles(profiles: Sequence[Profile], delivery: Delivery, out: Path) -> None:
    """The school table."""
    names = profiles[0].values if profiles else {}
    columns: dict[str, Any] = {name: [profile.values[name] for profile in profiles] for name in names}
    columns["row_no"] = [profile.row_no for profile in profiles]
    delivery.write(out, "school_census__school", columns, len(profiles))


Part = dict[str, Any]
Blocks = list[tuple[dict[str, Any], dict[str, Any]]]


def list_figures(rows: list[list[Any]], blocks: Blocks, accepted: set[str], delivery: Delivery) -> Part:
    """One sheet: all rows × columns as a matrix, checks on whole columns, then the kept cells."""
    first, end = data_rows(rows)
    place = list_columns(blocks)
    kept = [at for at in range(first, end) if str(rows[at][0])[:1].isdigit()]
    cells = [number(cell) for at in kept for cell in rows[at][2 : 2 + len(place)]]
    matrix = np.array(cells, dtype=np.float64).reshape(len(kept), len(place))
    school = [rows[at][0] for at in kept]
    good = ~broken(matrix, place, blocks)
    seen: set[str] = set()
    for at, code in enumerate(school):
        good[at] &= code in accepted and code not in seen
        seen.add(code)
    delivery.rows_in += len(kept)
    delivery.rows_accepted += int(good.sum())
    at_row, at_column = np.nonzero(good[:, None] & np.isfinite(matrix))
    numbers = np.array(kept, dtype=np.int32)[at_row] + 1
    letters = pa.array([column_letters(at + 2) for at in range(len(place))]).take(pa.array(at_column))
    return {
        "school_code": pa.array(school, TEXT).take(pa.array(at_row)),
        "form": pa.array([entry[0] for entry in place], TEXT).take(pa.array(at_column)),
        "line_no": np.array([entry[1] for entry in place], dtype=np.int32)[at_column],
        "column_no": np.array([entry[2] for entry in place], dtype=np.int32)[at_column],
        "measure": pa.array([entry[3] for entry in place], TEXT).take(pa.array(at_column)),
        "value": decimals(matrix[at_row, at_column], 4),
        "source_cell": pc.binary_join_element_wise(letters, pa.array(numbers).cast(TEXT), ""),
        "row_no": numbers,
    }


def list_columns(blocks: Blocks) -> list[tuple[str, int, int, str | None]]:
    """(form, line, column, measure) of the figure columns, in order."""
    found = []
    for form, sheet in blocks:
        named, lines = measures(form), set(lines_of(form, sheet))
        for part in form["listed"]:
            if part["line"] in lines:
                found += [(form["form"], part["line"], no, named.get((part["line"], no))) for no in part["columns"]]
    return found


def broken(matrix: Any, place: Sequence[tuple[str, int, int, str | None]], blocks: Blocks) -> Any:
    """Rows with a cell that is no number, negative or not whole, or that break a sum or subset check."""
    units = {form["form"]: form["unit"] in {"人", "个"} for form, _ in blocks}
    whole = np.array([units[entry[0]] for entry in place])
    amounts = np.nan_to_num(matrix)
    bad = np.isinf(matrix) | (amounts < 0) | (whole[None, :] & (amounts != np.floor(amounts)))
    rows = bad.any(axis=1)
    for form, _ in blocks:
        where = {entry[1:3]: at for at, entry in enumerate(place) if entry[0] == form["form"]}
        for check in form["checks"]:
            spots = [where.get(tuple(address)) for address in (check["whole"], *check["parts"])]
            if None in spots:
                continue
            total, parts = amounts[:, spots[0]], amounts[:, spots[1:]]
            if check["kind"] == "sum":
                rows |= np.abs(parts.sum(axis=1) - total) > 1e-6
            else:
                rows |= parts.max(axis=1) > total + 1e-6
    return rows


def write_figures(parts: Sequence[Part], delivery: Delivery, out: Path) -> None:
    """The figure table."""
    names = ("school_code", "form", "line_no", "column_no", "measure", "value", "source_cell", "row_no")
    columns: dict[str, Any] = {}
    for name in names:
        kind = SCHEMAS["school_census__figure"].field(name).type
        arrays = [p[name] if isinstance(p[name], pa.Array) else pa.array(p[name], kind) for p in parts]
        columns[name] = pa.concat_arrays([array.cast(kind) for array in arrays])
    delivery.write(out, "school_census__figure", columns, len(columns["value"]))


# -- school census: zips of school workbooks --------------------------------------------------------------------------


@dataclass
class School:
    """One workbook: its profile texts, and figures as (form, line, column, value, row)."""

    profile: dict[str, Any]
    figures: list[tuple[str, int, int, float, int]]
    lines: int


def read_workbooks(archive: zipfile.ZipFile, delivery: Delivery, out: Path) -> None:
    """One workbook a school."""
    schools: list[School] = []
    for info in archive.infolist():
        book = CalamineWorkbook.from_filelike(io.BytesIO(archive.read(info)))
        sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
        schools.append(read_school(sheets, delivery))
    claims = Counter(str(school.profile.get("authority_code", ""))[:6] for school in schools)
    delivery.area_code = claims.most_common(1)[0][0]
    profiles, rows = [], []
    for school in schools:
        delivery.rows_in += school.lines + 1
        values = checked_profile(school.profile, delivery)
        if values is None:
            continue
        profiles.append(Profile(values, 1))
        good, kept = good_lines(school, delivery.period)
        rows += [(values["school_code"], *figure) for figure in good]
        delivery.rows_accepted += 1 + kept
    write_profiles(profiles, delivery, out)
    columns = list(zip(*rows, strict=True))
    named = {form["form"]: measures(form) for form in FACTS.census["forms"]}
    part = dict(zip(("school_code", "form", "line_no", "column_no", "value", "row_no"), columns, strict=True))
    part["measure"] = [named.get(row[1], {}).get((row[2], row[3])) for row in rows]
    part["value"] = decimals(np.array(columns[4]), 4)
    part["source_cell"] = [f"{column_letters(row[3])}{row[5]}" for row in rows]
    write_figures([part], delivery, out)


def read_school(sheets: dict[str, list[list[Any]]], delivery: Delivery) -> School:
    """One workbook, cut up."""
    if not delivery.period:
        texts = (plain(str(cell)) for rows in sheets.values() for row in rows[:15] for cell in row if cell != "")
        delivery.period = next(int(match[1]) for text in texts if (match := YEARS.search(text)))
    profile_sheet, school = FACTS.profile_sheet(delivery.period), School({}, [], 0)
    for name, rows in sheets.items():
        form = plain(name)
        if form == "封面":
            found = reported(cell for row in rows for cell in row)
            delivery.reported_on = max(filter(None, (delivery.reported_on, found)), default=None)
        elif form == profile_sheet["name"]:
            school.profile |= grid_profile(rows) if profile_sheet["layout"] == "grid" else vertical_profile(rows)
        elif form[:2] in {"基础", "教基", "中职"}:
            read_form(rows, FACTS.layout(delivery.period).get(form, []), school)
    return school


def grid_profile(rows: list[list[Any]]) -> dict[str, Any]:
    """The profile of the 2020 form: values stand below their labels."""
    places: dict[str, tuple[int, int]] = {}
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            if cell.__class__ is str and cell:
                places.setdefault(plain(cell), (at, column))
    found: dict[str, Any] = {}
    for entry in FACTS.census["profile"]["fields"]:
        if entry.get("grid") not in places:
            continue
        at, column = places[entry["grid"]]
        steps = {"value": "", "name": "名称", "code": "代码"}[entry["take"]]
        below = range(at + 1, at + 4)
        row = at + 1 if not steps else next(r for r in below if steps in map(plain, filter(is_text, rows[r])))
        found[entry["field"]] = rows[row][column]
    return found


def is_text(cell: Any) -> bool:
    """True for text cells."""
    return isinstance(cell, str)


def vertical_profile(rows: list[list[Any]]) -> dict[str, Any]:
    """The profile of the forms since 2021: a line an item."""
    top, line, figures = index_row(rows)
    fields = {entry["line"]: entry["field"] for entry in FACTS.census["profile"]["fields"]}
    lines = ((str(row[line]), row[figures[1]]) for row in rows[top + 1 :])
    return {fields[int(no)]: text for no, text in lines if no.isdecimal() and int(no) in fields}


def index_row(rows: list[list[Any]]) -> tuple[int, int, dict[int, int]]:
    """Row and column of the line numbers, and figure number -> column; without index row, a place below the sheet."""
    for at, row in enumerate(rows[:15]):
        if "乙" in row:
            line = row.index("乙")
            return at, line, {int(cell): line + 1 + k for k, cell in enumerate(row[line + 1 :]) if cell != ""}
        if "编号" in row and "内容" in row:
            return at, row.index("编号"), {1: row.index("内容")}
    return len(rows), 0, {}


def read_form(rows: list[list[Any]], blocks: Blocks, school: School) -> None:
    """Lines and figures of one form sheet; supplement lines go to the profile."""
    top, line_column, figures = index_row(rows)
    extra = {e["supplement_line"]: e["field"] for e in FACTS.census["profile"]["fields"] if e.get("supplement_line")}
    places = {
        line + sheet.get("line_offset", 0): (form["form"], line)
        for form, sheet in blocks
        for line in lines_of(form, sheet)
    }
    for at in range(top + 1, len(rows)):
        text = str(rows[at][line_column])
        if not text.isdecimal():
            continue
        school.lines += 1
        no = int(text)
        if not blocks:
            continue  # a form no mart needs: its lines are counted, its figures left alone
        if blocks[0][0]["form"] == "1102" and no in extra:
            school.profile[extra[no]] = rows[at][figures[1]]
            continue
        form, line = places.get(no, (blocks[0][0]["form"], no))
        for column, spot in figures.items():
            value = number(rows[at][spot])
            if value == value and (no in places or value != np.inf):  # noqa: PLR0124 - not NaN
                school.figures.append((form, line, column, value, at + 1))


def good_lines(school: School, year: int) -> tuple[list[tuple[str, int, int, float, int]], int]:
    """The figures of a workbook's good lines, and how many lines are good."""
    forms = {form["form"]: form for blocks in FACTS.layout(year).values() for form, _ in blocks}
    at = {(form, line, column): value for form, line, column, value, _ in school.figures}
    present = {form for form, *_ in at}
    bad = {
        (form, line)
        for (form, line, _), value in at.items()
        if value < 0 or value == np.inf or (forms[form]["unit"] in {"人", "个"} and value != np.floor(value))
    }
    for name in present:
        for check in forms[name]["checks"]:
            total = at.get((name, *check["whole"]))
            parts = [at.get((name, *part), 0.0) for part in check["parts"]]
            together = sum(parts) if check["kind"] == "sum" else max(parts)
            given = [at.get((name, *part)) for part in check["parts"]]
            if total is None or None in given:
                continue
            if together > total + 1e-6 or (check["kind"] == "sum" and together < total - 1e-6):
                bad |= {(name, address[0]) for address in (check["whole"], *check["parts"])}
    return [figure for figure in school.figures if figure[:2] not in bad], school.lines - len(bad)


# -- teacher register -------------------------------------------------------------------------------------------------

TEACHER_COLUMNS = {
    "stat_year": "统计年度",
    "area_code": "区域",
    "school_code": "学校标识码",
    "id": "身份证号",
    "id_type": "身份证件类型",
    "sex": "性别",
    "post_category": "岗位类别",
    "education": "最高学历",
    "title": "最高职称",
    "appointed_title": "现聘职称",
    "teaching_stage": "任教学段",
    "certificate_stage": "教师资格学段",
    "subject": "主教学科",
    "backbone": "骨干教师",
    "dual_qualified": "是否双师型",
    "professional_course": "是否专业课教师",
    "pe_music_art": "是否音体美专任教师",
    "duty_status": "在岗状态",
}
REQUIRED = ("stat_year", "area_code", "school_code", "post_category", "teaching_stage")
FLAGS = ("dual_qualified", "professional_course", "pe_music_art")
CODE_LIST = {"appointed_title": "title", "teaching_stage": "stage", "certificate_stage": "stage"}
CODE_LIST |= dict.fromkeys(FLAGS, "yes_no")
UNKNOWN_IS_BAD = ("post_category", "education", "teaching_stage", "id_type")


class Labels:
    """A column as distinct texts and positions, so that look-ups happen once a text."""

    def __init__(self, array: pa.Array, encoding: str) -> None:
        encoded = array.dictionary_encode()
        self.values = [value.decode(encoding).strip() for value in encoded.dictionary.to_pylist()]
        self.at = encoded.indices.to_numpy(zero_copy_only=False)

    def where(self, test: Callable[[str], bool]) -> Any:
        """Rows whose text passes the test."""
        return np.array([test(value) for value in self.values], dtype=bool)[self.at]

    def mapped(self, function: Callable[[str], str | None]) -> pa.Array:
        """The function of each text."""
        return pa.array([function(value) for value in self.values], TEXT).take(pa.array(self.at))

    def common(self) -> str:
        """The most frequent text."""
        return self.values[int(np.bincount(self.at).argmax())]


def read_teachers(path: Path, out: Path) -> Delivery:
    """One register file; rows that break a rule are dropped."""
    data = path.read_bytes()
    delivery = Delivery("teacher_register", hashlib.sha256(data).hexdigest(), path.name)
    raw, encoding = (workbook_columns if data[:2] == b"PK" else csv_columns)(data)
    count = len(raw["id"])
    columns = {name: Labels(array, encoding) for name, array in raw.items() if name != "id"}
    # 现聘职称 stands only in the register of established posts.
    delivery.part = "established" if "appointed_title" in raw else "contract"
    delivery.period, delivery.area_code = int(columns["stat_year"].common()), FACTS.area(columns["area_code"].common())
    bad = np.zeros(count, dtype=bool)
    for name in REQUIRED:
        bad |= columns[name].where(lambda text: not text)
    bad |= columns["stat_year"].where(lambda text: text != str(delivery.period))
    bad |= columns["area_code"].where(lambda text: FACTS.area(text) != delivery.area_code)
    bad |= columns["school_code"].where(lambda text: not SCHOOL_CODE.fullmatch(text))
    coded = {name: coded_column(columns, name, bad) for name in columns if name not in {"subject", *REQUIRED[:3]}}
    if "duty_status" in columns:
        status = FACTS.lists["duty_status"]
        bad |= columns["duty_status"].where(lambda text: status.get(text.lower()) in FACTS.left)
    people = read_people(raw["id"], coded.get("id_type"), delivery.period, bad)
    schools = columns["school_code"].mapped(str)
    drop_repeated(pc.binary_join_element_wise(people["person_key"], schools, "|"), bad)
    found = teacher_columns(coded, people, columns["subject"]) | {"school_code": schools}
    kept = pa.array(~bad)
    delivery.rows_in, delivery.rows_accepted = count, int((~bad).sum())
    table: dict[str, Any] = {name: array.filter(kept) for name, array in found.items()} | {"post_kind": delivery.part}
    delivery.write(out, "teacher_register__teacher", table, delivery.rows_accepted)
    return delivery


def csv_columns(data: bytes) -> tuple[dict[str, pa.Array], str]:
    """Wanted columns as undecoded bytes, and their encoding."""
    try:
        data.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "gb18030"
    header = data[: data.index(b"\n")].decode(encoding).strip("\r\ufeff").split(",")
    wanted = wanted_columns(header)
    names = [f"c{at}" for at in range(len(header))]
    table = pacsv.read_csv(
        io.BytesIO(data),
        read_options=pacsv.ReadOptions(
            use_threads=False, column_names=names, skip_rows=1, block_size=min(len(data) + 1, (1 << 31) - 1)
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            include_columns=[names[at] for at in wanted.values()],
            column_types=dict.fromkeys(names, pa.binary()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    return {name: table.column(names[at]).combine_chunks() for name, at in wanted.items()}, encoding


def workbook_columns(data: bytes) -> tuple[dict[str, pa.Array], str]:
    """The same from a workbook."""
    rows = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    wanted = wanted_columns(rows[0])
    arrays = {name: pa.array([str(row[at]) for row in rows[1:]], TEXT).cast(pa.binary()) for name, at in wanted.items()}
    return arrays, "utf-8"


def wanted_columns(header: Sequence[str]) -> dict[str, int]:
    """Positions of the wanted columns."""
    bare = [re.sub(r"^20\d{2}年9月", "", label) for label in header]
    return {name: bare.index(label) for name, label in TEACHER_COLUMNS.items() if label in bare}


def coded_column(columns: dict[str, Labels], name: str, bad: Any) -> pa.Array:
    """Codes of a column; unknown labels are null, and bad where the rule says so."""
    known = FACTS.lists[CODE_LIST.get(name, name)]
    if name in UNKNOWN_IS_BAD:
        bad |= columns[name].where(lambda text: bool(text) and text.lower() not in known)
    return columns[name].mapped(lambda text: known.get(text.lower()) or None)


def read_people(raw: pa.Array, kinds: pa.Array | None, year: int, bad: Any) -> dict[str, Any]:
    """Pseudonym, sex, age and validity by GB 11643, whole columns at once."""
    cells = raw.to_pylist()
    fits = np.array([len(cell) == 18 for cell in cells], dtype=bool)
    matrix = np.frombuffer(b"".join(c if len(c) == 18 else b"0" * 18 for c in cells), dtype=np.uint8).reshape(-1, 18)
    digits = matrix[:, :17].astype(np.int32) - 48
    fits &= np.all((digits >= 0) & (digits <= 9), axis=1)
    digits = np.where(fits[:, None], digits, 1)
    born = digits[:, 6:10] @ np.array([1000, 100, 10, 1])
    month, day = digits[:, 10] * 10 + digits[:, 11], digits[:, 12] * 10 + digits[:, 13]
    leap = (born % 4 == 0) & ((born % 100 != 0) | (born % 400 == 0))
    month_fits = (month >= 1) & (month <= 12)
    last = MONTH_DAYS[np.where(month_fits, month, 0)] - ((month == 2) & ~leap)
    valid = fits & month_fits & (day >= 1) & (day <= last) & (born >= 1900) & (digits[:, 0] > 0)
    valid &= CHECK_CHARS[(digits @ WEIGHTS) % 11] == matrix[:, 17]
    resident = np.ones(len(cells), dtype=bool)
    if kinds is not None:
        resident = ~np.isin(np.array(kinds.to_pylist(), dtype=object), list(FACTS.unchecked_ids))
    ages = year - born - ~((month < 9) | ((month == 9) & (day <= 1)))
    known = resident & valid
    bad |= (resident & ~valid) | (known & ((ages < 16) | (ages > 80)))
    digest = hmac.digest
    return {
        "person_key": pa.array([digest(KEY, cell, "sha256").hex() for cell in cells], TEXT),
        "sex_by_id": pa.array(np.where(digits[:, 16] % 2 == 1, "male", "female"), TEXT),
        "known": pa.array(known),
        "age": pa.array(ages.astype(np.int32), INT, mask=~known),
    }


def drop_repeated(keys: pa.Array, bad: Any) -> None:
    """Rows (of those not bad) that repeat an earlier key become bad."""
    good = np.flatnonzero(~bad)
    positions = keys.take(pa.array(good)).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(positions, return_index=True)
    bad[np.delete(good, first)] = True


def teacher_columns(coded: dict[str, pa.Array], people: dict[str, Any], subject: Labels) -> dict[str, pa.Array]:
    """Columns of the teacher table, bad rows still among them."""
    count = len(people["known"])
    titles = [coded[name] for name in ("title", "appointed_title") if name in coded]
    found: dict[str, pa.Array] = {
        "person_key": people["person_key"],
        "post_category": coded["post_category"],
        "sex": pc.if_else(people["known"], people["sex_by_id"], coded["sex"]),
        "age": people["age"],
        "id_valid": people["known"],
        "education": coded["education"],
        "title": pc.coalesce(*titles),
        "teaching_stage": coded["teaching_stage"],
        "certificate_stage": coded.get("certificate_stage", pa.nulls(count, TEXT)),
        "subject": subject.mapped(lambda text: text[:40] or None),
        "backbone_level": coded.get("backbone", pa.nulls(count, TEXT)),
        "row_no": pa.array(np.arange(2, count + 2, dtype=np.int32)),
    }
    for name in FLAGS:
        found[name] = pc.equal(coded.get(name, pa.nulls(count, TEXT)), "true")
    return found


# -- finance and official figures -------------------------------------------------------------------------------------

FINANCE_TEXT = ("单位代码", "单位名称", "学校标识码", "学校类别代码", "表号", "项目", "updated_at")
FINANCE_NAMES = ("unit_code", "unit_name", "school_code", "school_kind_code", "form", "item", "updated_at")


def finance_groups(database: Path) -> list[tuple[str, int]]:
    """(area, year) of all lines."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT DISTINCT 地区代码, 年度 FROM education_finance_line").fetchall()


def read_finance(database: Path, group: tuple[str, int], out: Path) -> Delivery:
    """The lines of one area and year."""
    amounts = [f"金额{n}" for n in range(1, 9)]
    query = (
        f"SELECT {', '.join((*FINANCE_TEXT, '行次', *amounts))} FROM education_finance_line"
        " WHERE 地区代码 = ? AND 年度 = ? ORDER BY 单位代码, 表号, 行次"
    )
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = list(zip(*connection.execute(query, group).fetchall(), strict=True))
    area, year = group
    delivery = Delivery("education_finance", hashlib.sha256(repr(group).encode()).hexdigest(), "finance", area, year)
    texts = dict(zip(FINANCE_NAMES, (pa.array(column, TEXT) for column in found), strict=False))
    lines = np.array(found[7], dtype=np.int32)
    bad = (lines < 1) | (lines > 9999)
    for name, known in (("form", "finance_form"), ("school_kind_code", "school_kind_finance")):
        values = pa.array(list(FACTS.lists[known].values()), TEXT)
        bad |= ~pc.is_in(texts[name], value_set=values).to_numpy(zero_copy_only=False)
    for name in FINANCE_NAMES:
        if name != "school_code":
            bad |= (pc.binary_length(pc.fill_null(texts[name], "")).to_numpy(zero_copy_only=False)) == 0
    known_school = texts["school_code"].dictionary_encode()
    fits = [not code or SCHOOL_CODE.fullmatch(code) is not None for code in known_school.dictionary.to_pylist()]
    bad |= ~pa.array(fits).take(known_school.indices).fill_null(True).to_numpy(zero_copy_only=False)
    drop_repeated(pc.binary_join_element_wise(texts["unit_code"], texts["form"], pa.array(lines).cast(TEXT), "|"), bad)
    kept = pa.array(~bad)
    stamps = texts["updated_at"].dictionary_encode()
    instants = [datetime.fromisoformat(text) for text in stamps.dictionary.to_pylist()]
    columns: dict[str, Any] = {name: texts[name] for name in FINANCE_NAMES[:-1]} | {"line_no": pa.array(lines)}
    columns["school_code"] = pc.fill_null(texts["school_code"], "")
    columns["updated_at"] = pa.array(instants, pa.timestamp("us")).take(stamps.indices)
    columns |= {f"amount_{n}": pa.array(found[7 + n], TEXT).cast(pa.decimal128(18, 2)) for n in range(1, 9)}
    columns["row_no"] = pa.array(np.arange(2, len(lines) + 2, dtype=np.int32))
    delivery.reported_on = max(instants).date()
    delivery.rows_in, delivery.rows_accepted = len(lines), int((~bad).sum())
    columns = {name: array.filter(kept) for name, array in columns.items()}
    delivery.write(out, "education_finance__line", columns, delivery.rows_accepted)
    return delivery


def read_official(path: Path, out: Path) -> Delivery:
    """The published figures."""
    data = path.read_bytes()
    delivery = Delivery("official_figures", hashlib.sha256(data).hexdigest(), path.name, CITY)
    found = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    # A percentage below one must carry its sign: 0.985 may be 98.5 %.
    rows = [
        row for row in found if row["unit_zh"] != "%" or row["value"][-1] == "%" or not 0 < abs(float(row["value"])) < 1
    ]
    columns: dict[str, Any] = {
        name: pa.array([row[name] for row in rows], TEXT)
        for name in ("indicator_zh", "level_zh", "area_code", "ref_period", "unit_zh", "source", "confidence", "note")
    }
    columns["indicator_id"] = pa.array([row["indicator_id"] or None for row in rows], TEXT)
    columns["stat_year"] = pa.array([int(row["stat_year"]) if row["stat_year"] else None for row in rows], INT)
    columns["value"] = pa.array([row["value"].removesuffix("%") for row in rows], TEXT).cast(pa.decimal128(18, 4))
    columns["row_no"] = pa.array(range(2, len(rows) + 2), INT)
    delivery.rows_in, delivery.rows_accepted = len(found), len(rows)
    delivery.write(out, "official_figures__figure", columns, len(rows))
    return delivery


# -- flat feeds: deliveries that are one table of rows ----------------------------------------------------------------

BROKEN = object()
NEVER = r"(?!)"
AGE = re.compile(r"(\d{1,3})(?:-(\d{1,3})|(\+|岁?及?以上))?岁?")


@dataclass
class Rows:
    """A flat delivery taken apart: heading -> texts, the rows' numbers, and the texts around a CSV's table."""

    cells: dict[str, list[str]]
    numbers: list[int]
    around: str = ""

    def of(self, column: dict[str, Any]) -> list[str]:
        """A column's texts; '' throughout when the delivery lacks it."""
        found = (self.cells[name] for name in column["headings"] if name in self.cells)
        return next(found, None) or [""] * len(self.numbers)

    def without(self, dropped: set[int]) -> Rows:
        """The rows but those at these positions."""
        kept = [at for at in range(len(self.numbers)) if at not in dropped]
        cells = {name: [texts[at] for at in kept] for name, texts in self.cells.items()}
        return Rows(cells, [self.numbers[at] for at in kept], self.around)


def take_apart(data: bytes, feed: str) -> tuple[str, Rows]:
    """The carrier of a delivery and its rows; content decides."""
    if data[:4] == b"PAR1":
        columns = pq.read_table(pa.BufferReader(data)).to_pydict()
        count = len(next(iter(columns.values())))
        cells = {heading(name): list(map(flat_text, values)) for name, values in columns.items()}
        return "parquet", Rows(cells, list(range(1, count + 1)))
    text = decoded(data)
    if text[0] != "{":
        return "csv", csv_rows(text, feed)
    if "jsonl" in properties(feed)["flat"]["carriers"]:
        lines = [line for line in text.split("\n") if line]
        return "jsonl", object_rows([unpacked(json.loads(line, parse_float=str)) for line in lines])
    document = json.loads(text, parse_float=str)
    return "json", object_rows(document.pop("items"), document)


def decoded(data: bytes) -> str:
    """UTF-8, or else GB18030."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030")


def flat_text(value: Any) -> str:
    """A cell as text, '' for none."""
    return "" if value is None else str(value)


def unpacked(item: dict[str, Any]) -> dict[str, Any]:
    """What a message holds, beside its place in the stream."""
    return {**item["data"], "sequence": item["sequence"]} if "data" in item else item


def object_rows(items: list[dict[str, Any]], head: dict[str, Any] | None = None) -> Rows:
    """Objects as columns; the head of a document holds for all its items."""
    labels = dict.fromkeys(label for item in items for label in item)
    cells = {heading(label): [flat_text(item.get(label)) for item in items] for label in labels}
    for label, value in (head or {}).items():
        cells.setdefault(heading(label), [flat_text(value)] * len(items))
    return Rows(cells, list(range(1, len(items) + 1)))


def csv_rows(text: str, feed: str) -> Rows:
    """The table in a CSV below its title lines and above its notes; total rows left out."""
    layout = properties(feed)["flat"]
    known = {name for columns in flat_tables(feed).values() for column in columns for name in column["headings"]}
    records = list(csv.reader(io.StringIO(text, newline="")))
    top = next(at for at, record in enumerate(records) if len(known.intersection(map(heading, record))) > 1)
    labels = [heading(label) for label in records[top]]
    notes = re.compile("|".join(layout["notes"]))
    around, numbers, kept = [" ".join(record) for record in records[:top]], [], []
    for number, record in enumerate(records[top + 1 :], start=top + 2):
        if len(record) < len(labels) and (not record or notes.match(unicodedata.normalize("NFKC", record[0]))):
            around.append(" ".join(record))
        else:
            numbers.append(number)
            kept.append(record + [""] * (len(labels) - len(record)))
    cells = dict(zip(labels, map(list, zip(*kept, strict=True)), strict=True))
    rows = Rows(cells, numbers, unicodedata.normalize("NFKC", " ".join(around)))
    total = next((c for c in next(iter(flat_tables(feed).values())) if c["name"] == layout.get("total_column")), None)
    if total is None:
        return rows
    return rows.without({at for at, label in enumerate(rows.of(total)) if label in layout["totals"]})


def flat_area(text: str) -> str:
    """The code of a reporting area."""
    code = FACTS.area(text)
    if code not in FACTS.reporting:
        raise ValueError(text)
    return code


def age_band(text: str) -> tuple[int, int | None]:
    """First and last age; none for open bands."""
    match = AGE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]), None if match[3] else int(match[2] or match[1])


def statement(pattern: str, text: str) -> tuple[str | None, str | None]:
    """A statement of the plan registry, or else a project."""
    return (text, None) if text in FACTS.statements else (None, coded(pattern, text))


def coded(pattern: str, text: str) -> str:
    """A code that looks as agreed."""
    if re.fullmatch(pattern, text) is None:
        raise ValueError(text)
    return text


def listed(name: str, text: str) -> str:
    """The code a label means."""
    return FACTS.lists[name][text.lower()]


def amount(agreed: str, places: int, cell: tuple[str, str]) -> Decimal:
    """A measured figure in the base of its unit; no figure is negative or (with 0 places) broken."""
    text, unit = cell
    value = Decimal(text.replace(",", "")) * (FACTS.scales[unit or agreed] if agreed else 1)
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    if value < 0 or (not places and rounded != value):
        raise ValueError(text)
    return rounded


def meaning(column: dict[str, Any]) -> Callable[[str], Any]:
    """What a text of a column stands for."""
    kinds: dict[str, Callable[[str], Any]] = {
        "area": flat_area,
        "year": int,
        "age_band": age_band,
        "statement": partial(statement, column.get("code_pattern", "")),
    }
    if column.get("kind"):
        return kinds[column["kind"]]
    if column["type"] == "date":
        return date.fromisoformat
    if column.get("code_list"):
        return partial(listed, column["code_list"])
    return partial(coded, column["code_pattern"]) if column.get("code_pattern") else str


def flat_values(column: dict[str, Any], texts: list[str], units: list[str]) -> list[Any]:
    """The values of a column's texts, each distinct one looked at once; BROKEN where a rule is."""
    measured = column["type"] in {"number", "integer"} and not column.get("kind")
    function: Callable[[Any], Any] = meaning(column)
    if measured:
        function = partial(amount, column.get("unit", ""), 2 if column["type"] == "number" else 0)
    if default := column.get("default"):
        texts = [text or default for text in texts]
    empty = "" if function is str else None
    known: dict[Any, Any] = {}
    cells: list[Any] = list(zip(texts, units, strict=True)) if measured else texts
    for cell in set(cells):
        if not (cell[0] if measured else cell):
            known[cell] = BROKEN if column["required"] else empty
            continue
        try:
            known[cell] = function(cell)
        except (ValueError, KeyError, ArithmeticError):
            known[cell] = BROKEN
    return [known[cell] for cell in cells]


def read_flat(feed: str, path: Path, out: Path) -> Delivery:
    """One flat delivery; rows that break a rule are dropped."""
    data = path.read_bytes()
    delivery = Delivery(feed, hashlib.sha256(data).hexdigest(), path.name)
    layout, tables = properties(feed)["flat"], flat_tables(feed)
    carrier, rows = take_apart(data, feed)
    name = max(tables, key=lambda table: sum(not rows.cells.keys().isdisjoint(c["headings"]) for c in tables[table]))
    columns = {column["name"]: column for column in tables[name]}
    row_units = rows.of(columns[layout["unit_column"]]) if layout.get("unit_column") else [""] * len(rows.numbers)
    printed = re.search(layout.get("printed_unit", NEVER), rows.around)
    units = [unit or (printed[1] if printed else "") for unit in row_units]
    values = {
        at: flat_values(column, rows.of(column), [""] * len(units) if column.get("own_unit") else units)
        for at, column in columns.items()
        if at != layout.get("unit_column")
    }
    identify(delivery, layout, values, rows.around)
    delivery.part = flat_part(layout.get("part_of_carrier", {}).get(carrier, layout.get("part", {})), values, name)
    good = flat_good(delivery, layout, values)
    keys = [values[at] for at, column in columns.items() if column["key"]]
    first = {key: at for at, key in reversed([(at, tuple(column[at] for column in keys)) for at in good])}
    kept = sorted(first.values())
    delivery.rows_in, delivery.rows_accepted = len(rows.numbers), len(kept)
    found = {at: [column[row] for row in kept] for at, column in values.items()}
    blank_out(columns, found)
    found["row_no"] = [rows.numbers[row] for row in kept]
    delivery.write(out, f"{feed}__{name}", parted(columns, found), len(kept))
    return delivery


def common(values: list[Any]) -> Any:
    """The most frequent value, the first of several."""
    return Counter(values).most_common(1)[0][0]


def identify(delivery: Delivery, layout: dict[str, Any], values: dict[str, list[Any]], around: str) -> None:
    """Whose, for when, and reported on which day."""
    area, period = layout["area"], layout["period"]
    delivery.area_code = area.get("fixed") or common(values[area["column"]])
    delivery.period = int(period.get("fixed") or common(values[period["column"]]))
    days = {day for day in values.get(layout.get("reported", ""), ()) if isinstance(day, date)}
    days |= {date(*map(int, day)) for day in re.findall(layout.get("printed_date", NEVER), around)}
    delivery.reported_on = max(days, default=None)


def flat_part(agreed: dict[str, Any], values: dict[str, list[Any]], table: str) -> str:
    """Which part a delivery is."""
    if name := agreed.get("digest_of"):
        texts = "\n".join(sorted({value for value in values[name] if value is not BROKEN}))
        return "b" + hashlib.sha256(texts.encode()).hexdigest()[:12]
    if not agreed.get("column"):
        return str(agreed.get("fixed", ""))
    return f"{common(values[agreed['column']])}{f'-{table}' if agreed.get('with_table') else ''}"


def flat_good(delivery: Delivery, layout: dict[str, Any], values: dict[str, list[Any]]) -> list[int]:
    """Positions of the rows without a broken cell that belong to the delivery and pass the checks over one row."""
    good = [at for at, row in enumerate(zip(*values.values(), strict=True)) if BROKEN not in row]
    part = layout.get("part", {}).get("column")
    owners = [(layout["area"].get("column"), delivery.area_code), (layout["period"].get("column"), delivery.period)]
    owners.append((part, delivery.part.split("-")[0]))
    for name, expected in owners:
        if name:
            good = [at for at in good if values[name][at] == expected]
    for check in layout.get("checks", ()):
        if check["whole"] in values:
            good = [
                at for at in good if holds(check, *(values[name][at] for name in (check["whole"], *check["parts"])))
            ]
    return good


def holds(check: dict[str, Any], whole: Decimal | None, *parts: Decimal | None) -> bool:
    """A sum within its tolerance (in 万元), or no part above the whole; blanks are not compared."""
    given = [part for part in parts if part is not None]
    if whole is None or not given:
        return True
    if check["kind"] == "sum":
        return abs(whole - sum(given)) <= Decimal(check.get("tolerance", "0")) * 10_000
    return max(given) <= whole


def blank_out(columns: dict[str, dict[str, Any]], found: dict[str, list[Any]]) -> None:
    """Values that some rows must not keep."""
    for at, column in columns.items():
        name, _, code = column.get("blank_when", "").partition("=")
        if name:
            found[at] = ["" if kind == code else text for kind, text in zip(found[name], found[at], strict=True)]


def parted(columns: dict[str, dict[str, Any]], found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Age bands as first and last age, targets as statement and project."""
    for at, column in columns.items():
        names = {"age_band": (f"{at}_from", f"{at}_to"), "statement": ("statement_id", "project_code")}
        if column.get("kind") in names:
            pairs = found.pop(at)
            for place, name in enumerate(names[column["kind"]]):
                found[name] = [pair[place] for pair in pairs]
    return found


# -- parsing everything -----------------------------------------------------------------------------------------------

Task = tuple[str, Any, Path]


def work(task: Task) -> Delivery:
    """Read one task."""
    kind, what, out = task
    if kind == "finance":
        return read_finance(what[0], what[1], out)
    readers = {
        "school_census": read_census,
        "teacher_register": read_teachers,
        "official_figures": read_official,
    }
    return readers[kind](what, out) if kind in readers else read_flat(kind, what, out)


def tasks(sample: Path, out: Path) -> list[Task]:
    """Largest first, so that no worker is left with the largest at the end."""
    files = [
        (path.stat().st_size, folder.name, path) for folder in (sample / "inbox").iterdir() for path in folder.iterdir()
    ]
    found: list[Task] = [(kind, path, out) for _, kind, path in sorted(files, reverse=True)]
    database = sample / "finance.db"
    found += [("finance", (database, group), out) for group in finance_groups(database)]
    return found


def parse(sample: Path, out: Path, workers: int) -> list[Delivery]:
    """Everything that waits, in worker processes."""
    for year in range(2020, 2026):
        FACTS.layout(year)
    # With the first Python value it takes pyarrow imports pandas: here once, and not in every worker.
    pa.scalar("")
    out.mkdir(parents=True)
    everything = tasks(sample, out)
    if workers == 1:
        return [work(task) for task in everything]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return pool.map(work, everything, chunksize=1)


# -- SQL --------------------------------------------------------------------------------------------------------------


def duck_type(kind: pa.DataType) -> str:
    """An Arrow type's name in DuckDB."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return {TEXT: "VARCHAR", INT: "INTEGER", BOOL: "BOOLEAN", DATE: "DATE", INSTANT: "TIMESTAMP"}[kind]


def feed_table() -> pa.Table:
    """The table records.feed."""
    rows = []
    for path in sorted(FEEDS.glob("*.odcs.yaml")):
        name = path.name.removesuffix(".odcs.yaml")
        info = properties(name)["feed"]
        plain_values = {key: info[key] for key in ("title_zh", "cadence", "per_area", "first_year", "period_kind")}
        rows.append({"feed": name, **plain_values, "parts": ",".join(info["parts"])})
    return pa.Table.from_pylist(rows)


def delivery_table(deliveries: Sequence[Delivery]) -> pa.Table:
    """The table records.delivery."""
    names = ("delivery_id", "feed", "area_code", "period", "part", "sha256", "file_name", "rows_in", "rows_accepted")
    rows = [
        {name: getattr(row, name) for name in names}
        | {
            "submitter": "",
            "reported_on": row.reported_on,
            "status": "accepted" if row.rows_in == row.rows_accepted else "partly",
            "rows_quarantined": row.rows_in - row.rows_accepted,
        }
        for row in deliveries
    ]
    types = {"period": INT, "reported_on": pa.date32(), "rows_in": pa.int64(), "rows_accepted": pa.int64()}
    types["rows_quarantined"] = pa.int64()
    return pa.table({name: pa.array([row[name] for row in rows], types.get(name, TEXT)) for name in rows[0]})


# Nothing is ever set aside here: a tidy sample passes as it is.
HELD = ("delivery_id", "feed", "area_code", "period", "part", "replaced_by", "reason_zh")
# And nothing was published before.
NO_RELEASE = pa.schema(
    [("release_id", TEXT), ("indicator_id", TEXT), ("area_code", TEXT), ("period", INT), ("value", pa.float64())]
).empty_table()


def load(connection: duckdb.DuckDBPyConnection, deliveries: Sequence[Delivery]) -> None:
    """Schema records: views over the Parquet files, and the small tables."""
    connection.execute("CREATE SCHEMA records")
    for name, schema in SCHEMAS.items():
        paths = sorted(row.tables[name] for row in deliveries if name in row.tables)
        listed = ", ".join(f"'{path}'" for path in paths)
        nulls = ", ".join(f"CAST(NULL AS {duck_type(entry.type)}) AS {entry.name}" for entry in schema)
        source = f"read_parquet([{listed}])" if paths else f"(SELECT {nulls} WHERE false)"
        connection.execute(f"CREATE VIEW records.{name} AS SELECT * FROM {source}")
    held = pa.table({name: pa.array([], INT if name == "period" else TEXT) for name in HELD})
    small = {"delivery": delivery_table(deliveries), "feed": feed_table(), "held": held, "last_release": NO_RELEASE}
    for name, content in small.items():
        connection.register("incoming", content)
        connection.execute(f"CREATE TABLE records.{name} AS SELECT * FROM incoming")
        connection.unregister("incoming")


def build(connection: duckdb.DuckDBPyConnection, plan: dict[str, Any]) -> None:
    """Seeds, then every model in order."""
    for schema in ("seed", "staging", "intermediate", "marts"):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for node in plan["seeds"]:
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in node["columns"])
        connection.execute(
            f"CREATE TABLE {node['relation']} AS SELECT * FROM read_csv('{ROOT / 'dbt_project' / node['path']}',"
            f" header=true, auto_detect=false, delim=',', quote='\"', escape='\"', nullstr='', columns={{{columns}}})"
        )
    for node in plan["models"]:
        if node["materialized"] == "view":
            connection.execute(f"CREATE VIEW {node['relation']} AS {node['sql']}")
            continue
        columns = ", ".join(f'"{name}" {kind}' for name, kind in node["columns"])
        names = ", ".join(f'"{name}"' for name, _ in node["columns"])
        connection.execute(f"CREATE TABLE {node['relation']} ({columns})")
        connection.execute(f"INSERT INTO {node['relation']} SELECT {names} FROM ({node['sql']}) AS made")


def check(connection: duckdb.DuckDBPyConnection, plan: dict[str, Any]) -> dict[str, list[int]]:
    """dbt's tests and the publication rules, as plain SQL; rule -> [rows examined, rows failing]."""
    counts = {}
    for test in plan["tests"]:
        failed = connection.execute(f"SELECT count(*) FROM ({test['sql']}) AS failing").fetchall()[0][0]
        counts[test["name"]] = [1, failed]
    for relation, rules in plan["rules"]:
        parts = ", ".join(
            f"count(*) FILTER (WHERE {rule['scope']}), count(*) FILTER (WHERE {rule['scope']} AND {rule['fails']})"
            for rule in rules
        )
        numbers = connection.execute(f"SELECT {parts} FROM {relation} AS examined").fetchall()[0]
        for rule, examined, failing in zip(rules, numbers[::2], numbers[1::2], strict=True):
            enough = rule["low"] is None or rule["low"] <= examined <= (rule["high"] or examined)
            counts[rule["id"]] = [examined, failing if rule["low"] is None else int(not enough)]
    return counts


def disclose(database: Path) -> None:
    """Take sensitive cells out, by eduplan's own function: an algorithm of its own with no framework around it, which a
    second wording would only repeat."""
    from warehouse.disclosure import protect

    protect(database, None)


def write_marts(connection: duckdb.DuckDBPyConnection, plan: dict[str, Any], out: Path) -> None:
    """One Parquet a mart."""
    folder = out / "parquet"
    folder.mkdir()
    for name in plan["marts"]:
        target = folder / f"{name}.parquet"
        connection.execute(
            f"COPY (SELECT * FROM marts.{name} ORDER BY ALL) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, build, check, write; print what it took."""
    parser = argparse.ArgumentParser(description="The floor: the same work on the bare engine.")
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    plan = json.loads(options.plan.read_bytes())
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    deliveries = parse(options.sample, options.out / "records", options.workers)
    seconds["parse"] = time.perf_counter() - started
    counts: dict[str, list[int]] = {}
    with duckdb.connect(str(options.out / "candidate.duckdb")) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        connection.execute(f"SET memory_limit = '{os.environ.get('EDUPLAN_MEMORY') or '1GB'}'")
        connection.execute("SET threads = 2")
        steps: dict[str, Callable[[], None]] = {
            "load": lambda: load(connection, deliveries),
            "build": lambda: build(connection, plan),
            "test": lambda: counts.update(check(connection, {**plan, "rules": []})),
            "disclose": lambda: disclose(options.out / "candidate.duckdb"),
            "check": lambda: counts.update(check(connection, {**plan, "tests": []})),
            "write": lambda: write_marts(connection, plan, options.out),
        }
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name] = time.perf_counter() - began
    rows = {"in": sum(d.rows_in for d in deliveries), "accepted": sum(d.rows_accepted for d in deliveries)}
    print(json.dumps({"seconds": seconds, "rows": rows, "deliveries": len(deliveries), "counts": counts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
