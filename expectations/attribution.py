"""From failing rows to the deliveries they rest on: exactly as each rule says, never by guessing.

What belongs here: asking the candidate which deliveries the failing rows of the failed critical rules lead to. What
does not: what becomes of them (`orchestration.isolation`), and judging (`expectations.gate`).
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from expectations import sql as rule_sql
from expectations.catalogue import Blame, Catalogue, Rule, catalogue
from warehouse import duck
from warehouse.errors import Fault
from warehouse.paths import project_root
from warehouse.verdict import Verdict

# Refused and withdrawn deliveries hold no rows, so nothing can rest on them.
_TAKEN_IN: Final = "d.status IN ('accepted', 'partly')"
# Areas that hand in for themselves, with the code they report under: the municipal schools report as the city.
_REPORTING: Final = (
    "(SELECT DISTINCT area_code AS mart_area, regexp_replace(area_code, '-direct$', '') AS reporting"
    " FROM marts.dim_area WHERE area_level IN ('district', 'municipal'))"
)


@dataclass(frozen=True)
class Attribution:
    """Delivery id -> rule id -> failing rows that rest on it; and the failed critical rules with rows (or errors) that
    lead to no delivery."""

    deliveries: dict[str, dict[str, int]]
    unattributed: tuple[str, ...]


def attribute(database: Path, verdict: Verdict, *, rules: Catalogue | None = None) -> Attribution:
    """Where the critical failures of a verdict lead. Waived failures lead nowhere: they stop nothing.

    Raises Fault when the database cannot be opened or a rule's `blame` does not fit its columns.
    """
    book = {rule.id: rule for rule in (rules if rules is not None else catalogue()).rules}
    found: dict[str, dict[str, int]] = defaultdict(dict)
    loose: list[str] = []
    with duck.connect(database, read_only=True) as connection:
        for result in verdict.results:
            if result.passed or (result.error is None and (result.severity != "critical" or result.waived_by)):
                continue
            rule = book.get(result.rule_id)
            if result.error is not None or rule is None or rule.blame is None:
                loose.append(result.rule_id)
                continue
            rows, astray = _trace(connection, rule, rule.blame)
            for delivery_id, count in rows.items():
                found[delivery_id][rule.id] = count
            if astray:
                loose.append(rule.id)
    return Attribution({name: found[name] for name in sorted(found)}, tuple(loose))


def _trace(connection: duckdb.DuckDBPyConnection, rule: Rule, blame: Blame) -> tuple[Counter[str], bool]:
    """Failing rows by delivery, and whether some lead nowhere."""
    sql = rule_sql.compose(rule, rule_sql.text_columns(connection))
    query = (
        f"WITH failing AS (SELECT *, row_number() OVER () AS failing_row FROM {sql.relation} AS examined"
        f" WHERE {sql.scope} AND ({sql.fails})),"
        f" pairs AS (SELECT DISTINCT f.failing_row, d.delivery_id FROM failing AS f {_places(blame)}"
        f" LEFT JOIN records.delivery AS d ON {_TAKEN_IN} AND {_match(blame)})"
        " SELECT delivery_id, count(*) FROM pairs GROUP BY delivery_id"
    )
    try:
        rows = duck.rows(connection, query)
    except duckdb.Error as error:
        raise Fault(
            f"规则 {rule.id} 的 blame 用不上：{rule_sql.describe(error)}", "请修改 expectations/rules 下的该规则。"
        ) from error
    counts = Counter({str(delivery_id): int(count) for delivery_id, count in rows if delivery_id is not None})
    return counts, any(delivery_id is None for delivery_id, _ in rows)


def _places(blame: Blame) -> str:
    if blame.area is None or blame.area_as == "reported":
        return ""
    return f"LEFT JOIN {_REPORTING} AS places ON places.mart_area = f.{duck.ident(blame.area)}"


def _match(blame: Blame) -> str:
    if blame.delivery is not None:
        return f"d.delivery_id = f.{duck.ident(blame.delivery)}"
    period = duck.ident(blame.period or "")
    until = duck.ident(blame.until) if blame.until else period
    reporting = f"f.{duck.ident(blame.area or '')}" if blame.area_as == "reported" else "places.reporting"
    feed = duck.literal(blame.feed) if blame.feed else _feed_of(blame.feed_of or "")
    return (
        f"d.feed = {feed} AND d.area_code = {reporting}"
        f" AND d.period BETWEEN f.{period} AND coalesce(f.{until}, d.period)"
    )


def _feed_of(column: str) -> str:
    pairs = single_feeds().items()
    cases = " ".join(f"WHEN {duck.literal(indicator)} THEN {duck.literal(feed)}" for indicator, feed in pairs)
    return f"CASE f.{duck.ident(column)} {cases} END"


def single_feeds() -> dict[str, str]:
    """Indicator id -> its feed, for the indicators that rest on one feed alone. Raises OSError, KeyError."""
    path = project_root() / "dbt_project" / "seeds" / "indicator.csv"
    with path.open(encoding="utf-8", newline="") as handle:
        listed = {row["indicator_id"]: row["feeds"].split("|") for row in csv.DictReader(handle)}
    return {indicator: feeds[0] for indicator, feeds in listed.items() if len(feeds) == 1}
