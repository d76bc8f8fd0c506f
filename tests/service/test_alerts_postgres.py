"""The state of alerts on PostgreSQL: the same trials as on SQLite, and two rounds at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.warehouse.test_alerts import (
    AT,
    AWAY,
    LATE,
    test_a_new_end_learns_what_is_open_and_nothing_that_is_over,
    test_a_run_ends_once_and_the_last_one_is_told_by_number_not_by_clock,
    test_an_absence_of_the_ledger_is_entered_afterwards_once,
    test_an_alert_is_opened_once_and_resolved_once,
    test_an_end_that_is_down_is_told_later_after_growing_pauses,
)
from warehouse import alerts
from warehouse.ledger import Ledger

__all__ = [
    "test_a_new_end_learns_what_is_open_and_nothing_that_is_over",
    "test_a_run_ends_once_and_the_last_one_is_told_by_number_not_by_clock",
    "test_an_absence_of_the_ledger_is_entered_afterwards_once",
    "test_an_alert_is_opened_once_and_resolved_once",
    "test_an_end_that_is_down_is_told_later_after_growing_pauses",
]


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[Ledger]:
    opened = Ledger(postgres_url)
    yield opened
    opened.close()


def test_two_rounds_at_once_open_each_alert_once_and_one_of_them_tells(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: alerts.update(ledger, [LATE, AWAY], AT), range(4)))
        claimed = list(pool.map(lambda _: alerts.claim(ledger, "mail", AT), range(4)))
    assert sorted(len(news) for news in opened) == [0, 0, 0, 2]
    assert sorted(len(news) for news in claimed) == [0, 0, 0, 2]
