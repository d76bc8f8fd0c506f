"""The parsers against bare readers: rows a second, in processor seconds, on the deliveries of one large district.

    .venv/bin/python benchmarks/parsers.py [--rounds 7] [--work DIR]

Belongs here: the bare readers and the table. What does not: the city as a whole (`run.py`) and the floor (`floor.py`).

A bare reader does what anybody must do to have the cells at all. For the register: pyarrow reads the CSV in GB18030,
turns every column into its type and writes Parquet. For workbooks: calamine opens the file and reads the same sheets,
alone and, as for the register, into typed Parquet. It checks nothing, hashes nobody and writes no finding. Rounds
alternate, so that a busy machine hurts both alike; processor time is that of the whole process with one thread.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from python_calamine import CalamineWorkbook

from sources.parsers import parse
from sources.sample.area_job import AreaJob, make_area
from sources.sample.geography import areas
from sources.sample.profiles import SAMPLE_YEARS

BAR = 0.5
SEED = 20250901
YEAR = SAMPLE_YEARS[-2]
LISTED, ZIPPED = "渝北区", "城口县"
KEY = b"a key for benchmarks only, 32 b."


@dataclass(frozen=True)
class Case:
    """One delivery: how it is called, its feed, its file and the bare reader of such files (returns the rows seen)."""

    title: str
    feed: str
    path: Path
    bare: Callable[[Path, Path], int]


@dataclass(frozen=True)
class Measured:
    """Rows of the delivery and median processor seconds of both."""

    title: str
    rows: int
    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """Our rows a second over the bare reader's."""
        return self.bare / self.ours


# -- bare readers -----------------------------------------------------------------------------------------------------


def bare_csv(path: Path, out: Path) -> int:
    """Read a GB18030 CSV with inferred types and write it as Parquet."""
    options = pacsv.ReadOptions(encoding="gb18030", use_threads=False)
    table = pacsv.read_csv(io.BytesIO(path.read_bytes()), read_options=options)
    pq.write_table(table, out / "bare.parquet", compression="zstd")
    return table.num_rows


def bare_workbook(path: Path, _out: Path) -> int:
    """Read every sheet of a workbook."""
    return _sheets(path.read_bytes())


def bare_zip(path: Path, _out: Path) -> int:
    """Read every sheet of every workbook of a zip."""
    with zipfile.ZipFile(path) as archive:
        return sum(_sheets(archive.read(info)) for info in archive.infolist())


def _sheets(data: bytes) -> int:
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return sum(len(book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in book.sheet_names)


# -- measuring --------------------------------------------------------------------------------------------------------


def deliveries(work: Path) -> list[Case]:
    """Write the deliveries of two districts of the city sample and name those that are measured."""
    index = {area.name: area.index for area in areas()}
    inbox = work / "inbox"
    for feed in ("school_census", "teacher_register"):
        (inbox / feed).mkdir(parents=True, exist_ok=True)
    for name in (LISTED, ZIPPED):
        make_area(AreaJob("city", SEED, 0.0, (YEAR,), index[name], work))
    found = {path.suffix: path for path in sorted((inbox / "teacher_register").glob(f"{LISTED}*"))}
    [listed] = (inbox / "school_census").glob(f"{LISTED}*")
    [zipped] = (inbox / "school_census").glob(f"{ZIPPED}*")
    return [
        Case("register, CSV in GB18030", "teacher_register", found[".csv"], bare_csv),
        Case("register, .xlsx", "teacher_register", found[".xlsx"], bare_workbook),
        Case("collated list, .xlsx", "school_census", listed, bare_workbook),
        Case("zip of school workbooks", "school_census", zipped, bare_zip),
    ]


def measure(case: Case, rounds: int, work: Path) -> Measured:
    """Alternate both; one unmeasured round first loads what is loaded once. Raises SystemExit when a delivery is not
    taken in whole."""
    ours: list[float] = []
    bare: list[float] = []
    rows = 0
    for number in range(rounds + 1):
        out = work / "out" / f"{case.path.stem}-{number}"
        out.mkdir(parents=True)
        begin = time.process_time()
        result = parse(case.feed, case.path, file_name=case.path.name, delivery_id="d" + "0" * 16, key=KEY, out_dir=out)
        between = time.process_time()
        case.bare(case.path, out)
        end = time.process_time()
        if result.refused or not result.rows_accepted:
            raise SystemExit(f"{case.path.name}: {[item.rule_id for item in result.findings]}")
        rows = result.rows_in
        if number:
            ours.append(between - begin)
            bare.append(end - between)
    return Measured(case.title, rows, statistics.median(ours), statistics.median(bare))


def table(measured: list[Measured]) -> str:
    """As Markdown."""
    lines = [
        "| delivery | rows | eduplan s | rows/s | bare s | ratio (bar ≥ 0.5) |",
        "|---|--:|--:|--:|--:|--:|",
        *(
            f"| {item.title} | {item.rows:,} | {item.ours:.3f} | {item.rows / item.ours:,.0f}"
            f" | {item.bare:.3f} | {item.ratio:.2f} |"
            for item in measured
        ),
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, help="keep the deliveries here")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="eduplan-parsers-") as scratch:
        work = options.work or Path(scratch)
        found = [measure(case, options.rounds, Path(scratch)) for case in deliveries(work)]
    sys.stdout.write(table(found) + "\n")
    return int(any(item.ratio < BAR for item in found))


if __name__ == "__main__":
    sys.exit(main())
