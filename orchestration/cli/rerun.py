"""`eduplan rerun`: read archived originals of some years, areas or feeds again, then let the run follow.

What belongs here: reading arguments and telling what came of it. What does not: reading again (`sources.rereading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestration.cli.console import err, out, print_json
from orchestration.cli.main import OK, REFUSED
from orchestration.cli.progress import TerminalReporter
from orchestration.cli.run import print_outcome, run_once, run_summary
from orchestration.logs import logging_to
from orchestration.report import RunRecord
from warehouse.errors import UsageError
from warehouse.paths import Home

if TYPE_CHECKING:
    from sources.rereading import Selection


def rerun(years: Sequence[int], areas: Sequence[str], feeds: Sequence[str], *, as_json: bool) -> int:
    """Exit code 1 when something could not be read again. Raises UsageError for unknown names, and as `run_once`."""
    from orchestration.steps import open_workbench, read_again

    wanted = _selection(years, areas, feeds)
    home, record = Home.from_env(), RunRecord()
    with logging_to(home), TerminalReporter(err) as reporter, open_workbench(home, RunRecord(reporter)) as bench:
        report = read_again(bench, wanted)
    run_once(home, record=record)
    if as_json:
        print_json({"rereading": asdict(report), **run_summary(home, record)})
    else:
        out.print(
            f"按新版本读入 {report.renewed} 件，核对无误 {report.confirmed} 件，修复 {len(report.restored)} 件，"
            f"未能处理 {len(report.problems)} 件。"
        )
        for problem in report.problems:
            out.print(problem, markup=False)
        print_outcome(home, record)
    return REFUSED if report.problems else OK


def _selection(years: Sequence[int], areas: Sequence[str], feeds: Sequence[str]) -> Selection:
    from sources import contract
    from sources.rereading import selection

    if unknown := sorted(set(feeds) - set(contract.feeds())):
        raise UsageError(f"没有名为 {'、'.join(unknown)} 的报送类别。", f"可用的类别：{'、'.join(contract.feeds())}。")
    return selection(years, [_area(name) for name in areas], feeds)


def _area(name: str) -> str:
    from sources.codelists import areas
    from warehouse.clock import now

    code = areas().find(name, now().year)
    if code is None:
        raise UsageError(f"没有名为“{name}”的区域。", "请用区县代码（如 500101）或名称。")
    return code
