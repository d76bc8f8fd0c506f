"""Who is late and how old the release is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.timeliness import due_day, late_feeds, newest_due, release_age
from sources import contract
from warehouse.clock import SHANGHAI
from warehouse.errors import UsageError
from warehouse.manifest import Release
from warehouse.records import DeliveryRow

AT = datetime(2025, 11, 1, 0, 0, tzinfo=SHANGHAI)
ROW = DeliveryRow(
    delivery_id="d1", feed="school_census", area_code="500101", period=2024, part="", sha256="0" * 64, file_name="a",
    submitter="", reported_on=None, received_at=AT, status="accepted", rows_in=1, rows_accepted=1, rows_quarantined=0,
    contract_version="v",
)  # fmt: skip


@pytest.mark.parametrize(
    ("feed", "period", "due"),
    [
        # The state of 1 September 2024, handed in by the end of October.
        ("school_census", 2024, date(2024, 10, 31)),
        # Residents at the end of 2024, published in March.
        ("population", 2024, date(2025, 3, 31)),
        # Accounts of 2024 close in 2025.
        ("education_finance", 2024, date(2025, 11, 30)),
        ("official_figures", 0, None),
        ("programme_register", 2024, None),
    ],
)
def test_the_calendar(feed: str, period: int, due: date | None) -> None:
    assert due_day(contract.load(feed).info, period) == due


def test_a_feed_is_late_from_the_day_after_in_the_time_of_the_city() -> None:
    info = contract.load("school_census").info
    assert newest_due(info, AT - timedelta(seconds=1)) == 2024
    assert newest_due(info, AT) == 2025


def test_every_area_that_did_not_report_is_named_and_a_refused_one_did_not() -> None:
    late = {(one.feed, one.period): one for one in late_feeds([ROW], AT)}
    census = late["school_census", 2024]
    assert census.expected == 39
    assert len(census.missing) == 38
    assert ("500101", "") not in census.missing
    assert ("500000", "") in census.missing
    refused = late_feeds([replace(ROW, status="refused")], AT)
    assert ("500101", "") in next(o for o in refused if (o.feed, o.period) == ("school_census", 2024)).missing


def test_each_part_of_a_register_is_expected_and_a_feed_of_the_city_as_a_whole() -> None:
    late = {(one.feed, one.period): one for one in late_feeds([], AT)}
    assert late["teacher_register", 2023].expected == 78
    assert late["higher_education", 2023].missing == (("", ""),)
    whole = replace(ROW, feed="higher_education", area_code="500000", period=2023, part="an institution")
    assert ("higher_education", 2023) not in {(one.feed, one.period) for one in late_feeds([whole], AT)}


def release(tmp_path: Path, published: str, used: list[str]) -> Release:
    manifest = {"published_at": published, "inputs": {"deliveries": [{"delivery_id": name} for name in used]}}
    return Release("r1", tmp_path / "r1", "c1", "f", manifest, "0" * 64)


def test_a_release_ages_when_what_was_taken_in_waits() -> None:
    assert release_age(None, [ROW], AT) is None


def test_the_release_is_behind_since_the_oldest_delivery_it_lacks(tmp_path: Path) -> None:
    standing = release(tmp_path, "2025-10-01T00:00:00+08:00", ["d1"])
    whole = release_age(standing, [ROW], AT)
    assert whole is not None
    assert whole.age == timedelta(days=31)
    assert whole.behind_since is None
    waiting = replace(ROW, delivery_id="d2", received_at=AT - timedelta(hours=7))
    behind = release_age(standing, [ROW, waiting], AT)
    assert behind is not None
    assert behind.is_ageing(timedelta(hours=6), AT)
    assert not behind.is_ageing(timedelta(hours=8), AT)


def test_a_manifest_without_a_time_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="清单"):
        release_age(release(tmp_path, "yesterday", []), [], AT)
