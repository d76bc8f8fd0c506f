"""All eight feeds as the analyst reads them: whole files into pandas, row rules as masks; what breaks one is dropped.

The census is in `analyst_census.py`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sqlite3
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from analyst_census import SCHOOL_CODE, read_census
from analyst_facts import (
    CITY,
    area_code,
    area_codes,
    coded,
    codes,
    column_of_codes,
    heading,
    headings,
    properties,
    seed,
)

TEACHER_COLUMNS = {
    "统计年度": "period",
    "区域": "area",
    "学校标识码": "school_code",
    "身份证号": "person",
    "身份证件类型": "id_type",
    "岗位类别": "post_category",
    "最高学历": "education",
    "最高职称": "title",
    "现聘职称": "appointed_title",
    "任教学段": "stage",
    "教师资格学段": "certificate_stage",
    "主教学科": "subject",
    "骨干教师": "backbone",
    "是否双师型": "dual_qualified",
    "是否专业课教师": "professional_course",
    "在岗状态": "duty_status",
}
CODE_LISTS = {"appointed_title": "title", "stage": "stage", "certificate_stage": "stage"}
CODE_LISTS |= {"dual_qualified": "yes_no", "professional_course": "yes_no"}
AMOUNTS = [f"金额{number}" for number in range(1, 9)]
FINANCE_COLUMNS = ["年度", "单位代码", "单位名称", "学校标识码", "地区代码", "学校类别代码", "表号", "行次", "项目"]
FINANCE_COLUMNS += [*AMOUNTS, "updated_at"]
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
AGE_BAND = r"(\d{1,3})(?:-(\d{1,3})|(\+|岁?及?以上))?岁?"
EVENT_COLUMNS = [
    "event_id", "statement_id", "project_code", "object_kind", "object_code", "object_name", "area_code", "level",
    "quantity", "decision", "decided_on", "document_no",
]  # fmt: skip


@dataclass
class Records:
    """Rows that break no rule, a table a kind; and what was delivered. `unnamed`: figures that no mart asks for."""

    schools: pd.DataFrame
    figures: pd.DataFrame
    unnamed: pd.DataFrame
    teachers: pd.DataFrame
    finance: pd.DataFrame
    official: pd.DataFrame
    residents: pd.DataFrame
    attainment: pd.DataFrame
    students: pd.DataFrame
    staff: pd.DataFrame
    accounts: pd.DataFrame
    events: pd.DataFrame
    deliveries: pd.DataFrame


def read_all(sample: Path) -> Records:
    """Everything that waits."""
    inbox = sample / "inbox"
    schools, figures, unnamed, census = read_census(inbox / "school_census")
    teachers, register = read_register(inbox / "teacher_register")
    finance, money = read_finance(sample / "finance.db")
    official, published = read_official(inbox / "official_figures")
    residents, attainment, population = read_population(inbox / "population")
    students, staff, higher = read_higher(inbox / "higher_education")
    accounts, fiscal = read_fiscal(inbox / "fiscal_accounts")
    events, programmes = read_programmes(inbox / "programme_register")
    logs = {
        "school_census": census,
        "teacher_register": register,
        "education_finance": money,
        "official_figures": published,
        "population": population,
        "higher_education": higher,
        "fiscal_accounts": fiscal,
        "programme_register": programmes,
    }
    log = pd.concat([frame.assign(feed=feed) for feed, frame in logs.items()], ignore_index=True)
    log = log.assign(part=log["part"].fillna(""), rows_quarantined=log["rows_in"] - log["rows_accepted"])
    log["reported_on"] = pd.to_datetime(log["reported_on"])
    log["status"] = (log["rows_quarantined"] == 0).map({True: "accepted", False: "partly"})
    return Records(
        schools=schools,
        figures=figures,
        unnamed=unnamed,
        teachers=teachers,
        finance=finance,
        official=official,
        residents=residents,
        attainment=attainment,
        students=students,
        staff=staff,
        accounts=accounts,
        events=events,
        deliveries=log,
    )


def log_of(rows: pd.DataFrame, good: pd.Series[Any], by: dict[str, str]) -> pd.DataFrame:
    """One row a delivery: rows in and accepted, and the columns of `by` by their aggregates."""
    grouped = rows.assign(good=good).groupby("delivery", sort=False)
    counted = grouped.agg(rows_in=("good", "size"), rows_accepted=("good", "sum"))
    return counted.join(grouped.agg(by)).reset_index()


# -- teacher register -------------------------------------------------------------------------------------------------


def read_register(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Teachers of all files."""
    files = [read_register_file(path) for path in sorted(folder.iterdir())]
    # Not every year's file has every column.
    people = pd.concat(files, ignore_index=True).reindex(columns=[*TEACHER_COLUMNS.values(), "delivery", "post_kind"])
    people = people.fillna("").astype(str).apply(lambda column: column.str.strip())
    by_file = people.groupby("delivery", sort=False)
    people["given_period"], people["given_area"] = people["period"], area_codes(people["area"])
    for name in ("period", "area"):
        usual = by_file[name].agg(lambda texts: texts.value_counts().index[0])
        people[name] = people["delivery"].map(usual)
    people["area_code"] = area_codes(people["area"])
    good = people["school_code"].str.fullmatch(SCHOOL_CODE)
    good &= (people["given_period"] == people["period"]) & (people["given_area"] == people["area_code"])
    good &= (people[["post_category", "stage"]] != "").all(axis=1)
    people["period"] = people["period"].astype(int)
    people = coded_people(people)
    good &= ~people["is_unknown"] & ~people["has_left"]
    good &= fitting_identity(people)
    good &= ~people[good].duplicated(["delivery", "person", "school_code"]).reindex(people.index, fill_value=False)
    log = log_of(people, good, {"period": "first", "area_code": "first", "post_kind": "first"})
    return people[good], log.rename(columns={"post_kind": "part"})


