"""A school's own workbook (基层统计调查表): one school, a sheet a form, a line a stub row.

What belongs here: finding profile, lines and figures in the real forms, shifted or not. What does not: the zip around
workbooks (`census_zip`), collated lists (`census_list`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sources.catalogue import Address, Catalogue, Check, Form, SheetLayout
from sources.labels import form_name, key, plain
from sources.parsers.census_figures import FigureColumn, FigureRow, counts_whole, report_check
from sources.parsers.census_profile import Where
from sources.parsers.census_title import find_date, find_title, find_unit
from sources.parsers.census_units import unit_factor
from sources.parsers.grid import Grid, IndexRow, Workbook, column_letter
from sources.parsers.numbers import cell_float, code_text, text_float
from sources.parsers.result import Reporter

_TOP: Final = 15
_SUPPLEMENT_FORM: Final = "1102"
_TOLERANCE: Final = 1e-6


@dataclass
class LineRow:
    """One stub row of a form sheet: canonical form and line, 1-based row, figures by column number. `cells`: column
    number -> 0-based sheet column and what stands there."""

    sheet: str
    form: str
    line: int
    row: int
    values: dict[int, float]
    cells: dict[int, tuple[int, Any]]
    optional: bool = False
    bad: bool = False
    reported: set[int] = field(default_factory=set)

    def cell(self, number: int) -> str:
        """Where a figure stands: a cell like C5."""
        return f"{column_letter(self.cells[number][0] + 1)}{self.row}"


@dataclass
class SchoolBook:
    """Everything read from one school's workbook."""

    member: str
    year: int | None
    profile: dict[str, str]
    where: Where
    sheets: set[str]
    lines: list[LineRow] = field(default_factory=list)
    reported_on: date | None = None
    has_profile: bool = True

    @property
    def rows_in(self) -> int:
        """Data lines, the profile counting as one."""
        return len(self.lines) + int(self.has_profile)


def looks_like_workbook(book: Workbook, catalogue: Catalogue) -> bool:
    """True when the workbook has a profile sheet of the school forms."""
    names = {sheet.name for sheet in catalogue.profile.sheets}
    return any(form_name(name) in names for name in book.sheet_names)


def read_school(book: Workbook, reporter: Reporter) -> SchoolBook:
    """Read one workbook; broken lines are marked bad and reported. Raises UnreadableError."""
    catalogue = reporter.contract.catalogue
    grids = {name: book.grid(name) for name in book.sheet_names}
    year = _year(grids, catalogue)
    texts: list[str] = []
    school = SchoolBook(reporter.member, year, {}, Where(reporter.member, "", 1), set(), has_profile=False)
    if year is None:
        shown = next(iter(grids), "")
        reporter.add("census.unknown_title", sheet=shown, value=reporter.member or shown)
        return school
    layouts = catalogue.layouts(year)
    profile_sheet = catalogue.profile.sheet_of(year)
    for name, grid in grids.items():
        form = form_name(name)
        if plain(name) in catalogue.workbook_layout.ignored_sheets:
            texts += [text for _, _, text in grid.top_texts(_TOP)]
        elif grid.index_row is None and _is_explanation(grid, catalogue):
            _explanations(grid, catalogue, reporter)
        elif form == profile_sheet.name:
            school.sheets.add(form)
            school.has_profile = True
            row, found, cells = (
                _grid_profile(grid, catalogue) if profile_sheet.layout == "grid" else _vertical(grid, catalogue)
            )
            school.where = Where(reporter.member, name, row, cells)
            school.profile |= found
            texts += [text for _, _, text in grid.top_texts(60)]
        elif form is None:
            reporter.add("census.unknown_sheet", sheet=name)
        else:
            school.sheets.add(form)
            _read_form(grid, form, layouts.get(form), school, reporter)
    school.reported_on = find_date(texts)
    return school


def _year(grids: Mapping[str, Grid], catalogue: Catalogue) -> int | None:
    """The school year out of the profile sheet's title, else out of any other sheet's."""
    profile = {sheet.name for sheet in catalogue.profile.sheets}
    ordered = sorted(grids, key=lambda name: form_name(name) not in profile)
    for name in ordered:
        title = find_title(text for _, _, text in grids[name].top_texts(_TOP))
        if title is not None:
            return title.year
    return None


# -- profile ----------------------------------------------------------------------------------------------------------


_Found = tuple[int, dict[str, str], dict[str, str]]


def _grid_profile(grid: Grid, catalogue: Catalogue) -> _Found:
    """1-based row of the school code, the texts found below their labels (form of 2020), and their cells."""
    places = _label_places(grid)
    found: dict[str, str] = {}
    cells: dict[str, str] = {}
    row_of_code = 1
    for entry in catalogue.profile.fields:
        place = places.get(key(entry.grid)) if entry.grid else None
        if place is None:
            continue
        row = place[0] + 1 if entry.take == "value" else _stub_row(grid, place[0], entry.take)
        if row is None:
            continue
        found[entry.field] = _text(grid, row, place[1], name=entry.field == "school_name")
        cells[entry.field] = f"{column_letter(place[1] + 1)}{row + 1}"
        if entry.field == "school_code":
            row_of_code = row + 1
    return row_of_code, found, cells


