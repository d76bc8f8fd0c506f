"""A district's zip of school workbooks, and the single workbook that lies over its district's delivery.

What belongs here: opening archives safely, names in GB18030, and putting schools together to a delivery. What does not:
reading one workbook (`census_workbook`).
"""

from __future__ import annotations

import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

from sources.codelists import areas
from sources.parsers.census_figures import FIGURE_TABLE, Constants, FigureRow, rows_table
from sources.parsers.census_profile import (
    SCHOOL_TABLE,
    ProfileCheck,
    School,
    majority_area,
    of_area,
    school_table,
)
from sources.parsers.census_workbook import SchoolBook, figure_rows, read_school
from sources.parsers.grid import UnreadableError, Workbook, kind
from sources.parsers.package import BROKEN_ZIP
from sources.parsers.result import Identity, ParseResult, Reporter, finish, refusal
from warehouse.records import SCHOOL_PART

MAX_MEMBERS: Final = 5_000
MAX_MEMBER: Final = 64 << 20
MAX_TOTAL: Final = 4 << 30
MAX_RATIO: Final = 200
_UTF8_FLAG: Final = 0x800
_NOISE: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db", "~$")


@dataclass
class _Member:
    """A workbook with its school, once both are known."""

    book: SchoolBook
    school: School | None = None


@dataclass
class _Together:
    """The schools of a delivery."""

    members: list[_Member] = field(default_factory=list)

    @property
    def rows_in(self) -> int:
        """Data lines of all workbooks."""
        return sum(member.book.rows_in for member in self.members)


