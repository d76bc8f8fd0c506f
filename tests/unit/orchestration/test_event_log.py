"""Events of one batch are one transaction a file, whole or not at all; others find the files as ever."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster import AssetKey, DagsterEvent, EventLogEntry
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME

from orchestration.event_log import OpenEventLogStorage

RUN = "a-run"


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[OpenEventLogStorage]:
    log = OpenEventLogStorage(str(tmp_path))
    yield log
    log.dispose()


def planned(asset: str) -> EventLogEntry:
    event = DagsterEvent.build_asset_materialization_planned_event(
        "job", asset, AssetMaterializationPlannedData(AssetKey(asset), partition=None, partitions_subset=None)
    )
    return EventLogEntry(
        error_info=None,
        level=logging.DEBUG,
        user_message="",
        run_id=RUN,
        timestamp=1.0,
        step_key=asset,
        job_name="job",
        dagster_event=event,
    )


def written(storage: OpenEventLogStorage) -> list[str | None]:
    return [event.step_key for event in storage.get_logs_for_run(RUN)]


def commits(storage: OpenEventLogStorage) -> list[str]:
    """The files that are written to from now on, once for each transaction."""
    seen: list[str] = []
    for shard in (RUN, INDEX_SHARD_NAME):
        sa.event.listen(storage._engine(shard), "commit", lambda _, shard=shard: seen.append(shard))
    return seen


def test_a_batch_is_one_transaction_a_file(storage: OpenEventLogStorage) -> None:
    seen = commits(storage)
    storage.store_event_batch([planned(asset) for asset in ("one", "two", "three")])
    assert sorted(seen) == [RUN, INDEX_SHARD_NAME]
    assert written(storage) == ["one", "two", "three"]
    assert {key.to_user_string() for key in storage.all_asset_keys()} == {"one", "two", "three"}
    seen.clear()
    storage.store_event(planned("four"))
    assert len(seen) >= 2
    assert written(storage)[-1] == "four"


def test_of_a_batch_that_fails_nothing_stays_and_what_follows_is_written(
    storage: OpenEventLogStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = OpenEventLogStorage.store_event

    def full(self: OpenEventLogStorage, event: EventLogEntry) -> None:
        if event.step_key == "two":
            raise sa.exc.OperationalError("INSERT", {}, OSError("disk full"))
        store(self, event)

    with monkeypatch.context() as patched, pytest.raises(sa.exc.OperationalError):
        patched.setattr(OpenEventLogStorage, "store_event", full)
        storage.store_event_batch([planned("one"), planned("two")])
    assert written(storage) == []
    storage.store_event(planned("one"))
    assert written(storage) == ["one"]


def test_dagster_is_told_to_hand_over_batches_unless_somebody_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    OpenEventLogStorage(str(tmp_path)).dispose()
    assert int(os.environ["DAGSTER_EVENT_BATCH_SIZE"]) > 200
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")
    OpenEventLogStorage(str(tmp_path)).dispose()
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "0"
