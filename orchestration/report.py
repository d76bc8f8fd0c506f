"""What a run says while it goes and what it leaves behind: progress events and the record of outcomes.

What belongs here: the `Reporter` interface, one that writes to Dagster's log, and `RunRecord`. What does not: drawing
on a terminal (`orchestration.cli.progress`) and deciding anything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

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


class Reporter:
    """Told what happens; this one keeps silent. Subclasses override what they show."""

    def begin(self, station: str) -> None:
        """A station starts."""

    def advance(self, station: str, done: int, total: int, what: str = "") -> None:
        """`done` of `total` pieces are finished; `what` names the last one."""

    def end(self, station: str, seconds: float, summary: str, *, good: bool) -> None:
        """A station is over; `summary` (Chinese) says with what, `good` whether the way goes on."""

    def note(self, text: str) -> None:
        """Something worth reading that belongs to no station."""


class LogReporter(Reporter):
    """Writes to a logger; the default under Dagster's daemon and UI."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def end(self, station: str, seconds: float, summary: str, *, good: bool) -> None:
        """One line a station."""
        self._log.log(logging.INFO if good else logging.ERROR, "%s：%s（%.1f 秒）", STATIONS[station], summary, seconds)

    def note(self, text: str) -> None:
        """One line a note."""
        self._log.info(text)


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

    @property
    def unchanged(self) -> bool:
        """True when the run found that the current release already says all there is to say."""
        return self.inputs is not None and self.inputs.unchanged

    @contextmanager
    def station(self, name: str) -> Iterator[Station]:
        """Report a station's beginning, its end and how long it took (for display only)."""
        under_way = Station(name, self.reporter)
        self.reporter.begin(name)
        started = time.monotonic()
        yield under_way
        self.seconds[name] = time.monotonic() - started
        self.reporter.end(name, self.seconds[name], under_way.summary, good=under_way.good)
