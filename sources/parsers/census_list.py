"""A collated list (一览表): one workbook a district a year, a sheet a form, a row a school.

What belongs here: the order of reading such a workbook and what refuses it. What does not: header matching
(`census_headers`), profile rules (`census_profile`), figure rules (`census_figures`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np

from sources.catalogue import Catalogue, Form, SheetLayout
from sources.codelists import CITY, areas
from sources.labels import form_name, key, plain
from sources.parsers.arrow import Bools
from sources.parsers.census_figures import (
    FIGURE_TABLE,
    Constants,
    FigureColumn,
    Figures,
    bad_cells,
    broken_checks,
    counts_whole,
    list_table,
    to_matrix,
)
from sources.parsers.census_headers import (
    Header,
    find_header,
    match_columns,
    match_profile,
    paths_by_column,
    stub_labels,
)
from sources.parsers.census_profile import (
    SCHOOL_TABLE,
    ProfileCheck,
    School,
    Where,
    check_school_code,
    majority_area,
    of_area,
    school_table,
)
from sources.parsers.census_title import Title, find_date, find_title, find_unit
from sources.parsers.census_units import unit_factor
from sources.parsers.grid import Grid, UnreadableError, Workbook, column_letter
from sources.parsers.numbers import cell_float, code_text
from sources.parsers.result import Identity, ParseResult, Reporter, finish, refusal

_TITLE_ROWS: Final = 10
# Free text of an address is not needed: the codes beside it are.
_NOT_TAKEN: Final = {"address_zh", "authority_zh"}
# Schools of a sheet that lacks some are named up to this number; the rest is a count.
_NAMED: Final = 50


@dataclass
class ListSheet:
    """One sheet of a list, cut up: title texts above, data rows (1-based numbers) and their school codes as text, total
    row, notes below."""

    name: str
    form: str
    grid: Grid
    header: Header
    title: Title | None
    unit: str
    row_numbers: list[int] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    total: list[Any] | None = None
    notes: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    def code_cell(self, number: int) -> str:
        """Where the school code of a row stands."""
        return f"{column_letter(self.header.code_column + 1)}{number}"


@dataclass
class _State:
    """What is known of the delivery while it is read."""

    reporter: Reporter
    catalogue: Catalogue
    delivery_id: str
    rows_in: int = 0
    rows_accepted: int = 0
    figures: list[tuple[Figures, Bools]] = field(default_factory=list)


def looks_like_list(book: Workbook) -> bool:
    """True when some sheet named after a form has the headings of school code and name side by side above its rows."""
    stubs = stub_labels(_catalogue())
    headers = (find_header(book.grid(name), stubs) for name in book.sheet_names if form_name(name))
    return any(header is not None and header.name_column is not None for header in itertools.islice(headers, 3))


def _catalogue() -> Catalogue:
    from sources.contract import load

    return load("school_census").catalogue


def parse_list(book: Workbook, reporter: Reporter, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Read a collated list whole. A refused list still says how many rows it had."""
    catalogue = reporter.contract.catalogue
    state = _State(reporter, catalogue, delivery_id)
    try:
        sheets = {sheet.form: sheet for sheet in _sheets(book, state)}
    except UnreadableError as error:
        reporter.add("census.unreadable", detail=error)
        return refusal(reporter)
    state.rows_in = sum(len(sheet.rows) for sheet in sheets.values())
    identity = _identity(list(sheets.values()), state)
    if identity is None:
        return refusal(reporter, rows_in=state.rows_in)
    if state.rows_in == 0:
        reporter.add("census.no_rows")
        return refusal(reporter, identity)
    schools = _schools(sheets, identity, state)
    _check_presence(sheets, schools, identity.period, state)
    layouts = catalogue.layouts(identity.period)
    accepted = {school.code for school in schools}
    for name, sheet in sheets.items():
        if name in layouts:
            _read_figures(sheet, layouts[name], accepted, identity, state)
    tables = {
        SCHOOL_TABLE: school_table(
            schools, year=identity.period, area_code=identity.area_code, delivery_id=delivery_id
        ),
        FIGURE_TABLE: list_table(state.figures, Constants(identity.period, identity.area_code, delivery_id)),
    }
    return finish(
        reporter,
        identity,
        rows_in=state.rows_in,
        rows_accepted=state.rows_accepted,
        tables=tables,
        out_dir=out_dir,
    )


