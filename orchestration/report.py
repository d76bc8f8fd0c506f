"""What a run says while it goes and what it leaves behind: progress events and the record of outcomes.

What belongs here: the `Reporter` interface, one that writes to Dagster's log, and `RunRecord` with what a run came to.
What does not: drawing on a terminal (`orchestration.cli.progress`) and deciding anything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warehouse import outcomes
from warehouse.clock import now
from warehouse.errors import EduplanError
from warehouse.masking import mask_personal
from warehouse.materiality import Unexplained
from warehouse.outcomes import Outcome

if TYPE_CHECKING:
    from orchestration.steps import Inputs
    from sources.intake import IntakeReport
    from warehouse.candidate import Candidate
    from warehouse.release import Release
    from warehouse.verdict import Verdict

# Stations of a run in order, with the Chinese name an office reads.
STATIONS: Final = {
    "sample": "生成示例城市",
    "prepare": "载入作业定义",
    "intake": "收取与解析",
    "reread": "重读存档原件",
    "inputs": "确定采用的报送件",
    "build": "构建指标表（dbt）",
    "disclose": "披露控制",
    "seal": "封存候选版本",
    "judge": "质量检查（门禁）",
    "publish": "发布",
    "self_test": "门禁自测",
}
_SHOWN: Final = 5


log = logging.getLogger(__name__)


class Reporter:
    """Told what happens; this one leaves it in the log. Subclasses show it as well."""

    def begin(self, station: str) -> None:
        """A station starts."""

    def advance(self, station: str, done: int, total: int, what: str = "") -> None:
        """`done` of `total` pieces are finished; `what` names the last one."""

    def end(self, station: str, seconds: float, summary: str, *, good: bool) -> None:
        """A station is over; `summary` (Chinese) says with what, `good` whether the way goes on."""
        log.log(logging.INFO if good else logging.ERROR, "%s: %s (%.2f s)", station, summary, seconds)

    def note(self, text: str) -> None:
        """Something worth reading that belongs to no station."""
        log.info("%s", text)


class LogReporter(Reporter):
    """Writes to a logger; the default under Dagster's daemon and UI."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def end(self, station: str, seconds: float, summary: str, *, good: bool) -> None:
        """One line a station."""
        super().end(station, seconds, summary, good=good)
        self._log.log(logging.INFO if good else logging.ERROR, "%s：%s（%.1f 秒）", STATIONS[station], summary, seconds)

    def note(self, text: str) -> None:
        """One line a note."""
        super().note(text)
        self._log.info(text)


def describe(error: BaseException | None) -> str:
    """What went wrong, for alerts and the status page: our own errors' words, of others only the type."""
    if error is None:
        return "运行没有走完全程，原因见日志。"
    if isinstance(error, EduplanError):
        return mask_personal(str(error))
    return f"程序出错（{type(error).__name__}），详情见日志。"


def _rules_failed(verdict: Verdict) -> str:
    """Which rules said no; neither keys nor values, which belong into the report."""
    failed = [result for result in verdict.results if not result.passed and result.severity == "critical"]
    named = "；".join(f"{result.rule_id} {result.title_zh}（{result.rows_failed} 行）" for result in failed[:_SHOWN])
    more = f"；其余 {len(failed) - _SHOWN} 条见质量报告" if len(failed) > _SHOWN else ""
    return f"候选 {verdict.candidate_id}，{len(failed)} 条严重规则未通过：{named}{more}。"


@dataclass
class Station:
    """A station under way; whoever runs it leaves a summary and may report progress."""

    name: str
    reporter: Reporter
    summary: str = "完成"
    good: bool = True

    def advance(self, done: int, total: int, what: str = "") -> None:
        """Report progress of this station."""
        self.reporter.advance(self.name, done, total, what)


@dataclass
class RunRecord:
    """Everything one run produced, filled station by station; None where it did not get that far."""

    reporter: Reporter = field(default_factory=Reporter)
    intake: IntakeReport | None = None
    inputs: Inputs | None = None
    candidate: Candidate | None = None
    verdict: Verdict | None = None
    release: Release | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    # What ended a station before its time; the last one counts, and only while nothing was published.
    problem: BaseException | None = None
    outcome: Outcome | None = None

    @property
    def unchanged(self) -> bool:
        """True when the run found that the current release already says all there is to say."""
        return self.inputs is not None and self.inputs.unchanged

    def conclude(self, run_id: str, asked_by: str) -> Outcome:
        """How the run ended, judged by what it left; kept as `outcome`."""
        how, detail = self._ending()
        release_id = self.release.release_id if self.release is not None else ""
        seconds = round(sum(self.seconds.values()), 2)
        self.outcome = Outcome(run_id, now().isoformat(), asked_by, how, detail, release_id, seconds)
        return self.outcome

    def _ending(self) -> tuple[str, str]:
        if self.release is not None:
            return outcomes.RELEASED, ""
        if self.unchanged:
            return outcomes.UNCHANGED, ""
        if isinstance(self.problem, Unexplained):
            return outcomes.PUBLICATION_REFUSED, describe(self.problem)
        if self.problem is not None and not isinstance(self.problem, Exception):
            return outcomes.CANCELLED, ""
        if self.verdict is not None and not self.verdict.passed:
            return outcomes.GATE_REFUSED, _rules_failed(self.verdict)
        return outcomes.FAILED, describe(self.problem)

    @contextmanager
    def station(self, name: str) -> Iterator[Station]:
        """Report a station's beginning, its end and how long it took (for display only)."""
        under_way = Station(name, self.reporter)
        self.reporter.begin(name)
        started = time.monotonic()
        try:
            yield under_way
        except BaseException as error:
            self.problem = error
            # Under Dagster nobody else of ours sees it; our own errors say all there is to say.
            log.warning("%s: %s", name, describe(error), exc_info=not isinstance(error, EduplanError))
            raise
        finally:
            self.seconds[name] = time.monotonic() - started
        self.reporter.end(name, self.seconds[name], under_way.summary, good=under_way.good)
