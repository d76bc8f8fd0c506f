"""The auditor's report: one self-contained page that says what was judged, on what evidence, and with what result.

What belongs here: rendering. The page works offline and without scripts, loads nothing, escapes everything that comes
from data, masks what looks like a personal number, and prints on A4. What does not: judging (`expectations.gate`), the
figures (`expectations.report_data`), and GX's own Data Docs, which print cell values unescaped and are never made.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from expectations.catalogue import catalogue
from expectations.privacy import mask
from expectations.report_data import KEYS_SHOWN, Content, gather
from expectations.rule_changes import KIND_NAMES, compare
from warehouse.audit import waiver_uses
from warehouse.clock import to_the_minute
from warehouse.disclosure_policy import policy
from warehouse.errors import Fault

if TYPE_CHECKING:
    from jinja2 import Template

    from warehouse.candidate import Candidate
    from warehouse.verdict import Verdict

_TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class ReportContext:
    """What the caller knows beyond candidate and verdict; every field may be left out.

    `previous_release_id`: the release readers see until now; `code_version`: what built the candidate; `notes_zh`:
    sentences for the reader, such as which deliveries were held and why; `rules_before`: the record of the rules that
    release was judged by (`expectations.rule_changes`); `deliveries_before`: ids of the deliveries it was made from.
    """

    title_zh: str = "教育规划监测数据质量报告"
    title_en: str = "Data quality report of the education plan monitor"
    previous_release_id: str | None = None
    code_version: str | None = None
    notes_zh: tuple[str, ...] = ()
    rules_before: bytes | None = None
    deliveries_before: frozenset[str] | None = None


def render_report(candidate: Candidate, verdict: Verdict, context: ReportContext | None = None) -> bytes:
    """The report as UTF-8 HTML, the same bytes for the same candidate, verdict and context.

    Raises Fault when the verdict belongs to another candidate or the database cannot be opened.
    """
    if (verdict.candidate_id, verdict.fingerprint) != (candidate.candidate_id, candidate.fingerprint):
        raise Fault(f"裁决属于候选 {verdict.candidate_id}，不能用于候选 {candidate.candidate_id} 的报告。")
    told = context or ReportContext()
    content = gather(candidate.database, verdict)
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    page = _template().render(
        context=told,
        candidate=candidate,
        verdict=verdict,
        reasons=verdict.reasons(),
        counts=_counts(verdict),
        carried=_carried(verdict),
        waivers=waiver_uses(verdict),
        content=content,
        totals=_totals(content),
        rule_changes=None if told.rules_before is None else compare(told.rules_before, catalogue()),
        kind_names=KIND_NAMES,
        inputs=_inputs_changed(candidate, told),
        symbol=policy().symbol,
        keys_shown=KEYS_SHOWN,
        style=style,
        style_hash=_csp_hash(style),
    )
    return page.encode("utf-8")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _counts(verdict: Verdict) -> dict[str, int]:
    failed = [result for result in verdict.results if not result.passed]
    return {
        "passed": len(verdict.results) - len(failed),
        "errors": sum(result.error is not None for result in failed),
        "critical": sum(
            result.error is None and result.severity == "critical" and not result.waived_by for result in failed
        ),
        "waived": sum(bool(result.waived_by) for result in failed),
        "warning": sum(result.error is None and result.severity == "warning" for result in failed),
        "info": sum(result.error is None and result.severity == "info" for result in failed),
        "rows": sum(result.rows_checked for result in verdict.results),
    }


def _carried(verdict: Verdict) -> dict[str, Any] | None:
    """What rests on earlier checks; None where everything was examined."""
    if not verdict.carried:
        return None
    return {
        "rules": len(verdict.carried),
        "rows": sum(result.rows_carried for result in verdict.carried),
        "origins": sorted({origin for result in verdict.carried for origin in result.carried_from}),
        "full": to_the_minute(verdict.fully_judged_at),
    }


def _totals(content: Content) -> dict[str, int]:
    """What was read, over all feeds, and what was taken out of the marts."""
    names = ("deliveries", "refused", "rows_in", "rows_accepted", "rows_quarantined")
    sums = {name: sum(int(row[name]) for row in content.feeds.rows) for name in names}
    return {**sums, "suppressed": sum(int(row["cells"]) for row in content.suppressed.rows)}


def _inputs_changed(candidate: Candidate, context: ReportContext) -> dict[str, list[str]] | None:
    """Deliveries that came in and went out since the previous release; None where there was none."""
    if context.deliveries_before is None:
        return None
    now = {str(item["delivery_id"]) for item in candidate.inputs.get("deliveries", [])}
    return {"added": sorted(now - context.deliveries_before), "gone": sorted(context.deliveries_before - now)}


def prepare() -> None:
    """Load Jinja2 and compile the page now, so that the first report need not wait for it."""
    _template()


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def tidy(value: Any) -> Any:
        """Mask every text on its way into the page; None becomes a dash."""
        if value is None:
            return "—"
        return value if isinstance(value, Markup) or not isinstance(value, str) else mask(value)

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=tidy,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css"] = Markup
    environment.filters["number"] = number
    return environment.get_template("report.html.j2")


def number(value: float | Decimal | None, decimals: int | None = None) -> str:
    """A figure with thousands separators; `decimals` None prints whole numbers whole and others with two places."""
    if value is None:
        return "—"
    if decimals is None:
        decimals = 0 if value == int(value) else 2
    return f"{value:,.{decimals}f}"
