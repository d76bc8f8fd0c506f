"""Metrics for Prometheus: the facts of the status page as numbers, made anew for every scrape.

What belongs here: names, labels and the reading of facts. What does not: serving them (`orchestration.cli.metrics`) and
judging them (`orchestration.alerting`). Nothing is asked but the ledger, the home's files and the signs of life of
sensors, so that a scrape costs no source a connection. Labels hold no persons and no file names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestration import heartbeat, isolation
from orchestration.alerting import kinds
from orchestration.backup_state import backup_state
from orchestration.steps import RUN_LOCK
from orchestration.timeliness import late_feeds, release_age
from sources import watch
from warehouse import alerts, outcomes
from warehouse.clock import now
from warehouse.errors import EduplanError
from warehouse.lease import standing
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current
from warehouse.paths import Home
from warehouse.records import WITHDRAWN, DeliveryRow

_SEVERITIES: Final = {True: "critical", False: "warning"}


def registry(home: Home) -> CollectorRegistry:
    """A registry that holds this home's metrics and nothing else."""
    made = CollectorRegistry()
    made.register(_HomeCollector(home))
    return made


@dataclass(frozen=True)
class _HomeCollector(Collector):
    """Reads the home at each scrape. A ledger that is away is a number too: `eduplan_up` 0."""

    home: Home

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read a home that is not there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families. Raises UsageError for settings that make no sense."""
        at = now()
        yield from _signs_of_life(self.home, at)
        try:
            with closing(Ledger(self.home.ledger_url)) as ledger:
                found = list(_of_ledger(self.home, ledger, at))
        except EduplanError:
            found = []
        yield _gauge("up", "1 when the ledger could be read", 1.0 if found else 0.0)
        yield from found


def _of_ledger(home: Home, ledger: Ledger, at: datetime) -> Iterator[Metric]:
    active = list(isolation.selection(home, ledger).active)
    yield from _release(current(home), active, at)
    yield from _deliveries(ledger, active)
    yield from _runs(ledger)
    yield from _alerts(ledger)
    yield from _backup(home, ledger, at)
    late = GaugeMetricFamily("eduplan_late", "Overdue deliveries of a feed", labels=["feed", "period"])
    for one in late_feeds(active, at):
        late.add_metric([one.feed, str(one.period)], len(one.missing))
    yield late
    yield _waiting(home, ledger)


def _release(release: Release | None, active: list[DeliveryRow], at: datetime) -> Iterator[Metric]:
    age = release_age(release, active, at)
    if release is None or age is None:
        return
    behind = (at - age.behind_since).total_seconds() if age.behind_since is not None else 0.0
    yield _gauge("release_age_seconds", "Time since the current release was published", age.age.total_seconds())
    yield _gauge("release_behind_seconds", "How long what was taken in has waited to be published", max(behind, 0.0))
    info = GaugeMetricFamily("eduplan_release_info", "The current release", labels=["release_id", "data_version"])
    info.add_metric([release.release_id, str(release.manifest["data_version"])], 1.0)
    yield info


def _deliveries(ledger: Ledger, active: list[DeliveryRow]) -> Iterator[Metric]:
    counts = Counter((row.feed, row.status) for row in ledger.deliveries())
    total = CounterMetricFamily("eduplan_deliveries", "Deliveries ever read, as last read", labels=["feed", "status"])
    for (feed, status), number in sorted(counts.items()):
        total.add_metric([feed, status], number)
    yield total
    rows: Counter[str] = Counter()
    for row in active:
        rows[row.feed] += 0 if row.status == WITHDRAWN else row.rows_quarantined
    quarantined = GaugeMetricFamily("eduplan_quarantined_rows", "Quarantined rows of what counts now", labels=["feed"])
    for feed, number in sorted(rows.items()):
        quarantined.add_metric([feed], number)
    yield quarantined
    yield _gauge("held_deliveries", "Deliveries set aside by the gate", len(ledger.holds()))


def _runs(ledger: Ledger) -> Iterator[Metric]:
    lease = standing(ledger, RUN_LOCK)
    running = lease is not None and not lease.is_free(now())
    yield _gauge("running", "1 while a run holds the home", float(running))
    total = CounterMetricFamily("eduplan_runs", "Runs by how they ended", labels=["outcome"])
    for name, number in outcomes.counts(ledger).items():
        total.add_metric([name], number)
    yield total
    last = outcomes.last(ledger)
    if last is not None:
        good = last.outcome in {outcomes.RELEASED, outcomes.UNCHANGED}
        stamp = datetime.fromisoformat(last.at).timestamp()
        yield _gauge("last_run_timestamp_seconds", "When the last run ended, in seconds since 1970", stamp)
        yield _gauge("last_run_duration_seconds", "How long its stations took", last.seconds)
        yield _gauge("last_run_success", "1 when it released or found nothing to do", float(good))
    yield _gauge("releases", "Releases in the ledger", len(ledger.releases()))


def _alerts(ledger: Ledger) -> Iterator[Metric]:
    counts = Counter(news.kind for news in alerts.standing(ledger))
    found = GaugeMetricFamily("eduplan_alerts_open", "Alerts that are open", labels=["kind", "severity"])
    for name, kind in kinds.KINDS.items():
        found.add_metric([name, _SEVERITIES[kind.critical]], counts[name])
    yield found
    untold = GaugeMetricFamily("eduplan_alerts_untold", "Alerts an end has not been told of", labels=["end"])
    for end in alerts.ends(ledger):
        untold.add_metric([end.name], end.untold)
    yield untold


def _backup(home: Home, ledger: Ledger, at: datetime) -> Iterator[Metric]:
    """Nothing where no regular back-up was set up."""
    known = backup_state(home, ledger)
    if known is None:
        return
    about = "Time since the last whole back-up, or since there has been something to back up"
    yield _gauge("backup_age_seconds", about, max((at - known.since).total_seconds(), 0.0))
    yield _gauge("backup_failed", "1 when the last back-up failed or was not whole", float(bool(known.failed_at)))


def _signs_of_life(home: Home, at: datetime) -> Iterator[Metric]:
    beats = heartbeat.beats(home)
    ages = GaugeMetricFamily("eduplan_heartbeat_age_seconds", "Time since a sensor last looked", labels=["sensor"])
    for name, one in beats.items():
        if name != heartbeat.RUN:
            ages.add_metric([name], one.age(at).total_seconds())
    yield ages
    away = GaugeMetricFamily("eduplan_source_away_seconds", "How long a source has been away", labels=["source"])
    for source, why in heartbeat.away(beats).items():
        away.add_metric([source], max((at - datetime.fromisoformat(why.since)).total_seconds(), 0.0))
    yield away


def _waiting(home: Home, ledger: Ledger) -> Metric:
    """The folder is looked at, which costs nothing; of other kinds the sensors' last look counts."""
    found = GaugeMetricFamily("eduplan_waiting", "Arrivals not yet taken in", labels=["kind"])
    beats = heartbeat.beats(home)
    for kind in watch.KINDS:
        one = beats.get(heartbeat.arrivals_sensor(kind))
        if kind == "folder":
            found.add_metric([kind], sum(not arrival.problem for arrival in watch.waiting(home, ledger, kind)))
        elif one is not None:
            found.add_metric([kind], one.waiting)
    return found


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"eduplan_{name}", about, value=value)
