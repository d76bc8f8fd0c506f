"""The stations of a run as plain functions, in the order design and architecture pages tell them.

What belongs here: calling the rooms in the right order on one `Workbench`, and what a run must remember between two
stations. What does not: Dagster (`orchestration.assets`), the terminal (`orchestration.cli`), any rule, formula or file
format. The refusal to publish lives in `warehouse.release.publish`, not here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestration import dbt, isolation
from orchestration.ahead import Ahead, Protected, begun, protecting
from orchestration.dbt_ahead import DbtProcess
from orchestration.heartbeat import looked_all
from orchestration.report import RunRecord
from warehouse import candidate as candidates
from warehouse import duck, kept
from warehouse import release as releases
from warehouse.backup import check_restored
from warehouse.candidate import Build, Candidate
from warehouse.errors import EduplanError, Refused
from warehouse.files import write_atomic
from warehouse.holds import Hold, Selection
from warehouse.home_key import load_or_create_key
from warehouse.last_release import last_values
from warehouse.lease import Fence, held
from warehouse.ledger import Ledger
from warehouse.marts_file import MARTS_FILE
from warehouse.names import NAMED_FEEDS, NameMarks
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.release import Release
from warehouse.verdict import Verdict
from warehouse.waivers import Waiver, read_waivers

if TYPE_CHECKING:
    import duckdb

    from expectations import ReportContext
    from expectations.beforehand import Beforehand
    from expectations.known import Known
    from sources.intake import IntakeReport
    from sources.rereading import Reread
    from sources.rereading import Selection as ToReread

RUN_LOCK: Final = "run"
VERDICT_FILE: Final = "verdict.json"
REFUSAL_FILE: Final = "refusal.txt"


@dataclass(frozen=True)
class Inputs:
    """What a candidate is to be made from: the active deliveries, the id that follows from them, the release it would
    repeat (None: it is new)."""

    active: tuple[DeliveryRow, ...]
    candidate_id: str
    repeats: Release | None
    waivers: tuple[Waiver, ...] = ()
    held: tuple[Hold, ...] = ()

    @property
    def selection(self) -> Selection:
        """The deliveries that count, and those set aside."""
        return Selection(self.active, self.held)

    @property
    def unchanged(self) -> bool:
        """True when the current release was made from exactly these and judged by the same rules."""
        return self.repeats is not None


@dataclass(frozen=True)
class Base:
    """What the next build begins with, None where it begins empty, and what followed from changes before
    (`warehouse.kept.followed`)."""

    kept: kept.Kept | None = None
    followed: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass
class Workbench:
    """One run's hold on a home: lease, ledger, the build under way, and the state of the code when it began."""

    home: Home
    ledger: Ledger
    fence: Fence
    code_digest: str
    record: RunRecord = field(default_factory=RunRecord)
    settle: float | None = None
    compare: bool = False
    gather_until: float = 0.0
    finding: Future[Base] | None = None
    base: Base = field(default_factory=Base)
    build: Build | None = None
    warming: threading.Thread | None = None
    names_ahead: Future[NameMarks] | None = None
    dbt_ahead: DbtProcess | None = None
    knowing: Future[Known] | None = None
    keeping: Future[None] | None = None
    protecting: Future[Protected] | None = None
    asking: Beforehand | None = None
    ahead: Ahead | None = None
    rendered: tuple[tuple[str, ReportContext], bytes] | None = None

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
    check_restored(home)
    home.ensure()
    with closing(Ledger(home.ledger_url)) as ledger, held(home, ledger, RUN_LOCK, wait=wait) as fence:
        bench = Workbench(home, ledger, fence, candidates.code_digest(), record or RunRecord(), settle)
        try:
            for line in ledger.reconcile(home):
                bench.record.reporter.note(line)
            yield bench
        finally:
            unused = bench.take_dbt()
            if unused is not None:
                unused.dismiss()
            _drop_base(bench)
            _drop_build(bench)


