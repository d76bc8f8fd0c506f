"""`eduplan run` and `eduplan intake`.

What belongs here: starting them and telling people what came of it. What does not: the stations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any, Final

from rich.console import Console

from orchestration import dbt, dbt_ahead
from orchestration.cli.console import err, out, print_json, table
from orchestration.cli.main import OK, REFUSED
from orchestration.cli.progress import TerminalReporter
from orchestration.logs import logging_to
from orchestration.report import RunRecord
from orchestration.steps import open_workbench, refused_deliveries, report_path, take_in
from sources.connectors import sql
from sources.intake import IntakeReport
from sources.receipts import STATUS_ZH, receipt_path
from sources.workers import start_server
from warehouse import outcomes
from warehouse.clock import now
from warehouse.errors import EduplanError, Refused, Transient
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.masking import mask_personal
from warehouse.paths import Home
from warehouse.records import DeliveryRow

_SHOWN: Final = 10


def run(*, as_json: bool) -> int:
    """Take in, build, judge, publish; see `run_once` for what is raised."""
    home = Home.from_env()
    record = RunRecord()
    try:
        run_once(home, record=record)
    except Refused as refusal:
        if as_json:
            print_json({**run_summary(home, record), "outcome": "refused", "reason": str(refusal)})
        raise
    finally:
        make_round(home)
    if as_json:
        print_json(run_summary(home, record))
    else:
        print_outcome(home, record)
    return REFUSED if record.intake is not None and refused_deliveries(record.intake) else OK


def run_once(home: Home, *, record: RunRecord, settle: float | None = None) -> None:
    """Fill `record` by running the job in this process, with progress on the terminal.

    When it is refused, says where the report lies. Raises Refused (gate, tests, lock), Fault and whatever else a
    station raises as EduplanError.
    """
    home.ensure()
    with logging_to(home), begun_beside_imports(home), TerminalReporter(err) as reporter:
        from orchestration.instance import run_job

        record.reporter = reporter
        try:
            run_job(home, record, settle=settle)
        except EduplanError as error:
            _note_failure(home, record, error)
            if record.intake is not None:
                _print_deliveries(home, record.intake, err)
            if record.verdict is not None and record.candidate is not None:
                err.print(f"质量报告：{report_path(record.candidate)}", soft_wrap=True, markup=False)
            raise


@contextmanager
def begun_beside_imports(home: Home) -> Iterator[None]:
    """Dagster's import takes one processor for seconds. Beside it: readers import their modules, and in a home that has
    published nothing, where everything is new, dbt starts and the finance database is gone through."""
    start_server()
    with ExitStack() as under_way:
        if current(home) is None:
            under_way.callback(dbt_ahead.dismiss_ready)
            # What fails here fails again, and is told, when dbt is needed.
            with suppress(EduplanError, OSError):
                dbt.keep_ready(home)
            if home.finance_url is not None:
                under_way.enter_context(sql.looking_ahead(home.finance_url, home.looks))
        yield


def _note_failure(home: Home, record: RunRecord, error: EduplanError) -> None:
    """Enter a run that failed before it could enter anything itself. One that another run did not let begin is none."""
    if record.outcome is not None or isinstance(error, Refused | Transient):
        return
    record.problem = error
    with closing(Ledger(home.ledger_url)) as ledger:
        outcomes.record(ledger, record.conclude(f"cli-{now():%Y%m%dT%H%M%S%f}", "manual"))


def make_round(home: Home) -> None:
    """Tell whoever is to be told what this command changed; that this fails must not make the command fail."""
    from orchestration.alerting.telling import tell

    try:
        problems = tell(home).problems
    except EduplanError as error:
        problems = [str(error)]
    for problem in problems:
        err.print(f"告警：{problem}", markup=False, soft_wrap=True)


def intake(*, as_json: bool, compare: bool = False) -> int:
    """Take in only. `compare`: databases are read whole and compared with what was taken in."""
    home = Home.from_env()
    with logging_to(home), TerminalReporter(err) as reporter, open_workbench(home, RunRecord(reporter)) as bench:
        bench.compare = compare
        report = take_in(bench)
    if as_json:
        print_json(_intake_summary(home, report))
    else:
        _print_deliveries(home, report)
    return REFUSED if refused_deliveries(report) else OK


def run_summary(home: Home, record: RunRecord) -> dict[str, Any]:
    """A run for machines."""
    inputs, release, verdict = record.inputs, record.release, record.verdict
    # Whatever became of this run, readers see some release or none yet.
    shown = release or current(home)
    return {
        "outcome": "unchanged" if record.unchanged else "released",
        "release_id": shown.release_id if shown else None,
        "release": str(shown.path) if shown else None,
        "candidate_id": inputs.candidate_id if inputs else None,
        "rules": len(verdict.results) if verdict else None,
        "rules_failed": sorted(r.rule_id for r in verdict.results if not r.passed) if verdict else None,
        "intake": _intake_summary(home, record.intake) if record.intake else None,
        "seconds": {name: round(seconds, 2) for name, seconds in record.seconds.items()},
    }


def print_outcome(home: Home, record: RunRecord) -> None:
    """A run for people: what became of the deliveries, and the release."""
    if record.intake is not None:
        _print_deliveries(home, record.intake)
    if record.unchanged and record.inputs is not None and record.inputs.repeats is not None:
        out.print(f"无变化，未构建。当前发布：{record.inputs.repeats.release_id}")
    if record.release is not None:
        print_release(record)


def print_release(record: RunRecord) -> None:
    """Where the release, its marts and its report are."""
    release = record.release
    if release is None:
        return
    out.print(f"[bold]发布[/] {release.release_id}（数据版本 {release.manifest['data_version']}）")
    for label, name in (("指标库", "marts.duckdb"), ("质量报告", "quality/index.html"), ("变化", "changes.json")):
        out.print(f"  {label}：{release.path / name}", soft_wrap=True, markup=False)


def _intake_summary(home: Home, report: IntakeReport) -> dict[str, Any]:
    receipts = {row.delivery_id: str(receipt_path(home, row.feed, row.delivery_id)) for row in report.deliveries}
    return {**report.to_dict(), "receipts": receipts}


def _print_deliveries(home: Home, report: IntakeReport, console: Console = out) -> None:
    """Deliveries that need somebody's attention, the refused ones first; accepted ones are only counted."""
    attention = [row for status in ("refused", "partly") for row in report.deliveries if row.status == status]
    if not attention:
        return
    columns = [("结果", "code"), ("文件", "left"), ("区域", "code"), ("年度", "code")]
    columns += [("收到行", "right"), ("隔离行", "right"), ("回执编号", "code")]
    title = f"需要处理的报送件（{len(attention)} 件）"
    console.print(table(title, columns, [_delivery_cells(row) for row in attention[:_SHOWN]]))
    if len(attention) > _SHOWN:
        console.print(f"其余 {len(attention) - _SHOWN} 件见回执目录。")
    console.print(f"回执目录：{home.receipts}（<类别>/<回执编号>.md）", soft_wrap=True, markup=False)


def _delivery_cells(row: DeliveryRow) -> tuple[object, ...]:
    place = (mask_personal(row.file_name), row.area_code or None, row.period or None)
    return (STATUS_ZH[row.status], *place, row.rows_in, row.rows_quarantined, row.delivery_id)
