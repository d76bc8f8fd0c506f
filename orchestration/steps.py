"""The stations of a run as plain functions, in the order design and architecture pages tell them.

What belongs here: calling the rooms in the right order on one `Workbench`, and what a run must remember between two
stations. What does not: Dagster (`orchestration.assets`), the terminal (`orchestration.cli`), any rule, formula or file
format. The refusal to publish lives in `warehouse.release.publish`, not here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration import dbt
from orchestration.dbt_ahead import DbtProcess
from orchestration.report import RunRecord
from warehouse import candidate as candidates
from warehouse import release as releases
from warehouse.candidate import Build, Candidate
from warehouse.errors import Refused
from warehouse.files import write_atomic
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.release import Release
from warehouse.verdict import Verdict
from warehouse.waivers import Waiver, read_waivers

if TYPE_CHECKING:
    from sources.intake import IntakeReport

RUN_LOCK: Final = "run"
VERDICT_FILE: Final = "verdict.json"


@dataclass(frozen=True)
class Inputs:
    """What a candidate is to be made from: the active deliveries, the id that follows from them, the release it would
    repeat (None: it is new)."""

    active: tuple[DeliveryRow, ...]
    candidate_id: str
    repeats: Release | None
    waivers: tuple[Waiver, ...] = ()

    @property
    def unchanged(self) -> bool:
        """True when the current release was made from exactly these and judged by the same rules."""
        return self.repeats is not None


@dataclass
class Workbench:
    """One run's hold on a home: lock, ledger, and the build under way."""

    home: Home
    ledger: Ledger
    record: RunRecord = field(default_factory=RunRecord)
    settle: float | None = None
    compare: bool = False
    build: Build | None = None
    warming: threading.Thread | None = None
    dbt_ahead: DbtProcess | None = None

    def take_dbt(self) -> DbtProcess | None:
        """The dbt process that was started ahead, if any; whoever takes it ends it."""
        taken, self.dbt_ahead = self.dbt_ahead, None
        return taken


@contextmanager
def open_workbench(
    home: Home, record: RunRecord | None = None, *, wait: float = 0.0, settle: float | None = None
) -> Iterator[Workbench]:
    """Hold the lock `run`, finish or remove what an earlier run left half done, and clean up behind this one.

    `settle` is how long (seconds) a file must have rested to be taken in; None: as the environment says. Raises
    Refused when another run holds the lock for longer than `wait` seconds.
    """
    home.ensure()
    with exclusive(home, RUN_LOCK, wait=wait):
        ledger = Ledger(home.ledger_url)
        bench = Workbench(home, ledger, record or RunRecord(), settle)
        try:
            for line in ledger.reconcile(home):
                bench.record.reporter.note(line)
            yield bench
        finally:
            unused = bench.take_dbt()
            if unused is not None:
                unused.dismiss()
            if bench.build is not None:
                candidates.abandon(bench.build)
            ledger.close()


def take_in(bench: Workbench, *, build_follows: bool = False) -> IntakeReport:
    """Take in everything that waits. Raises Refused, Fault or OSError; a bad delivery is reported, never raised."""
    from sources import intake

    with bench.record.station("intake") as station:
        arrivals = intake.scan(bench.home, bench.ledger, settle=bench.settle, compare=bench.compare)
        if arrivals and build_follows:
            # dbt imports and parses while workers read.
            bench.dbt_ahead = dbt.start_ahead(bench.home)
        report = intake.take_in(bench.home, bench.ledger, arrivals, progress=station.advance)
        report.add(intake.drain(bench.home, bench.ledger))
        station.summary = (
            f"收取 {len(arrivals)} 件：接收 {report.count('accepted')}，部分接收 {report.count('partly')}，"
            f"退回 {report.count('refused')}，重复 {report.duplicates}"
        )
    bench.record.intake = report
    for problem in report.problems:
        bench.record.reporter.note(problem)
    return report


def choose_inputs(bench: Workbench) -> Inputs:
    """Decide what the next candidate is made from, and whether it would only repeat the current release.

    Raises Refused when nothing was ever taken in.
    """
    from expectations import rules_version

    with bench.record.station("inputs") as station:
        active = active_deliveries(bench)
        if not active:
            raise Refused("没有任何可用的报送件，无法构建指标表。", "请把文件放入 inbox/<类别>/ 后重新运行。")
        waivers = read_waivers(bench.home)
        identity = candidates.candidate_id(active, code_digest=candidates.code_digest(), waivers=waivers)
        standing = releases.current(bench.home)
        same = standing is not None and (standing.candidate_id, standing.rules_version) == (identity, rules_version())
        inputs = Inputs(tuple(active), identity, standing if same else None, waivers)
        station.summary = "无变化，未构建" if inputs.unchanged else f"采用 {len(active)} 件，候选 {identity}"
    bench.record.inputs = inputs
    return inputs


