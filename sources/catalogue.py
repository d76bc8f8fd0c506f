"""The census form catalogue: what a form's sheets, lines and columns are, by form year, and how a list lays them out.

What belongs here: strict models of the catalogue in `feeds/school_census.odcs.yaml` and what follows from them. What
does not: reading files (`sources.parsers`) and loading the contract (`sources.contract`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Address = tuple[int, int]


class Strict(BaseModel):
    """Base of every contract model: unknown keys refused, never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SheetName(Strict):
    """Where a form stands in the form years first_year..last_year; sheet line = canonical line + line_offset."""

    name: str
    first_year: int = 0
    last_year: int = 9999
    block: str = ""
    line_offset: int = 0
    lines: tuple[int, ...] = ()

    def valid(self, form_year: int) -> bool:
        """True when this name holds for the form year."""
        return self.first_year <= form_year <= self.last_year


class Line(Strict):
    """A stub line: number 乙, label 甲; `header` is its label as a column of a list where that differs."""

    number: int
    label: str
    header: str = ""
    subset: bool = False


class Column(Strict):
    """A figure column: number in the index row and the label path of the header rows. `measure` names line 1."""

    number: int
    header: tuple[str, ...]
    measure: str | None = None
    subset: bool = False


class Named(Strict):
    """A measure at [line, column] other than those the columns name."""

    at: Address
    measure: str


class ListPart(Strict):
    """Columns of one line that a collated list shows; lines other than 1 stand under the header `group`."""

    line: int
    columns: tuple[int, ...]
    group: str = ""


class Check(Strict):
    """`sum`: the whole equals its parts (blank parts count 0); `subset`: no part is more than the whole."""

    kind: Literal["sum", "subset"]
    whole: Address
    parts: tuple[Address, ...]


class Form(Strict):
    """One canonical form."""

    form: str
    title: str
    unit: str
    stage: str
    sheets: Annotated[tuple[SheetName, ...], Field(min_length=1)]
    required_for: tuple[str, ...]
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    measures: tuple[Named, ...] = ()
    listed: tuple[ListPart, ...]
    checks: tuple[Check, ...]

    @model_validator(mode="after")
    def _addresses_exist(self) -> Self:
        known = {(line.number, column.number) for line in self.lines for column in self.columns}
        used = [part_address for part in self.listed for part_address in ((part.line, no) for no in part.columns)]
        used += [named.at for named in self.measures]
        used += [address for check in self.checks for address in (check.whole, *check.parts)]
        missing = sorted(set(used) - known)
        if missing:
            raise ValueError(f"表 {self.form} 引用了不存在的行列：{missing}")
        return self

    @cached_property
    def measure_at(self) -> dict[Address, str]:
        """(line, column) -> measure name, for the addresses the catalogue names."""
        first = self.lines[0].number
        named = {(first, column.number): column.measure for column in self.columns if column.measure}
        return named | {entry.at: entry.measure for entry in self.measures}

    @cached_property
    def line_by_no(self) -> dict[int, Line]:
        """Stub lines by number."""
        return {line.number: line for line in self.lines}

    @cached_property
    def column_by_no(self) -> dict[int, Column]:
        """Columns by number."""
        return {column.number: column for column in self.columns}

    def sheets_of(self, form_year: int) -> list[SheetName]:
        """The sheets that carry this form in a form year."""
        return [sheet for sheet in self.sheets if sheet.valid(form_year)]


@dataclass(frozen=True)
class ListColumn:
    """One figure column of a collated list: position (index number), where it goes, and its header path."""

    position: int
    form: str
    line: int
    column: int
    path: tuple[str, ...]
    measure: str | None

    @property
    def required(self) -> bool:
        """A list without a named measure is refused; other columns may be missing."""
        return self.measure is not None


@dataclass(frozen=True)
class Block:
    """A canonical form as it stands on one sheet of a form year."""

    form: Form
    sheet: SheetName

    @property
    def lines(self) -> tuple[int, ...]:
        """Canonical line numbers on this sheet."""
        return self.sheet.lines or tuple(line.number for line in self.form.lines)


