"""All deliveries of one area: the unit of work of a sample, the same in this process or in a worker.

Belongs here: making the model of an area, writing its census and register files, and handing back the finance lines,
the truth and the persons. Randomness comes from (seed, area, year) only, so neither the number of workers nor the
other years matter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sources.sample.arrow_text import repeat, text
from sources.sample.census import DistrictYear, district_year, form_tables
from sources.sample.census_lists import write_list
from sources.sample.damage import DamagedRow, Removed
from sources.sample.finance import build_units, finance_lines, finance_year
from sources.sample.frame import Bools, Texts, build_frame, is_workbook_area
from sources.sample.geography import Area, areas
from sources.sample.indicators import AreaTruth, Kept, area_truth
from sources.sample.people import RegisterYear, Roster, build_roster, register_year
from sources.sample.register_columns import People, particulars
from sources.sample.register_files import DUTY_STATUS_SINCE, write_register
from sources.sample.school_workbooks import contacts, write_zip

Names = Sequence[str] | Texts
PERSON_SCHEMA = pa.schema(
    [("area_code", pa.string()), ("name", pa.string()), ("id_number", pa.string()), ("phone", pa.string())]
)


@dataclass(frozen=True)
class AreaJob:
    """What to make for one area; ``out`` is the sample's folder."""

    profile: str
    seed: int
    dirt: float
    years: tuple[int, ...]
    area_index: int
    out: Path


@dataclass(frozen=True)
class AreaOutcome:
    """What an area gives back. ``clean`` is the truth over all rows, ``kept`` over undamaged ones, year by year."""

    area_code: str
    clean: list[AreaTruth]
    kept: list[AreaTruth]
    damaged: list[DamagedRow]
    finance: list[pa.Table]
    persons: pa.Table
    rows: dict[str, int]


def make_area(job: AreaJob) -> AreaOutcome:
    """Write one area's census and register files of all years and return the rest."""
    frame = build_frame(job.profile, job.seed)
    area = areas()[job.area_index]
    roster = build_roster(frame, area)
    people = particulars(frame, roster)
    units = build_units(frame, area)
    outcome = AreaOutcome(area.code, [], [], [], [], PERSON_SCHEMA.empty_table(), {})
    seen: list[pa.Table] = []
    for year in job.years:
        register = register_year(frame, roster, year)
        world = district_year(frame, roster, register, area, year)
        removed = _census(job, world, outcome)
        left, lost = _register(job, world, people, outcome)
        money = finance_year(frame, units, area, year)
        lines = finance_lines(frame, units, money, _rng(job, year, 13), job.dirt)
        _finance(outcome, lines.table, lines.damaged, area, year)
        outcome.clean.append(area_truth(world, money, Kept(Removed(), ~left, frozenset())))
        outcome.kept.append(area_truth(world, money, Kept(removed, ~(left | lost), frozenset(lines.lost))))
        seen += _persons(roster, people, register, world)
    return _with_persons(outcome, seen)


def model_truth(profile: str, seed: int, years: tuple[int, ...]) -> Iterator[AreaTruth]:
    """The truth over all rows for every area and year, from the model alone: nothing is written."""
    frame = build_frame(profile, seed)
    for area in areas():
        roster, units = build_roster(frame, area), build_units(frame, area)
        for year in years:
            register = register_year(frame, roster, year)
            world = district_year(frame, roster, register, area, year)
            kept = Kept(Removed(), ~_left(register), frozenset())
            yield area_truth(world, finance_year(frame, units, area, year), kept)


def _rng(job: AreaJob, year: int, stream: int) -> np.random.Generator:
    number = build_frame(job.profile, job.seed).profile.number
    return np.random.default_rng(np.random.SeedSequence([job.seed, number, stream, job.area_index, year]))


def _left(register: RegisterYear) -> Bools:
    """Rows of people listed as retired, which an export can say from 2024 on."""
    return register.retired if register.year >= DUTY_STATUS_SINCE else np.zeros(len(register.person), dtype=np.bool_)


def _census(job: AreaJob, world: DistrictYear, outcome: AreaOutcome) -> Removed:
    folder = job.out / "inbox" / "school_census"
    tables, rng = form_tables(world), _rng(job, world.year, 11)
    if is_workbook_area(world.area):
        zipped = write_zip(world, tables, folder / f"{world.area.name}{world.year}年基层表.zip", rng, job.dirt)
        outcome.damaged.extend(zipped.damaged)
        _count(outcome, "school_census", zipped.rows)
        return zipped.removed
    written = write_list(world, tables, folder / f"{world.area.name}{world.year}学年初一览表.xlsx", rng, job.dirt)
    outcome.damaged.extend(written.damaged)
    _count(outcome, "school_census", written.rows)
    return written.removed


def _register(job: AreaJob, world: DistrictYear, people: People, outcome: AreaOutcome) -> tuple[Bools, Bools]:
    """(rows of people no longer in post, damaged rows) of the register year."""
    folder = job.out / "inbox" / "teacher_register"
    rng = _rng(job, world.year, 12)
    written = write_register(world.frame, world.roster, people, world.register, folder, rng=rng, dirt=job.dirt)
    outcome.damaged.extend(written.damaged)
    _count(outcome, "teacher_register", written.rows)
    return written.left, written.lost


def _finance(outcome: AreaOutcome, table: pa.Table, damaged: dict[int, str], area: Area, year: int) -> None:
    """Row numbers are those of the canonical snapshot: a header line, then the lines in database order."""
    name = f"education_finance_line_{area.code}_{year}.csv"
    outcome.finance.append(table)
    outcome.damaged.extend(
        DamagedRow("education_finance", name, "", "", row + 2, rule, "damage", area.code, year)
        for row, rule in sorted(damaged.items())
    )
    _count(outcome, "education_finance", table.num_rows)


def _count(outcome: AreaOutcome, feed: str, rows: int) -> None:
    outcome.rows[feed] = outcome.rows.get(feed, 0) + rows


def _persons(roster: Roster, people: People, register: RegisterYear, world: DistrictYear) -> list[pa.Table]:
    """Everybody a year's files name: teachers, their emergency contacts, and the heads on the profile forms."""
    person = np.unique(register.person)
    code = roster.area.code
    found = [
        _person_table(code, people.name[person], people.id_number[person], people.phone[person]),
        _person_table(code, people.other_name[person], None, people.other_phone[person]),
    ]
    if is_workbook_area(world.area):
        named = contacts(world)
        found += [_person_table(code, named.head, None, named.phone), _person_table(code, named.clerk, None, None)]
    return found


def _person_table(code: str, name: Names, id_number: Names | None, phone: Names | None) -> pa.Table:
    count = len(name)
    columns = [repeat(code, count), text(name)]
    columns += [repeat("", count) if values is None else text(values) for values in (id_number, phone)]
    return pa.table(columns, schema=PERSON_SCHEMA)


def _with_persons(outcome: AreaOutcome, seen: list[pa.Table]) -> AreaOutcome:
    """Everybody once, in a fixed order."""
    names = PERSON_SCHEMA.names
    persons = pa.concat_tables(seen).group_by(names).aggregate([]).sort_by([(name, "ascending") for name in names])
    return AreaOutcome(
        outcome.area_code,
        outcome.clean,
        outcome.kept,
        outcome.damaged,
        outcome.finance,
        persons.select(names),
        outcome.rows,
    )
