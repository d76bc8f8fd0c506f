"""What an analyst would write instead: pandas with openpyxl, one process, whole files in memory.

It reads the same deliveries of a small sample and computes the census and register indicators of each district and of
the city, and writes one workbook. No row rules, no quarantine, no history, no report: the usual script. Only the yearly
table names of the census are looked up, because every analyst has such a list.

    python benchmarks/analyst.py --sample DIR --out FILE.xlsx       prints one JSON object with the city's values
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sqlite3
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd

YEARS = re.compile(r"(20\d{2})\s*/\s*20\d{2}\s*学?年")
# canonical stage -> (sheet of the 2020 form, sheet from 2021, heading group of enrolment)
ENROLMENT = {
    "preschool": ("基础基311", "教基3111"),
    "primary": ("基础基312", "教基3112"),
    "junior": ("基础基313", "教基3115"),
    "senior_general": ("基础基314", "教基3118"),
    "senior_vocational": ("中职基311", "教基3221"),
    "special": ("基础基315", "教基3120"),
}
GROUPS = ("在校生数", "在园（班）人数")


def sheets_of(source: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Sheet name -> rows."""
    book = openpyxl.load_workbook(source, data_only=True)
    return {plain(sheet.title): list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}


def plain(text: Any) -> str:
    """Text without blanks."""
    return re.sub(r"\s+", "", str(text)) if text is not None else ""


def year_of(sheets: dict[str, list[tuple[Any, ...]]]) -> int:
    """The school year named near the top."""
    texts = (plain(cell) for rows in sheets.values() for row in rows[:15] for cell in row if cell is not None)
    return next(int(found[1]) for text in texts if (found := YEARS.search(text)))


def census(folder: Path) -> pd.DataFrame:
    """One row a school, stage and year: enrolment."""
    rows: list[tuple[int, str, str, str, float]] = []
    for path in sorted(folder.iterdir()):
        with zipfile.ZipFile(path) as archive:
            if "[Content_Types].xml" in archive.namelist():
                rows += list_rows(path)
            else:
                for info in archive.infolist():
                    rows += workbook_rows(io.BytesIO(archive.read(info)))
    return pd.DataFrame(rows, columns=["year", "school_code", "organiser", "stage", "enrolment"])


def list_rows(path: Path) -> Iterator[tuple[int, str, str, str, float]]:
    """Rows of a collated list."""
    sheets = sheets_of(path)
    year = year_of(sheets)
    profile = next(rows for name, rows in sheets.items() if name in {"基础基111", "教基1001"})
    organisers = {row[0]: row[5] for row in profile if is_code(row[0])}
    for stage, names in ENROLMENT.items():
        rows = next((sheets[name] for name in names if name in sheets), [])
        top = next((at for at, row in enumerate(rows) if row[0] == "学校标识码"), 0)
        column = next((at for at, cell in enumerate(rows[top]) if plain(cell) in GROUPS), 2) if rows else 2
        for row in rows:
            if is_code(row[0]):
                yield year, str(row[0]), str(organisers.get(row[0])), stage, float(row[column] or 0)


def is_code(cell: Any) -> bool:
    """True for a school code."""
    return isinstance(cell, str) and len(cell) == 10 and cell.isdigit()


def workbook_rows(data: io.BytesIO) -> Iterator[tuple[int, str, str, str, float]]:
    """Rows of one school's workbook."""
    sheets = sheets_of(data)
    year = year_of(sheets)
    profile = next(rows for name, rows in sheets.items() if name in {"基础基111", "教基1001"})
    cells = [[plain(cell) for cell in row] for row in profile]
    code = next(cell for row in cells for cell in row if is_code(cell))
    organiser = organiser_of(cells)
    for stage, names in ENROLMENT.items():
        rows = next((sheets[name] for name in names if name in sheets), None)
        if rows is not None:
            head = next(row for row in rows if any(plain(cell) in GROUPS for cell in row))
            column = next(at for at, cell in enumerate(head) if plain(cell) in GROUPS)
            total = next(row for row in rows if any(plain(cell).endswith("总计") for cell in row))
            yield year, code, organiser, stage, float(total[column])


def organiser_of(cells: list[list[str]]) -> str:
    """The organiser's code in a profile sheet."""
    for at, row in enumerate(cells):
        if "举办者代码" in row:
            return row[-1]
        if "学校（机构）举办者" in row:
            return cells[at + 2][row.index("学校（机构）举办者")]
    return ""


def register(folder: Path) -> pd.DataFrame:
    """All teachers of all files."""
    wanted = ["统计年度", "区域", "身份证号", "岗位类别", "任教学段", "最高学历"]
    frames = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".csv":
            frame = pd.read_csv(path, encoding="gb18030", dtype=str, keep_default_na=False)
        else:
            frame = pd.read_excel(path, dtype=str, engine="openpyxl", keep_default_na=False)
        frame.columns = [re.sub(r"^20\d{2}年9月", "", name) for name in frame.columns]
        if "在岗状态" in frame:
            frame = frame[~frame["在岗状态"].isin(["退休", "离职"])]
        frames.append(frame[wanted])
    found = pd.concat(frames, ignore_index=True)
    found["统计年度"] = found["统计年度"].astype(int)
    return found


def finance(database: Path) -> pd.DataFrame:
    """All finance lines."""
    with sqlite3.connect(database) as connection:
        return pd.read_sql_query("SELECT * FROM education_finance_line", connection)


def indicators(schools: pd.DataFrame, teachers: pd.DataFrame, money: pd.DataFrame) -> pd.DataFrame:
    """City values by year: indicator_id, period, value."""
    found: list[pd.DataFrame] = []

    def add(name: str, values: pd.Series[float]) -> None:
        found.append(pd.DataFrame({"indicator_id": name, "period": values.index, "value": values.to_numpy()}))

    by_stage = schools.pivot_table(index="year", columns="stage", values="enrolment", aggfunc="sum", fill_value=0)
    add("pre_enrolment", by_stage["preschool"] / 1e4)
    add("junior_enrolment", by_stage["junior"] / 1e4)
    add("senior_general_enrolment", by_stage["senior_general"] / 1e4)
    pre = schools[schools["stage"] == "preschool"]
    public = pre[~pre["organiser"].isin(["999", "998"])].groupby("year")["enrolment"].sum()
    add("pre_public_share", 100 * public / pre.groupby("year")["enrolment"].sum())
    full = teachers[teachers["岗位类别"] == "专任教师"]
    add("fulltime_teachers", full.groupby("统计年度")["身份证号"].nunique() / 1e4)
    spent = money[(money["表号"] == "jz_3") & (money["行次"] == 1)]
    total = spent.assign(spent=spent["金额1"].astype(float)).groupby("年度")["spent"].sum()
    add("education_spend_total", total / 1e8)
    return pd.concat(found, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, compute, write; print the city values."""
    parser = argparse.ArgumentParser(description="The same figures with pandas and openpyxl.")
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    inbox = options.sample / "inbox"
    schools, teachers = census(inbox / "school_census"), register(inbox / "teacher_register")
    values = indicators(schools, teachers, finance(options.sample / "finance.db"))
    with pd.ExcelWriter(options.out, engine="openpyxl") as writer:
        values.to_excel(writer, sheet_name="indicators", index=False)
        schools.to_excel(writer, sheet_name="schools", index=False)
    print(json.dumps({"values": values.to_dict(orient="records"), "rows": len(schools) + len(teachers)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
