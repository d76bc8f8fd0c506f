"""The teacher register: CSV (在编) or workbook (编外) to one row a person and school, without the person.

What belongs here: the rules of a teacher row. What does not: cutting files (`delimited`, `grid`), hashing
(`sources.pseudonym`). Names, telephones and addresses are never read: their columns are not taken out of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources import pseudonym
from sources.codelists import areas, code_list
from sources.contract import SourceColumn, load
from sources.labels import key as label_key
from sources.labels import plain
from sources.parsers import arrow
from sources.parsers.arrow import Array, Bools
from sources.parsers.census_profile import SCHOOL_CODE
from sources.parsers.delimited import (
    Columns,
    columns_from_rows,
    match_headers,
    open_csv,
    report_ragged,
    without_blank_rows,
)
from sources.parsers.grid import TOP_ROWS, Grid, UnreadableError, column_letter, kind, open_workbook
from sources.parsers.numbers import code_text
from sources.parsers.result import Identity, ParseResult, Reporter, finish, record_table, refusal
from sources.parsers.vectors import Labels, labels, report_repeated, report_rows, year_of

TABLE: Final = "teacher_register__teacher"
_ADULT, _OLD = 16, 80
_SPLIT: Final = re.compile(r"[、,，;；/|\s]+")
_ID_LENGTH: Final = 18


@dataclass
class _Register:
    """A register while it is read: its columns, their distinct values, and which rows are bad."""

    reporter: Reporter
    sheet: str
    columns: Columns
    by_name: dict[str, SourceColumn]
    values: dict[str, Labels]
    bad: Bools

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.columns.row_numbers)

    def mark(self, rule: str, rows: Bools, column: str, *, personal: bool = False) -> None:
        """Record a finding for each marked row; rules that quarantine make the row bad."""
        if not rows.any():
            return
        texts = None if personal else self.values.get(column)
        report_rows(
            self.reporter,
            rule,
            rows,
            row_numbers=self.columns.row_numbers,
            column=self.by_name[column],
            texts=texts,
            place=self.columns.places.get(column),
            sheet=self.sheet,
        )
        if self.reporter.contract.rules[rule].severity == "quarantine":
            self.bad |= rows


def parse_teachers(snapshot: Path, *, delivery_id: str, key: bytes, out_dir: Path) -> ParseResult:
    """Parse a register delivery; content decides format, encoding, area, year and part."""
    reporter = Reporter(load("teacher_register"))
    try:
        opened = _open(snapshot, reporter)
    except UnreadableError as error:
        reporter.add("teacher.unreadable", detail=error)
        return refusal(reporter)
    if opened is None:
        return refusal(reporter)
    sheet, columns = opened
    part = _part(columns.labels, reporter)
    register = _register(reporter, sheet, columns)
    rows_in = register.count + len(columns.ragged)
    if rows_in == 0:
        reporter.add("teacher.no_rows")
        return refusal(reporter, Identity(part=part))
    identity = _identity(register, part)
    if identity is None:
        return refusal(reporter, Identity(part=part), rows_in=rows_in)
    report_ragged(columns, "teacher.ragged_row", reporter, sheet=sheet)
    table = _records(register, identity, key, delivery_id)
    return finish(
        reporter, identity, rows_in=rows_in, rows_accepted=table.num_rows, tables={TABLE: table}, out_dir=out_dir
    )


# -- opening ----------------------------------------------------------------------------------------------------------


def _open(snapshot: Path, reporter: Reporter) -> tuple[str, Columns] | None:
    """(sheet name, columns); None when a required column is missing. Raises UnreadableError."""
    with snapshot.open("rb") as handle:
        found = kind(handle.read(8))
    if found in {"text", "empty"}:
        columns = open_csv(snapshot.read_bytes(), "teacher", reporter, names_of=snapshot)
        return None if columns is None else ("", columns)
    book = open_workbook(snapshot)
    for name in book.sheet_names:
        grid = book.grid(name)
        row = _header_row(grid, reporter)
        if row is not None:
            header = tuple(code_text(cell) for cell in grid.rows[row])
            wanted = match_headers(header, "teacher", reporter)
            rows = grid.rows[row + 1 :]
            return None if reporter.refused else (name, columns_from_rows(rows, header, row + 2, wanted))
    raise UnreadableError("找不到表头行")


def _header_row(grid: Grid, reporter: Reporter) -> int | None:
    known = {label_key(label) for column in reporter.contract.columns("teacher") for label in column.headers}
    for row in range(min(TOP_ROWS, len(grid.rows))):
        if sum(label_key(grid.text(row, column)) in known for column in range(grid.width)) > 3:
            return row
    return None


def _part(headers: Sequence[str], reporter: Reporter) -> str:
    info = reporter.contract.info
    present = {label_key(label) for label in headers}
    for part, markers in info.part_headers.items():
        if any(label_key(marker) in present for marker in markers):
            return part
    return info.parts[-1]


def _register(reporter: Reporter, sheet: str, columns: Columns) -> _Register:
    by_name = {column.name: column for column in reporter.contract.columns("teacher")}
    columns = without_blank_rows(columns)
    values = {name: labels(array, columns.encoding) for name, array in columns.arrays.items() if name != "person_key"}
    return _Register(reporter, sheet, columns, by_name, values, np.zeros(len(columns.row_numbers), dtype=np.bool_))


# -- whose, for when --------------------------------------------------------------------------------------------------


def _identity(register: _Register, part: str) -> Identity | None:
    year_texts, area_texts = register.values["stat_year"], register.values["area_code"]
    year = year_of(year_texts.majority())
    if year is None:
        register.reporter.add("teacher.unknown_year", sheet=register.sheet, value=year_texts.majority())
        return None
    area = _reporting(area_texts.majority(), year)
    if area is None:
        register.reporter.add("teacher.unknown_area", sheet=register.sheet, value=area_texts.majority())
        return None
    register.mark("teacher.wrong_year", ~year_texts.where(lambda text: year_of(text) in {year, None}), "stat_year")
    elsewhere = area_texts.where(lambda text: bool(text) and _reporting(text, year) != area)
    register.mark("teacher.wrong_area", elsewhere, "area_code")
    return Identity(area, year, part, None)


def _reporting(text: str, year: int) -> str | None:
    known = areas()
    found = known.find(text, year) if text else None
    return known.reporting(found) if found else None


# -- rows -------------------------------------------------------------------------------------------------------------


def _records(register: _Register, identity: Identity, key: bytes, delivery_id: str) -> pa.Table:
    for column in register.by_name.values():
        if column.required and column.name in register.values:
            register.mark("teacher.missing_required", register.values[column.name].blank, column.name)
    schools = register.values["school_code"]
    wrong = schools.where(lambda text: bool(text) and not SCHOOL_CODE.fullmatch(code_text(text)))
    register.mark("teacher.bad_school_code", wrong, "school_code")
    people = _people(register, identity.period, key)
    coded = {name: _coded(register, name) for name in _CODED}
    _mark_status(register)
    school_codes = schools.mapped(code_text)
    # One person at two schools is two rows (exchange, several sites); twice at one school is a mistake.
    report_repeated(
        register.reporter,
        "teacher.duplicate_teacher",
        [people.keys, school_codes],
        register.bad,
        register.columns.row_numbers,
        sheet=register.sheet,
    )
    by_row: dict[str, Array] = {
        "school_code": school_codes,
        "person_key": people.keys,
        "sex": people.sex,
        "age": people.age,
        "id_valid": people.valid,
        "post_category": coded["post_category"],
        "education": coded["education"],
        "title": arrow.first_of(coded["title"], coded["appointed_title"]),
        "teaching_stage": coded["teaching_stage"],
        "certificate_stage": coded["certificate_stage"],
        "subject": _subject(register),
        "backbone_level": coded["backbone_level"],
        "dual_qualified": arrow.as_bools(coded["dual_qualified"]),
        "professional_course": arrow.as_bools(coded["professional_course"]),
        "pe_music_art": arrow.as_bools(coded["pe_music_art"]),
        "row_no": pa.array(register.columns.row_numbers, pa.int32()),
    }
    constant = {
        "stat_year": identity.period,
        "area_code": identity.area_code,
        "post_kind": identity.part,
        "delivery_id": delivery_id,
        "member": "",
        "sheet": register.sheet,
    }
    return record_table(TABLE, by_row, constant, keep=~register.bad)


_CODED: Final = (
    "post_category",
    "education",
    "title",
    "appointed_title",
    "teaching_stage",
    "certificate_stage",
    "backbone_level",
    "dual_qualified",
    "professional_course",
    "pe_music_art",
)


def _coded(register: _Register, name: str) -> Array:
    """Codes of a column; unknown labels are findings and null. A column the file lacks is null throughout."""
    texts = register.values.get(name)
    if texts is None:
        return pa.nulls(register.count, pa.string())
    column = register.by_name[name]
    codes = code_list(column.info.code_list)
    find = _highest if name == "backbone_level" else codes.find
    unknown = texts.where(lambda text: bool(text) and find(text) is None)
    rule = "teacher.unknown_code" if column.info.on_unknown == "quarantine" else "teacher.unknown_label"
    register.mark(rule, unknown, name)
    return texts.mapped(lambda text: find(text) or None)


def _highest(text: str) -> str | None:
    """The highest of several backbone levels in one cell (`市级骨干、区级骨干`); '' for none, None when unknown."""
    codes = code_list("backbone")
    found = [code for part in _SPLIT.split(text) if part and (code := codes.find(part)) is not None]
    return min(found, key=lambda code: codes.extras[code]["rank"]) if found else None


def _subject(register: _Register) -> Array:
    texts = register.values.get("subject")
    return pa.nulls(register.count, pa.string()) if texts is None else texts.mapped(lambda text: text[:40] or None)


def _mark_status(register: _Register) -> None:
    texts = register.values.get("duty_status")
    if texts is None:
        return
    codes = code_list("duty_status")
    register.mark(
        "teacher.unknown_label", texts.where(lambda text: bool(text) and codes.find(text) is None), "duty_status"
    )
    gone = texts.where(lambda text: codes.extras.get(codes.find(text) or "", {}).get("in_post") == "false")
    register.mark("teacher.not_in_post", gone, "duty_status")


# -- people -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _People:
    """What is kept of the persons of all rows."""

    keys: Array
    sex: Array
    age: Array
    valid: Array


def _people(register: _Register, year: int, key: bytes) -> _People:
    raw = register.columns.arrays["person_key"]
    numbers, texts, well_formed, again = _plain_numbers(raw) or _normalised(raw, register.columns.encoding)
    checked = _is_resident_card(register)
    blank = np.array([not text for text in texts], dtype=np.bool_) if not well_formed.all() else ~well_formed
    valid = well_formed & pseudonym.check_ids(numbers)
    digits = np.where(well_formed[:, None], pseudonym.id_digits(numbers), 1)
    dates = pseudonym.valid_birth(digits)
    register.mark("teacher.old_id_number", checked & valid & again, "person_key", personal=True)
    register.mark("teacher.missing_required", blank, "person_key", personal=True)
    register.mark("teacher.bad_id_format", checked & ~blank & ~well_formed, "person_key", personal=True)
    register.mark("teacher.bad_id_date", checked & well_formed & ~dates, "person_key", personal=True)
    register.mark("teacher.bad_id_checksum", checked & well_formed & dates & ~valid, "person_key", personal=True)
    known = checked & valid
    ages = pseudonym.ages(digits, date(year, 9, 1))
    _mark_ages(register, known, ages)
    return _People(
        keys=pa.array(pseudonym.pseudonyms(key, texts), pa.string()),
        sex=_sex(register, known, pseudonym.is_male(digits)),
        age=pa.array(ages, pa.int32(), mask=~known),
        valid=pa.array(known),
    )


# n×18 bytes (zeros where the form is wrong), the normalised numbers as UTF-8, which rows have 17 digits and a check,
# which of them were written as an old number of 15 digits.
_Numbers = tuple[npt.NDArray[np.uint8], list[bytes], Bools, Bools]


def _plain_numbers(raw: Array) -> _Numbers | None:
    """A column in which every number stands in its one spelling already, as nearly all do; None for any other."""
    numbers = arrow.rows_of_bytes(raw, _ID_LENGTH)
    if numbers is None or not _well_formed(numbers).all():
        return None
    data = numbers.tobytes()
    texts = [data[at : at + _ID_LENGTH] for at in range(0, len(data), _ID_LENGTH)]
    return numbers, texts, np.ones(len(texts), dtype=np.bool_), np.zeros(len(texts), dtype=np.bool_)


def _well_formed(numbers: npt.NDArray[np.uint8]) -> Bools:
    """Which rows of n×18 bytes are 17 digits and a check."""
    digits = (numbers[:, :17] >= ord("0")) & (numbers[:, :17] <= ord("9"))
    last = numbers[:, -1]
    found: Bools = np.all(digits, axis=1) & (((last >= ord("0")) & (last <= ord("9"))) | (last == ord("X")))
    return found


def _normalised(raw: Array, encoding: str) -> _Numbers:
    """Any column of numbers."""
    cells: list[bytes] = raw.to_pylist()  # type: ignore[assignment]
    texts = [cell.decode(encoding, errors="replace") for cell in cells]
    plain_length = arrow.lengths(raw) == _ID_LENGTH
    again = np.zeros(len(texts), dtype=np.bool_)
    for row in np.flatnonzero(~plain_length).tolist():
        written, texts[row] = texts[row], pseudonym.normalise_id(texts[row])
        again[row] = len(texts[row]) == _ID_LENGTH and len(plain(written)) < _ID_LENGTH
    fixed = [text if len(text) == _ID_LENGTH and text.isascii() else "0" * _ID_LENGTH for text in texts]
    numbers = np.frombuffer("".join(fixed).encode("ascii"), dtype=np.uint8).reshape(-1, _ID_LENGTH).copy()
    lower = numbers[:, -1] == ord("x")
    if lower.any():
        numbers[lower, -1] = ord("X")
        for row in np.flatnonzero(lower).tolist():
            texts[row] = texts[row].upper()
    right_length = np.array([len(text) == _ID_LENGTH and text.isascii() for text in texts], dtype=np.bool_)
    well_formed = _well_formed(numbers) & right_length
    for row in np.flatnonzero(~well_formed).tolist():
        texts[row] = pseudonym.normalise_id(texts[row])
    return numbers, [text.encode() for text in texts], well_formed, again


def _is_resident_card(register: _Register) -> Bools:
    """Rows whose number must be valid by GB 11643: no document type given, or a resident identity card."""
    texts = register.values.get("id_type")
    if texts is None:
        return np.ones(register.count, dtype=np.bool_)
    codes = code_list("id_type")
    register.mark("teacher.unknown_code", texts.where(lambda text: bool(text) and codes.find(text) is None), "id_type")
    return texts.where(lambda text: codes.extras.get(codes.find(text) or "1", {}).get("checked") == "true")


def _mark_ages(register: _Register, known: Bools, ages: npt.NDArray[np.int32]) -> None:
    out = known & ((ages < _ADULT) | (ages > _OLD))
    letter = column_letter(register.columns.places["person_key"] + 1)
    for row in np.flatnonzero(out).tolist():
        number = int(register.columns.row_numbers[row])
        register.reporter.add(
            "teacher.age_out_of_range",
            sheet=register.sheet,
            row=number,
            column=register.by_name["person_key"].info.header,
            cell=f"{letter}{number}",
            value=int(ages[row]),
        )
    register.bad |= out


def _sex(register: _Register, known: Bools, male: Bools) -> Array:
    """Sex by the number where it is valid, else as written."""
    written = _coded(register, "sex") if "sex" in register.values else pa.nulls(register.count, pa.string())
    by_number = pa.array(np.where(male, "male", "female"))
    if "sex" in register.values:
        register.mark("teacher.sex_conflict", known & arrow.differs(written, by_number), "sex")
    return arrow.choose(known, by_number, written)