def _drop_build(bench: Workbench) -> None:
    # Nobody asks any more what came of these.
    begun_here = (bench.knowing, bench.keeping, bench.protecting)
    under_way: list[Future[Any]] = [work for work in begun_here if work is not None]
    wait(under_way)
    bench.knowing = bench.keeping = bench.protecting = None
    if bench.asking is not None:
        bench.asking.close()
        bench.asking = None
    _give_up(bench)
    if bench.build is not None:
        candidates.abandon(bench.build)
        bench.build = None


def _drop_base(bench: Workbench) -> None:
    found, bench.finding = bench.finding, None
    if found is not None and found.exception() is None:
        bench.base = found.result()
    if bench.base.kept is not None:
        kept.drop(bench.base.kept)


def _give_up(bench: Workbench) -> None:
    if bench.ahead is not None:
        bench.ahead.give_up()
        bench.ahead = None


def check_hold(bench: Workbench) -> None:
    """Raise Refused when the home was taken over by another run, or the code changed since this run began.

    Old code in memory and new code on disk would make a candidate that is a function of neither.
    """
    bench.fence.check_now()
    if candidates.code_digest() != bench.code_digest:
        raise Refused(
            "运行期间程序代码有更新，本次构建作废，没有发布；原发布不受影响。",
            "无需处理：下一次运行按新代码重新构建（守护进程会自动发起）。",
        )


def take_in(bench: Workbench, *, build_follows: bool = False) -> IntakeReport:
    """Take in everything that waits. Raises Refused, Fault or OSError; a bad delivery is reported, never raised."""
    from sources import intake

    with bench.record.station("intake") as station:
        intake.await_window(bench.gather_until)
        intake.await_rest(bench.home, settle=bench.settle)
        arrivals = intake.scan(bench.home, bench.ledger, settle=bench.settle, compare=bench.compare)
        looked_all(bench.home, arrivals)
        if arrivals and build_follows:
            # dbt imports and parses while workers read.
            bench.dbt_ahead = dbt.start_ahead(bench.home)
            bench.finding = begun("find", partial(_find_base, bench.home, bench.code_digest))
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


def read_again(bench: Workbench, selection: ToReread) -> Reread:
    """Read archived originals again (`sources.rereading`). Raises Refused, Fault or OSError."""
    from sources import rereading

    with bench.record.station("reread") as station:
        report = rereading.read_again(bench.home, bench.ledger, selection, progress=station.advance)
        station.good = not report.problems
        station.summary = (
            f"按新版本读入 {report.renewed} 件，核对无误 {report.confirmed} 件，修复 {len(report.restored)} 件，"
            f"未能处理 {len(report.problems)} 件"
        )
    for problem in report.problems:
        bench.record.reporter.note(problem)
    return report


def choose_inputs(bench: Workbench) -> Inputs:
    """Decide what the next candidate is made from, and whether it would only repeat the current release.

    Raises Refused when nothing was ever taken in.
    """
    with bench.record.station("inputs") as station:
        chosen = isolation.settle(bench)
        if not chosen.active:
            raise Refused("没有任何可用的报送件，无法构建指标表。", "请把文件放入 inbox/<类别>/ 后重新运行。")
        inputs = _inputs(bench.home, chosen, bench.code_digest)
        aside = f"，暂缓 {len(chosen.held)} 件" if chosen.held else ""
        taken = f"采用 {len(chosen.active)} 件{aside}，候选 {inputs.candidate_id}"
        station.summary = "无变化，未构建" if inputs.unchanged else taken
    bench.record.inputs = inputs
    return inputs


def find_inputs(home: Home, ledger: Ledger) -> Inputs:
    """What a candidate would be made from now; reads only, so it may be asked while another process runs."""
    return _inputs(home, isolation.selection(home, ledger), candidates.code_digest())


def _inputs(home: Home, chosen: Selection, code: str) -> Inputs:
    from expectations import rules_version

    waivers = read_waivers(home)
    standing = releases.current(home)
    if standing is not None:
        # Made from the same, with what was disclosed before it: it would be the same again.
        identity = _identity(chosen, waivers, str(standing.manifest["inputs"].get("disclosed", "")), code)
        if (standing.candidate_id, standing.rules_version) == (identity, rules_version()):
            return Inputs(chosen.active, identity, standing, waivers, chosen.held)
    return Inputs(chosen.active, _identity(chosen, waivers, _disclosed(home), code), None, waivers, chosen.held)


