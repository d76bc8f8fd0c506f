"""Writing a whole sample: the areas one by one or in worker processes, then the finance database and the truth.

Belongs here: the public ``write_sample``, the order of work and the folder layout.
"""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sources.sample.area_job import AreaJob, AreaOutcome, make_area
from sources.sample.finance_db import FinanceDatabase, finance_database
from sources.sample.frame import build_frame
from sources.sample.further import FURTHER_FEEDS, Wish, write_further, write_further_truth
from sources.sample.geography import areas
from sources.sample.profiles import SAMPLE_YEARS, profile_of
from sources.sample.truth_files import write_persons, write_truth
from warehouse.errors import Fault, UsageError

FEEDS = ("school_census", "teacher_register", "official_figures", *FURTHER_FEEDS)
OFFICIAL = Path(__file__).parent.parent / "official" / "official_figures.csv"
# A full city is worth worker processes; a small one is done before they have started.
_PARALLEL_FROM_SCHOOLS = 2_000
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SampleSummary:
    """What was written. ``rows`` are source rows by feed, ``damaged`` those that must be quarantined (by cause)."""

    profile: str
    years: tuple[int, ...]
    seed: int
    dirt: float
    out: Path
    schools: int
    persons: int
    rows: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)


def write_sample(  # noqa: PLR0917 - the agreed interface
    profile: str, years: Sequence[int], seed: int, dirt: float, out: Path, progress: Progress | None = None
) -> SampleSummary:
    """Write the deliveries of a synthetic city and their truth below ``out``.

    ``profile``: ``city`` (about 10,000 schools) or ``small`` (about 300). ``years``: school years from 2020 to 2025;
    any selection gives the same files for the years it has. ``dirt``: share of rows (0 to below 0.5) damaged so that
    they must be quarantined; above 0 harmless untidiness is added as well. ``progress(done, total, label)`` is called
    as areas finish.

    An ``inbox``, ``truth`` and ``finance.db`` of an earlier sample in ``out`` are replaced.

    Raises:
        UsageError: unknown profile, a year outside 2020 to 2025, a negative seed or an impossible share.
        Fault: a file the sample needs (official figures, area seed) is missing.
    """
    wanted = _checked(profile, years, seed, dirt)
    folders = _folders(out)
    frame = build_frame(profile, seed)
    jobs = [AreaJob(profile, seed, dirt, wanted, index, out) for index in _largest_first(profile, seed)]
    outcomes: list[AreaOutcome] = []
    with finance_database(out / "finance.db") as database:
        for done, outcome in enumerate(_run(jobs, len(frame.schools)), start=1):
            outcomes.append(_store(outcome, database))
            if progress is not None:
                progress(done, len(jobs), f"{_name(outcome.area_code)} 已写出")
    outcomes.sort(key=lambda outcome: outcome.area_code)
    kept = [truth for outcome in outcomes for truth in outcome.kept]
    clean = [truth for outcome in outcomes for truth in outcome.clean]
    damaged = sorted(
        (row for outcome in outcomes for row in outcome.damaged), key=lambda row: tuple(vars(row).values())
    )
    write_truth(folders["truth"], kept, clean, damaged, frame)
    persons = write_persons(folders["truth"] / "persons.parquet", (outcome.persons for outcome in outcomes))
    further = write_further(Wish(profile, wanted, seed, dirt, out / "inbox"), kept)
    write_further_truth(folders["truth"], further)
    shutil.copyfile(OFFICIAL, folders["official_figures"] / OFFICIAL.name)
    summary = SampleSummary(
        profile=profile,
        years=wanted,
        seed=seed,
        dirt=dirt,
        out=out,
        schools=int(sum(frame.schools.standing(wanted[-1]))),
        persons=persons,
        rows=_sums([*(outcome.rows for outcome in outcomes), further.rows]),
        damaged=_sums({row.cause: 1} for row in (*damaged, *further.damaged)),
    )
    (out / "README.md").write_text(_readme(summary), encoding="utf-8")
    return summary


