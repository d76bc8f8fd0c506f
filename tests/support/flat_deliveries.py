"""Good deliveries of the flat feeds, and for every rule of each a delivery that breaks it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Build = Callable[[], bytes]
Row = dict[str, Any]


def document(head: Row, items: list[Any]) -> bytes:
    return json.dumps({**head, "items": items}, ensure_ascii=False).encode()


# -- population -------------------------------------------------------------------------------------------------------

POPULATION_HEAD: Row = {"area": "500103", "year": 2023, "version": "final"}


def residents() -> list[Row]:
    ages: list[Row] = [{"age": str(age), "residents": 4000 + age, "unit": "人"} for age in range(3)]
    return [*ages, {"age": "65岁及以上", "residents": 99_000, "unit": "人"}]


def attainment() -> list[Row]:
    base = {"area": "500000", "year": 2023, "version": "正式", "published_on": "2024年3月25日"}
    return [
        base | {"age_group": "15岁及以上", "attainment": "小学", "residents": "1000"},
        base | {"age_group": "16-59", "attainment": "大学本科", "residents": "2,000"},
    ]


def population(change: Row | None = None, *, head: Row | None = None, drop: str = "") -> Build:
    """The residents with the first item changed; a value of None takes the key away."""

    def build() -> bytes:
        items = residents()
        items[0] = {name: value for name, value in (items[0] | (change or {})).items() if value is not None}
        kept = [{name: value for name, value in item.items() if name != drop} for item in items]
        return document(POPULATION_HEAD | (head or {}), kept)

    return build


POPULATION_GOOD: list[Build] = [
    population(),
    lambda: document({}, attainment()),
    lambda: document(POPULATION_HEAD | {"area": "渝中区", "version": "普查修订"}, residents()),
]
POPULATION_BAD: dict[str, Build] = {
    "population.unreadable": lambda: b'{"items": [',
    "population.no_rows": lambda: document(POPULATION_HEAD, []),
    "population.missing_column": population(drop="residents"),
    "population.duplicate_column": population({"人数": 1}),
    "population.unknown_area": population(head={"area": "某某区"}),
    "population.unknown_year": population(head={"year": "去年"}),
    "population.unknown_part": population(head={"version": "草稿"}),
    "population.unknown_header": population({"colour": "red"}),
    "population.bad_row": lambda: document(POPULATION_HEAD, [*residents(), ["3", 5]]),
    "population.missing_required": population({"residents": ""}),
    "population.bad_area": lambda: document(POPULATION_HEAD, [item | {"area": "某某区"} for item in residents()[:1]]),
    "population.wrong_area": lambda: document(POPULATION_HEAD, [item | {"area": "500105"} for item in residents()[:1]]),
    "population.wrong_year": lambda: document(POPULATION_HEAD, [item | {"year": "2022"} for item in residents()[:1]]),
    "population.wrong_part": lambda: document(
        POPULATION_HEAD, [item | {"version": "初步"} for item in residents()[:1]]
    ),
    "population.unknown_code": lambda: document({}, [attainment()[0], attainment()[1] | {"attainment": "自学成才"}]),
    "population.bad_date": population({"published_on": "20240230"}),
    "population.bad_age": population({"age": "幼儿"}),
    "population.not_a_number": population({"residents": "约三千"}),
    "population.negative": population({"residents": -1}),
    "population.not_whole": population({"residents": "1.23456", "unit": "万人"}),
    "population.unknown_unit": population({"unit": "元"}),
    "population.unit_converted": population({"residents": "0.4", "unit": "万人"}),
    "population.duplicate_key": population({"age": "1岁"}),
}

# -- higher education -------------------------------------------------------------------------------------------------

INSTITUTION: Row = {
    "year": 2023,
    "institution_code": "99001",
    "institution_name": "样例大学",
    "institution_kind": "university",
    "reported_on": "2023-10-12",
}


def students() -> list[Row]:
    return [
        INSTITUTION | {"level": "bachelor", "discipline": "08", "entrants": 30, "enrolled": 100, "graduates": 25},
        INSTITUTION | {"level": "master", "discipline": "工学", "entrants": 9, "enrolled": 30, "graduates": 8},
    ]


def staff() -> list[Row]:
    counts = {"full_time_teachers": 50, "professional_teachers": 30, "dual_qualified": 20}
    return [INSTITUTION | {"title": title} | counts for title in ("教授", "副教授", "讲师")]


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def parquet(items: list[Row], *, rows: int | None = None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(items).slice(0, rows), buffer)
    return buffer.getvalue()


def higher(change: Row | None = None, *, drop: str = "", rows: Callable[[], list[Row]] = students) -> Build:
    """The students (or `rows`) with the first one changed."""

    def build() -> bytes:
        items = rows()
        items[0] = items[0] | (change or {})
        return lines([{name: value for name, value in item.items() if name != drop} for item in items])

    return build


HIGHER_GOOD: list[Build] = [
    higher(),
    higher(rows=staff),
    lambda: parquet(students()),
    lambda: parquet(staff()),
    higher({"discipline": "08", "level": "博士", "unit": "人"}),
]
HIGHER_BAD: dict[str, Build] = {
    "higher.unreadable": lambda: parquet(students())[:-20],
    "higher.no_rows": lambda: parquet(students(), rows=0),
    "higher.missing_column": higher(drop="enrolled"),
    "higher.duplicate_column": higher({"在校生数": 5}),
    "higher.unknown_year": lambda: lines([row | {"year": "去年"} for row in students()]),
    "higher.unknown_part": lambda: lines([row | {"institution_code": "某大学"} for row in students()]),
    "higher.unknown_header": higher({"colour": "red"}),
    "higher.bad_row": lambda: higher()() + b"{broken\n",
    "higher.missing_required": higher({"enrolled": None}),
    "higher.wrong_year": lambda: lines([*students(), students()[0] | {"year": 2022, "discipline": "07"}]),
    "higher.wrong_part": lambda: lines([*students(), students()[0] | {"institution_code": "99002"}]),
    "higher.unknown_code": higher({"discipline": "炼金术"}),
    "higher.bad_code": lambda: lines([*students(), students()[0] | {"institution_code": "9.9E4"}]),
    "higher.bad_date": higher({"reported_on": "十月"}),
    "higher.not_a_number": higher({"enrolled": "上百"}),
    "higher.negative": higher({"graduates": -1}),
    "higher.not_whole": higher({"enrolled": 100.5}),
    "higher.unknown_unit": higher({"unit": "所"}),
    "higher.unit_converted": higher({"entrants": 0.003, "enrolled": "0.01", "graduates": "0", "unit": "万人"}),
    "higher.duplicate_key": lambda: lines([*students(), students()[0] | {"discipline": "工学"}]),
    "higher.entrants_exceed": higher({"entrants": 101}),
    "higher.staff_exceed": higher({"dual_qualified": 51}, rows=staff),
}


# -- programme register -----------------------------------------------------------------------------------------------


def events() -> list[Row]:
    base = {
        "event_id": "R001-0001-G",
        "statement_id": "box3.3.curriculum_bases",
        "object_kind": "base",
        "object_code": "0010001",
        "object_name": "样例基地",
        "area_code": "500103",
        "level": "municipal",
        "quantity": 1,
        "decision": "granted",
        "decided_on": "2023-05-06",
        "document_no": "样例教发〔2023〕1号",
    }
    return [
        base,
        base | {"event_id": "R001-0002-G", "statement_id": "YLXM-2023-001", "area_code": "市本级", "quantity": ""},
    ]


def message(data: Row, sequence: int) -> Row:
    return {"data": data, "message_id": data["event_id"], "sequence": sequence, "subject": "programme.base"}


def programme(change: Row | None = None, *, drop: str = "") -> Build:
    """The messages with the first event changed."""

    def build() -> bytes:
        items = events()
        items[0] = items[0] | (change or {})
        kept = [{name: value for name, value in item.items() if name != drop} for item in items]
        return lines([message(item, 7 + at) for at, item in enumerate(kept)])

    return build


CATALOGUE_NAMES = {
    "event_id": "事项编号",
    "statement_id": "规划条目编号",
    "object_kind": "对象类型",
    "object_code": "对象代码",
    "object_name": "对象名称",
    "area_code": "区县",
    "level": "级别",
    "quantity": "数量",
    "decision": "决定",
    "decided_on": "决定日期",
    "document_no": "文号",
}


def catalogue(encoding: str = "gb18030") -> bytes:
    rows = [list(CATALOGUE_NAMES.values()), *([item[name] for name in CATALOGUE_NAMES] for item in events())]
    return csv_bytes([["认定事项补录"], [], *rows, [], ["注：补录。"]], encoding)


def csv_bytes(rows: list[list[Any]], encoding: str) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode(encoding)


PROGRAMME_GOOD: list[Build] = [
    programme(),
    lambda: lines(events()),
    catalogue,
    lambda: catalogue("utf-8-sig"),
    lambda: catalogue("utf-16"),
]
PROGRAMME_BAD: dict[str, Build] = {
    "programme.unreadable": lambda: b"\x00\x01\x02",
    "programme.no_rows": lambda: catalogue().split(b"\r\n")[2] + b"\r\n",
    "programme.missing_column": programme(drop="decision"),
    "programme.duplicate_column": programme({"编号": "X"}),
    "programme.unknown_header": programme({"colour": "red"}),
    "programme.bad_row": lambda: (
        programme()() + lines([{"raw_base64": "AAE=", "message_id": "", "sequence": 9, "subject": "programme.base"}])
    ),
    "programme.missing_required": programme({"document_no": ""}),
    "programme.bad_area": programme({"area_code": "某某区"}),
    "programme.unknown_code": programme({"decision": "研究中"}),
    "programme.bad_code": programme({"event_id": "?"}),
    "programme.bad_date": programme({"decided_on": "2023-02-30"}),
    "programme.unknown_statement": programme({"statement_id": "box3.3.no_such_statement"}),
    "programme.not_a_number": programme({"quantity": "若干"}),
    "programme.negative": programme({"quantity": -1}),
    "programme.not_whole": programme({"quantity": 0.5}),
    "programme.duplicate_key": programme({"event_id": "R001-0002-G"}),
}


# -- fiscal accounts --------------------------------------------------------------------------------------------------

FISCAL_HEADER = [
    "区县",
    "年度",
    "一般公共预算支出",
    "一般公共预算教育支出",
    "其中：教育事业费",
    "基本建设",
    "教育费附加",
    "财政经常性收入",
    "公务员年平均工资收入",
    "义务教育教师年平均工资收入",
    "数据状态",
]


def accounts() -> list[list[Any]]:
    return [
        ["渝中区", "2023", "800,000.00", "120000", "110000", "4000", "6000", "500000", "118000", "119500", "决算"],
        ["忠　县", "2023", "600000", "100000.01", "90000", "4000", "6000", "-", "108000", "108000", "决算"],
        ["市本级", "2023", "９００００００", "90000", "80000", "4000", "6000", "", "", "", "决算"],
    ]


def fiscal(
    change: dict[int, Any] | None = None,
    *,
    header: list[str] | None = None,
    unit: str = "单位：万元（工资为元）",
    encoding: str = "utf-8-sig",
    more: list[list[Any]] | None = None,
) -> Build:
    """The accounts with cells of the first row changed by position, and further rows."""

    def build() -> bytes:
        rows = accounts()
        for at, value in (change or {}).items():
            rows[0][at] = value
        above = [["2023年区县教育财政收支情况"], [unit]]
        below = [["注：市本级不含转移支付。"], ["填报日期：2024年11月28日"]]
        return csv_bytes([*above, header or FISCAL_HEADER, *rows, *(more or []), *below], encoding)

    return build


def every_account(at: int, value: Any) -> Build:
    def build() -> bytes:
        rows = accounts()
        for row in rows:
            row[at] = value
        return csv_bytes([FISCAL_HEADER, *rows], "utf-8")

    return build


FISCAL_TOTAL = ["合计", "2023", "10400000", "310000.01", "", "", "", "", "", "", ""]
FISCAL_GOOD: list[Build] = [
    fiscal(),
    fiscal(encoding="gb18030", more=[FISCAL_TOTAL]),
    fiscal(encoding="utf-16", unit="单位：万元"),
]
FISCAL_BAD: dict[str, Build] = {
    "fiscal.unreadable": lambda: b'"' + csv_bytes([FISCAL_HEADER], "utf-8"),
    "fiscal.no_rows": lambda: csv_bytes([FISCAL_HEADER], "utf-8"),
    "fiscal.missing_column": fiscal(header=[name if name != "一般公共预算支出" else "支出" for name in FISCAL_HEADER]),
    "fiscal.duplicate_column": fiscal(header=[name if name != "基本建设" else "教育支出" for name in FISCAL_HEADER]),
    "fiscal.unknown_year": every_account(1, "上年"),
    "fiscal.unknown_part": every_account(10, "草稿"),
    "fiscal.unknown_header": fiscal(header=[*FISCAL_HEADER, "自编列"]),
    "fiscal.bad_row": fiscal(more=[["渝北区"] * 15]),
    "fiscal.missing_required": fiscal({2: ""}),
    "fiscal.bad_area": fiscal({0: "某某区"}),
    "fiscal.wrong_year": fiscal({1: "2022"}),
    "fiscal.wrong_part": fiscal({10: "快报"}),
    "fiscal.unknown_code": fiscal({10: "不详"}),
    "fiscal.not_a_number": fiscal({2: "约八十亿"}),
    "fiscal.negative": fiscal({7: "-1"}),
    "fiscal.unknown_unit": fiscal(unit="单位：千克"),
    "fiscal.unit_converted": fiscal(header=[name.replace("经常性收入", "经常性收入（元）") for name in FISCAL_HEADER]),
    "fiscal.total_mismatch": fiscal(more=[["合计", "2023", "10400001", *[""] * 8]]),
    "fiscal.duplicate_key": fiscal(more=[["渝中", *accounts()[0][1:]]]),
    "fiscal.parts_mismatch": fiscal({4: "110000.04"}),
    "fiscal.education_exceeds": fiscal({2: "119999"}),
}


FLAT_GOOD: dict[str, list[Build]] = {
    "population": POPULATION_GOOD,
    "higher_education": HIGHER_GOOD,
    "programme_register": PROGRAMME_GOOD,
    "fiscal_accounts": FISCAL_GOOD,
}
FLAT_BAD: dict[str, dict[str, Build]] = {
    "population": POPULATION_BAD,
    "higher_education": HIGHER_BAD,
    "programme_register": PROGRAMME_BAD,
    "fiscal_accounts": FISCAL_BAD,
}