def _identity(chosen: Selection, waivers: tuple[Waiver, ...], disclosed: str, code: str) -> str:
    return candidates.candidate_id(
        chosen.active,
        code_digest=code,
        waivers=waivers,
        held=chosen.held_contents(),
        disclosed=disclosed,
    )


def _disclosed(home: Home) -> str:
    """What readers were told so far: the fingerprint of the standing release, '' before the first."""
    standing = releases.current(home)
    return standing.fingerprint if standing is not None else ""


def active_deliveries(bench: Workbench) -> list[DeliveryRow]:
    """The deliveries that count now, read under the contracts in force, without those set aside."""
    return list(isolation.selection(bench.home, bench.ledger).active)


def announce(bench: Workbench) -> Build:
    """Open the folder of the build that dbt is to write into; `fill` makes its database. Raises Refused, OSError."""
    from sources.contract import feed_table

    # What a first attempt of this station left.
    _drop_build(bench)
    check_hold(bench)
    inputs = bench.record.inputs
    waivers = inputs.waivers if inputs is not None else read_waivers(bench.home)
    # It is of this build and no later one: every build that is done is kept anew.
    finding, bench.finding = bench.finding, None
    _drop_base(bench)
    bench.base = finding.result() if finding is not None else _find_base(bench.home, bench.code_digest)
    bench.build = candidates.announce(
        bench.home,
        _chosen(bench),
        feed_table(),
        waivers,
        disclosed=_disclosed(bench.home),
        base=bench.base.kept,
        code=bench.code_digest,
    )
    return bench.build


def _find_base(home: Home, code_digest: str) -> Base:
    found = kept.find(home, code_digest, _kept_key(home))
    if found is None:
        return Base()
    return Base(kept.copy_ahead(home, found), kept.followed(found.database))


def fill(bench: Workbench, more: Callable[[duckdb.DuckDBPyConnection, Build], None] | None = None) -> Build:
    """Make the database of the announced build: with the records, the tables it begins with, and what `more` writes
    into it. Raises Refused when none is announced, Fault, OSError."""
    from sources.contract import feed_table

    build = bench.build
    if build is None:
        raise Refused("没有正在构建的候选版本。", "请运行整个作业（eduplan run）。")
    chosen = _chosen(bench)
    _bring_back(bench, chosen)
    last = last_values(releases.current(bench.home))
    bench.build = candidates.fill(bench.home, build, chosen, feed_table(), last=last, base=bench.base.kept, more=more)
    return bench.build


def begin(bench: Workbench) -> Build:
    """Both, one after the other. Raises what they raise."""
    announce(bench)
    return fill(bench)


def _chosen(bench: Workbench) -> Selection:
    inputs = bench.record.inputs
    return inputs.selection if inputs is not None else isolation.selection(bench.home, bench.ledger)


def keep_built(bench: Workbench) -> None:
    """Begin to keep what dbt just built for the next build; `seal` waits for it. A disk that has no room for it does
    not stop this one.

    Raises Refused when the code changed or the home was taken over meanwhile: then nobody knows which code made it.
    """
    build = bench.build
    if build is None:
        return
    check_hold(bench)
    # Here and not in the thread: until it is whole nobody else may open it.
    duck.make_whole(build.database)
    work = partial(
        kept.keep,
        bench.home,
        build.database,
        code_digest=bench.code_digest,
        sources=build.sources,
        key=_kept_key(bench.home),
    )
    # Copied while Dagster enters what dbt did.
    bench.keeping = begun("keep", work)


def know_ahead(bench: Workbench) -> None:
    """Begin what `judge` finds out from deliveries and code alone, while dbt builds in a process of its own. Raises
    nothing: `judge` does."""
    if bench.build is not None:
        with suppress(EduplanError):
            bench.knowing = begun("know", partial(_known, bench.home, bench.build.database, _active(bench)))


