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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

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
Bare = Callable[[Path, Path], None]
KEY = b"a key for benchmarks only, 32 b."


@dataclass(frozen=True)
class Case:
    """One delivery: how it is called, its feed, its file, and the bare readers of such files: of the cells alone (for
    a CSV there is none), and into typed Parquet."""

    title: str
    feed: str
    path: Path
    cells: Bare | None
    typed: Bare


@dataclass(frozen=True)
class Measured:
    """Rows of the delivery and median processor seconds of each reader; `cells` is None where there is none."""

    title: str
    rows: int
    ours: float
    cells: float | None
    typed: float

    @property
    def misses(self) -> bool:
        """Whether we read fewer than half the rows a second of the bare reader that makes what we make."""
        return self.typed / self.ours < BAR


# -- bare readers -----------------------------------------------------------------------------------------------------


def typed_csv(path: Path, out: Path) -> None:
    """Read a GB18030 CSV with inferred types and write it as Parquet."""
    options = pacsv.ReadOptions(encoding="gb18030", use_threads=False)
    table = pacsv.read_csv(io.BytesIO(path.read_bytes()), read_options=options)
    pq.write_table(table, out / "bare.parquet", compression="zstd")


def bare_workbook(path: Path, _out: Path) -> None:
    """Read every sheet of a workbook."""
    for _ in _sheets(path.read_bytes()):
        pass


def bare_zip(path: Path, _out: Path) -> None:
    """Read every sheet of every workbook of a zip."""
    for _ in _zipped(path):
        pass


def typed_workbook(path: Path, out: Path) -> None:
    """Read every sheet of a workbook and write its columns as Parquet."""
    _write(_sheets(path.read_bytes()), out)


def typed_zip(path: Path, out: Path) -> None:
    """Read every sheet of every workbook of a zip and write the columns of each form as Parquet."""
    _write(_zipped(path), out)


def _zipped(path: Path) -> Iterator[tuple[str, list[list[Any]]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield from _sheets(archive.read(info))


def _sheets(data: bytes) -> Iterator[tuple[str, list[list[Any]]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    for name in book.sheet_names:
        yield name.strip(), book.get_sheet_by_name(name).to_python(skip_empty_area=False)


def _write(sheets: Iterable[tuple[str, list[list[Any]]]], out: Path) -> None:
    """One file a form: a column is numbers where all its cells are, else text; cells above the rows are cells too."""
    forms: dict[str, list[list[Any]]] = {}
    for name, rows in sheets:
        forms.setdefault(name, []).extend(rows)
    for name, rows in forms.items():
        columns = zip_longest(*rows, fillvalue="")
        table = pa.table({f"c{number}": _column(cells) for number, cells in enumerate(columns)})
        pq.write_table(table, out / f"{name}.parquet", compression="zstd")


def _column(cells: tuple[Any, ...]) -> Any:
    if all(cell.__class__ is float for cell in cells):
        return pa.array(cells, pa.float64())
    return pa.array([cell if cell.__class__ is str else str(cell) for cell in cells], pa.string())


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
        Case("register, CSV in GB18030", "teacher_register", found[".csv"], None, typed_csv),
        Case("register, .xlsx", "teacher_register", found[".xlsx"], bare_workbook, typed_workbook),
        Case("collated list, .xlsx", "school_census", listed, bare_workbook, typed_workbook),
        Case("zip of school workbooks", "school_census", zipped, bare_zip, typed_zip),
    ]


def measure(case: Case, rounds: int, work: Path) -> Measured:
    """Alternate all; one unmeasured round first loads what is loaded once. Raises SystemExit when a delivery is not
    taken in whole."""
    readers = {name: reader for name, reader in (("cells", case.cells), ("typed", case.typed)) if reader is not None}
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *readers)}
    rows = 0
    for number in range(rounds + 1):
        out = work / "out" / f"{case.path.stem}-{number}"
        out.mkdir(parents=True)
        begin = time.process_time()
        result = parse(case.feed, case.path, file_name=case.path.name, delivery_id="d" + "0" * 16, key=KEY, out_dir=out)
        spent = {"ours": time.process_time() - begin}
        if result.refused or not result.rows_accepted:
            raise SystemExit(f"{case.path.name}: {[item.rule_id for item in result.findings]}")
        for name, reader in readers.items():
            begin = time.process_time()
            reader(case.path, out)
            spent[name] = time.process_time() - begin
        rows = result.rows_in
        for name, took in spent.items() if number else ():
            seconds[name].append(took)
    medians = {name: statistics.median(took) for name, took in seconds.items()}
    return Measured(case.title, rows, medians["ours"], medians.get("cells"), medians["typed"])


def table(measured: list[Measured]) -> str:
    """As Markdown."""
    lines = [
        "| delivery | rows | eduplan s | rows/s | cells alone s | ratio | typed Parquet s | ratio (bar ≥ 0.5) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {item.title} | {item.rows:,} | {item.ours:.3f} | {item.rows / item.ours:,.0f}"
            f" | {_two(item.cells, item.ours)} | {_two(item.typed, item.ours)} |"
            for item in measured
        ),
    ]
    return "\n".join(lines)


def _two(bare: float | None, ours: float) -> str:
    return "— | —" if bare is None else f"{bare:.3f} | {bare / ours:.2f}"


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
    return int(any(item.misses for item in found))


if __name__ == "__main__":
    sys.exit(main())
