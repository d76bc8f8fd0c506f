"""A county's zip of school workbooks in the layout of the real forms (基层统计调查表).

Belongs here: one workbook a school, a sheet a form: 基础基/中职基 sheets for the form year 2020, 教基 sheets from
2021, with or without the letter row and number column some exports add; values mostly as text; member names in GB18030.
Form titles, labels, lines and columns come from the contract; the layout of the 2020 profile from ``form_2020``.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from sources.catalogue import Block, Catalogue, Line, SheetLayout
from sources.contract import load
from sources.sample import form_2020
from sources.sample.census import BLANK, HUNDREDTHS, DistrictYear, FormTable
from sources.sample.damage import DamagedRow, Removed, choose
from sources.sample.mangling import Mangler, number
from sources.sample.register_columns import made_up_names, made_up_phones
from sources.sample.school_profile import school_profiles
from sources.sample.workbook import NOTE_ZH, workbook

FEED = "school_census"
_LINE_DAMAGE = ("census.not_a_number", "census.negative")
_PLACES_OF_2021 = ("office_phone", "email", "head_name", "clerk_name")
_LABELS_OF_2021 = ("办公电话", "单位电子信箱", "校（园）长", "填表人")
_WORDS = ("约三百", "待核", "见附表", "不详")
_GAP = " " * 120


@dataclass
class Page:
    """A sheet before it is written: cells by (row, column), merged ranges, and the 0-based row of every data line."""

    name: str
    cells: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    lines: dict[tuple[str, int], int] = field(default_factory=dict)
    figures: dict[tuple[str, int, int], tuple[int, int]] = field(default_factory=dict)

    def put(self, row: int, column: int, text: str, *, right: int = 0, down: int = 0) -> None:
        """Write a text, merged over ``right`` more columns and ``down`` more rows."""
        self.cells[row, column] = text
        if right or down:
            self.merged.append((row, column, row + down, column + right))


@dataclass
class ZipResult:
    """What a written zip says of itself."""

    damaged: list[DamagedRow]
    removed: Removed
    rows: int
    schools: int


@dataclass(frozen=True)
class _Contacts:
    """Made-up people on the profile forms; one entry a school of the frame's order in ``world.schools``."""

    head: list[str]
    clerk: list[str]
    phone: list[str]


def contacts(world: DistrictYear) -> _Contacts:
    """Heads, clerks and office telephones of the schools of a district; the same in every year."""
    frame = world.frame
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 9, world.area.index]))
    own = np.flatnonzero(frame.schools.area == world.area.index)
    names, clerks, phones = (made_up_names(rng, len(own)), made_up_names(rng, len(own)), made_up_phones(rng, len(own)))
    place = np.searchsorted(own, world.schools)
    return _Contacts(names[place].tolist(), clerks[place].tolist(), phones[place].tolist())