def _known(home: Home, database: Path, active: Sequence[DeliveryRow]) -> Known:
    # In the thread: what they import takes longer than dbt should wait for its orders.
    from expectations.catalogue import rules
    from expectations.known import know

    return know(home, database, active, rules())


def _active(bench: Workbench) -> Sequence[DeliveryRow]:
    """The deliveries the build under way is made from."""
    inputs = bench.record.inputs
    return inputs.active if inputs is not None else active_deliveries(bench)


def ask_ahead(bench: Workbench) -> None:
    """Begin what `judge` asks of the records alone, while dbt ends and Dagster enters what it did; once. Raises
    nothing: `judge` does."""
    from expectations import beforehand

    build = bench.build
    if build is not None and bench.asking is None:
        with suppress(EduplanError):
            bench.asking = beforehand.begin(bench.home, build.database, _active(bench))


def ask_the_rest(bench: Workbench) -> None:
    """Begin it while dbt builds, after `know_ahead`, where little is built and little has to be asked. Raises nothing:
    `judge` does."""
    from expectations import beforehand

    build, known = bench.build, bench.knowing
    # One that builds everything has the memory for itself.
    if build is not None and build.kept is not None and known is not None:
        code_digest = str(build.inputs["code_digest"])
        with suppress(EduplanError):
            bench.asking = beforehand.begin_with_the_rest(
                bench.home, bench.ledger, build.database, _active(bench), code_digest=code_digest, known=known
            )


def protect_ahead(bench: Workbench) -> None:
    """Begin what `seal` comes to first, while Dagster enters what dbt did. Raises nothing: `seal` does."""
    if bench.build is not None:
        bench.protecting = protecting(bench.build.database, _standing_marts(bench.home), bench.keeping)


def finish_keeping(bench: Workbench) -> None:
    """Wait until what is being kept is kept: from then on the build may change. Tells when there was no room for it."""
    if bench.keeping is None:
        return
    keeping, bench.keeping = bench.keeping, None
    try:
        keeping.result()
    except OSError as error:
        kept.forget(bench.home)
        bench.record.reporter.note(f"未能留存本次构建供下次沿用（{error.strerror}），下次将全部重新构建。")


def _kept_key(home: Home) -> bytes:
    return load_or_create_key(home.key_file)


def _bring_back(bench: Workbench, chosen: Selection) -> None:
    """Records the retention policy cleared away, of deliveries that count again."""
    from sources import rereading

    report = rereading.bring_back(bench.home, bench.ledger, chosen.active)
    if report.restored:
        bench.record.reporter.note(f"{len(report.restored)} 件报送件重新采用，已从存档恢复按留存规则清理的记录。")
    for problem in report.problems:
        bench.record.reporter.note(problem)


def seal(bench: Workbench) -> Candidate:
    """Seal the build under way. Raises Refused when there is none, Fault when the build is not reproducible."""
    build = bench.build
    if build is None:
        raise Refused("没有正在构建的候选版本，无法封存。", "请运行整个作业（eduplan run），不要单独运行这一步。")
    # What is kept is what dbt built, with the cells that are taken out next.
    finish_keeping(bench)
    done = _protect(bench, build)
    check_hold(bench)
    with bench.record.station("seal") as station:
        candidate = candidates.seal(bench.home, build, done.content)
        bench.build = None
        bench.ledger.record_candidate(candidate.candidate_id, candidate.fingerprint)
        station.summary = f"候选 {candidate.candidate_id}，内容指纹 {candidate.fingerprint[:8]}"
    bench.record.candidate = candidate
    _give_up(bench)
    # Publication will ask for these; meanwhile the gate judges.
    bench.ahead = Ahead(bench.home, candidate, releases.staying(bench.home, bench.ledger, candidate))
    return candidate


def _protect(bench: Workbench, build: Build) -> Protected:
    """Take out of the build what could tell about single persons. Raises Refused, Fault."""
    begun_before, bench.protecting = bench.protecting, None
    with bench.record.station("disclose") as station:
        begun_now = begun_before or protecting(build.database, _standing_marts(bench.home), bench.keeping)
        done = begun_now.result()
        found = done.outcome
        station.summary = f"隐去 {found.primary} 个敏感单元格，另隐去 {found.complementary} 个以防推算"
    return done