def _label_places(grid: Grid) -> dict[str, tuple[int, int]]:
    """Label key -> first place; the labels stand again further down for attached classes."""
    places: dict[str, tuple[int, int]] = {}
    for row, column, text in grid.top_texts(60):
        places.setdefault(key(text), (row, column))
    return places


_TAKE_STUBS: Final = {"name": "名称", "code": "代码"}


def _stub_row(grid: Grid, label_row: int, take: str) -> int | None:
    first = 1 if grid.shifted else 0
    for row in range(label_row + 1, min(label_row + 4, len(grid.rows))):
        stub = next((text for column in range(first, grid.width) if (text := grid.text(row, column))), "")
        if stub == _TAKE_STUBS[take]:
            return row
    return None


def _vertical(grid: Grid, catalogue: Catalogue) -> _Found:
    """1-based row of the school code, the texts by line number (form from 2021), and their cells."""
    index = _index(grid)
    if index is None:
        return 1, {}, {}
    by_line = {entry.line: entry.field for entry in catalogue.profile.fields}
    found: dict[str, str] = {}
    cells: dict[str, str] = {}
    row_of_code = index.row + 2
    column = index.figures.get(1, index.line + 1)
    for row in range(index.row + 1, len(grid.rows)):
        name = by_line.get(_line_number(grid, row, index) or -1)
        if name is not None:
            found[name] = _text(grid, row, column, name=name == "school_name")
            cells[name] = f"{column_letter(column + 1)}{row + 1}"
        if name == "school_code":
            row_of_code = row + 1
    return row_of_code, found, cells


def _text(grid: Grid, row: int, column: int, *, name: bool) -> str:
    if row >= len(grid.rows) or column >= grid.width:
        return ""
    value = grid.rows[row][column]
    return " ".join(str(value).split()) if name else code_text(value)


# -- explanations -----------------------------------------------------------------------------------------------------


def _is_explanation(grid: Grid, catalogue: Catalogue) -> bool:
    title = plain(catalogue.workbook_layout.explanation_title)
    return any(text == title for _, _, text in grid.top_texts(4))


def _explanations(grid: Grid, catalogue: Catalogue, reporter: Reporter) -> None:
    """Free text of the submitter: every text below the title and the form number is kept with the findings."""
    title = plain(catalogue.workbook_layout.explanation_title)
    for row, cells in enumerate(grid.rows):
        for column, value in enumerate(cells):
            text = plain(value) if isinstance(value, str) else ""
            noise = len(text) < 2 or text == title or form_name(text) is not None
            if not noise:
                cell = f"{column_letter(column + 1)}{row + 1}"
                reporter.add("census.explanation", sheet=grid.name, row=row + 1, cell=cell, detail=str(value).strip())


# -- forms ------------------------------------------------------------------------------------------------------------


def _index(grid: Grid) -> IndexRow | None:
    """The index row; the form of numbered items (项目 编号 内容 单位) has a heading in its place."""
    if grid.index_row is not None:
        return grid.index_row
    for row in range(min(_TOP, len(grid.rows))):
        places = {grid.text(row, column): column for column in range(grid.width)}
        if "编号" in places and "内容" in places:
            stub = places.get("项目", places["编号"] - 1)
            return IndexRow(row, stub, places["编号"], {1: places["内容"]}, places.get("单位"))
    return None


def _line_number(grid: Grid, row: int, index: IndexRow) -> int | None:
    text = grid.text(row, index.line)
    return int(text) if text.isdecimal() and len(text) <= 4 else None


def _read_form(grid: Grid, form: str, layout: SheetLayout | None, school: SchoolBook, reporter: Reporter) -> None:
    index = _index(grid)
    if index is None:
        reporter.add("census.unknown_sheet", sheet=grid.name)
        return
    printed = find_unit(text for _, _, text in grid.top_texts(index.row))
    factor = unit_factor(reporter, grid.name, printed, layout.unit if layout else "", member=reporter.member)
    if factor is None:
        return
    lines = list(_lines(grid, index, form, layout, reporter))
    _take_supplement(lines, school, reporter)
    forms = {block.form.form: block.form for block in layout.blocks} if layout else {}
    for line in lines:
        _read_values(line, forms.get(line.form), factor, reporter)
    _check_lines(lines, layout, reporter)
    school.lines += lines


def _lines(grid: Grid, index: IndexRow, form: str, layout: SheetLayout | None, reporter: Reporter) -> Iterator[LineRow]:
    seen: dict[int, int] = {}
    figures = index.figures.items()
    for row in range(index.row + 1, len(grid.rows)):
        number = _line_number(grid, row, index)
        values = grid.rows[row]
        if number is None:
            if any(values[at] != "" for _, at in figures):
                label = grid.text(row, index.stub)
                reporter.add("census.unknown_line", sheet=grid.name, row=row + 1, value=label)
            continue
        cells = {no: (at, values[at]) for no, at in figures}
        canonical, line_no, listed = _canonical(form, number, layout)
        has_unit = index.unit is not None and bool(grid.text(row, index.unit))
        optional = canonical == _SUPPLEMENT_FORM and not listed and not has_unit
        line = LineRow(grid.name, canonical, line_no, row + 1, {}, cells, optional)
        if number in seen:
            line.bad = True
            reporter.add("census.duplicate_line", sheet=grid.name, row=row + 1, value=number, detail=seen[number])
        seen.setdefault(number, row + 1)
        yield line


