"""The gate between a candidate and its publication, and the auditor's report; the only room that imports GX.

What belongs here: publication rules, judging, the report. What does not: building marts (dbt), publishing
(`warehouse.release`), keys and relationships (dbt tests). Importing this package is quick: GX and Jinja2 are loaded by
the functions that need them.
"""

from __future__ import annotations

from expectations import gx_runner, report
from expectations.catalogue import rules, rules_version
from expectations.gate import judge
from expectations.report import ReportContext, render_report

__all__ = ["ReportContext", "judge", "render_report", "rules", "rules_version", "warm"]


def warm() -> None:
    """Import and prepare now what judging and reporting need, so that no candidate waits for it."""
    gx_runner.warm()
    report.prepare()
