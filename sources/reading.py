"""Reading deliveries in worker processes: limits around a parser, and one shape for whatever comes out of it.

What belongs here: running a parser where its crash, hunger or endless loop harms only its own delivery, and checking
what it returns. What does not: parsing (`sources.parsers`), storing (`sources.reading_store`).
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from sources.contract import load
from sources.findings import Finding
from sources.workers import new_pool, worker_count
from warehouse.errors import Fault
from warehouse.names import NAMED_FEEDS
from warehouse.records import check_schema, feed_tables

if TYPE_CHECKING:
    from sources.marked import MarkedCopy
    from sources.parsers.result import ParseResult
    from warehouse.names import Marks

PARSER_FAULT: Final = "intake.parser_fault"
NO_ROWS: Final = "intake.no_rows"
NOTHING_ACCEPTED: Final = "intake.nothing_accepted"
TOO_LARGE: Final = "intake.too_large"

# A district's census list needs a fraction of this; a bomb needs more.
_DEFAULT_MEMORY: Final = 4 << 30
_DEFAULT_CPU_SECONDS: Final = 300
# Deliveries handed out ahead of their turn, for each worker.
_AHEAD: Final = 16
# Of /proc/self/statm: data and stack, in pages.
_DATA_FIELD: Final = 5
_DEFAULT_BYTES: Final = 1 << 30
# The machine's trouble, not the file's: the delivery must be read again later and not be refused now.
_SURROUNDINGS: Final = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
    errno.EROFS,
    errno.ENOMEM,
}


@dataclass(frozen=True)
class Job:
    """One delivery to be read: its bytes, the name to show in messages, and the empty directory to write into."""

    feed: str
    snapshot: Path
    file_name: str
    delivery_id: str
    key: bytes
    out_dir: Path


@dataclass(frozen=True)
class Outcome:
    """What a delivery amounts to: status {accepted, partly, refused}, its key, row counts, Parquet files, findings, the
    marked copy (.xlsx) where findings have a place, and the marks of the names in it where its feed has names."""

    status: str
    area_code: str
    period: int
    part: str
    reported_on: date | None
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    tables: dict[str, Path]
    findings: tuple[Finding, ...]
    marked: MarkedCopy | None = None
    names: Marks | None = field(default=None, repr=False)


ParseFunction = Callable[..., "ParseResult"]


class Readers:
    """A pool of parser processes. Results are fetched in whatever order the caller wants; use as a context manager."""

    def __init__(self, parse: ParseFunction | None = None, workers: int | None = None) -> None:
        self._parse = parse
        self._workers = workers or worker_count()
        self._pool: ProcessPoolExecutor | None = None
        self._futures: dict[Path, Future[Outcome]] = {}

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def ahead(self) -> int:
        """How many deliveries may wait for their result: enough to keep every worker busy while a batch is entered, few
        enough to stay small."""
        return self._workers * _AHEAD

    def submit(self, job: Job) -> None:
        """Start reading a delivery."""
        try:
            self._futures[job.out_dir] = self._submit_to_pool(job)
        except BrokenProcessPool:
            # An earlier delivery killed the pool; its own result will say so.
            self._close()
            self._futures[job.out_dir] = self._submit_to_pool(job)

    def result(self, job: Job) -> Outcome:
        """Wait for a delivery. Raises Fault when the machine, not the file, failed (disk full, no descriptors)."""
        error = self._futures[job.out_dir].exception()
        if isinstance(error, BrokenProcessPool):
            # Some delivery killed its process and took the pool with it. Alone, each shows whether it was the one.
            self._close()
            self._futures[job.out_dir] = self._alone(job)
            error = self._futures[job.out_dir].exception()
        future = self._futures.pop(job.out_dir)
        return future.result() if error is None else _refusal_for(job, error)

    def _submit_to_pool(self, job: Job) -> Future[Outcome]:
        if self._pool is None:
            self._pool = new_pool(self._workers, limit_memory)
        return self._pool.submit(read_delivery, job, self._parse)

    def _alone(self, job: Job) -> Future[Outcome]:
        shutil.rmtree(job.out_dir, ignore_errors=True)
        job.out_dir.mkdir()
        with new_pool(1, limit_memory) as pool:
            return pool.submit(read_delivery, job, self._parse)

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=False)
            self._pool = None


def limit_memory() -> None:
    """A bomb ends as MemoryError in its own worker and not as the machine's last breath; the limit counts from here.

    What the worker holds already does not count: Arrow alone reserves a gigabyte of addresses when it is first used.
    """
    limit = _data_in_use() + int(os.environ.get("EDUPLAN_PARSE_MEMORY") or _DEFAULT_MEMORY)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _data_in_use() -> int:
    """Bytes of this process that RLIMIT_DATA counts; 0 where the system does not tell (Linux does)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[_DATA_FIELD]) * resource.getpagesize() if statm.is_file() else 0


