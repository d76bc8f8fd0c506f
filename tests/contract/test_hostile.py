"""Hostile files: handed in among good ones, each ends in a receipt in Chinese, and the next good delivery is taken in.

One intake takes them all, in a process of its own with small limits, as a shared folder would fill up on a bad day.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.parsers.grid import UnreadableError, Workbook
from sources.reading import Job, read_delivery
from tests.support import good_deliveries as good
from tests.support.desk import Desk, read, rows, rules, teachers
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import DeliveryRow

TEACHER, SCHOOL = "teacher_register__teacher", "school_census__school"
MEMORY = 1 << 30
CPU_SECONDS = 3
SHEET = "xl/worksheets/sheet1.xml"
ROOMY = 20 << 20
Change = Callable[[bytes], bytes]


def workbook() -> bytes:
    """A good 编外 register."""
    headers = [name for name in good.TEACHER_HEADERS if name not in {"入编时间", "现聘职称"}]
    return good.table_xlsx(headers, good.teacher_rows())


def repacked(data: bytes, changes: dict[str, Change], more: dict[str, bytes] | None = None) -> bytes:
    """A zip with some members changed and others added."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info.filename, changes[info.filename](content) if info.filename in changes else content)
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return buffer.getvalue()


@dataclass(frozen=True)
class Raw:
    """A zip member as its directory describes it; `packed` is deflated and may be something else altogether."""

    name: str
    packed: bytes
    size: int
    checksum: int = 0


def raw(name: str, content: bytes) -> Raw:
    """An honest member."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return Raw(name, packer.compress(content) + packer.flush(), len(content), zlib.crc32(content))


def raw_zip(members: Iterable[Raw], *, one_body: bool = False) -> bytes:
    """A zip put together byte by byte; with `one_body` all entries point at the first member's bytes."""
    bodies, directory = bytearray(), bytearray()
    count = 0
    for member in members:
        name = member.name.encode()
        sizes = struct.pack("<IIIHH", member.checksum, len(member.packed), member.size, len(name), 0)
        offset = 0 if one_body else len(bodies)
        if not one_body or count == 0:
            bodies += b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + name + member.packed
        directory += b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
        directory += struct.pack("<HHHII", 0, 0, 0, 0, offset) + name
        count += 1
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(bodies), 0)
    return bytes(bodies + directory) + end


