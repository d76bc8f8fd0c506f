"""The truth folder of a sample: what the product must find when it has taken everything in.

Belongs here: the layout of ``truth/``. The figures are counted in ``indicators``.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sources.sample.damage import DamagedRow
from sources.sample.frame import NEVER, Frame
from sources.sample.geography import areas
from sources.sample.indicators import AreaTruth, roll_up
from sources.sample.vocab import words

INDICATOR_HEADER = ("indicator_id", "area_code", "area_level", "year", "numerator", "denominator")
_ENROLMENT_HEADER = words(
    "area_code area_level year stage school_count enrolment entrants graduates female class_count fulltime_teachers"
)
_DAMAGED_HEADER = words("feed file member sheet row_no rule cause area_code period")
_CHANGE_HEADER = words("school_code school_name area_code change year successor_code new_name")


def write_truth(
    folder: Path, kept: Sequence[AreaTruth], clean: Sequence[AreaTruth], damaged: Iterable[DamagedRow], frame: Frame
) -> None:
    """Write the indicator, enrolment, damage and school change tables."""
    write_table(folder / "indicators.csv", INDICATOR_HEADER, _indicator_rows(kept))
    write_table(folder / "indicators_clean.csv", INDICATOR_HEADER, _indicator_rows(clean))
    write_table(folder / "enrolment.csv", _ENROLMENT_HEADER, _enrolment_rows(kept))
    damaged_rows(folder / "damaged.csv", damaged)
    years = {truth.year for truth in clean}
    write_table(folder / "school_changes.csv", _CHANGE_HEADER, _change_rows(frame, years))


def damaged_rows(path: Path, damaged: Iterable[DamagedRow]) -> None:
    """Write the rows that must be quarantined, in the order given."""
    write_table(path, _DAMAGED_HEADER, ([str(value) for value in vars(row).values()] for row in damaged))


def write_persons(path: Path, parts: Iterable[pa.Table]) -> int:
    """Write all made-up names, ID numbers and phone numbers used; returns how many rows that is."""
    table = pa.concat_tables(parts)
    pq.write_table(table, path, compression="zstd")
    return int(table.num_rows)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write one table of the truth: UTF-8, one line a row."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _indicator_rows(truths: Sequence[AreaTruth]) -> Iterator[list[str]]:
    for code, level, year, truth in roll_up(truths):
        for indicator, (numerator, denominator) in sorted(truth.indicators.items()):
            yield [
                indicator,
                code,
                level,
                str(year),
                _text(numerator),
                "" if denominator is None else _text(denominator),
            ]


def _text(value: Decimal) -> str:
    """Exact, or to four places where it has no end (students by twelfths)."""
    exact = value.as_tuple().exponent
    endless = isinstance(exact, int) and exact < -4
    return format(value.quantize(Decimal("0.0001"), ROUND_HALF_UP) if endless else value, "f")


def _enrolment_rows(truths: Sequence[AreaTruth]) -> Iterator[list[str]]:
    for code, level, year, truth in roll_up(truths):
        for stage, count in truth.stages.items():
            yield [code, level, str(year), stage, *(str(value) for value in vars(count).values())]


def _change_rows(frame: Frame, years: set[int]) -> Iterator[list[str]]:
    """Schools opened, closed, merged, renamed or changed in type within the years of the sample."""
    schools = frame.schools
    for row in range(len(schools)):
        area = areas()[int(schools.area[row])].code
        successor = schools.code[schools.successor[row]] if schools.successor[row] >= 0 else ""
        ended = "type_changed" if schools.type_changed[row] else "merged" if successor else "closed"
        events = (
            ("opened", int(schools.opened[row]), "", ""),
            (ended, int(schools.closed[row]), successor, ""),
            ("renamed", int(schools.renamed[row]), "", schools.name_after[row]),
        )
        for change, year, heir, new_name in events:
            standing = schools.opened[row] <= year < schools.closed[row] or change == ended
            if year in years and year != NEVER and standing:
                yield [schools.code[row], schools.name[row], area, change, str(year), heir, new_name]
