"""Running a command and seeing what it took: seconds on the wall, peak memory of its whole process tree.

Belongs here: measuring and the machine's description. What does not: what is measured (`run.py`).
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_EVERY = 0.5
# The kernel walks through all pages of a process to tell its share of them. Every half second that took a sixth of a
# processor from whoever was measured, and held it up: resident sizes, which cost nothing, say when it may be worth it.
SHARES_EVERY = 4.0
GROWN = 1.05
# Under a daemon: looking at a page table holds its process up, and there are a dozen of half a gigabyte.
SELDOM = 2.0


@dataclass
class Ran:
    """What one command took; `stdout` is what it printed."""

    seconds: float
    processor: float
    peak_mib: float
    stdout: str


@dataclass
class Series:
    """Rounds of one measurement."""

    seconds: list[float] = field(default_factory=list)
    peaks_mib: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)

    def add(self, seconds: float, peak_mib: float | None = None, processor: float | None = None) -> None:
        """One round."""
        self.seconds.append(seconds)
        if peak_mib is not None:
            self.peaks_mib.append(peak_mib)
        if processor is not None:
            self.processors.append(processor)

    def add_run(self, ran: Ran) -> None:
        """One round that was a process of its own."""
        self.add(ran.seconds, ran.peak_mib, ran.processor)

    @property
    def median(self) -> float:
        """Median of the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The value that 95 of 100 rounds do not exceed (nearest rank), in seconds."""
        ordered = sorted(self.seconds)
        return ordered[-(-95 * len(ordered) // 100) - 1]

    @property
    def processor(self) -> float | None:
        """Median processor seconds; None when they were not measured."""
        return statistics.median(self.processors) if self.processors else None

    @property
    def peak(self) -> float | None:
        """Highest peak of all rounds, MiB; None when it was not measured."""
        return max(self.peaks_mib, default=None)


def run(arguments: Sequence[str], *, env: dict[str, str], log: Path, every: float = SAMPLE_EVERY) -> Ran:
    """Run a command of this interpreter to its end. Raises SystemExit with the log's tail when it fails.

    Memory is the sum of proportional shares over the process and all its descendants: a page that several share counts
    once in all. Looked at every `every` seconds (`Watched`). Where the system does not tell shares, resident sizes are
    added, which errs on the high side. Processor seconds are those last seen of each process, so they miss up to
    `every` of each.
    """
    watched, done = Watched(), threading.Event()
    with log.open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], env=inherited() | env, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors
        )
        watcher = threading.Thread(target=_watch, args=(process.pid, watched, done, every), daemon=True)
        watcher.start()
        try:
            output = process.communicate()[0].decode()
            seconds = time.perf_counter() - started
        finally:
            # Interrupted: what was started must not go on alone.
            if process.poll() is None:
                process.terminate()
                process.wait()
            done.set()
            watcher.join()
    if process.returncode != 0:
        told = f"{log.read_text()[-3000:]}\n{output[-500:]}"
        raise SystemExit(f"{' '.join(arguments[:3])} failed ({process.returncode}):\n{told}")
    return Ran(seconds, sum(watched.processor.values()), watched.peak / 2**20, output)


def inherited() -> dict[str, str]:
    """This process's variables but one, which `make` drops as well: what one process has compiled is there for the
    next, whatever the shell says."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass
class Watched:
    """What a process tree was seen to use: most bytes held at once, processor seconds by process id.

    Shares are asked for only where they may tell of a higher peak, for they never exceed resident sizes: when these are
    above the peak so far, and either have grown by a twentieth since or SHARES_EVERY seconds have passed.
    """

    peak: int = 0
    processor: dict[int, float] = field(default_factory=dict)
    asked_at: float = float("-inf")
    resident_then: int = 0

    def look(self, pid: int) -> None:
        """Look once at a process and its descendants; those that are gone keep what was last seen of them."""
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        resident = 0
        for member in family:
            try:
                resident += member.memory_info().rss
                spent = member.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            self.processor[member.pid] = spent.user + spent.system
        if self._may_be_more(resident, time.monotonic()):
            self.peak = max(self.peak, sum(map(held, family)))

    def _may_be_more(self, resident: int, at: float) -> bool:
        asked = resident > self.peak and (resident > GROWN * self.resident_then or at - self.asked_at >= SHARES_EVERY)
        if asked:
            self.asked_at, self.resident_then = at, resident
        return asked


def held(process: psutil.Process) -> int:
    """The bytes of memory a process answers for: its own, and its share of what it has in common with others; 0 when it
    is gone, or not ours."""
    try:
        full = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(full, "pss", full.rss))


def _watch(pid: int, watched: Watched, done: threading.Event, every: float) -> None:
    while not done.wait(every):
        watched.look(pid)


def machine() -> list[str]:
    """What the figures hold for."""
    packages = ("duckdb", "pyarrow", "python-calamine", "pandas", "dbt-core", "great-expectations", "dagster")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"{_processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB memory; "
        f"{platform.system()} {platform.release()}; load at start {load}",
        f"Python {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in packages),
        f"eduplan at {_commit()}; EDUPLAN_MEMORY {os.environ.get('EDUPLAN_MEMORY') or '1GB (default)'}, "
        f"EDUPLAN_WORKERS {os.environ.get('EDUPLAN_WORKERS') or 'default'}",
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown commit"