def write_zip(
    world: DistrictYear, tables: Mapping[str, FormTable], path: Path, rng: np.random.Generator, dirt: float
) -> ZipResult:
    """Write the zip of a county and year; ``dirt`` is the chance of each profile and each first line to be damaged."""
    catalogue = load(FEED).catalogue
    profiles = school_profiles(world)
    people = contacts(world)
    mangler = Mangler(rng, active=dirt > 0)
    reported = f"{catalogue.list_layout.reported_label}：{world.year}年9月{20 + world.area.index % 10}日"
    result = ZipResult([], Removed(), 0, len(profiles))
    rows = {
        form: {school: place for place, school in enumerate(table.school.tolist())} for form, table in tables.items()
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for position, (school, profile) in enumerate(profiles.items()):
            member = f"{world.area.name}/{profile['school_name']}.xlsx"
            extra = {
                "head_name": people.head[position],
                "clerk_name": people.clerk[position],
                "office_phone": people.phone[position],
                "email": f"{profile['school_code']}@example.cn",
                "post_code": "405900",
                "primary_years": "6" if school in rows["3112"] else "-1",
                "junior_years": "3" if school in rows["3115"] else "-1",
            }
            book = _School(world.year, catalogue, profile | extra, _figures_of(tables, rows, school))
            pages = book.pages()
            result.rows += sum(len(page.lines) for page in pages)
            for sheet, row, rule, cause in _damage(
                rng, dirt, pages, catalogue, school=school, down=_shift(profile["school_code"]), removed=result.removed
            ):
                result.damaged.append(
                    DamagedRow(FEED, path.name, member, sheet, row, rule, cause, world.area.code, world.year)
                )
            archive.writestr(_GbkInfo(member), _render(pages, profile["school_code"], reported, mangler))
    return result


class _GbkInfo(zipfile.ZipInfo):
    """A member whose name is stored in GB18030 without the UTF-8 flag, as Chinese archivers do."""

    def __init__(self, name: str) -> None:
        super().__init__(name, date_time=(2020, 1, 1, 0, 0, 0))
        self.external_attr = 0o600 << 16

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's own hook
        return self.filename.encode("gb18030"), self.flag_bits & ~0x800


def _figures_of(
    tables: Mapping[str, FormTable], rows: Mapping[str, Mapping[int, int]], school: int
) -> dict[str, dict[tuple[int, int], str]]:
    """Form -> address -> text of one school's figures; forms it does not report are absent."""
    found: dict[str, dict[tuple[int, int], str]] = {}
    for form, table in tables.items():
        place = rows[form].get(school)
        if place is not None:
            values = table.values[place].tolist()
            pairs = zip(table.addresses, values, strict=True)
            found[form] = {address: _text(form, address, value) for address, value in pairs}
    return found


def _text(form: str, address: tuple[int, int], value: int) -> str:
    if value == BLANK:
        return ""
    return f"{value // 100}.{value % 100:02d}" if (form, address) in HUNDREDTHS else str(value)


@dataclass(frozen=True)
class _School:
    """Builds the pages of one school's workbook, counted without letter row and number column."""

    year: int
    catalogue: Catalogue
    profile: Mapping[str, str]
    figures: Mapping[str, Mapping[tuple[int, int], str]]

    def pages(self) -> list[Page]:
        """Profile first, then every form the school reports, in catalogue order."""
        sheet = self.catalogue.profile.sheet_of(self.year)
        pages = [self._grid_profile(sheet.name) if sheet.layout == "grid" else self._vertical_profile(sheet.name)]
        for layout in self.catalogue.layouts(self.year).values():
            blocks = [block for block in layout.blocks if block.form.form in self.figures]
            is_supplement = layout.name == "基础基112"
            if is_supplement:
                pages.append(self._items(layout.name))
            elif blocks:
                pages.append(self._form(layout, blocks))
        if int(self.profile["school_code"]) % 17 == 0:
            pages.append(self._explanation())
        return pages

    def _explanation(self) -> Page:
        """Some schools explain their figures on a sheet of its own."""
        page = Page("基础基112续表1" if self.year == 2020 else "教基1102续表1")
        page.put(0, 0, self.catalogue.workbook_layout.explanation_title)
        page.put(1, 0, page.name)
        page.put(2, 0, "本学年班数因校舍维修有调整，数据已与学籍系统核对。")
        return page

    @property
    def _school_year(self) -> str:
        return f"（{self.year} /{self.year + 1} 学年初）"

    def _grid_profile(self, name: str) -> Page:
        page = Page(name)
        page.put(0, 0, form_2020.TITLE, right=form_2020.WIDTH - 1)
        page.put(1, 0, self._school_year, right=form_2020.WIDTH - 1)
        page.put(2, 0, form_2020.APPROVAL, right=form_2020.WIDTH - 1)
        page.put(3, 0, name, right=form_2020.WIDTH - 1)
        for label in form_2020.PROFILE_LABELS:
            page.put(label.row, label.column, label.text, right=label.right, down=label.down)
        for key, (row, column, right) in form_2020.PROFILE_PLACES.items():
            page.put(row, column, self.profile.get(key, ""), right=right)
        page.lines["1001", 1] = form_2020.PROFILE_PLACES["school_code"][0]
        return page

    def _vertical_profile(self, name: str) -> Page:
        page = Page(name)
        page.put(0, 0, f"{self.catalogue.profile.title}{self._school_year}", right=2)
        page.put(1, 0, name, right=2)
        for column, label in enumerate(("指标名称", "代码", "内容")):
            page.put(2, column, label, down=1)
            page.put(4, column, ("甲", "乙", "1")[column])
        items = [(item.line, item.label, self.profile[item.field]) for item in self.catalogue.profile.fields]
        start = max(line for line, _, _ in items) + 1
        for place, (key, label) in enumerate(zip(_PLACES_OF_2021, _LABELS_OF_2021, strict=True)):
            items.append((start + place, label, self.profile[key]))
        for row, (line, label, text) in enumerate(items, start=5):
            page.put(row, 0, label)
            page.put(row, 1, f"{line:02d}" if line < 10 else str(line))
            page.put(row, 2, text)
        page.lines["1001", 1] = 5
        return page

    def _items(self, name: str) -> Page:
        """基础基112: numbered items with a heading row in place of the index row; 43 to 47 are ours."""
        page = Page(name)
        page.put(0, 0, "学校（机构）基本情况", right=4)
        page.put(1, 0, f"{name}{_GAP}单位:", right=4)
        for column, label in enumerate(("项目", "编号", "内容", "单位", "备注")):
            page.put(2, column, label)
        extra = [item for item in self.catalogue.profile.fields if item.supplement_line is not None]
        rows = [*form_2020.ITEMS, *((item.label, "", "") for item in extra)]
        answers = dict(form_2020.FIXED_ITEMS) | {form_2020.GUARDS_ITEM: "2"}
        answers |= {line: text for (line, _), text in self.figures.get("1102", {}).items()}
        answers |= {item.supplement_line or 0: self.profile[item.field] for item in extra}
        for line, (label, unit, note) in enumerate(rows, start=1):
            for column, text in enumerate((label, str(line), answers.get(line, ""), unit, note)):
                page.put(line + 2, column, text)
            page.lines["1102", line] = line + 2
        return page

    def _form(self, layout: SheetLayout, blocks: list[Block]) -> Page:
        page = Page(layout.name)
        columns = max((block.form.columns for block in blocks), key=len)
        numbers = [column.number for column in columns]
        last = 1 + len(numbers)
        page.put(0, 0, layout.title, right=last)
        page.put(1, 0, f"{layout.name}{_GAP}单位：{layout.unit}", right=last)
        two_rows = self.year > 2020 or any(len(column.header) > 1 for column in columns)
        index = 4 if two_rows else 3
        self._heading(page, [column.header for column in columns], two_rows=two_rows)
        for column, text in enumerate(["甲", "乙", *map(str, numbers)]):
            page.put(index, column, text)
        row = index + 1
        for block in blocks:
            for line in (line for line in block.form.lines if line.number in block.lines):
                self._line(page, row, block, line, numbers)
                row += 1
        return page

    def _heading(self, page: Page, paths: list[tuple[str, ...]], *, two_rows: bool) -> None:
        corner = ("", "编号") if self.year == 2020 else ("指标名称", "代码")
        down = 1 if two_rows else 0
        for column, text in enumerate(corner):
            page.put(2, column, text, down=down)
        for place, path in enumerate(paths):
            column = place + 2
            if len(path) == 1:
                page.put(2, column, path[0], down=down)
                continue
            page.put(3, column, path[1])
            if place == 0 or paths[place - 1][0] != path[0]:
                width = sum(1 for _ in _same_group(paths[place:], path[0]))
                page.put(2, column, path[0], right=width - 1)

    def _line(self, page: Page, row: int, block: Block, line: Line, numbers: list[int]) -> None:
        form = block.form.form
        cells = self.figures[form]
        shown = line.number + block.sheet.line_offset
        first = line.number == block.form.lines[0].number
        label = f"{block.sheet.block} {line.label}" if block.sheet.block and first else line.label
        page.put(row, 0, "总  计" if label == "总计" else label)
        page.put(row, 1, f"{shown:02d}" if self.year > 2020 and shown < 4 else str(shown))
        page.lines[form, line.number] = row
        impossible = "*" if self.year == 2020 else "-"
        for place, column in enumerate(numbers):
            address = (line.number, column)
            known = column in {entry.number for entry in block.form.columns}
            page.put(row, place + 2, cells.get(address, impossible if known else ""))
            if address in cells:
                page.figures[form, line.number, column] = (row, place + 2)


def _same_group(paths: list[tuple[str, ...]], group: str) -> list[tuple[str, ...]]:
    """The leading paths that stand under ``group``."""
    for place, path in enumerate(paths):
        if len(path) == 1 or path[0] != group:
            return paths[:place]
    return paths


def _damage(
    rng: np.random.Generator,
    dirt: float,
    pages: list[Page],
    catalogue: Catalogue,
    *,
    school: int,
    down: int,
    removed: Removed,
) -> list[tuple[str, int, str, str]]:
    """Damage this school's pages in place; (sheet, row as shown, rule, cause) of every row that is lost."""
    if not dirt:
        return []
    if rng.random() < dirt:
        _unknown_type(pages[0], catalogue)
        removed.schools.add(school)
    lost: dict[tuple[str, int], tuple[str, str]] = {}
    for page in pages:
        for form, line in page.lines:
            first = line == (catalogue.form(form).lines[0].number if form != "1001" else 1)
            if form in ("1001", "1102") or not first or rng.random() >= dirt:
                continue
            rule = choose(rng, _LINE_DAMAGE)
            places = [at for (name, number_, _), at in page.figures.items() if (name, number_) == (form, line)]
            place = places[int(rng.integers(0, len(places)))]
            page.cells[place] = _WORDS[int(rng.integers(0, len(_WORDS)))] if rule == _LINE_DAMAGE[0] else "-17"
            lost |= _lost_lines(page, form, line, rule)
            removed.lines.update((form, number_, school) for name, number_ in page.lines if name == form)
    return [
        (page.name, row + 1 + down, *_cause(page.name, row, form, lost, whole=school in removed.schools))
        for page in pages
        for (form, _), row in page.lines.items()
        if school in removed.schools or (page.name, row) in lost
    ]


def _unknown_type(page: Page, catalogue: Catalogue) -> None:
    """Replace name and code of the school type by ones no code list has."""
    if page.name == "基础基111":
        places = [form_2020.PROFILE_PLACES[key][:2] for key in ("school_type_zh", "school_type_code")]
    else:
        order = [item.field for item in catalogue.profile.fields]
        places = [(5 + order.index(key), 2) for key in ("school_type_zh", "school_type_code")]
    page.cells[places[0]], page.cells[places[1]] = "未知机构", "777"


def _lost_lines(page: Page, form: str, first: int, rule: str) -> dict[tuple[str, int], tuple[str, str]]:
    """Without its total line a form's other lines on the sheet are lost as well."""
    return {
        (page.name, row): (rule, "damage") if line == first else ("census.total_line_quarantined", "follows")
        for (name, line), row in page.lines.items()
        if name == form
    }


def _cause(
    sheet: str, row: int, form: str, lost: Mapping[tuple[str, int], tuple[str, str]], *, whole: bool
) -> tuple[str, str]:
    if form == "1001":
        return "census.unknown_school_type", "damage"
    if (sheet, row) in lost:
        return lost[sheet, row]
    return ("census.school_profile_missing", "follows") if whole else ("", "")


def _shift(school_code: str) -> int:
    """1 for the two workbooks in three that carry the extra letter row and number column."""
    return int(int(school_code) % 3 != 0)


def _render(pages: list[Page], school_code: str, reported: str, mangler: Mangler) -> bytes:
    """The workbook's bytes: cover, contents, then the pages, shifted or not, numbers as text in most workbooks."""
    shift, typed = _shift(school_code), int(school_code) % 8 == 5
    target = io.BytesIO()
    with workbook(target) as book:
        cover = book.add_worksheet("封面")
        cover.write_string(2, 2, "基  础 教 育 基 层 统 计 调 查 表")
        cover.write_string(12, 2, NOTE_ZH)
        cover.write_string(13, 2, reported)
        contents = book.add_worksheet("目录")
        contents.write_string(3, 2, "目录")
        for row, page in enumerate(pages):
            contents.write_string(4 + row, 3, page.name)
        for page in pages:
            _render_page(book.add_worksheet(page.name), page, shift, mangler, typed=typed)
    return target.getvalue()


def _render_page(sheet: Worksheet, page: Page, shift: int, mangler: Mangler, *, typed: bool) -> None:
    merged = {(top, left): (bottom, right) for top, left, bottom, right in page.merged}
    untidy = mangler.cells(len(page.figures), 1)
    styles = {place: untidy[row, 0] for row, place in enumerate(page.figures.values()) if (row, 0) in untidy}
    figures = set(page.figures.values()) if typed else set()
    if shift:
        _add_rulers(sheet, page)
    for (row, column), text in page.cells.items():
        end = merged.get((row, column))
        if end is not None:
            sheet.merge_range(row + shift, column + shift, end[0] + shift, end[1] + shift, text)
        elif (row, column) in styles and text.isdigit():
            sheet.write_string(row + shift, column + shift, number(text, styles[row, column]))
        elif (row, column) in figures and text.isdigit():
            sheet.write_number(row + shift, column + shift, int(text))
        elif text:
            sheet.write_string(row + shift, column + shift, text)


def _add_rulers(sheet: Worksheet, page: Page) -> None:
    """The first row of letters and first column of row numbers that some exports add."""
    rows, columns = (max(place[axis] for place in page.cells) for axis in (0, 1))
    for column in range(columns + 2):
        sheet.write_string(0, column, xl_col_to_name(column))
    for row in range(1, rows + 2):
        sheet.write_number(row, 0, row)