def _standing_marts(home: Home) -> Path | None:
    standing = releases.current(home)
    return standing.path / MARTS_FILE if standing is not None else None


def latest_candidate(bench: Workbench) -> Candidate:
    """The candidate this run sealed, or else the one that belongs to the present active set. Raises Refused."""
    if bench.record.candidate is not None:
        return bench.record.candidate
    return candidates.load(bench.home, find_inputs(bench.home, bench.ledger).candidate_id)


def judge(bench: Workbench) -> Verdict:
    """Judge the latest candidate and write its report beside it, passed or not. Raises Refused, Fault, OSError."""
    import expectations

    candidate = latest_candidate(bench)
    with bench.record.station("judge") as station:
        if bench.warming is not None:
            bench.warming.join()
        before, bench.asking = bench.asking, None
        with closing(before) if before is not None else nullcontext():
            verdict = expectations.judge(
                bench.home,
                bench.ledger,
                candidate,
                tell=bench.record.reporter.note,
                before=before,
                known=bench.knowing,
            )
        write_atomic(report_path(candidate), auditors_report(bench, candidate, verdict))
        failed = sum(not result.passed for result in verdict.results)
        station.good = verdict.passed
        carried = f"（{len(verdict.carried)} 条沿用）" if verdict.carried else ""
        station.summary = (
            f"{len(verdict.results)} 条规则{carried}，{failed} 条未通过；结论：{'通过' if verdict.passed else '不通过'}"
        )
    bench.record.verdict = verdict
    return verdict


def judge_with_isolation(bench: Workbench, build_again: Callable[[Workbench], None]) -> Verdict:
    """Judge; when critical failures lead back to deliveries, set those aside, build again and judge once more.

    `build_again` runs dbt on a build that `begin` opens. When the second verdict does not pass either, the deliveries
    are taken up again and the failure stands. Raises what `judge`, `seal` and `build_again` raise.
    """
    first = judge(bench)
    before = (bench.record.inputs, bench.record.candidate)
    holds = isolation.set_aside(bench, latest_candidate(bench), first)
    if not holds:
        return first
    names = "、".join(hold.delivery_id for hold in holds)
    bench.record.reporter.note(f"不合格的行追溯到 {len(holds)} 件报送件，暂缓采用后重新构建：{names}。")
    with ExitStack() as unless_passed:
        unless_passed.callback(isolation.take_back, bench, holds)
        second = _judge_without(bench, build_again)
        if second is not None and second.passed:
            unless_passed.pop_all()
            _tell_submitters(bench)
            return second
    remaining = "".join(second.reasons()) if second is not None else "暂缓后没有可用的报送件。"
    bench.record.reporter.note(f"暂缓采用后仍未通过，报送件恢复采用：{remaining}")
    bench.record.inputs, bench.record.candidate = before
    bench.record.verdict = first
    return first


def _judge_without(bench: Workbench, build_again: Callable[[Workbench], None]) -> Verdict | None:
    """The second verdict, or None when nothing would be left to build from."""
    chosen = isolation.selection(bench.home, bench.ledger)
    if not any(row.counts for row in chosen.active):
        return None
    bench.record.inputs = _inputs(bench.home, chosen, bench.code_digest)
    bench.record.candidate = None
    with bench.record.station("build") as station:
        build_again(bench)
        station.summary = f"去掉暂缓的 {len(chosen.held)} 件后重新构建"
    seal(bench)
    return judge(bench)