def _canonical(form: str, number: int, layout: SheetLayout | None) -> tuple[str, int, bool]:
    """Canonical form and line of a sheet line, and whether the catalogue lists it."""
    if layout is None:
        return form, number, False
    listed = layout.line_addresses.get(number)
    if listed is not None:
        return *listed, True
    alone = len(layout.blocks) == 1 and not layout.blocks[0].sheet.lines
    return (layout.blocks[0].form.form, number, False) if alone else (form, number, False)


def _take_supplement(lines: Sequence[LineRow], school: SchoolBook, reporter: Reporter) -> None:
    """Profile facts that the form of 2020 lacks stand as added lines of its continuation sheet."""
    wanted = {
        entry.supplement_line: entry.field
        for entry in reporter.contract.catalogue.profile.fields
        if entry.supplement_line is not None
    }
    for line in lines:
        name = wanted.get(line.line) if line.form == _SUPPLEMENT_FORM else None
        if name is not None and 1 in line.cells:
            school.profile.setdefault(name, code_text(line.cells[1][1]))
            line.cells = {}


def _read_values(line: LineRow, form: Form | None, factor: float, reporter: Reporter) -> None:
    whole = counts_whole(form.unit) if form else False
    for number, (_, raw) in line.cells.items():
        value = text_float(raw) if raw.__class__ is str else cell_float(raw)
        if math.isnan(value):
            continue
        if factor != 1:
            # In 万人 57 people are 0.0057, and a float gives back 57.00000000000001.
            value = round(value * factor, 4)
        rule = _broken_value(value, whole=whole)
        if rule == "census.not_a_number" and line.optional:
            continue
        if rule is not None:
            line.bad = True
            line.reported.add(number)
            column = _label(form, line.line, number)
            reporter.add(rule, sheet=line.sheet, row=line.row, column=column, cell=line.cell(number), value=raw)
        else:
            line.values[number] = value


def _broken_value(value: float, *, whole: bool) -> str | None:
    if math.isinf(value):
        return "census.not_a_number"
    if value < 0:
        return "census.negative"
    if whole and value != math.floor(value):
        return "census.not_whole"
    return None


def _label(form: Form | None, line: int, number: int) -> str:
    column = form.column_by_no.get(number) if form else None
    return "/".join(column.header) if column else f"第{number}栏（行{line}）"


def _check_lines(lines: Sequence[LineRow], layout: SheetLayout | None, reporter: Reporter) -> None:
    for block in layout.blocks if layout else ():
        of_form = {line.line: line for line in lines if line.form == block.form.form}
        for check in block.form.checks:
            _check(block.form, check, of_form, reporter)
        total = of_form.get(block.form.lines[0].number)
        if total is not None and total.bad:
            for line in of_form.values():
                if not line.bad:
                    line.bad = True
                    reporter.add("census.total_line_quarantined", sheet=line.sheet, row=line.row)


def _check(form: Form, check: Check, of_form: Mapping[int, LineRow], reporter: Reporter) -> None:
    """All lines a broken check touches are bad: nobody can say which of them is wrong."""
    addresses = (check.whole, *check.parts)
    amounts: list[float] = []
    for line_no, column in addresses:
        found = of_form.get(line_no)
        if found is None or column not in found.cells or column in found.reported:
            return
        amounts.append(found.values.get(column, 0.0))
    whole, parts = amounts[0], amounts[1:]
    together = sum(parts) if check.kind == "sum" else max(parts)
    if abs(together - whole) <= _TOLERANCE or (check.kind == "subset" and together < whole):
        return
    shown: Address = check.whole if check.kind == "sum" else check.parts[0]
    line = of_form[shown[0]]
    letter_column = FigureColumn(0, _label(form, *shown), form.form, shown[0], shown[1], None, whole=True)
    value, detail = (whole, together) if check.kind == "sum" else (together, whole)
    report_check(
        reporter,
        check,
        letter_column,
        member=reporter.member,
        sheet=line.sheet,
        row=line.row,
        value=value,
        detail=detail,
        cell=line.cell(shown[1]),
    )
    for number in {address[0] for address in addresses}:
        of_form[number].bad = True


def figure_rows(school: SchoolBook, code: str, catalogue: Catalogue) -> Iterator[FigureRow]:
    """The figures of the good lines."""
    measures = {form.form: form.measure_at for form in catalogue.forms}
    for line in school.lines:
        if line.bad:
            continue
        named = measures.get(line.form, {})
        for number, value in line.values.items():
            yield (
                code,
                line.form,
                line.line,
                number,
                named.get((line.line, number)),
                value,
                line.cell(number),
                school.member,
                line.sheet,
                line.row,
            )