def read_register_file(path: Path) -> pd.DataFrame:
    """The columns wanted of one file."""
    if path.suffix == ".csv":
        frame = read_text_csv(path, usecols=lambda name: bare_label(name) in TEACHER_COLUMNS)
    else:
        frame = pd.read_excel(path, dtype=object, engine="openpyxl", na_filter=False)
    frame = frame.rename(columns=bare_label)
    frame = frame[[name for name in TEACHER_COLUMNS if name in frame]].rename(columns=TEACHER_COLUMNS)
    kind = "established" if "appointed_title" in frame else "contract"
    return frame.assign(delivery=path.name, post_kind=kind)


def bare_label(label: str) -> str:
    """A header without its date."""
    return re.sub(r"^20\d{2}年9月", "", label)


def read_text_csv(source: Path, **options: Any) -> pd.DataFrame:
    """A CSV in UTF-8 or else GB18030, all cells texts."""
    try:
        return pd.read_csv(source, dtype=object, na_filter=False, encoding="utf-8-sig", **options)
    except UnicodeDecodeError:
        return pd.read_csv(source, dtype=object, na_filter=False, encoding="gb18030", **options)


def coded_people(people: pd.DataFrame) -> pd.DataFrame:
    """Labels as codes. An unknown one is missing, and breaks a rule where the rule says so."""
    people = people.copy()
    people["is_unknown"] = False
    names = ["id_type", "post_category", "education", "stage", "title", "appointed_title", "certificate_stage"]
    for name in [*names, "backbone", "dual_qualified", "professional_course", "duty_status"]:
        given = people[name]
        people[name] = coded(given, CODE_LISTS.get(name, name))
        if name in {"id_type", "post_category", "education", "stage"}:
            people["is_unknown"] |= (given != "") & people[name].isna()
    people["title"] = people["title"].fillna(people["appointed_title"])
    people["stage"] = people["stage"].replace("vocational", "senior_vocational")
    people["has_left"] = people["duty_status"].map(column_of_codes("duty_status", "in_post")) == "false"
    yes = codes("yes_no")["是"]
    for name in ("dual_qualified", "professional_course"):
        people[name] = people[name] == yes
    return people


def fitting_identity(people: pd.DataFrame) -> pd.Series[bool]:
    """Identity numbers that are valid (or of a kind that is not checked); adds the column `age`."""
    checked = people["id_type"].map(column_of_codes("id_type", "checked")) != "false"
    valid = people["person"].map(is_identity_number)
    born = pd.to_datetime(people["person"].str[6:14].where(valid), format="%Y%m%d")
    before_term = (born.dt.month < 9) | ((born.dt.month == 9) & (born.dt.day <= 1))
    age = people["period"] - born.dt.year - (~before_term).astype(int)
    people["age"] = age.where(checked & valid)
    return ~checked | (valid & age.between(16, 80))


