"""Where eduplan's time goes, station by station: one warm run under cProfile, the parsers, and dbt's own timings.

Belongs here: profiling. What does not: comparing (`run.py`). A profiler makes Python code slower than it is (two to
three times where calls are many): read shares and call counts here, and seconds in the bench.

    python benchmarks/stations.py [--profile small] [--years 2024] [--top 12]
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import json
import os
import pstats
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from child import one_run_of
from run import SEED, city

from orchestration.cli.demo import hand_over, years_of
from orchestration.report import RunRecord, Station
from sources import parsers
from warehouse.paths import Home

ROOT = Path(__file__).resolve().parent.parent
KEY = bytes(32)


class ProfiledRecord(RunRecord):
    """A run's record that profiles every station."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles: dict[str, cProfile.Profile] = {}
        self.cpu: dict[str, tuple[float, float]] = {}
        self.between = cProfile.Profile()

    @contextlib.contextmanager
    def station(self, name: str) -> Iterator[Station]:
        """As the base class, with a profiler running and the processor time of this process and its dead children."""
        self.between.disable()
        profile, before = cProfile.Profile(), os.times()
        with super().station(name) as found:
            profile.enable()
            try:
                yield found
            finally:
                profile.disable()
        after = os.times()
        self.between.enable()
        own = after.user + after.system - before.user - before.system
        children = after.children_user + after.children_system - before.children_user - before.children_system
        self.profiles[name], self.cpu[name] = profile, (own, children)


def show(profile: cProfile.Profile, top: int) -> None:
    """The dearest functions of the project by cumulative seconds, and the dearest of anybody by their own."""
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    ours = {key: value for key, value in stats.items() if str(ROOT) in key[0] and "site-packages" not in key[0]}
    for title, chosen, column in (("cumulative, our functions", ours, 3), ("own time, all functions", stats, 2)):
        print(f"    {title}:")
        for key, value in sorted(chosen.items(), key=lambda item: -item[1][column])[:top]:
            place = key[0].replace(str(ROOT) + "/", "").split("site-packages/")[-1]
            print(f"      {value[column]:8.3f} s {value[1]:>9} calls  {place}:{key[1]} {key[2]}")


def profile_run(home: Home, sample: Path, top: int) -> None:
    """Two runs into an empty home in this process: the first only warms, the second is shown."""
    for record in (ProfiledRecord(), shown := ProfiledRecord()):
        for entry in home.root.iterdir() if home.root.is_dir() else ():
            if entry.name != "dbt":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        home.ensure()
        hand_over(sample, home)
        started = time.perf_counter()
        record.between.enable()
        one_run_of(home, record)
        record.between.disable()
        total = time.perf_counter() - started
        which = "second" if record is shown else "first"
        print(f"{which} run: {total:.2f} s, {sum(record.seconds.values()):.2f} s in stations")
    for name, seconds in shown.seconds.items():
        own, children = shown.cpu[name]
        print(
            f"\n{name}: {seconds:.2f} s on the wall; processor {own:.2f} s here, {children:.2f} s in finished children"
        )
        show(shown.profiles[name], top)
    print("\nbetween the stations: what Dagster does around the steps")
    show(shown.between, top)
    if shown.candidate is not None:
        profile_gate(shown.candidate.database, top)
        show_dbt(shown.candidate.path / "run_results.json")


def profile_gate(database: Path, top: int) -> None:
    """The gate's examination, which a run does in a thread that the stations' profilers do not see."""
    from expectations import gate
    from expectations.catalogue import catalogue
    from expectations.gx_runner import GxRun
    from warehouse import duck

    profile = cProfile.Profile()
    with duck.connect(database, read_only=True) as connection:
        started, before = time.perf_counter(), time.process_time()
        profile.enable()
        gate.examine(connection, catalogue(), gate.Evidence(), GxRun())
        profile.disable()
        seconds, processor = time.perf_counter() - started, time.process_time() - before
    print(f"\nthe gate's examination once more: {seconds:.2f} s on the wall, processor {processor:.2f} s")
    show(profile, top)


def show_dbt(path: Path) -> None:
    """What dbt says it spent: in nodes, and in all."""
    results = json.loads(path.read_bytes())
    spent: dict[str, list[float]] = {}
    for item in results["results"]:
        spent.setdefault(item["unique_id"].split(".")[0], []).append(item["execution_time"])
    print(f"\ndbt: {results['elapsed_time']:.2f} s by its own clock (imports and start not counted)")
    for kind, seconds in sorted(spent.items()):
        print(f"    {kind}: {len(seconds)} nodes, {sum(seconds):.2f} s over two threads")
    slowest = sorted(results["results"], key=lambda item: -item["execution_time"])[:8]
    for item in slowest:
        print(f"      {item['execution_time']:8.3f} s {item['unique_id']}")


def profile_parsers(sample: Path, top: int, work: Path) -> None:
    """Each kind of delivery: its largest file, read in this process."""
    inbox = sample / "inbox"
    kinds = {
        "census list": ("school_census", inbox / "school_census", "*.xlsx"),
        "census zip": ("school_census", inbox / "school_census", "*.zip"),
        "register CSV": ("teacher_register", inbox / "teacher_register", "*.csv"),
        "register workbook": ("teacher_register", inbox / "teacher_register", "*.xlsx"),
    }
    for title, (feed, folder, pattern) in kinds.items():
        files = sorted(folder.glob(pattern), key=lambda path: path.stat().st_size)
        if not files:
            continue
        profile = cProfile.Profile()
        for number, path in enumerate((files[0], files[-1])):
            out = work / f"{title}-{number}"
            out.mkdir(parents=True)
            started = time.perf_counter()
            if number:
                profile.enable()
            result = parsers.parse(feed, path, file_name=path.name, delivery_id="d", key=KEY, out_dir=out)
            profile.disable()
            seconds = time.perf_counter() - started
        print(f"\nparser, {title}: {path.stat().st_size:,} bytes, {result.rows_in:,} rows, {seconds:.3f} s profiled")
        show(profile, top)


def main() -> int:
    """Profile a small city."""
    parser = argparse.ArgumentParser(description="Where eduplan's time goes, station by station.")
    parser.add_argument("--profile", choices=("city", "small"), default="small")
    parser.add_argument("--years", default="2024")
    parser.add_argument("--top", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eduplan-stations-") as folder:
        work = Path(folder)
        sample = city(work / "sample", options.profile, years_of(options.profile, options.years))
        os.environ["EDUPLAN_HOME"] = str(work / "home")
        print(f"{options.profile} city, {options.years}, seed {SEED}\n")
        profile_run(Home(work / "home"), sample, options.top)
        profile_parsers(sample, options.top, work / "parsed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