def _tell_submitters(bench: Workbench) -> None:
    import expectations
    from sources.hold_notice import write_notice

    words = {rule.id: (rule.title_zh, rule.remedy_zh) for rule in expectations.rules()}
    for item in isolation.selection(bench.home, bench.ledger).held_contents():
        write_notice(bench.home, item, words)


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
    from expectations.catalogue import catalogue
    from expectations.guards import guard_coverage
    from expectations.rule_changes import RULES_FILE, record

    candidate = latest_candidate(bench)
    verdict = recorded_verdict(candidate)
    check_hold(bench)
    with bench.record.station("publish") as station, refusal_kept(candidate):
        book = catalogue()
        artefacts = {releases.REPORT: auditors_report(bench, candidate, verdict), RULES_FILE: record(book)}
        guards = {item.name: item.rules for item in guard_coverage(book.rules).indicators}
        release = releases.publish(
            bench.home,
            bench.ledger,
            candidate,
            verdict,
            artefacts=artefacts,
            fences=[bench.fence],
            guards=guards,
            names=_names_behind(bench, candidate),
            **_begun_for(bench, candidate),
        )
        station.summary = f"发布 {release.release_id}"
    bench.record.release = release
    return release


def _begun_for(bench: Workbench, candidate: Candidate) -> dict[str, Any]:
    """What publication need not make, by its parameters' names."""
    ahead = bench.ahead
    if ahead is None or not ahead.is_for(candidate):
        return {}
    return {"lineage": lambda _: ahead.lineage(), "draft": lambda _: ahead.draft()}


@contextmanager
def refusal_kept(candidate: Candidate) -> Iterator[None]:
    """Leave the words of a refusal beside the candidate, for whoever asks later why there is no release of it."""
    path = candidate.path / REFUSAL_FILE
    path.unlink(missing_ok=True)
    try:
        yield
    except Refused as refusal:
        write_atomic(path, str(refusal).encode())
        raise


def _names_behind(bench: Workbench, candidate: Candidate) -> NameMarks:
    """Marks of the names in the registers a candidate was made from. Raises Fault, OSError."""
    from sources.known_names import known_names

    behind = bench.ledger.deliveries_of(item["delivery_id"] for item in candidate.inputs["deliveries"])
    named = {row.delivery_id for row in behind if row.feed in NAMED_FEEDS}
    ahead = bench.names_ahead
    # What failed there fails again here, and is told.
    if ahead is not None and ahead.exception() is None and ahead.result().deliveries == named:
        return ahead.result()
    return known_names(bench.home, behind)


def warm_names(bench: Workbench) -> None:
    """Mark the names of new registers beside other work: dbt runs in a process of its own meanwhile."""
    from sources.known_names import known_names

    bench.names_ahead = begun("names", partial(known_names, bench.home, active_deliveries(bench)))


def auditors_report(bench: Workbench, candidate: Candidate, verdict: Verdict) -> bytes:
    """The report; the bytes written at judging are used again where nothing they say has changed since."""
    from expectations import ReportContext, render_report
    from expectations.rule_changes import RULES_FILE

    standing = releases.current(bench.home)
    rules_before = standing.path / RULES_FILE if standing is not None else None
    context = ReportContext(
        previous_release_id=standing.release_id if standing is not None else None,
        code_version=candidate.inputs["code_digest"][:12],
        notes_zh=isolation.notices(candidate.inputs.get("held", [])),
        deliveries_before=_deliveries_of(standing),
        rules_before=rules_before.read_bytes() if rules_before is not None and rules_before.is_file() else None,
    )
    key = (verdict.digest(), context)
    if bench.rendered is None or bench.rendered[0] != key:
        bench.rendered = (key, render_report(candidate, verdict, context))
    return bench.rendered[1]


def _deliveries_of(standing: Release | None) -> frozenset[str] | None:
    if standing is None:
        return None
    return frozenset(str(item["delivery_id"]) for item in standing.manifest["inputs"]["deliveries"])


def warm_gate(bench: Workbench) -> None:
    """Import Great Expectations beside other work: it takes seconds, and dbt runs in a process of its own meanwhile."""
    from expectations import warm

    bench.warming = threading.Thread(target=warm, name="eduplan-warm-gate", daemon=True)
    bench.warming.start()


def refused_deliveries(report: IntakeReport) -> bool:
    """True when there were new deliveries and not one of them could be taken in."""
    return bool(report.deliveries) and report.count("refused") == len(report.deliveries)
