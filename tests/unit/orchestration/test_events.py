"""When a sensor asks for a run: at once for what is new, seldom for what stays, and never twice for nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from orchestration.events import FIRST_PAUSE, LONGEST_PAUSE, Cursor, decide
from warehouse.clock import SHANGHAI

AT = datetime(2025, 9, 30, 10, tzinfo=SHANGHAI)


def test_nothing_waiting_asks_nothing_and_forgets() -> None:
    assert decide("", Cursor("a", 3, AT.isoformat()), AT).cursor == Cursor()
    assert not decide("", Cursor(), AT).ask


def test_something_new_is_asked_for_at_once_and_only_once() -> None:
    first = decide("a", Cursor(), AT)
    assert first.ask
    again = decide("a", first.cursor, AT + timedelta(seconds=5))
    assert not again.ask
    assert again.cursor == first.cursor
    other = decide("b", first.cursor, AT + timedelta(seconds=5))
    assert other.ask
    assert other.run_key != first.run_key


def test_what_stays_is_asked_for_again_after_growing_pauses() -> None:
    cursor, at, pauses = Cursor(), AT, []
    for _ in range(10):
        decision = decide("a", cursor, at)
        assert decision.ask
        cursor = decision.cursor
        following = datetime.fromisoformat(cursor.again_at)
        assert not decide("a", cursor, following - timedelta(seconds=1)).ask
        pauses.append(following - at)
        at = following
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    assert cursor.asked == 10


def test_a_clock_that_steps_back_does_not_silence_a_sensor() -> None:
    asked = decide("a", Cursor(), AT)
    assert decide("a", asked.cursor, AT - timedelta(days=400)).ask


def test_asking_very_often_does_not_overflow() -> None:
    assert decide("a", Cursor("a", 10**6, AT.isoformat()), AT).ask


def test_a_cursor_survives_storage() -> None:
    cursor = decide("a", Cursor(), AT).cursor
    assert Cursor.read(cursor.text()) == cursor


@pytest.mark.parametrize("text", [None, "", "not json", "[]", '{"other": 1}', "7"])
def test_an_unreadable_cursor_is_a_fresh_one(text: str | None) -> None:
    assert Cursor.read(text) == Cursor()