def active_deliveries(bench: Workbench) -> list[DeliveryRow]:
    """The deliveries that count now, read under the contracts in force."""
    from sources.intake import contract_versions

    return bench.ledger.active_set(contract_versions())


def begin(bench: Workbench) -> Build:
    """Open the build database that dbt is to write into. Raises Fault, OSError."""
    from sources.contract import feed_table

    inputs = bench.record.inputs
    active = list(inputs.active) if inputs is not None else active_deliveries(bench)
    waivers = inputs.waivers if inputs is not None else read_waivers(bench.home)
    bench.build = candidates.begin(bench.home, active, feed_table(), waivers)
    return bench.build


def seal(bench: Workbench) -> Candidate:
    """Seal the build under way. Raises Refused when there is none, Fault when the build is not reproducible."""
    build = bench.build
    if build is None:
        raise Refused("没有正在构建的候选版本，无法封存。", "请运行整个作业（eduplan run），不要单独运行这一步。")
    with bench.record.station("seal") as station:
        candidate = candidates.seal(bench.home, build)
        bench.build = None
        bench.ledger.record_candidate(candidate.candidate_id, candidate.fingerprint)
        station.summary = f"候选 {candidate.candidate_id}，内容指纹 {candidate.fingerprint[:8]}"
    bench.record.candidate = candidate
    return candidate


def latest_candidate(bench: Workbench) -> Candidate:
    """The candidate this run sealed, or else the one that belongs to the present active set. Raises Refused."""
    if bench.record.candidate is not None:
        return bench.record.candidate
    identity = candidates.candidate_id(
        active_deliveries(bench), code_digest=candidates.code_digest(), waivers=read_waivers(bench.home)
    )
    return candidates.load(bench.home, identity)


def judge(bench: Workbench) -> Verdict:
    """Judge the latest candidate and write its report beside it, passed or not. Raises Refused, Fault, OSError."""
    import expectations

    candidate = latest_candidate(bench)
    with bench.record.station("judge") as station:
        if bench.warming is not None:
            bench.warming.join()
        verdict = expectations.judge(bench.home, bench.ledger, candidate)
        write_atomic(report_path(candidate), _render(bench, candidate, verdict))
        failed = sum(not result.passed for result in verdict.results)
        station.good = verdict.passed
        station.summary = (
            f"{len(verdict.results)} 条规则，{failed} 条未通过；结论：{'通过' if verdict.passed else '不通过'}"
        )
    bench.record.verdict = verdict
    return verdict


def report_path(candidate: Candidate) -> Path:
    """Where the auditor's report on a candidate lies, passed or not."""
    return candidate.path / releases.REPORT


def recorded_verdict(candidate: Candidate) -> Verdict:
    """The verdict the gate wrote beside a candidate. Raises Refused when it was never judged, Fault when unreadable."""
    path = candidate.path / VERDICT_FILE
    if not path.is_file():
        raise Refused(
            f"拒绝发布：候选 {candidate.candidate_id} 还没有经过质量检查。", "请运行整个作业（eduplan run）。"
        )
    return Verdict.from_json(path.read_bytes())


def publish(bench: Workbench) -> Release:
    """Publish the latest candidate on the strength of the verdict beside it. Raises Refused, Fault, OSError."""
    candidate = latest_candidate(bench)
    verdict = recorded_verdict(candidate)
    with bench.record.station("publish") as station:
        report = _render(bench, candidate, verdict)
        release = releases.publish(bench.home, bench.ledger, candidate, verdict, artefacts={releases.REPORT: report})
        station.summary = f"发布 {release.release_id}"
    bench.record.release = release
    return release


def _render(bench: Workbench, candidate: Candidate, verdict: Verdict) -> bytes:
    from expectations import ReportContext, render_report

    standing = releases.current(bench.home)
    context = ReportContext(
        previous_release_id=standing.release_id if standing is not None else None,
        code_version=candidate.inputs["code_digest"][:12],
    )
    return render_report(candidate, verdict, context)


def warm_gate(bench: Workbench) -> None:
    """Import Great Expectations beside other work: it takes seconds, and dbt runs in a process of its own meanwhile."""
    from expectations import warm

    bench.warming = threading.Thread(target=warm, name="eduplan-warm-gate", daemon=True)
    bench.warming.start()


def refused_deliveries(report: IntakeReport) -> bool:
    """True when there were new deliveries and not one of them could be taken in."""
    return bool(report.deliveries) and report.count("refused") == len(report.deliveries)