@dataclass(frozen=True)
class SheetLayout:
    """A sheet of a form year: its blocks, and the columns of its collated list."""

    name: str
    form_year: int
    blocks: tuple[Block, ...]

    @property
    def title(self) -> str:
        """The form's title (the first block's)."""
        return self.blocks[0].form.title

    @property
    def unit(self) -> str:
        """The unit printed above the table."""
        return self.blocks[0].form.unit

    @cached_property
    def line_addresses(self) -> dict[int, tuple[str, int]]:
        """Line number as printed on the sheet -> canonical form and line."""
        found: dict[int, tuple[str, int]] = {}
        for block in self.blocks:
            for line in block.lines:
                found.setdefault(line + block.sheet.line_offset, (block.form.form, line))
        return found

    @cached_property
    def list_columns(self) -> tuple[ListColumn, ...]:
        """Figure columns in list order, positions from 1."""
        found = [entry for block in self.blocks for entry in _block_columns(block)]
        return tuple(
            ListColumn(position, form, line, column, path, measure)
            for position, (form, line, column, path, measure) in enumerate(found, start=1)
        )


def _block_columns(block: Block) -> Iterator[tuple[str, int, int, tuple[str, ...], str | None]]:
    form = block.form
    for part in form.listed:
        if part.line not in block.lines:
            continue
        for no in part.columns:
            path = _list_path(block, part, no)
            yield form.form, part.line, no, path, form.measure_at.get((part.line, no))


def _list_path(block: Block, part: ListPart, column_no: int) -> tuple[str, ...]:
    line, column = block.form.line_by_no[part.line], block.form.column_by_no[column_no]
    path: tuple[str, ...]
    if part.line != block.form.lines[0].number:
        path = (part.group, line.header or line.label)
    elif part.group and len(block.form.columns) > 1:
        path = (part.group, column.header[-1])
    elif part.group:
        path = (part.group, line.header or line.label)
    else:
        path = (line.header,) if line.header else column.header
    # A list has two header rows: on a sheet with two forms the upper one names the block.
    path = (block.sheet.block, path[-1]) if block.sheet.block else path
    return tuple(label for label in path if label)


class ProfileField(Strict):
    """One item of the school profile and where the three layouts show it."""

    field: str
    label: str
    listed: tuple[str, ...]
    grid: str = ""
    take: Literal["", "value", "name", "code"] = ""
    line: int
    supplement_line: int | None = None
    code_list: str | None = None
    required: bool = True


class ProfileSheet(Strict):
    """The sheet that carries the profile in the form years first_year..last_year."""

    name: str
    layout: Literal["grid", "vertical"]
    first_year: int = 0
    last_year: int = 9999


class Profile(Strict):
    """Form 1001: the school profile."""

    form: str
    title: str
    unit: str
    sheets: tuple[ProfileSheet, ...]
    fields: tuple[ProfileField, ...]
    aliases: dict[str, tuple[str, ...]]

    def sheet_of(self, form_year: int) -> ProfileSheet:
        """The profile sheet of a form year."""
        return next(sheet for sheet in self.sheets if sheet.first_year <= form_year <= sheet.last_year)


class ListLayout(Strict):
    """What every sheet of a collated list has in common."""

    title: str
    stub_headers: dict[str, str]
    stub_aliases: dict[str, tuple[str, ...]]
    total_labels: tuple[str, ...]
    reported_label: str
    note_label: str


class WorkbookLayout(Strict):
    """What school workbooks have besides forms: sheets without data, and the submitter's own explanations."""

    ignored_sheets: tuple[str, ...]
    explanation_title: str


@dataclass(frozen=True)
class Catalogue:
    """All forms, the profile, the list layout and the header aliases."""

    profile: Profile
    forms: tuple[Form, ...]
    list_layout: ListLayout
    workbook_layout: WorkbookLayout
    aliases: dict[str, tuple[str, ...]]

    def form(self, number: str) -> Form:
        """The canonical form. Raises KeyError."""
        return self._by_number[number]

    @cached_property
    def _layouts(self) -> dict[int, dict[str, SheetLayout]]:
        return {}

    @cached_property
    def _by_number(self) -> dict[str, Form]:
        return {form.form: form for form in self.forms}

    def layouts(self, form_year: int) -> dict[str, SheetLayout]:
        """Sheet name -> layout for a form year, in catalogue order (the profile sheet apart)."""
        if form_year not in self._layouts:
            blocks: dict[str, list[Block]] = {}
            for form in self.forms:
                for sheet in form.sheets_of(form_year):
                    blocks.setdefault(sheet.name, []).append(Block(form, sheet))
            found = {name: SheetLayout(name, form_year, tuple(of)) for name, of in blocks.items()}
            self._layouts[form_year] = found
        return self._layouts[form_year]

    def required_sheets(self, form_year: int, school_type_code: str) -> list[str]:
        """Sheets a school of that type must have, in catalogue order, the profile sheet first."""
        names = [self.profile.sheet_of(form_year).name]
        for form in self.forms:
            if school_type_code in form.required_for:
                names += [sheet.name for sheet in form.sheets_of(form_year)]
        return list(dict.fromkeys(names))