# -- cutting sheets up ------------------------------------------------------------------------------------------------


def _sheets(book: Workbook, state: _State) -> Iterator[ListSheet]:
    stubs = stub_labels(state.catalogue)
    ignored = state.catalogue.workbook_layout.ignored_sheets
    known = _known_names(state.catalogue)
    for name in book.sheet_names:
        form = form_name(name)
        if plain(name) in ignored:
            continue
        if form not in known:
            state.reporter.add("census.unknown_sheet", sheet=name)
            continue
        grid = book.grid(name)
        header = find_header(grid, stubs)
        if header is None:
            state.reporter.add("census.missing_column", sheet=name, column=stubs["school_code"][0])
            continue
        yield _cut(name, form, grid, header, state.catalogue)


def _known_names(catalogue: Catalogue) -> set[str]:
    names = {sheet.name for form in catalogue.forms for sheet in form.sheets}
    return names | {sheet.name for sheet in catalogue.profile.sheets}


def _cut(name: str, form: str, grid: Grid, header: Header, catalogue: Catalogue) -> ListSheet:
    above = [text for _, _, text in grid.top_texts(min(header.rows.start, _TITLE_ROWS))]
    sheet = ListSheet(name, form, grid, header, find_title(above), find_unit(above))
    layout = catalogue.list_layout
    totals = {key(label) for label in layout.total_labels}
    note_starts = (layout.note_label, layout.reported_label, "填表人", "单位负责人", "审核人")
    code_column, name_column = header.code_column, header.name_column
    for at in range(header.first_row, len(grid.rows)):
        row = grid.rows[at]
        code, called = row[code_column], row[name_column] if name_column is not None else ""
        is_code = isinstance(code, str) and code.isascii() and code.isdigit()
        if isinstance(code, str) and not is_code:
            first = next((text for cell in row if (text := code_text(cell))), "")
            if not first:
                continue
            if key(first) in totals or (isinstance(called, str) and key(called) in totals):
                sheet.total = row
                continue
            if first.startswith(note_starts):
                sheet.notes += [cell for cell in row if isinstance(cell, str)]
                continue
        sheet.row_numbers.append(at + 1)
        sheet.rows.append(row)
        sheet.codes.append(code if is_code else code_text(code))
    return sheet


# -- whose, for when --------------------------------------------------------------------------------------------------


def _identity(sheets: Sequence[ListSheet], state: _State) -> Identity | None:
    titled = [sheet for sheet in sheets if sheet.title is not None and sheet.title.area]
    if not titled:
        first = sheets[0] if sheets else None
        shown = first.grid.text(0, 0) if first else ""
        state.reporter.add("census.unknown_title", sheet=first.name if first else "", value=shown)
        return None
    title = titled[0].title
    assert title is not None  # noqa: S101 - narrowed by the list above
    known = areas()
    area = known.find(title.area, title.year)
    if area is None or not _reports(area):
        state.reporter.add("census.unknown_area", sheet=titled[0].name, value=title.area)
        return None
    for sheet in titled[1:]:
        other = sheet.title
        if other is not None and (other.year != title.year or known.find(other.area, other.year) != area):
            detail = f"{other.area}{other.year}学年"
            state.reporter.add("census.title_conflict", sheet=sheet.name, detail=detail)
    return Identity(area, title.year, "", _reported_on(sheets))


def _reports(area_code: str) -> bool:
    """A functional area's list would replace its district's: only districts and 市直属 report."""
    return areas().reporting(area_code) == area_code


def _reported_on(sheets: Sequence[ListSheet]) -> date | None:
    dates = [find_date(sheet.notes) for sheet in sheets]
    return max((found for found in dates if found is not None), default=None)


# -- the profile sheet ------------------------------------------------------------------------------------------------