def is_identity_number(text: str) -> bool:
    """True when form, birthday and check digit of GB 11643 fit."""
    if not re.fullmatch(r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]", text):
        return False
    day, month, year = int(text[12:14]), int(text[10:12]), int(text[6:10])
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    if day > (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text[:17], ID_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == text[17]


# -- finance and official figures -------------------------------------------------------------------------------------


def read_finance(database: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines of the finance statistics; a delivery an area and year."""
    with sqlite3.connect(database) as connection:
        lines = pd.read_sql_query(f"SELECT {', '.join(FINANCE_COLUMNS)} FROM education_finance_line", connection)
    lines["delivery"] = lines["地区代码"] + "-" + lines["年度"].astype(str)
    good = lines["行次"].between(1, 9999)
    good &= lines["表号"].isin(codes("finance_form").values())
    good &= lines["学校类别代码"].isin(codes("school_kind_finance").values())
    for name in ("单位代码", "单位名称", "项目", "updated_at"):
        good &= lines[name].fillna("") != ""
    school = lines["学校标识码"].fillna("")
    good &= (school == "") | school.str.fullmatch(SCHOOL_CODE)
    good &= ~lines.duplicated(["delivery", "单位代码", "表号", "行次"])
    log = log_of(lines, good, {"年度": "first", "地区代码": "first", "updated_at": "max"})
    log["updated_at"] = pd.to_datetime(log["updated_at"]).dt.normalize()
    log = log.rename(columns={"年度": "period", "地区代码": "area_code", "updated_at": "reported_on"})
    lines[AMOUNTS] = lines[AMOUNTS].apply(pd.to_numeric)
    return lines[good], log


def read_official(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The published figures; a percentage below one must carry its sign."""
    figures = pd.concat([read_text_csv(path).assign(delivery=path.name) for path in sorted(folder.iterdir())])
    signed = figures["value"].str.endswith("%")
    figures["value"] = pd.to_numeric(figures["value"].str.removesuffix("%"))
    good = (figures["unit_zh"] != "%") | signed | (figures["value"] == 0) | (figures["value"].abs() >= 1)
    log = log_of(figures, good, {}).assign(period=0, area_code=CITY)
    figures = figures[good & (figures["indicator_id"] != "") & (figures["stat_year"] != "")]
    return figures.assign(period=figures["stat_year"].astype(int)), log


# -- flat feeds -------------------------------------------------------------------------------------------------------


def standard(frame: pd.DataFrame, feed: str, table: str) -> pd.DataFrame:
    """Columns under the names that the contract gives them; others are left out."""
    known = headings(feed, table)
    frame = frame.rename(columns=heading)
    return frame[[name for name in frame if name in known]].rename(columns=known)


def whole_numbers(frame: pd.DataFrame, names: list[str]) -> pd.Series[bool]:
    """Make columns numbers, in units of one; True where each is blank or a whole number that is not negative."""
    scales = dict(zip(seed("code_unit")["code"], seed("code_unit")["scale"].astype(float), strict=True))
    scale = frame["unit"].map(scales).fillna(1) if "unit" in frame else 1
    good = pd.Series(True, index=frame.index)
    for name in names:
        given = frame[name].notna() & (frame[name] != "")
        frame[name] = (pd.to_numeric(frame[name], errors="coerce") * scale).round(6)
        good &= ~given | ((frame[name] >= 0) & (frame[name] % 1 == 0))
    return good


def read_population(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Residents by age, attainment, deliveries."""
    found = []
    for path in sorted(folder.iterdir()):
        document = json.loads(path.read_bytes())
        items = pd.DataFrame(document.pop("items")).rename(columns=heading)
        table = "attainment" if {"attainment", "受教育程度", "文化程度"} & set(items) else "resident"
        found.append(standard(items.assign(**document), "population", table).assign(delivery=path.name))
    rows = pd.concat(found, ignore_index=True).rename(columns={"stat_year": "period"})
    rows["area_code"], rows["version"] = area_codes(rows["area_code"]), coded(rows["version"], "population_version")
    rows["published_on"] = pd.to_datetime(rows["published_on"])
    is_level = rows["attainment"].notna()
    rows["attainment"] = coded(rows["attainment"], "attainment")
    band = rows["age"].fillna(rows["age_group"]).astype(str).str.extract(f"^{AGE_BAND}$")
    rows["age_from"] = pd.to_numeric(band[0])
    rows["age_to"] = pd.to_numeric(band[1].fillna(band[0])).where(band[2].isna())
    good = whole_numbers(rows, ["residents"]) & rows["residents"].notna()
    good &= rows[["area_code", "version", "age_from"]].notna().all(axis=1) & (~is_level | rows["attainment"].notna())
    good &= ~rows.duplicated(["delivery", "attainment", "age_from", "age_to"])
    by = {"period": "first", "area_code": "first", "version": "first", "published_on": "max"}
    log = log_of(rows, good, by).rename(columns={"version": "part", "published_on": "reported_on"})
    best = newest(rows[good], "population_version", "version")
    is_level = best["attainment"].notna()
    return best[~is_level], best[is_level], log


def newest(rows: pd.DataFrame, code_list: str, column: str) -> pd.DataFrame:
    """Of each area and year the rows of the version that stands."""
    rank = rows[column].map(column_of_codes(code_list, "rank")).astype(int)
    return rows[rank == rank.groupby([rows["area_code"], rows["period"]]).transform("min")]


def read_higher(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Students and staff of higher education."""
    found: dict[str, list[pd.DataFrame]] = {"enrolment": [], "staff": []}
    for path in sorted(folder.iterdir()):
        frame = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_json(path, lines=True, dtype=False)
        ).rename(columns=heading)
        table = "staff" if {"title", "职称", "专业技术职务"} & set(frame) else "enrolment"
        found[table].append(standard(frame, "higher_education", table).assign(delivery=path.name))
    tables = {table: pd.concat(frames, ignore_index=True) for table, frames in found.items()}
    students, log = checked_higher(tables["enrolment"], "enrolment", ["level", "discipline"], ["entrants"])
    most = ["professional_teachers", "dual_qualified"]
    staff, other = checked_higher(tables["staff"], "staff", ["title"], most)
    students["scale_group"] = students["level"].map(column_of_codes("degree_level", "scale_group"))
    students["field"] = students["discipline"].map(column_of_codes("discipline", "field"))
    return students, staff, pd.concat([log, other])


def checked_higher(
    rows: pd.DataFrame, table: str, keys: list[str], within: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that break no rule: known codes, whole numbers, no part above its whole, each key once."""
    lists = {"level": "degree_level", "discipline": "discipline", "title": "title"}
    for name in keys:
        rows[name] = coded(rows[name].astype(str), lists[name])
    rows["institution_kind"] = coded(rows["institution_kind"], "institution_kind")
    rows["institution_code"] = rows["institution_code"].astype(str)
    rows["reported_on"] = pd.to_datetime(rows["reported_on"])
    whole = "enrolled" if table == "enrolment" else "full_time_teachers"
    amounts = [whole, *within, *(["graduates"] if table == "enrolment" else [])]
    good = whole_numbers(rows, amounts) & rows[[whole, "institution_kind", *keys]].notna().all(axis=1)
    good &= rows["institution_code"].str.fullmatch(r"\d{5}")
    good &= ~(rows[within].max(axis=1) > rows[whole])
    rows = rows.rename(columns={"stat_year": "period"})
    rows["part"] = rows.groupby("delivery")["institution_code"].transform("first") + f"-{table}"
    good &= ~rows.duplicated(["delivery", "period", "institution_code", *keys])
    log = log_of(rows, good, {"period": "first", "part": "first", "reported_on": "max"}).assign(area_code=CITY)
    return rows[good], log


def read_fiscal(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fiscal accounts of all districts; figures in 万元, pay in 元."""
    rows = pd.concat([read_fiscal_file(path) for path in sorted(folder.iterdir())], ignore_index=True)
    rows["area_code"], rows["status"] = area_codes(rows["area_code"]), coded(rows["status"], "fiscal_status")
    rows["period"] = rows["fiscal_year"].astype(int)
    names = [name for name in headings("fiscal_accounts", "account").values() if name in rows]
    amounts = [name for name in dict.fromkeys(names) if name not in {"area_code", "fiscal_year", "status"}]
    for name in amounts:
        scale = 1 if name.endswith("_pay") else rows["scale"]
        rows[name] = (pd.to_numeric(rows[name].str.replace(",", "")) * scale).round(2)
    parts = rows[["education_operating", "capital_construction", "education_surcharge"]]
    apart = (rows["budget_education_spending"] - parts.sum(axis=1)).abs() > 0.03 * 10_000 + 1e-6
    good = ~(apart & parts.notna().any(axis=1)) & (rows[amounts].fillna(0) >= 0).all(axis=1)
    good &= ~(rows["budget_education_spending"] > rows["general_budget_spending"])
    good &= rows[["area_code", "status", "general_budget_spending", "budget_education_spending"]].notna().all(axis=1)
    good &= ~rows.duplicated(["delivery", "area_code", "period"])
    log = log_of(rows, good, {"period": "first", "status": "first", "reported_on": "first"})
    accounts = newest(rows[good], "fiscal_status", "status")
    return accounts, log.rename(columns={"status": "part"}).assign(area_code=CITY)


def read_fiscal_file(path: Path) -> pd.DataFrame:
    """The table between title lines and notes; total rows left out, unit and date as printed around it."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030")
    lines = text.splitlines()
    known = headings("fiscal_accounts", "account")
    top = next(at for at, line in enumerate(lines) if sum(heading(cell) in known for cell in line.split(",")) > 1)
    layout = properties("fiscal_accounts")["flat"]
    notes = re.compile("|".join(layout["notes"]))
    is_note = [bool(notes.match(unicodedata.normalize("NFKC", line))) for line in lines]
    around = [line for at, line in enumerate(lines) if at < top or is_note[at]]
    table = "\n".join(line for at, line in enumerate(lines) if at >= top and not is_note[at])
    frame = pd.read_csv(io.StringIO(table), dtype=object, na_filter=False)
    frame = standard(frame, "fiscal_accounts", "account")
    printed = unicodedata.normalize("NFKC", " ".join(around))
    unit = re.search(layout["printed_unit"], printed)
    scales = dict(zip(seed("code_unit")["code"], seed("code_unit")["scale"].astype(float), strict=True))
    days = [pd.Timestamp(*map(int, found)) for found in re.findall(layout["printed_date"], printed)]
    scale = scales[unit[1] if unit else "万元"]
    frame = frame[~frame["area_code"].isin(layout["totals"])]
    return frame.assign(delivery=path.name, scale=scale, reported_on=max(days, default=None))


def read_programmes(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Recognition decisions: messages as JSON Lines, old ones as a CSV."""
    events = pd.concat([read_programme_file(path) for path in sorted(folder.iterdir())], ignore_index=True)
    lists = {"object_kind": "recognition_object", "level": "recognition_level", "decision": "recognition_decision"}
    for name, code_list in lists.items():
        events[name] = coded(events[name], code_list)
    events["area_code"] = events["area_code"].map(
        {text: known_area(text) for text in events["area_code"].unique()}, na_action="ignore"
    )
    is_statement = events["target"].isin(seed("plan_registry")["id"])
    events["statement_id"] = events["target"].where(is_statement)
    events["project_code"] = events["target"].where(~is_statement)
    events["quantity"] = events["quantity"].replace("", None).fillna(1)
    events["decided_on"] = pd.to_datetime(events["decided_on"], errors="coerce")
    is_person = events["object_kind"] == "person"
    good = whole_numbers(events, ["quantity"])
    good &= is_statement | events["target"].str.fullmatch(r"[A-Z]{2,8}-\d{4}-\d{1,4}")
    good &= events["event_id"].str.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{3,63}")
    good &= events[["object_kind", "level", "decision", "area_code", "decided_on"]].notna().all(axis=1)
    good &= events["document_no"].ne("") & (is_person | events["object_name"].ne(""))
    good &= ~events.duplicated(["delivery", "event_id"])
    events[["object_code", "object_name"]] = events[["object_code", "object_name"]].mask(is_person, "", axis=0)
    log = log_of(events, good, {"decided_on": "max", "batch": "first"})
    log = log.rename(columns={"decided_on": "reported_on", "batch": "part"}).assign(period=0, area_code=CITY)
    once = events.loc[good, EVENT_COLUMNS].drop_duplicates()
    # Two wordings of one event contradict each other: none of them counts.
    return once.assign(is_contested=once.duplicated("event_id", keep=False)), log


def known_area(text: str) -> str | None:
    """The code of a reporting area."""
    code = area_code(text)
    areas = seed("area")
    return code if code in set(areas.loc[areas["area_level"].isin(["city", "district"]), "area_code"]) else None


def read_programme_file(path: Path) -> pd.DataFrame:
    """One file; messages are known by the digest of their events."""
    if path.suffix == ".csv":
        text = path.read_text("utf-8-sig")
        top = next(at for at, line in enumerate(text.splitlines()) if line.startswith(("event_id", "事项编号")))
        frame = pd.read_csv(io.StringIO(text), skiprows=top, dtype=object, na_filter=False)
        frame = frame[~frame.iloc[:, 0].str.match(r"注[:：]|说明[:：]|数据来源[:：]")]
        return standard(frame, "programme_register", "event").assign(delivery=path.name, batch="catalogue")
    messages = pd.read_json(path, lines=True, dtype=False)
    frame = standard(pd.DataFrame(messages["data"].tolist()), "programme_register", "event")
    digest = hashlib.sha256("\n".join(sorted(set(frame["event_id"]))).encode()).hexdigest()[:12]
    return frame.assign(delivery=path.name, batch=f"b{digest}")