def with_member(data: bytes, member: Raw) -> bytes:
    """A zip with one member put in the place of its namesake, or added."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        others = [raw(info.filename, archive.read(info)) for info in archive.infolist() if info.filename != member.name]
    return raw_zip([*others, member])


def huge_cell(megabytes: int, *, claimed: int | None = None, forged: bool = False) -> bytes:
    """A workbook with a cell of so many megabytes; the directory claims `claimed` bytes, or the truth.

    `forged` makes the checksum that of the bytes claimed.
    """
    with zipfile.ZipFile(io.BytesIO(workbook())) as archive:
        head, tail = archive.read(SHEET).split(b"<sheetData>")
    head += b'<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>'
    tail = b"</t></is></c></row>" + tail
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush a block stands for itself and may be repeated.
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += (packer.compress(b"A" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * megabytes
    packed += packer.compress(tail) + packer.flush()
    size = len(head) + (megabytes << 20) + len(tail)
    checksum = zlib.crc32((head + b"A" * 1000)[:claimed]) if forged else 0
    return with_member(workbook(), Raw(SHEET, packed, size if claimed is None else claimed, checksum))


def _far_cell(reference: str, *, hidden: bool) -> Change:
    """A cell far out; `hidden` puts so many rows behind it that the end of the sheet looks harmless."""
    row = "".join(letter for letter in reference if letter.isdigit())
    cell = f'<row r="{row}"><c r="{reference}"><v>1</v></c></row>'.encode()
    padding = b'<row r="9"><c r="A9"><v>1</v></c></row>' * (3000 if hidden else 0)
    return lambda xml: xml.replace(b"</sheetData>", cell + padding + b"</sheetData>")


DTD = (
    b'?><!DOCTYPE a [<!ENTITY a "lollollollol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">'
    b'<!ENTITY d SYSTEM "file:///etc/passwd">]>'
)


def _with_dtd(entity: bytes) -> Change:
    return lambda xml: xml.replace(b"?>", DTD, 1).replace(b"<t>", b"<t>" + entity, 1)


def xml_bomb() -> bytes:
    return repacked(workbook(), {"xl/sharedStrings.xml": _with_dtd(b"&c;")})


def external_entity() -> bytes:
    return repacked(workbook(), {"xl/sharedStrings.xml": _with_dtd(b"&d;")})


def entity_in_a_list() -> bytes:
    return repacked(good.write_list(good.list_sheets().values()), {SHEET: _with_dtd(b"&d;")})


def utf16_xml() -> bytes:
    return repacked(workbook(), {SHEET: lambda xml: xml.decode().encode("utf-16")})


def zip_bomb() -> bytes:
    return with_member(good.write_zip(good.good_zip()), raw("bomb.xlsx", bytes(ROOMY)))


def zip_bomb_lying() -> bytes:
    bomb = raw("bomb.xlsx", bytes(ROOMY))
    return with_member(good.write_zip(good.good_zip()), Raw(bomb.name, bomb.packed, 1000, bomb.checksum))


def nested_zips() -> bytes:
    inner = repacked(good.write_zip({}), {}, {"deep.xlsx": bytes(8 << 20)})
    for _ in range(4):
        inner = repacked(good.write_zip({}), {}, {"deeper.xlsx": inner})
    return inner


def many_members() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(5_100):
            archive.writestr(f"{number}.xlsx", b"")
    return buffer.getvalue()


def one_body_for_many_members() -> bytes:
    """A directory whose entries all point at the same compressed bytes: 10 GB out of 20 kB."""
    return raw_zip([raw("a.xlsx", bytes(ROOMY))] * 500, one_body=True)


def zip_slip(name: str) -> bytes:
    return repacked(good.write_zip(good.good_zip()), {}, {name: b"PK\x03\x04"})


def symlink_member() -> bytes:
    buffer = io.BytesIO(good.write_zip(good.good_zip()))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("link.xlsx")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def encrypted_member() -> bytes:
    data = bytearray(good.write_zip(good.good_zip()))
    directory = data.index(b"PK\x01\x02")
    for at in (6, directory + 8):
        data[at] |= 1
    return bytes(data)


def parquet_file() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"身份证号": ["1"] * 10, "区域": ["渝中区"] * 10}), sink)
    return sink.getvalue()


def crafted_parquet() -> bytes:
    return b"PAR1" + b"\x15\x04\x15\x80\x80\x80\x80\x10" * 40 + struct.pack("<I", 0x7FFFFFFF) + b"PAR1"


def duckdb_file() -> bytes:
    path = Path(os.environ["PYTEST_TMP_DUCKDB"])
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE VIEW teacher AS SELECT * FROM read_text('/etc/passwd')")
    return path.read_bytes()


def ole_garbage() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(range(256)) * 40


def ole_looping_sectors() -> bytes:
    """A compound file whose allocation table points at itself."""
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<HHHHH", header, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIIII", header, 44, 1, 0, 0, 4096, 0, 1, 0, 0, 0)
    return bytes(header) + struct.pack("<I", 0) * 128 * 3


def ole_macros() -> bytes:
    return ole_garbage() + "_VBA_PROJECT".encode("utf-16-le") + bytes(512)


def wide_csv() -> bytes:
    header = ",".join([*good.TEACHER_HEADERS, *(f"列{number}" for number in range(100_000))])
    return f"{header}\r\n{'1,' * 100_000}\r\n".encode("gb18030")


def wide_workbook() -> bytes:
    cells = b"".join(b'<c r="A1" t="n"><v>%d</v></c>' % number for number in range(100_000))
    row = b'<sheetData><row r="1">' + cells.replace(b' r="A1"', b"") + b"</row>"
    return repacked(workbook(), {SHEET: lambda xml: xml.replace(b"<sheetData>", row, 1)})


@dataclass(frozen=True)
class Case:
    """A hostile file: how it is made, where it is handed in, and what the receipt must say."""

    name: str
    build: Callable[[], bytes]
    says: str
    feed: str = "teacher_register"
    file_name: str = "编外.xlsx"


CENSUS = "school_census"
CASES = (
    Case("zip_bomb", zip_bomb, "异常庞大", CENSUS),
    Case("zip_bomb_lying", zip_bomb_lying, "压缩包", CENSUS),
    Case("nested_zips", nested_zips, "不是 Excel 工作簿", CENSUS),
    Case("many_members", many_members, "文件数", CENSUS),
    Case("one_body_for_many_members", one_body_for_many_members, "压缩包", CENSUS),
    Case("zip_slip", lambda: zip_slip("../../../etc/cron.d/x.xlsx"), "以外的路径", CENSUS),
    Case("zip_slip_backslash", lambda: zip_slip("..\\..\\x.xlsx"), "以外的路径", CENSUS),
    Case("zip_slip_absolute", lambda: zip_slip("/etc/x.xlsx"), "以外的路径", CENSUS),
    Case("zip_slip_drive", lambda: zip_slip("C:\\x.xlsx"), "以外的路径", CENSUS),
    Case("symlink_member", symlink_member, "符号链接", CENSUS),
    Case("encrypted_member", encrypted_member, "加密", CENSUS),
    Case("gzip_of_a_list", lambda: gzip.compress(good.write_list(good.list_sheets().values())), "不是 Excel", CENSUS),
    Case("gzip_bomb", lambda: gzip.compress(bytes(ROOMY)), "无法按 CSV 或 Excel 读取"),
    Case("gzip_bomb_lying", lambda: gzip.compress(bytes(ROOMY))[:-4] + b"\x01\0\0\0", "无法按 CSV 或 Excel 读取"),
    Case("xml_bomb", xml_bomb, "实体声明"),
    Case("external_entity", external_entity, "实体声明"),
    Case("entity_in_a_list", entity_in_a_list, "实体声明", CENSUS),
    Case("utf16_xml", utf16_xml, "UTF-16"),
    Case("macros", lambda: repacked(workbook(), {}, {"xl/vbaProject.bin": ole_garbage()}), "宏"),
    Case("macros_in_old_format", ole_macros, "宏"),
    Case("macro_sheet", lambda: repacked(workbook(), {}, {"xl/macrosheets/sheet1.xml": b"<a/>"}), "宏"),
    Case("huge_cell", lambda: huge_cell(1024), "异常庞大"),
    Case("huge_cell_lying", lambda: huge_cell(1024, claimed=900), "大小不符"),
    Case("huge_cell_lying_with_checksum", lambda: huge_cell(1024, claimed=900, forged=True), "大小不符"),
    Case("far_cell", lambda: repacked(workbook(), {SHEET: _far_cell("XFD1048576", hidden=False)}), "极远处"),
    Case("far_cell_hidden", lambda: repacked(workbook(), {SHEET: _far_cell("XFD1048576", hidden=True)}), "内存或时间"),
    Case("columns_in_csv", wide_csv, "列数 100026 超过上限", file_name="在编.csv"),
    Case("columns_in_workbook", wide_workbook, "过大"),
    Case("parquet", parquet_file, "无法按 CSV 或 Excel 读取"),
    Case("crafted_parquet", crafted_parquet, "无法按 CSV 或 Excel 读取"),
    Case("duckdb_database", duckdb_file, "不是 Excel 工作簿", CENSUS),
    Case("ole_garbage", ole_garbage, "无法按 CSV 或 Excel 读取"),
    Case("ole_looping_sectors", ole_looping_sectors, "内存或时间"),
    Case("pdf_called_xlsx", lambda: b"%PDF-1.7\n" + bytes(range(256)) * 8, "不是 Excel", CENSUS, "渝中区.xlsx"),
    Case(
        "word_called_xlsx", lambda: repacked(workbook(), {}, {}).replace(b"xl/workbook", b"wd/workbook"), "不是 Excel"
    ),
    Case("path_in_name", lambda: b"\0\1", "不是", CENSUS, "x..\\..%2f{{ config }}';DROP TABLE delivery;--.xlsx"),
    Case("control_characters_in_name", lambda: b"\0\2", "不是", CENSUS, "a\x1b[2J\r\nERROR forged.xlsx"),
)


@dataclass(frozen=True)
class BadDay:
    """What became of it all: refused deliveries by case, the good ones, seconds, problems told."""

    desk: Desk
    refused: dict[str, DeliveryRow]
    good: list[DeliveryRow]
    seconds: float
    problems: list[str]


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BadDay]:
    """All cases in one intake, a good delivery after each: home, refused by case, good ones, seconds."""
    folder = tmp_path_factory.mktemp("bad-day")
    os.environ["PYTEST_TMP_DUCKDB"] = str(folder / "crafted.duckdb")
    home = Home(folder / "home").ensure()
    ledger = Ledger(home.ledger_url)
    desk = Desk(home, ledger)
    for number, case in enumerate(CASES):
        desk.put(case.feed, f"{case.name}/{case.file_name}", case.build(), at=2 * number)
        desk.put("teacher_register", f"good/{case.name}.csv", teachers({"主教学科": case.name}), at=2 * number + 1)
    (home.inbox / CENSUS / "link.xlsx").symlink_to("/etc/passwd")
    limits = {"EDUPLAN_PARSE_MEMORY": str(MEMORY), "EDUPLAN_PARSE_CPU_SECONDS": str(CPU_SECONDS)}
    command = [sys.executable, "-m", "tests.support.whole_intake", str(home.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | limits, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seconds, *problems = done.stdout.splitlines()
    found = ledger.deliveries()
    bad = {row.submitter: row for row in found if row.submitter != "good"}
    kept = [row for row in found if row.submitter == "good"]
    day = BadDay(desk, bad, kept, float(seconds), problems)
    yield day
    ledger.close()


def test_every_bad_day_ends(bad_day: BadDay) -> None:
    # Far below what one reading may take, and every file has its receipt.
    assert bad_day.seconds < CPU_SECONDS * 100
    assert set(bad_day.refused) == {case.name for case in CASES}
    assert bad_day.desk.ledger.findings() == []
    assert not list(bad_day.desk.home.records.glob(".work-*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_file_is_refused_with_a_clear_receipt(case: Case, bad_day: BadDay) -> None:
    row = bad_day.refused[case.name]
    content = bad_day.desk.receipt(row)
    assert (row.status, row.tables, content["status_zh"]) == ("refused", {}, "退回")
    text = bad_day.desk.letter(row)
    assert case.says in text
    assert all(finding["remedy_zh"] for finding in content["findings"])
    assert "/etc/passwd" not in text
    assert "root:" not in text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_next_good_delivery_is_taken_in(case: Case, bad_day: BadDay) -> None:
    [row] = [row for row in bad_day.good if row.file_name == f"{case.name}.csv"]
    assert (row.status, row.rows_accepted) == ("accepted", 3)


def test_nothing_is_written_outside_the_home(bad_day: BadDay) -> None:
    root = bad_day.desk.home.root
    assert {path.name for path in root.parent.iterdir()} == {"home", "crafted.duckdb"}
    assert not any(path.name.endswith(("x.xlsx", "cron.d")) for path in root.rglob("*") if "inbox" not in path.parts)


def test_a_link_in_the_inbox_is_not_followed_and_told(bad_day: BadDay) -> None:
    assert any("link.xlsx" in problem and "链接" in problem for problem in bad_day.problems)
    assert not any(row.file_name == "link.xlsx" for row in bad_day.desk.ledger.deliveries())


def test_names_cannot_forge_lines_or_paths(bad_day: BadDay) -> None:
    text = bad_day.desk.letter(bad_day.refused["control_characters_in_name"])
    assert "\x1b" not in text
    assert not any(line.startswith("ERROR forged") for line in text.splitlines())
    row = bad_day.refused["path_in_name"]
    assert row.file_name == "x..\\..%2f{{ config }}';DROP TABLE delivery;--.xlsx"
    receipt = bad_day.desk.home.receipts / row.feed / f"{row.delivery_id}.json"
    assert receipt.is_file()
    assert len(bad_day.desk.ledger.deliveries()) == 2 * len(CASES)


# -- harmless to read, dangerous to show ------------------------------------------------------------------------------

FORMULAS = ('=HYPERLINK("http://x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1")


@pytest.mark.parametrize("text", FORMULAS)
def test_cells_like_formulas_stay_text(text: str, tmp_path: Path) -> None:
    result = read("teacher_register", teachers({"主教学科": text}), tmp_path)
    assert rules(result) == []
    assert rows(result, TEACHER)[0]["subject"] == text.strip()


def test_a_script_in_a_schools_name_is_a_name_and_no_markup_in_receipts(desk: Desk) -> None:
    name = "<script>alert(1)</script>小学"
    schools = [(code, name if code.startswith("21") else old, *rest) for code, old, *rest in good.SCHOOLS]
    sheets = good.list_sheets(schools)
    sheets["教基3112"].rows[0][2] = name
    desk.put(CENSUS, "a.xlsx", good.write_list(sheets.values()))
    [row] = desk.take_in().deliveries
    table = pq.read_table(desk.home.root / row.tables[SCHOOL]).to_pylist()
    assert name in {record["school_name"] for record in table}
    assert "<script" not in desk.letter(row)
    assert "＜script" in desk.letter(row)


@pytest.mark.parametrize(
    "header",
    ["{{ 7*7 }}", "'; DROP TABLE delivery; --", "../../etc/passwd", "{row}{0}", "<b>", "\x07\x1b[31m列", "a" * 99_999],
)
def test_headers_with_code_in_them_are_only_told(header: str, tmp_path: Path) -> None:
    result = read("teacher_register", teachers(headers=[*good.TEACHER_HEADERS, header]), tmp_path)
    assert rules(result) == ["teacher.unknown_header"]
    [found] = result.findings
    assert all(character.isprintable() for character in found.message_zh)
    assert len(found.message_zh) < 200
    assert "49" not in found.message_zh
    assert result.rows_accepted == 3


@pytest.mark.parametrize(
    "text", ["(" * 5000, "a" * 50_000 + "!", "1," * 30_000, "#其中：" * 20_000, "9" * 50_000 + "%"]
)
def test_texts_made_for_slow_expressions_are_read_in_no_time(text: str, tmp_path: Path) -> None:
    sheets = good.list_sheets()
    sheets["教基3112"].rows[0][2] = text[:32_000]
    sheets["教基3112"].paths.append((text[:32_000],))
    for row in sheets["教基3112"].rows:
        row.append("")
    sheets["教基3112"].total = None
    begin = time.process_time()
    result = read(CENSUS, good.write_list(sheets.values()), tmp_path)
    assert time.process_time() - begin < 10
    assert "census.not_a_number" in rules(result)


def test_a_quotation_mark_that_never_closes_costs_one_row(tmp_path: Path) -> None:
    result = read("teacher_register", teachers() + b'"' + b"A" * (8 << 20), tmp_path)
    assert rules(result) == ["teacher.ragged_row"]
    assert (result.findings[0].row_no, result.rows_accepted, result.rows_quarantined) == (5, 3, 1)


def test_wrong_extensions_say_nothing(tmp_path: Path) -> None:
    listed = read(CENSUS, good.write_list(good.list_sheets().values()), tmp_path / "a", file_name="x.exe")
    zipped = read(CENSUS, good.write_zip(good.good_zip()), tmp_path / "b", file_name="x.xlsx")
    text = read("teacher_register", teachers(), tmp_path / "c", file_name="x.xlsx")
    book = read("teacher_register", workbook(), tmp_path / "d", file_name="x.csv")
    assert [rules(result) for result in (listed, zipped, text, book)] == [[]] * 4


def test_a_file_beyond_the_size_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_PARSE_BYTES", "1000")
    path = tmp_path / "big"
    path.write_bytes(b"a" * 1001)
    outcome = read_delivery(Job("teacher_register", path, "big", "d0", b"k" * 32, tmp_path))
    assert (outcome.status, [found.rule_id for found in outcome.findings]) == ("refused", ["intake.too_large"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_workbooks_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(_SMALL)
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for damaged in (bytes(whole), bytes(whole[:cut])):
        try:
            book = Workbook(damaged)
            assert all(book.grid(name).rows is not None for name in book.sheet_names)
        except UnreadableError as error:
            assert str(error)


_SMALL = good.table_xlsx(["区域", "统计年度"], [{"区域": "渝中区", "统计年度": "2023"}])