def _checked(profile: str, years: Sequence[int], seed: int, dirt: float) -> tuple[int, ...]:
    profile_of(profile)
    wanted = tuple(sorted(set(years)))
    if not wanted or any(year not in SAMPLE_YEARS for year in wanted):
        shown = "、".join(map(str, wanted)) or "（空）"
        raise UsageError(f"样例城市没有这些年份：{shown}", f"可选 {SAMPLE_YEARS[0]} 至 {SAMPLE_YEARS[-1]}")
    if seed < 0:
        raise UsageError(f"种子不能为负：{seed}", "请给 0 或正整数")
    if not 0 <= dirt < 0.5:
        raise UsageError(f"损坏比例应在 0 与 0.5 之间：{dirt}", "例如 0.01 表示每百行损坏一行")
    if not OFFICIAL.is_file():
        raise Fault(f"缺少文件 {OFFICIAL.name}", "请恢复 sources/official/ 下的官方数据文件")
    return wanted


def _folders(out: Path) -> dict[str, Path]:
    """Fresh folders; those of an earlier sample go, anything else in ``out`` stays."""
    folders = {feed: out / "inbox" / feed for feed in FEEDS} | {"truth": out / "truth"}
    for folder in folders.values():
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    return folders


def _largest_first(profile: str, seed: int) -> list[int]:
    """Areas by falling number of schools, so that no worker is left with the largest at the end."""
    area = build_frame(profile, seed).schools.area.tolist()
    return sorted((entry.index for entry in areas()), key=lambda index: (-area.count(index), index))


def _run(jobs: Sequence[AreaJob], schools: int) -> Iterator[AreaOutcome]:
    """Outcomes in the order of the jobs, whoever made them."""
    workers = _workers()
    if workers == 1 or schools < _PARALLEL_FROM_SCHOOLS:
        yield from map(make_area, jobs)
        return
    with worker_pool(workers) as pool:
        yield from in_order(pool, jobs, ahead=2 * workers)


def in_order(pool: ProcessPoolExecutor, jobs: Sequence[AreaJob], ahead: int) -> Iterator[AreaOutcome]:
    """Never more than ``ahead`` outcomes wait to be stored: their finance lines are large."""
    waiting: list[Future[AreaOutcome]] = []
    for job in jobs:
        waiting.append(pool.submit(make_area, job))
        if len(waiting) > ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh worker processes that end with the block."""
    # Never fork: the caller may hold threads and open databases.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield pool


def _workers() -> int:
    asked = os.environ.get("EDUPLAN_WORKERS", "")
    if asked and not asked.isdecimal():
        raise UsageError(f"EDUPLAN_WORKERS 应为正整数：{asked}", "例如 EDUPLAN_WORKERS=2")
    return max(int(asked), 1) if asked else min(2, os.cpu_count() or 1)


def _store(outcome: AreaOutcome, database: FinanceDatabase) -> AreaOutcome:
    """Put the finance lines into the database and let go of them."""
    for table in outcome.finance:
        database.add(table)
    outcome.finance.clear()
    return outcome


def _name(code: str) -> str:
    return next(area.name for area in areas() if area.code == code)


def _sums(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0) + value
    return dict(sorted(total.items()))


def _readme(summary: SampleSummary) -> str:
    years = "、".join(map(str, summary.years))
    return f"""# 合成数据 / Synthetic data

本目录全部为合成数据，由 eduplan 按固定种子生成，不是任何学校、单位或个人的真实资料。
姓名、身份证号、电话号码均为编造；身份证号仅格式与校验位有效。
唯一的真实资料是 `inbox/official_figures/`（已公布的统计数字，附出处）。

Everything in this folder is synthetic, made by eduplan from a fixed seed; no real school, office or person
is described. Names, ID numbers and telephone numbers are invented; the ID numbers are valid by form only.
The one exception is `inbox/official_figures/`: real published figures with their sources.

- 规模 profile: {summary.profile}；年份 years: {years}；种子 seed: {summary.seed}；损坏比例 dirt: {summary.dirt:g}
- `inbox/school_census/` 教育事业统计（一览表；两个县为学校基层表压缩包）
- `inbox/teacher_register/` 教师名册（在编 CSV、编外工作簿）
- `finance.db` 教育经费统计（SQLite，表 education_finance_line）
- `truth/` 真值：
  - indicators.csv（未损坏的行）、indicators_clean.csv（全部的行）、enrolment.csv（未损坏的行）
  - damaged.csv（应被隔离的行）、school_changes.csv（学校更名、撤并、改办）
  - persons.parquet（用到的全部姓名、身份证号、电话，供隐私测试）
"""
