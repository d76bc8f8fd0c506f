"""The collated list (一览表) of a district: one workbook a year, one sheet a form, one row a school.

Belongs here: laying the figures out as the contract's list layout says, with damage and untidiness where asked for.
Labels, sheets and column order come from ``sources.contract``; nothing here repeats them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xlsxwriter.worksheet import Worksheet

from sources.catalogue import Catalogue, SheetLayout
from sources.contract import load
from sources.sample.census import BLANK, HUNDREDTHS, DistrictYear, FormTable
from sources.sample.damage import DamagedRow, Removed, choose, pick
from sources.sample.mangling import Mangler, number
from sources.sample.school_profile import school_profiles
from sources.sample.workbook import NOTE_ZH, merge, two_row_header, workbook

FEED = "school_census"
_FIRST_DATA_ROW = 6
_STUB = 2
_PROFILE_DAMAGE = ("census.unknown_school_type", "census.missing_school_code", "census.bad_school_code")
_LOST_CODE, _TEXT, _NEGATIVE, _SUM = (
    "census.missing_school_code",
    "census.not_a_number",
    "census.negative",
    "census.sum_mismatch",
)
_WORDS = ("约三百", "待核", "见附表", "不详")
Cell = str | int | float | None


@dataclass
class ListSheet:
    """A sheet before it is written: stub and figure cells by row, 总计 row, and which school each row is."""

    name: str
    title: str
    unit: str
    paths: list[tuple[str, ...]]
    school: list[int]
    rows: list[list[Cell]]
    totals: list[Cell]


@dataclass(frozen=True)
class ListResult:
    """What a written list says of itself."""

    damaged: list[DamagedRow]
    removed: Removed
    rows: int


def write_list(
    world: DistrictYear, tables: Mapping[str, FormTable], path: Path, rng: np.random.Generator, dirt: float
) -> ListResult:
    """Write the list of a district and year to ``path``; ``dirt`` is the share of rows to damage."""
    catalogue = load(FEED).catalogue
    mangler = Mangler(rng, active=dirt > 0)
    sheets = list(_sheets(world, catalogue, tables))
    removed = Removed()
    damaged: list[tuple[str, int, int, str, str]] = []
    for position, sheet in enumerate(sheets):
        for row in pick(rng, len(sheet.rows), dirt):
            rule = _damage_row(rng, catalogue, world.year, sheet, row, profile=position == 0)
            damaged.append((sheet.name, row, sheet.school[row], rule, "damage"))
            _remove(catalogue, world.year, sheet, row, removed, profile=position == 0)
    damaged += _followers(sheets, removed, {(name, row) for name, row, *_ in damaged})
    names = {sheet.name: mangler.sheet(sheet.name) for sheet in sheets}
    with workbook(path) as book:
        for sheet in sheets:
            _write_sheet(book.add_worksheet(names[sheet.name]), sheet, world, catalogue, mangler)
    records = [
        DamagedRow(
            FEED, path.name, "", names[name], row + _FIRST_DATA_ROW + 1, rule, cause, world.area.code, world.year
        )
        for name, row, _, rule, cause in damaged
    ]
    return ListResult(records, removed, sum(len(sheet.rows) for sheet in sheets))


def _sheets(world: DistrictYear, catalogue: Catalogue, tables: Mapping[str, FormTable]) -> Iterator[ListSheet]:
    profiles = school_profiles(world)
    yield _profile_sheet(world, catalogue, profiles)
    for layout in catalogue.layouts(world.year).values():
        blocks = [tables[block.form.form] for block in layout.blocks]
        school = np.unique(np.concatenate([table.school for table in blocks]))
        if len(school):
            yield _figure_sheet(layout, tables, school, profiles)


def _profile_sheet(world: DistrictYear, catalogue: Catalogue, profiles: Mapping[int, Mapping[str, str]]) -> ListSheet:
    profile = catalogue.profile
    rows: list[list[Cell]] = [[values[item.field] for item in profile.fields] for values in profiles.values()]
    return ListSheet(
        name=profile.sheet_of(world.year).name,
        title=profile.title,
        unit=profile.unit,
        paths=[item.listed for item in profile.fields[_STUB:]],
        school=list(profiles),
        rows=rows,
        totals=[],
    )


def _figure_sheet(
    layout: SheetLayout,
    tables: Mapping[str, FormTable],
    school: np.ndarray[tuple[int], np.dtype[np.int64]],
    profiles: Mapping[int, Mapping[str, str]],
) -> ListSheet:
    columns: list[list[Cell]] = []
    totals: list[Cell] = []
    for item in layout.list_columns:
        table = tables[item.form]
        values = np.full(len(school), BLANK)
        values[np.searchsorted(school, table.school)] = table.column((item.line, item.column))
        scale = 100 if (item.form, (item.line, item.column)) in HUNDREDTHS else 1
        columns.append([_shown(value, scale) for value in values.tolist()])
        totals.append(_shown(int(values[values != BLANK].sum()), scale))
    indexes = school.tolist()
    stubs = [[profiles[index]["school_code"], profiles[index]["school_name"]] for index in indexes]
    rows: list[list[Cell]] = [
        [*stub, *figures] for stub, figures in zip(stubs, zip(*columns, strict=True), strict=True)
    ]
    paths = [item.path for item in layout.list_columns]
    return ListSheet(layout.name, layout.title, layout.unit, paths, indexes, rows, totals)


def _shown(value: int, scale: int) -> Cell:
    if value == BLANK:
        return None
    return value if scale == 1 else value / scale


def _damage_row(
    rng: np.random.Generator, catalogue: Catalogue, year: int, sheet: ListSheet, row: int, *, profile: bool
) -> str:
    """Spoil one row in place and return the rule it must break."""
    cells = sheet.rows[row]
    rule = choose(rng, _PROFILE_DAMAGE) if profile else choose(rng, (_LOST_CODE, _TEXT, _NEGATIVE, _SUM))
    if rule == _LOST_CODE:
        cells[0] = None
    elif rule == "census.bad_school_code":
        cells[0] = str(cells[0])[:-1]
    elif profile:
        cells[_STUB], cells[_STUB + 1] = "未知机构", "777"
    else:
        rule = _damage_figure(rng, catalogue, catalogue.layouts(year)[sheet.name], cells, rule)
    return rule


def _damage_figure(
    rng: np.random.Generator, catalogue: Catalogue, layout: SheetLayout, cells: list[Cell], rule: str
) -> str:
    if rule == _SUM:
        place = _summand(catalogue, layout, cells)
        if place is not None:
            cells[place] = int(cells[place] or 0) + 7
            return rule
        rule = _NEGATIVE
    # Only columns the contract names are read; a spoilt unread cell would cost nothing.
    places = [
        item.position + 1 for item in layout.list_columns if item.required and cells[item.position + 1] is not None
    ]
    place = places[int(rng.integers(0, len(places)))]
    cells[place] = _WORDS[int(rng.integers(0, len(_WORDS)))] if rule == _TEXT else -int(float(cells[place] or 0)) - 1
    return rule


def _summand(catalogue: Catalogue, layout: SheetLayout, cells: Sequence[Cell]) -> int | None:
    """The cell of a part in the first sum check whose form this row reports; None when there is none."""
    for item in layout.list_columns:
        for check in catalogue.form(item.form).checks:
            if (
                check.kind == "sum"
                and check.parts[-1] == (item.line, item.column)
                and cells[item.position + 1] is not None
            ):
                return item.position + 1
    return None


def _remove(catalogue: Catalogue, year: int, sheet: ListSheet, row: int, removed: Removed, *, profile: bool) -> None:
    school = sheet.school[row]
    if profile:
        removed.schools.add(school)
        return
    for block in catalogue.layouts(year)[sheet.name].blocks:
        for line in block.lines:
            removed.lines.add((block.form.form, line, school))


def _followers(
    sheets: Sequence[ListSheet], removed: Removed, already: set[tuple[str, int]]
) -> list[tuple[str, int, int, str, str]]:
    """Rows of schools whose profile is lost: they are quarantined as well, unless damaged themselves."""
    return [
        (sheet.name, row, school, "census.school_profile_missing", "follows")
        for sheet in sheets[1:]
        for row, school in enumerate(sheet.school)
        if school in removed.schools and (sheet.name, row) not in already
    ]


def _write_sheet(
    page: Worksheet, sheet: ListSheet, world: DistrictYear, catalogue: Catalogue, mangler: Mangler
) -> None:
    width = _STUB + len(sheet.paths)
    area = "重庆市" + mangler.area(world.area.name)
    year = world.year
    merge(page, 0, 0, width - 1, catalogue.list_layout.title.format(area=area, year=year, next_year=year + 1))
    merge(
        page, 1, 0, width - 1, f"表号：{sheet.name}　{sheet.title}" + (f"　　单位：{sheet.unit}" if sheet.unit else "")
    )
    aliases = {**catalogue.aliases, **(catalogue.profile.aliases if not sheet.totals else {})}
    stubs = [(label,) for label in catalogue.list_layout.stub_headers.values()]
    paths = [tuple(mangler.header(sheet.name, label, aliases) for label in path) for path in [*stubs, *sheet.paths]]
    two_row_header(page, 2, paths)
    for column, text in enumerate(["甲", "乙", *map(str, range(1, len(sheet.paths) + 1))]):
        page.write_string(4, column, text)
    page.write_string(5, 0, catalogue.list_layout.total_labels[0])
    _write_cells(page, 5, [[None, None, *sheet.totals]], {})
    untidy = mangler.cells(len(sheet.rows), width - _STUB) if sheet.totals else {}
    _write_cells(page, _FIRST_DATA_ROW, sheet.rows, untidy)
    foot = _FIRST_DATA_ROW + len(sheet.rows)
    page.write_string(foot, 0, NOTE_ZH)
    page.write_string(foot + 1, 0, f"{catalogue.list_layout.reported_label}：{year}年9月{20 + world.area.index % 10}日")


def _write_cells(
    page: Worksheet, first_row: int, rows: Sequence[Sequence[Cell]], untidy: Mapping[tuple[int, int], int]
) -> None:
    """Write numbers as numbers and text as text; an untidy cell becomes text in another spelling."""
    for row, cells in enumerate(rows):
        for column, value in enumerate(cells):
            if value is None or value == "":
                continue
            style = untidy.get((row, column - _STUB))
            if isinstance(value, str):
                page.write_string(first_row + row, column, value)
            elif style is not None and value >= 0:
                page.write_string(first_row + row, column, number(str(value), style))
            else:
                page.write_number(first_row + row, column, value)
