"""A home with records and two candidates, and a few rules of each kind to judge them by."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from expectations.beforehand import Beforehand
from expectations.catalogue import Catalogue, Rows, Rule, catalogue, rules
from expectations.gate import judge
from expectations.known import Known
from tests.support.candidate_kit import FEEDS, dbt_manifest, fill_marts
from warehouse import candidate as candidates
from warehouse import duck
from warehouse.archive import store_bytes
from warehouse.candidate import Candidate
from warehouse.clock import SHANGHAI
from warehouse.files import sha256_file
from warehouse.home_key import load_or_create_key
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import RECORD_SCHEMAS, DeliveryRow
from warehouse.verdict import Verdict

FIGURES = "school_census__figure"
AREAS, YEARS, EACH = ("500101", "500102", "500103"), (2023, 2024), 4
NOON, NEXT_DAY = "2025-09-30T12:00:00+08:00", "2025-10-01T00:10:00+08:00"
# One rule of each kind: by delivery, by area and year, across years, of a mart that changes, of one that does not, and
# of a table whose content nobody tells.
SUMS = """select area_code, stat_year, count(*) as enrolment, count(*) filter (where value > 100) as grades
from records.school_census__figure group by area_code, stat_year"""
SCHOOLS = "select school_code, count(*) as years from records.school_census__figure group by school_code"
KNOWN = """select v.indicator_id, v.area_code, v.period from marts.fct_indicator_value as v
where exists (select 1 from records.delivery)"""


def rule_of(rule_id: str, **changes: Any) -> Rule:
    return next(rule for rule in rules() if rule.id == rule_id).model_copy(update=changes)


BY_DELIVERY = "census.figures_non_negative"
BY_AREA = "census.grades_sum_by_area"
ACROSS = "census.seen_in_both_years"
CHANGING = "fct_value.finite"
STANDING = "progress.status_present"
UNTOLD = "fct_value.behind_delivery"
RULES = (
    rule_of(BY_DELIVERY),
    # Two rows of four exceed 100 in every area: the rule fails everywhere, as a warning.
    rule_of(BY_AREA, source=SUMS, severity="warning"),
    rule_of(
        BY_AREA,
        id=ACROSS,
        source=SCHOOLS,
        keys=("school_code",),
        scope=None,
        observed="years",
        apart=False,
        severity="warning",
        parameters={},
        meaning_zh="每所学校至多三行。",
        check=Rows(kind="rows", fails="years > 3"),
    ),
    rule_of(CHANGING),
    rule_of(STANDING),
    rule_of(CHANGING, id=UNTOLD, source=KNOWN, scope=None, check=Rows(kind="rows", fails="period < 0")),
)


def make_book(*members: Rule) -> Catalogue:
    return Catalogue.model_construct(rules=members or RULES, conditions=catalogue().conditions)


def deliver(home: Home, ledger: Ledger, area: str, year: int, values: list[int]) -> DeliveryRow:
    snapshot = store_bytes(home, f"{area} {year} {values}".encode())
    delivery_id = "d" + snapshot.sha256[:16]
    path = home.records / "school_census" / f"{delivery_id}-00000000" / f"{FIGURES}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            **dict.fromkeys(RECORD_SCHEMAS[FIGURES].names, ""),
            "stat_year": year,
            "form_year": year,
            "area_code": area,
            "school_code": f"{area}{n % 2}",
            "form": "3112",
            "line_no": 1,
            "column_no": n,
            "measure": "enrolment",
            "value": Decimal(value),
            "row_no": n + 1,
            "delivery_id": delivery_id,
        }
        for n, value in enumerate(values)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RECORD_SCHEMAS[FIGURES]), path)
    row = DeliveryRow(
        delivery_id=delivery_id,
        feed="school_census",
        area_code=area,
        period=year,
        part="",
        sha256=snapshot.sha256,
        file_name="报表.xlsx",
        submitter="",
        reported_on=date(2025, 3, 1),
        received_at=datetime(2025, 9, 1, 8, tzinfo=SHANGHAI),
        status="accepted",
        rows_in=len(values),
        rows_accepted=len(values),
        rows_quarantined=0,
        contract_version="v1",
        tables={FIGURES: home.relative(path)},
    )
    ledger.record_delivery(row, size=snapshot.size, files={home.relative(path): sha256_file(path)})
    return row


def seal(home: Home, ledger: Ledger, value: float) -> Candidate:
    build = candidates.begin(home, ledger.active_set({"school_census": "v1"}), FEEDS)
    fill_marts(build.database, value)
    with duck.connect(build.database) as connection:
        connection.execute("UPDATE marts.mart_plan_progress SET status = 'met'")
    (build.work_dir / "manifest.json").write_bytes(dbt_manifest())
    return candidates.seal(home, build)


def make_home(root: Path) -> Path:
    """A home with two candidates, the second after one corrected delivery; neither is judged. Copy it."""
    home = Home(root).ensure()
    load_or_create_key(home.key_file)
    with closing(Ledger(home.ledger_url)) as ledger:
        for area in AREAS:
            for year in YEARS:
                deliver(home, ledger, area, year, [90, 95, 110, 120])
        first = seal(home, ledger, 1.5)
        deliver(home, ledger, AREAS[1], YEARS[1], [90, 95, 110, -7])
        second = seal(home, ledger, 1.75)
    (home.root / "order").write_text(f"{first.candidate_id} {second.candidate_id}")
    return home.root


class Bench:
    """A copy of the home, and its two candidates judged as often as one likes."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.ledger = Ledger(self.home.ledger_url)
        self.told: list[str] = []

    @property
    def pair(self) -> tuple[Candidate, Candidate]:
        first, second = (self.home.root / "order").read_text().split()
        return candidates.load(self.home, first), candidates.load(self.home, second)

    def deliveries(self, candidate: Candidate) -> list[DeliveryRow]:
        """What a candidate was made from."""
        return self.ledger.deliveries_of(item["delivery_id"] for item in candidate.inputs["deliveries"])

    def judge(
        self,
        number: int,
        book: Catalogue | None = None,
        before: Beforehand | None = None,
        known: Future[Known] | None = None,
    ) -> Verdict:
        return judge(
            self.home,
            self.ledger,
            self.pair[number],
            rules=book or make_book(),
            tell=self.told.append,
            before=before,
            known=known,
        )
