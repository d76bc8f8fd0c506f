"""The two register files of a district and year: 在编 as CSV in GB18030, 编外 as .xlsx.

Belongs here: writing the files, and the damaged and untidy rows in them.
Does not belong here: the columns and their values (``register_columns``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sources.sample.arrow_text import TextArray, join
from sources.sample.damage import DamagedRow, choose, pick
from sources.sample.frame import Bools, Frame
from sources.sample.geography import Area
from sources.sample.people import RegisterYear, Roster
from sources.sample.register_columns import People, Rows, columns, headers
from sources.sample.workbook import NOTE_ZH, workbook

FEED = "teacher_register"
DUTY_STATUS_SINCE = 2024
_SHEET, _NOT_IN_POST = "教师信息", "teacher.not_in_post"
_FORMER_NAMES = {
    "开州区": "开县",
    "梁平区": "梁平县",
    "武隆区": "武隆县",
    "忠县": "忠　县",
    "酉阳土家族苗族自治县": "酉阳",
}
Line = dict[str, str]


@dataclass(frozen=True)
class RegisterResult:
    """``lost`` marks the rows of the register year that are damaged, ``left`` those listed as no longer in post."""

    damaged: list[DamagedRow]
    lost: Bools
    left: Bools
    rows: int


def write_register(
    frame: Frame,
    roster: Roster,
    people: People,
    register: RegisterYear,
    folder: Path,
    *,
    rng: np.random.Generator,
    dirt: float,
) -> RegisterResult:
    """Write both files of a district and year into ``folder``."""
    lost = np.zeros(len(register.person), dtype=np.bool_)
    # Only the exports from 2024 on say who is still in post; before, a retired person looks like any other.
    left = register.retired if register.year >= DUTY_STATUS_SINCE else np.zeros_like(lost)
    damaged: list[DamagedRow] = []
    for contract in (False, True):
        chosen = np.flatnonzero(register.contract == contract)
        rows = Rows(
            frame,
            roster,
            people,
            register.year,
            register.person[chosen],
            register.school[chosen],
            register.retired[chosen],
        )
        names = headers(register.year, contract=contract)
        data = columns(rows, names)
        changed, rules = _changes(rng, names, data, roster.area, dirt)
        path = folder / _file_name(roster.area, register.year, contract=contract)
        if contract:
            _write_xlsx(path, _tidy(names, rng, dirt), data, changed)
        else:
            _write_csv(path, _tidy(names, rng, dirt), data, changed)
        lost[chosen[sorted(rules)]] = True
        sheet = _SHEET if contract else ""
        causes = dict.fromkeys(np.flatnonzero(left[chosen]).tolist(), (_NOT_IN_POST, "left"))
        causes |= {row: (rule.split("/")[0], "damage") for row, rule in rules.items()}
        damaged += [
            DamagedRow(FEED, path.name, "", sheet, row + 2, rule, cause, roster.area.code, register.year)
            for row, (rule, cause) in sorted(causes.items())
        ]
    return RegisterResult(damaged, lost, left, len(register.person))


def _file_name(area: Area, year: int, *, contract: bool) -> str:
    return f"{area.name}教师信息（编外）{year}.xlsx" if contract else f"{area.name}教师信息（在编）{year}.csv"


def _tidy(names: list[str], rng: np.random.Generator, dirt: float) -> list[str]:
    """Headers with a stray blank here and there when damage is asked for."""
    if not dirt:
        return names
    return [f"{name} " if draw < 0.05 else name for name, draw in zip(names, rng.random(len(names)), strict=True)]


def _wrong_check(line: Line) -> None:
    good = line["身份证号"]
    line["身份证号"] = good[:-1] + ("0" if good[-1] != "0" else "1")


def _scientific(line: Line) -> None:
    line["身份证号"] = f"{line['身份证号'][0]}.{line['身份证号'][1:6]}E+17"


def _no_such_day(line: Line) -> None:
    line["身份证号"] = line["身份证号"][:10] + "0230" + line["身份证号"][14:]


def _lost_school(line: Line) -> None:
    line["学校标识码"] = ""


def _short_school(line: Line) -> None:
    line["学校标识码"] = line["学校标识码"][:8]


def _unknown_category(line: Line) -> None:
    line["岗位类别"] = "其他岗位甲"


def _unknown_stage(line: Line) -> None:
    line["任教学段"] = "未知学段"


_DAMAGE: dict[str, Callable[[Line], None]] = {
    "teacher.bad_id_checksum": _wrong_check,
    "teacher.bad_id_format": _scientific,
    "teacher.bad_id_date": _no_such_day,
    "teacher.missing_required": _lost_school,
    "teacher.bad_school_code": _short_school,
    "teacher.unknown_code": _unknown_category,
    "teacher.unknown_code/stage": _unknown_stage,
}


def _changes(
    rng: np.random.Generator, names: list[str], data: list[TextArray], area: Area, dirt: float
) -> tuple[dict[int, Line], dict[int, str]]:
    """(changed lines by row, rule of each damaged row); untidy lines are changed without a rule."""
    if not dirt or not len(data[0]):
        return {}, {}
    count = len(data[0])
    changed: dict[int, Line] = {}
    for row in pick(rng, count, 0.01):
        line = _line(names, data, row)
        _untidy(line, area, choose(rng, ("id", "school", "area", "year")))
        changed[row] = line
    rules: dict[int, str] = {}
    for row in pick(rng, count, dirt):
        line = _line(names, data, row)
        rules[row] = choose(rng, tuple(_DAMAGE))
        _DAMAGE[rules[row]](line)
        changed[row] = line
    return changed, rules


def _line(names: list[str], data: list[TextArray], row: int) -> Line:
    return {name: str(column[row].as_py()) for name, column in zip(names, data, strict=True)}


def _untidy(line: Line, area: Area, kind: str) -> None:
    """Another spelling of one value that must read the same."""
    if kind == "id":
        line["身份证号"] = line["身份证号"].replace("X", "x") + " "
    elif kind == "school":
        line["学校标识码"] = line["学校标识码"] + " "
    elif kind == "area":
        line["区域"] = _FORMER_NAMES.get(area.name, area.name)
    else:
        line["统计年度"] = line["统计年度"].translate(str.maketrans("0123456789", "０１２３４５６７８９"))


def _write_csv(path: Path, names: list[str], data: list[TextArray], changed: dict[int, Line]) -> None:
    """The 在编 file; no value of the sample holds a comma or a quote, so cells are joined as they are."""
    lines = [str(line) for line in join(data, ",").to_pylist()]
    for row, line in changed.items():
        lines[row] = ",".join(line.values())
    path.write_bytes("\r\n".join([",".join(names), *lines, ""]).encode("gb18030"))


def _write_xlsx(path: Path, names: list[str], data: list[TextArray], changed: dict[int, Line]) -> None:
    """The 编外 workbook: a header row and one row a person, all text, as the system exports it."""
    with workbook(path) as book:
        page = book.add_worksheet(_SHEET)
        page.set_footer(NOTE_ZH)
        for column, name in enumerate(names):
            page.write_string(0, column, name)
        cells: list[list[str | None]] = [column.to_pylist() for column in data]
        for row, line in changed.items():
            for column, changed_text in enumerate(line.values()):
                cells[column][row] = changed_text
        for column, values in enumerate(cells):
            for row, value in enumerate(values, start=1):
                if value:
                    page.write_string(row, column, value)
