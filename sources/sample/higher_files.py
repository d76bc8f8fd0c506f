"""What the universities of the sample upload: an object an institution, year and table, Parquet or JSON Lines.

Belongs here: objects and the damage done to them. Does not belong here: how many students there are (``higher``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sources.codelists import code_list
from sources.sample.damage import DamagedRow, choose, pick
from sources.sample.geography import CITY_CODE
from sources.sample.higher import HigherYear, Institution, Students, Teachers, higher_year
from sources.sample.profiles import profile_of
from warehouse.files import canonical_json

FEED = "higher_education"
Row = dict[str, Any]
# JSON Lines come with Chinese names and labels, Parquet with those of the contract and with codes.
_CHINESE = {
    "year": "统计年度",
    "institution_code": "院校代码",
    "institution_name": "院校名称",
    "institution_kind": "办学层次",
    "level": "培养层次",
    "discipline": "学科门类（专业大类）",
    "entrants": "招生数",
    "enrolled": "在校生数",
    "graduates": "毕业生数",
    "title": "职称",
    "full_time_teachers": "专任教师",
    "professional_teachers": "专业课教师",
    "dual_qualified": "双师型教师",
    "reported_on": "填报日期",
}
_LISTS = {"institution_kind": "institution_kind", "level": "degree_level", "discipline": "discipline", "title": "title"}
_DAMAGE = ("higher.unknown_code", "higher.negative", "higher.missing_required")


@dataclass
class HigherWritten:
    """What was written, and what is left without damaged rows."""

    rows: int = 0
    damaged: list[DamagedRow] = field(default_factory=list)
    students: list[tuple[int, Students]] = field(default_factory=list)
    teachers: list[tuple[int, Institution, Teachers]] = field(default_factory=list)


@dataclass(frozen=True)
class _Object:
    """One object: its year, institution and table, and whether it is Parquet."""

    year: int
    place: Institution
    table: str
    parquet: bool

    @property
    def name(self) -> str:
        """The object's file name."""
        return f"{self.place.code}_{self.year}_{self.table}.{'parquet' if self.parquet else 'jsonl'}"


def write_higher(profile: str, years: Sequence[int], seed: int, dirt: float, folder: Path) -> HigherWritten:
    """Write the objects of the years."""
    written = HigherWritten()
    for year in years:
        model = higher_year(profile_of(profile), seed, year)
        for number, place in enumerate(model.students):
            rng = np.random.default_rng(np.random.SeedSequence([seed, profile_of(profile).number, 32, number, year]))
            parquet = number % 2 == 0
            lost = _write(
                written, folder, _Object(year, place, "enrolment", parquet), _student_rows(model, place, rng, dirt)
            )
            written.students += [(year, row) for at, row in enumerate(model.students[place]) if at not in lost]
            lost = _write(
                written, folder, _Object(year, place, "staff", not parquet), _teacher_rows(model, place, rng, dirt)
            )
            written.teachers += [(year, place, row) for at, row in enumerate(model.teachers[place]) if at not in lost]
    return written


Spoilt = tuple[list[Row], dict[int, str]]


def _student_rows(model: HigherYear, place: Institution, rng: np.random.Generator, dirt: float) -> Spoilt:
    rows = [
        {
            "level": row.level,
            "discipline": row.discipline,
            "entrants": row.entrants,
            "enrolled": row.enrolled,
            "graduates": row.graduates,
        }
        for row in model.students[place]
    ]
    return _spoilt(model.year, place, rows, ("discipline", "enrolled"), rng, dirt)


def _teacher_rows(model: HigherYear, place: Institution, rng: np.random.Generator, dirt: float) -> Spoilt:
    rows = [
        {
            "title": row.title,
            "full_time_teachers": row.full_time,
            "professional_teachers": row.professional,
            "dual_qualified": row.dual,
        }
        for row in model.teachers[place]
    ]
    return _spoilt(model.year, place, rows, ("title", "full_time_teachers"), rng, dirt)


def _spoilt(  # noqa: PLR0917 - a table, its two columns that may be spoilt, and the draw
    year: int, place: Institution, rows: list[Row], columns: tuple[str, str], rng: np.random.Generator, dirt: float
) -> Spoilt:
    """The rows with what they share in front, some of them damaged; and the rule by place."""
    shared = {
        "year": year,
        "institution_code": place.code,
        "institution_name": place.name,
        "institution_kind": place.kind,
    }
    full = [shared | row | {"reported_on": f"{year}-10-12"} for row in rows]
    lost: dict[int, str] = {}
    for at in pick(rng, len(full), dirt):
        lost[at] = choose(rng, _DAMAGE)
        value = {"higher.unknown_code": "不详", "higher.negative": -5, "higher.missing_required": None}[lost[at]]
        full[at][columns[0] if lost[at] == "higher.unknown_code" else columns[1]] = value
    return full, lost


def _write(written: HigherWritten, folder: Path, target: _Object, spoilt: Spoilt) -> dict[int, str]:
    """Write one object; returns the damaged rows by place."""
    rows, lost = spoilt
    if target.parquet:
        pq.write_table(pa.Table.from_pylist(rows), folder / target.name, compression="zstd")
    else:
        lines = [canonical_json(_in_chinese(row)) + b"\n" for row in rows]
        (folder / target.name).write_bytes(b"".join(lines))
    written.rows += len(rows)
    written.damaged += [
        DamagedRow(FEED, target.name, "", "", at + 1, rule, "damage", CITY_CODE, target.year)
        for at, rule in lost.items()
    ]
    return lost


def _in_chinese(row: Row) -> Row:
    return {_CHINESE[name]: _label(name, value) for name, value in row.items() if value is not None}


def _label(name: str, value: Any) -> Any:
    """A code's label; a spoilt code has none and stays as it is."""
    return code_list(_LISTS[name]).labels.get(value, value) if name in _LISTS else value