def _limit_time() -> None:
    """An endless loop is killed by the kernel; the limit counts from here, whatever this worker read before."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(os.environ.get("EDUPLAN_PARSE_CPU_SECONDS") or _DEFAULT_CPU_SECONDS)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + allowed, hard))


def read_delivery(job: Job, parse: ParseFunction | None = None) -> Outcome:
    """Run the parser on one delivery (in a worker process) and check what it returns. Raises Fault when that does not
    hold together, and whatever the parser raises."""
    _limit_time()
    if job.snapshot.stat().st_size > _byte_limit():
        return _too_large(job.snapshot.stat().st_size)
    # Imported by the worker: the process that only hands out jobs needs no parser.
    from sources.parsers.grid import opened_once

    with opened_once():
        result = (parse or _default_parse())(
            job.feed,
            job.snapshot,
            file_name=job.file_name,
            delivery_id=job.delivery_id,
            key=job.key,
            out_dir=job.out_dir,
        )
        return _with_names(job, _with_marked_copy(job, _outcome(job, result)))


def _with_marked_copy(job: Job, outcome: Outcome) -> Outcome:
    if all(found.row_no is None for found in outcome.findings):
        return outcome
    # Most deliveries need none: the writer is loaded by those that do.
    from sources.marked import write_marked

    return replace(outcome, marked=write_marked(job.feed, job.snapshot, outcome.findings, job.out_dir / "marked.xlsx"))


def _with_names(job: Job, outcome: Outcome) -> Outcome:
    """With the marks of its names, as long as the file is at hand. Whoever needs them can make them from the archive: a
    register they cannot be taken from is no worse for it here."""
    if outcome.status == "refused" or job.feed not in NAMED_FEEDS:
        return outcome
    from sources.known_names import marks_in
    from sources.parsers.grid import UnreadableError

    with suppress(UnreadableError):
        return replace(outcome, names=marks_in(job.snapshot, job.feed, job.key))
    return outcome


def _byte_limit() -> int:
    return int(os.environ.get("EDUPLAN_PARSE_BYTES") or _DEFAULT_BYTES)


def _too_large(size: int) -> Outcome:
    message = f"文件有 {size / (1 << 20):.0f} MB，超过单件上限 {_byte_limit() / (1 << 20):.0f} MB，未予读取。"
    remedy = "请确认报送的是填好的报表（一个区县一年的报表通常不到 50 MB），必要时删去图片、附件后重报。"
    return Outcome("refused", "", 0, "", None, 0, 0, 0, {}, (_whole_file(TOO_LARGE, message, remedy),))


def _default_parse() -> ParseFunction:
    from sources import parsers

    return parsers.parse


def _outcome(job: Job, result: ParseResult) -> Outcome:
    findings = tuple(result.findings)
    if result.refused:
        return _refused(result, findings)
    if result.feed != job.feed:
        raise Fault(f"解析程序把 {job.feed} 读成了 {result.feed}。")
    if result.rows_in != result.rows_accepted + result.rows_quarantined:
        raise Fault(f"行数对不上：收到 {result.rows_in}，接收 {result.rows_accepted}，隔离 {result.rows_quarantined}。")
    if result.rows_in == 0:
        return _refused(
            result, (*findings, _whole_file(NO_ROWS, "文件中没有任何数据行。", "请确认报送的是填好的文件。"))
        )
    if result.rows_accepted == 0:
        message = f"全部 {result.rows_in} 行都不合格，整件退回。"
        return _refused(result, (*findings, _whole_file(NOTHING_ACCEPTED, message, "请按各行问题改正后重新报送。")))
    _check_tables(job, result)
    return Outcome(
        status="partly" if result.rows_quarantined else "accepted",
        area_code=result.area_code,
        period=result.period,
        part=result.part,
        reported_on=result.reported_on,
        rows_in=result.rows_in,
        rows_accepted=result.rows_accepted,
        rows_quarantined=result.rows_quarantined,
        tables=dict(result.tables),
        findings=findings,
    )


def _check_tables(job: Job, result: ParseResult) -> None:
    agreed, found = feed_tables(job.feed), sorted(result.tables)
    # A delivery of a flat feed is of one of its tables, any other holds all.
    if found not in ([[name] for name in agreed] if load(job.feed).flat is not None else [sorted(agreed)]):
        raise Fault(f"解析结果的记录表是 {found}，应为 {agreed}。")
    stored = [_stored(table, path) for table, path in result.tables.items()]
    if len(stored) == 1 and stored != [result.rows_accepted]:
        raise Fault(f"记录文件有 {stored[0]} 行，而接收行数是 {result.rows_accepted}。")


def _stored(table: str, path: Path) -> int:
    """Rows of a record file as it lies on disk. Raises Fault when its columns are not those agreed."""
    with pq.ParquetFile(path) as file:
        check_schema(table, file.schema_arrow)
        return file.metadata.num_rows


def _refused(result: ParseResult, findings: Sequence[Finding]) -> Outcome:
    # Nothing is half taken in: whatever was readable in a refused file counts as set aside.
    return Outcome(
        status="refused",
        area_code=result.area_code,
        period=result.period,
        part=result.part,
        reported_on=result.reported_on,
        rows_in=result.rows_in,
        rows_accepted=0,
        rows_quarantined=result.rows_in,
        tables={},
        findings=tuple(findings),
    )


def _refusal_for(job: Job, error: BaseException) -> Outcome:
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        raise Fault(
            f"读取“{job.file_name}”时系统资源不足（{os.strerror(error.errno)}）。", "请清理磁盘或释放资源后重新运行。"
        ) from error
    # Only the kind of error is told: its text may quote the file. A Fault is ours and quotes nothing.
    what = error.message_zh if isinstance(error, Fault) else type(error).__name__
    if isinstance(error, BrokenProcessPool):
        what = "解析进程被终止，可能超出内存或时间限制"
    message = f"解析程序出错（{what}），本件未计入统计。"
    remedy = "请先核对文件能否正常打开并另存后重报；仍不行请联系系统维护人员，原件已存档。"
    finding = _whole_file(PARSER_FAULT, message, remedy)
    return Outcome("refused", "", 0, "", None, 0, 0, 0, {}, (finding,))


def _whole_file(rule_id: str, message_zh: str, remedy_zh: str) -> Finding:
    return Finding(
        member="",
        sheet="",
        row_no=None,
        column_name=None,
        cell=None,
        rule_id=rule_id,
        severity="refusal",
        message_zh=message_zh,
        remedy_zh=remedy_zh,
        masked_value=None,
    )