def _schools(sheets: dict[str, ListSheet], identity: Identity, state: _State) -> list[School]:
    name = state.catalogue.profile.sheet_of(identity.period).name
    sheet = sheets.get(name)
    if sheet is None:
        state.reporter.add("census.missing_sheet", sheet=name, detail="学校基本情况为必报表")
        return []
    fields, unknown = match_profile(paths_by_column(sheet.grid, sheet.header), state.catalogue)
    fields |= {"school_code": sheet.header.code_column}
    if sheet.header.name_column is not None:
        fields["school_name"] = sheet.header.name_column
    for column, label in unknown:
        _unknown_header(sheet, column, label, state)
    missing = _missing_fields(fields, state.catalogue)
    for label in missing:
        state.reporter.add("census.missing_column", sheet=sheet.name, column=label)
    if missing:
        return []
    taken = {name: column for name, column in fields.items() if name not in _NOT_TAKEN}
    schools = _check_profiles(sheet, taken, state)
    _check_area(schools, identity, state)
    good = of_area(schools, identity.area_code, identity.period, state.reporter)
    state.rows_accepted += len(good)
    return good


def _missing_fields(fields: dict[str, int], catalogue: Catalogue) -> list[str]:
    """A required fact is there when its code or its name has a column."""
    present = {name.removesuffix("_code").removesuffix("_zh") for name in fields} | set(fields)
    return [
        "/".join(entry.listed)
        for entry in catalogue.profile.fields
        if entry.required
        and entry.field.removesuffix("_code").removesuffix("_zh") not in present
        and entry.field not in present
    ]


def _check_profiles(sheet: ListSheet, fields: dict[str, int], state: _State) -> list[School]:
    check = ProfileCheck(state.reporter, {name: column_letter(column + 1) for name, column in fields.items()})
    seen: dict[str, int] = {}
    schools: list[School] = []
    columns = [_profile_texts(name, sheet.rows, column) for name, column in fields.items()]
    for number, row in zip(sheet.row_numbers, zip(*columns, strict=True), strict=True):
        texts = dict(zip(fields, row, strict=True))
        code = texts["school_code"]
        if code and code in seen:
            _duplicate(sheet, number, code, seen[code], state)
            continue
        school = check.check(texts, Where("", sheet.name, number))
        seen.setdefault(code, number)
        if school is not None:
            schools.append(school)
    return schools


def _profile_texts(name: str, rows: Sequence[Sequence[Any]], column: int) -> list[str]:
    if name == "school_name":
        return [" ".join(str(row[column]).split()) for row in rows]
    known: dict[Any, str] = {}
    texts: list[str] = []
    for row in rows:
        text = known.get(row[column])
        if text is None:
            text = known[row[column]] = code_text(row[column])
        texts.append(text)
    return texts


def _check_area(schools: Sequence[School], identity: Identity, state: _State) -> None:
    known = areas()
    claimed = majority_area(schools, identity.period, municipal=identity.area_code == CITY)
    if claimed is not None and claimed != identity.area_code:
        state.reporter.add("census.wrong_area", value=known.name(identity.area_code), detail=known.name(claimed))


def _check_presence(sheets: dict[str, ListSheet], schools: Sequence[School], year: int, state: _State) -> None:
    """Every sheet a school's type requires must be there (refusal) and hold that school (notice)."""
    wanted: dict[str, list[School]] = {}
    required = {code: state.catalogue.required_sheets(year, code) for code in {school.type_code for school in schools}}
    for school in schools:
        for name in required[school.type_code]:
            wanted.setdefault(name, []).append(school)
    for name, of in wanted.items():
        sheet = sheets.get(name)
        if sheet is None:
            detail = f"有 {len(of)} 所学校的办学类型须填此表，如{of[0].name}"
            state.reporter.add("census.missing_sheet", sheet=name, detail=detail)
            continue
        there = set(sheet.codes)
        for school in [school for school in of if school.code not in there][:_NAMED]:
            state.reporter.add("census.school_without_figures", sheet=sheet.name, value=school.code)


# -- figures ----------------------------------------------------------------------------------------------------------


