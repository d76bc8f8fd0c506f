"""What the run of the shared home left in Dagster: rows, columns, the gate by mart, and the way to the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, EventRecordsFilter
from dagster._core.instance.ref import InstanceRef

from orchestration import keys
from sources import contract
from warehouse import outcomes
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home

FACTS = AssetKey(["marts", "fct_indicator_value"])


@pytest.fixture(scope="module")
def instance(released: Path) -> Iterator[DagsterInstance]:
    folder = str(released / "dagster")
    with pytest.MonkeyPatch.context() as patch:
        # Where the page and the daemon look for the history, too.
        patch.setenv("DAGSTER_HOME", folder)
        with DagsterInstance.from_ref(InstanceRef.from_dir(folder)) as opened:
            yield opened


def metadata(instance: DagsterInstance, key: AssetKey) -> dict[str, object]:
    event = instance.get_latest_materialization_event(key)
    assert event is not None, key
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_records_and_marts_show_rows_and_columns(instance: DagsterInstance) -> None:
    facts = metadata(instance, FACTS)
    rows = facts["dagster/row_count"]
    assert isinstance(rows, int)
    assert rows > 1000
    schema = facts["dagster/column_schema"]
    columns = {column.name: column.description for column in schema.columns}  # type: ignore[attr-defined]
    assert {"indicator_id", "area_code", "period", "value"} <= set(columns)
    assert all(columns.values()), "every column of a mart says what it means"
    for feed in contract.feeds():
        found = metadata(instance, keys.records_key(feed))
        assert isinstance(found["dagster/row_count"], int), feed
    census = metadata(instance, keys.records_key("school_census"))
    assert census["rows_in"] == int(str(census["dagster/row_count"])) + int(str(census["rows_quarantined"]))


def test_the_release_leads_to_its_report(released: Path, instance: DagsterInstance) -> None:
    found = metadata(instance, keys.RELEASE)
    standing = current(Home(released))
    assert standing is not None
    assert found["release_id"] == standing.release_id
    report = Path(unquote(urlsplit(str(found["report"])).path))
    assert report == standing.path / "quality" / "index.html"
    assert report.is_file()


def test_the_gate_shows_on_every_mart_it_judges(instance: DagsterInstance) -> None:
    records = instance.get_event_records(
        EventRecordsFilter(event_type=DagsterEventType.ASSET_CHECK_EVALUATION), limit=2000
    )
    found = [
        record.event_log_entry.dagster_event.event_specific_data
        for record in records
        if record.event_log_entry.dagster_event is not None
    ]
    gates = {check.asset_key: check for check in found if check.check_name == keys.GATE_CHECK}  # type: ignore[union-attr]
    assert keys.VERDICT in gates
    assert FACTS in gates
    assert len(gates) > 10
    rules = gates[FACTS].metadata["rules"].value  # type: ignore[union-attr]
    assert len(rules.records) > 5
    assert len(found) > len(gates), "dbt's tests are checks too"


def test_the_run_of_the_home_has_its_outcome(released: Path) -> None:
    with closing(Ledger(Home(released).ledger_url)) as ledger:
        found = outcomes.last(ledger)
    standing = current(Home(released))
    assert found is not None
    assert standing is not None
    assert (found.outcome, found.asked_by, found.release_id) == (outcomes.RELEASED, "manual", standing.release_id)
    assert found.seconds > 0
