"""`eduplan demo` and `eduplan sample`: the sample city, and the whole way on it.

What belongs here: handing the sample's files over as offices would, and the table of headline indicators. What does
not: the sample city (`sources.sample`) and the job.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestration.cli.console import cell, err, figure, out, print_json, table
from orchestration.cli.main import OK
from orchestration.cli.progress import TerminalReporter
from orchestration.cli.run import print_outcome, print_release, run_once, run_summary
from orchestration.logs import logging_to
from orchestration.report import RunRecord
from warehouse import duck
from warehouse.errors import Fault, UsageError
from warehouse.manifest import Release, current
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home

if TYPE_CHECKING:
    from sources.sample import SampleSummary

# One year of the whole city is enough for every headline indicator (the plan gives the baselines) and takes minutes.
DEFAULT_YEARS: Final = {"small": (2020, 2025), "city": (2025, 2025)}
_YEARS = re.compile(r"(\d{4})(?:-(\d{4}))?")

# DuckDB names a database after its file, hence marts.marts.
# The newest value of each headline indicator for the whole city, beside its target for 2025.
_HEADLINES: Final = """
    SELECT i.headline_no, i.indicator_id, i.name_zh, i.unit_zh, i.decimals, p.baseline, p.value, p.year, p.target,
           p.operator, p.pace_ratio, p.status, p.status_zh, p.method, p.note, p.suppressed
    FROM marts.marts.dim_indicator AS i
    INNER JOIN marts.marts.dim_target AS t ON t.indicator_id = i.indicator_id AND t.kind = 'headline_indicator'
    INNER JOIN marts.marts.mart_plan_progress AS p ON p.target_id = t.target_id AND p.area_code = '500000'
    WHERE i.headline_no IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY t.target_id ORDER BY p.value IS NULL, p.year DESC) = 1
    ORDER BY i.headline_no
"""
_METHOD_ZH: Final = {"computed": "计算", "official": "官方"}


@dataclass(frozen=True)
class Sample:
    """Which sample city: profile, years, seed and share of damaged rows."""

    profile: str
    years: tuple[int, ...]
    seed: int
    dirt: float


def demo(city: Sample, *, as_json: bool) -> int:
    """Write the sample city, hand it over, run the job, show the headline indicators."""
    home = Home.from_env().ensure()
    record = RunRecord()
    with logging_to(home), TerminalReporter(err) as record.reporter:
        _write(sample_folder(home), city, record)
        hand_over(sample_folder(home), home)
    # What was just handed over is complete: it need not rest first.
    run_once(home, record=record, settle=0.0)
    release = record.release or current(home)
    if release is None:
        raise Fault("运行结束，却没有任何发布。", "请查看日志。")
    if as_json:
        print_json({**run_summary(home, record), "headlines": headlines(release)})
        return OK
    print_outcome(home, record)
    print_headlines(release)
    if record.release is None:
        record.release = release
        print_release(record)
    return OK


def sample_folder(home: Home) -> Path:
    """Where the demo writes its city: beside the home, never in it, as it holds its persons in the clear."""
    return home.root.with_name(f"{home.root.name}-sample")


def sample(folder: Path, city: Sample, *, as_json: bool) -> int:
    """Only write the sample's files."""
    home = Home.from_env()
    record = RunRecord()
    with logging_to(home), TerminalReporter(err) as record.reporter:
        summary = _write(folder.absolute(), city, record)
    if as_json:
        print_json(asdict(summary))
    else:
        out.print(f"已写入 {folder.absolute()}", soft_wrap=True, markup=False)
    return OK


def _write(folder: Path, city: Sample, record: RunRecord) -> SampleSummary:
    from sources.sample import write_sample

    with record.station("sample") as station:
        summary = write_sample(city.profile, city.years, city.seed, city.dirt, folder, progress=station.advance)
        rows = "，".join(f"{feed} {count:,} 行" for feed, count in sorted(summary.rows.items()))
        station.summary = f"{city.profile}，{city.years[0]}–{city.years[-1]} 年，{summary.schools:,} 所学校：{rows}"
    return summary


def years_of(profile: str, text: str) -> tuple[int, ...]:
    """'2020-2025' or '2024'; empty: the profile's own years. Raises UsageError."""
    if not text:
        first, last = DEFAULT_YEARS.get(profile, (2025, 2025))
        return tuple(range(first, last + 1))
    found = _YEARS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"年度写法不对：{text}", "请写成 2024 或 2020-2025。")
    first, last = int(found[1]), int(found[2] or found[1])
    if first > last:
        raise UsageError(f"年度范围颠倒：{text}", "请写成 2020-2025 的样子，先早后晚。")
    return tuple(range(first, last + 1))


def hand_over(sample_dir: Path, home: Home) -> int:
    """Put the sample's files where offices would put them; returns how many are in the inbox. Raises OSError.

    Hard links where the file system allows: the sample is read only, and a city is gigabytes.
    """
    count = 0
    for source in sorted((sample_dir / "inbox").rglob("*")):
        if source.is_file():
            _link(source, home.inbox / source.relative_to(sample_dir / "inbox"))
            count += 1
    finance = sample_dir / "finance.db"
    if finance.is_file():
        # A copy: the database belongs to another office and may go on changing.
        home.sources.mkdir(parents=True, exist_ok=True)
        incoming = home.sources / ".finance.db.part"
        shutil.copy2(finance, incoming)
        incoming.replace(home.sources / "finance.db")
    return count


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.with_name(f".{target.name}.part")
    incoming.unlink(missing_ok=True)
    try:
        os.link(source, incoming)
    except OSError:
        shutil.copy2(source, incoming)
    incoming.replace(target)
    # Renaming a link over another link to the same file does nothing and leaves both.
    incoming.unlink(missing_ok=True)


def headlines(release: Release) -> list[dict[str, Any]]:
    """One row a headline indicator, in the plan's order."""
    with duck.connect(release.path / MARTS_FILE, read_only=True) as connection:
        cursor = connection.execute(_HEADLINES)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def print_headlines(release: Release) -> None:
    """The seventeen headline indicators on one screen of 100 columns."""
    columns = [("", "right"), ("指标", "left"), ("单位", "left"), ("2020基期", "right"), ("最新值", "right")]
    columns += [("年度", "right"), ("2025目标", "right"), ("进度比", "right"), ("状态", "left"), ("方法", "left")]
    out.print(table("规划主要指标（全市）", columns, map(_headline_cells, headlines(release))))


def _headline_cells(row: dict[str, Any]) -> tuple[object, ...]:
    decimals = row["decimals"] if row["decimals"] is not None else 2
    target = figure(row["target"], decimals)
    has_value = row["value"] is not None
    return (
        row["headline_no"],
        row["name_zh"],
        row["unit_zh"],
        figure(row["baseline"], decimals),
        cell(row, "value", decimals),
        row["year"] if has_value else None,
        f"{row['operator']}{target}" if target and row["operator"] in {">", "<", "≥", "≤", ">=", "<="} else target,
        cell(row, "pace_ratio"),
        row["status_zh"],
        _METHOD_ZH.get(row["method"], row["method"]),
    )