def _read_figures(sheet: ListSheet, layout: SheetLayout, accepted: set[str], identity: Identity, state: _State) -> None:
    figures = _figures(sheet, layout, state)
    if figures is None:
        return
    forms: list[Form] = [block.form for block in layout.blocks]
    _compare_totals(sheet, figures, state)
    bad = bad_cells(figures, state.reporter)
    bad |= broken_checks(figures, forms, state.reporter)
    bad |= _without_school(sheet, figures.codes, accepted, state)
    keep = ~bad
    state.rows_accepted += int(keep.sum())
    state.figures.append((figures, keep))


def _figures(sheet: ListSheet, layout: SheetLayout, state: _State) -> Figures | None:
    matched = match_columns(
        paths_by_column(sheet.grid, sheet.header), sheet.header.index, layout.name, layout.form_year
    )
    for column, label in matched.unknown:
        _unknown_header(sheet, column, label, state)
    for entry in matched.missing:
        state.reporter.add("census.missing_column", sheet=sheet.name, column="/".join(entry.path))
    factor = unit_factor(state.reporter, sheet.name, sheet.unit, layout.unit)
    if matched.missing or factor is None:
        return None
    whole = {block.form.form: counts_whole(block.form.unit) for block in layout.blocks}
    columns = [
        FigureColumn(at, "/".join(entry.path), entry.form, entry.line, entry.column, entry.measure, whole[entry.form])
        for at, entry in matched.columns.items()
    ]
    pick = itemgetter(*matched.columns) if len(columns) > 1 else lambda row: (row[columns[0].sheet_column],)
    raw = [pick(row) for row in sheet.rows]
    values = to_matrix(raw) if raw else np.empty((0, len(columns)))
    if factor != 1:
        # In 万人 57 people are 0.0057, and a float gives back 57.00000000000001.
        values = np.round(values * factor, 4)
    return Figures("", sheet.name, sheet.row_numbers, sheet.codes, columns, raw, values, factor)


def _compare_totals(sheet: ListSheet, figures: Figures, state: _State) -> None:
    if sheet.total is None or not len(figures.values):
        return
    sums = np.where(np.isfinite(figures.values), figures.values, 0.0).sum(axis=0)
    for column, together in zip(figures.columns, sums.tolist(), strict=True):
        total = cell_float(sheet.total[column.sheet_column]) * figures.factor
        if np.isfinite(total) and abs(total - together) > 0.01:
            state.reporter.add(
                "census.total_mismatch",
                sheet=sheet.name,
                column=column.label,
                value=f"{total:.10g}",
                detail=f"{together:.10g}",
            )


def _without_school(sheet: ListSheet, codes: Sequence[str], accepted: set[str], state: _State) -> Bools:
    """Rows without code, with a bad or repeated code, or of a school whose profile was not accepted."""
    bad = np.zeros(len(codes), dtype=np.bool_)
    seen: dict[str, int] = {}
    for at, (code, number) in enumerate(zip(codes, sheet.row_numbers, strict=True)):
        if code in accepted and code not in seen:
            seen[code] = number
            continue
        bad[at] = True
        if code in seen:
            _duplicate(sheet, number, code, seen[code], state)
            continue
        cell = sheet.code_cell(number)
        if check_school_code(state.reporter, Where("", sheet.name, number), code, cell=cell):
            state.reporter.add(
                "census.school_profile_missing",
                sheet=sheet.name,
                row=number,
                column="学校标识码",
                cell=cell,
                value=code,
            )
    return bad


def _duplicate(sheet: ListSheet, number: int, code: str, first: int, state: _State) -> None:
    state.reporter.add(
        "census.duplicate_school",
        sheet=sheet.name,
        row=number,
        column="学校标识码",
        cell=sheet.code_cell(number),
        value=code,
        detail=first,
    )


def _unknown_header(sheet: ListSheet, column: int, label: str, state: _State) -> None:
    row = sheet.header.rows.stop
    letter = FigureColumn(column, label, "", 0, 0, None, whole=False).letter
    state.reporter.add("census.unknown_header", sheet=sheet.name, column=label, cell=f"{letter}{row}")