def parse_zip(path: Path, reporter: Reporter, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Read a zip of school workbooks. One that cannot be read refuses the delivery: nothing is half taken in."""
    together = _Together()
    try:
        with zipfile.ZipFile(path) as archive:
            for name, data in _members(archive, reporter):
                _read_member(name, data, together, reporter)
    except (*BROKEN_ZIP, RuntimeError) as error:
        # RuntimeError: a member is encrypted.
        reporter.add("census.unreadable", detail=f"压缩包损坏、加密或格式不受支持（{type(error).__name__}）")
    except UnsafeArchiveError as error:
        reporter.add("census.unsafe_archive", detail=error)
    reporter.member = ""
    return _put_together(together, reporter, delivery_id=delivery_id, out_dir=out_dir)


def parse_single(book: Workbook, reporter: Reporter, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Read one school's workbook: a delivery that speaks for this school only."""
    together = _Together()
    try:
        together.members.append(_Member(read_school(book, reporter)))
    except UnreadableError as error:
        reporter.add("census.unreadable", detail=error)
    return _put_together(together, reporter, delivery_id=delivery_id, out_dir=out_dir)


# -- opening ----------------------------------------------------------------------------------------------------------


class UnsafeArchiveError(ValueError):
    """The archive tries something no district needs; the text says what, in Chinese."""


def member_name(info: zipfile.ZipInfo) -> str:
    """The member's path as its author saw it: GB18030 unless the archive says UTF-8."""
    if info.flag_bits & _UTF8_FLAG:
        return info.filename
    raw = info.filename.encode("cp437", errors="replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _members(archive: zipfile.ZipFile, reporter: Reporter) -> Iterator[tuple[str, bytes]]:
    infos = [(member_name(info), info) for info in archive.infolist() if not info.is_dir()]
    _guard(infos)
    for name, info in sorted(infos, key=lambda pair: pair[0]):
        if any(part in name for part in _NOISE):
            continue
        data = _read_limited(archive, info, name)
        if kind(data[:8]) in {"zip", "ole"} and PurePosixPath(name).suffix.lower() not in {".zip", ".docx", ".doc"}:
            yield name, data
        else:
            reporter.add("census.unknown_member", member=name, value=name)


def _guard(infos: Sequence[tuple[str, zipfile.ZipInfo]]) -> None:
    if len(infos) > MAX_MEMBERS:
        raise UnsafeArchiveError(f"文件数 {len(infos)} 超过上限 {MAX_MEMBERS}")
    if sum(info.file_size for _, info in infos) > MAX_TOTAL:
        raise UnsafeArchiveError("解压后总大小超过上限")
    for name, info in infos:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
            raise UnsafeArchiveError("含有指向压缩包以外的路径")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UnsafeArchiveError("含有符号链接")
        if info.file_size > MAX_MEMBER or info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise UnsafeArchiveError("含有解压后异常庞大的文件")


def _read_limited(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """Read at most what the directory promises: a member that lies about its size is caught, not unpacked."""
    with archive.open(info) as handle:
        data = handle.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise UnsafeArchiveError(f"“{name}”的实际大小与声明不符")
    return data


def _read_member(name: str, data: bytes, together: _Together, reporter: Reporter) -> None:
    reporter.member = name
    try:
        together.members.append(_Member(read_school(Workbook(data), reporter)))
    except UnreadableError as error:
        reporter.add("census.unreadable", detail=f"{name}：{error}")


# -- putting together -------------------------------------------------------------------------------------------------


def _put_together(together: _Together, reporter: Reporter, *, delivery_id: str, out_dir: Path) -> ParseResult:
    members = together.members
    years = Counter(member.book.year for member in members if member.book.year is not None)
    if not years:
        if not reporter.refused:
            reporter.add("census.no_rows")
        return refusal(reporter, rows_in=together.rows_in)
    year = min(years, key=lambda found: (-years[found], found))
    _check_profiles(members, year, reporter)
    schools = [member.school for member in members if member.school is not None]
    area = _area(schools, year, reporter)
    identity = Identity(area or "", year, _part(members), _reported_on(members))
    if area is None:
        return refusal(reporter, identity, rows_in=together.rows_in)
    good = of_area(schools, area, year, reporter)
    kept = {id(school) for school in good}
    figures: list[FigureRow] = []
    accepted = len(good)
    for member in members:
        accepted += _take(member, kept, figures, reporter)
    constants = Constants(year, area, delivery_id)
    tables = {
        SCHOOL_TABLE: school_table(good, year=year, area_code=area, delivery_id=delivery_id),
        FIGURE_TABLE: rows_table(figures, constants),
    }
    return finish(reporter, identity, rows_in=together.rows_in, rows_accepted=accepted, tables=tables, out_dir=out_dir)


def _check_profiles(members: Sequence[_Member], year: int, reporter: Reporter) -> None:
    check = ProfileCheck(reporter)
    seen: dict[str, str] = {}
    for member in members:
        book = member.book
        if book.year is not None and book.year != year:
            detail = f"{book.year}学年，其余为{year}学年"
            reporter.add("census.title_conflict", member=book.member, sheet=book.where.sheet, detail=detail)
            continue
        if not book.has_profile:
            _missing(book, reporter.contract.catalogue.profile.sheet_of(year).name, reporter)
            continue
        school = check.check(book.profile, book.where)
        if school is not None and school.code in seen:
            reporter.add(
                "census.duplicate_school",
                member=book.member,
                sheet=book.where.sheet,
                row=book.where.row,
                value=school.code,
                detail=f"1（{seen[school.code]}）",
            )
            continue
        if school is not None:
            seen[school.code] = book.member
            member.school = school
            _check_sheets(book, school, year, reporter)


def _check_sheets(book: SchoolBook, school: School, year: int, reporter: Reporter) -> None:
    for name in reporter.contract.catalogue.required_sheets(year, school.type_code):
        if name not in book.sheets:
            _missing(book, name, reporter)


def _missing(book: SchoolBook, sheet: str, reporter: Reporter) -> None:
    called = book.profile.get("school_name", "") or "学校名称不详"
    reporter.add("census.missing_sheet", member=book.member, sheet=sheet, detail=f"{called}的基层表没有这张表")


def _area(schools: Sequence[School], year: int, reporter: Reporter) -> str | None:
    known = areas()
    claimed = majority_area(schools, year)
    if claimed is not None and known.reporting(claimed) == claimed:
        return claimed
    shown = claimed or "（各校均未填写属地代码）"
    reporter.add("census.unknown_area", value=shown)
    return None


def _part(members: Sequence[_Member]) -> str:
    """One workbook speaks for its school, zipped or not, and never for a whole district."""
    alone = members[0].school if len(members) == 1 else None
    return "" if alone is None else f"{SCHOOL_PART}{alone.code}"


def _reported_on(members: Sequence[_Member]) -> date | None:
    return max((member.book.reported_on for member in members if member.book.reported_on is not None), default=None)


def _take(member: _Member, kept: set[int], figures: list[FigureRow], reporter: Reporter) -> int:
    """Take in the good lines of a school whose profile counts; number of lines taken in."""
    school = member.school
    if school is not None and id(school) in kept:
        figures.extend(figure_rows(member.book, school.code, reporter.contract.catalogue))
        return sum(not line.bad for line in member.book.lines)
    code = member.book.profile.get("school_code", "")
    for line in member.book.lines:
        if not line.bad:
            reporter.add(
                "census.school_profile_missing",
                member=member.book.member,
                sheet=line.sheet,
                row=line.row,
                value=code,
            )
    return 0
