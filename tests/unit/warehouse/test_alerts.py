"""The state of alerts: each is opened once and resolved once, and every end is told of both, in order, once."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from warehouse import alerts, outcomes
from warehouse.alerts import OPENED, RESOLVED, Alert
from warehouse.clock import parse_instant
from warehouse.ledger import Ledger
from warehouse.outcomes import Outcome

AT = parse_instant("2025-09-30T03:00:00+08:00")
LATE = Alert("feed_late", "school_census/2025", "缺 3 件")
AWAY = Alert("source_away", "sftp/office", "无法访问")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_an_alert_is_opened_once_and_resolved_once(ledger: Ledger) -> None:
    assert [(n.kind, n.action) for n in alerts.update(ledger, [LATE, AWAY], AT)] == [
        ("feed_late", OPENED),
        ("source_away", OPENED),
    ]
    again = Alert(LATE.kind, LATE.subject, "缺 2 件")
    assert alerts.update(ledger, [again, AWAY], AT + minutes(1)) == []
    [over] = alerts.update(ledger, [LATE], AT + minutes(2))
    assert (over.kind, over.action) == ("source_away", RESOLVED)
    assert [(n.kind, n.detail_zh) for n in alerts.standing(ledger)] == [("feed_late", "缺 3 件")]
    [anew] = alerts.update(ledger, [LATE, AWAY], AT + minutes(3))
    assert anew.action == OPENED
    kinds = [entry.kind for entry in ledger.journal_entries()]
    assert kinds.count("alert") == 4
    assert ledger.findings() == []


def test_what_could_not_be_looked_at_stays_as_it_is(ledger: Ledger) -> None:
    alerts.update(ledger, [AWAY], AT)
    assert alerts.update(ledger, [LATE], AT, unknown={"source_away", "feed_late"}) == []
    assert [n.kind for n in alerts.standing(ledger)] == ["source_away"]


def test_every_end_is_told_everything_once_and_in_order(ledger: Ledger) -> None:
    alerts.update(ledger, [LATE], AT)
    first = alerts.claim(ledger, "mail", AT)
    assert [n.action for n in first] == [OPENED]
    # Somebody is at it: a second round at the same moment gets nothing.
    assert alerts.claim(ledger, "mail", AT) == []
    alerts.told(ledger, "mail", first, AT)
    assert alerts.claim(ledger, "mail", AT) == []
    alerts.update(ledger, [], AT + minutes(1))
    assert [n.action for n in alerts.claim(ledger, "mail", AT + minutes(1))] == [RESOLVED]


def test_an_end_that_is_down_is_told_later_after_growing_pauses(ledger: Ledger) -> None:
    alerts.update(ledger, [LATE], AT)
    at = AT
    pauses = []
    for _attempt in range(9):
        assert alerts.claim(ledger, "hook", at)
        alerts.not_told(ledger, "hook", "无法送达", at)
        [state] = alerts.ends(ledger)
        pauses.append(parse_instant(state.next_at) - at)
        assert alerts.claim(ledger, "hook", at + pauses[-1] - timedelta(seconds=1)) == []
        at += pauses[-1]
    assert pauses[:3] == [timedelta(seconds=30), minutes(1), minutes(2)]
    assert pauses[-1] == timedelta(hours=1)
    alerts.update(ledger, [], at)
    waiting = alerts.claim(ledger, "hook", at)
    assert [n.action for n in waiting] == [OPENED, RESOLVED]
    alerts.told(ledger, "hook", waiting, at)
    [state] = alerts.ends(ledger)
    assert (state.untold, state.attempts, state.error_zh) == (0, 0, "")


def test_a_claim_whose_owner_died_passes_on_and_a_clock_that_stepped_back_blocks_nobody(ledger: Ledger) -> None:
    alerts.update(ledger, [LATE], AT)
    [news] = alerts.claim(ledger, "mail", AT)
    assert alerts.claim(ledger, "mail", AT + minutes(1)) == []
    [again] = alerts.claim(ledger, "mail", AT + minutes(2))
    assert again.id == news.id
    assert alerts.claim(ledger, "mail", AT - timedelta(days=400))


def test_a_new_end_learns_what_is_open_and_nothing_that_is_over(ledger: Ledger) -> None:
    alerts.update(ledger, [LATE, AWAY], AT)
    alerts.update(ledger, [LATE], AT)
    assert [n.kind for n in alerts.claim(ledger, "new", AT)] == ["feed_late"]


def test_an_absence_of_the_ledger_is_entered_afterwards_once(ledger: Ledger) -> None:
    away = Alert("ledger_away", "", "台账无法访问")
    assert alerts.record_past(ledger, away, AT, AT + minutes(9), ["file"])
    assert not alerts.record_past(ledger, away, AT, AT + minutes(9), ["file"])
    assert [n.action for n in alerts.claim(ledger, "file", AT + minutes(9))] == [RESOLVED]
    assert alerts.standing(ledger) == []


def test_a_persons_number_does_not_leave_the_house(ledger: Ledger) -> None:
    [news] = alerts.update(ledger, [Alert("run_failed", "", "文件 110101199003078515 13812345678 读不出")], AT)
    assert "1990" not in news.detail_zh
    assert "1381" not in news.detail_zh


def test_an_alert_that_is_changed_afterwards_is_found(ledger: Ledger) -> None:
    alerts.update(ledger, [LATE], AT)
    with ledger.writing() as connection:
        connection.execute(sa.text("UPDATE alert SET detail_zh = '一切正常'"))
    assert any("alert" in line for line in ledger.findings())


def test_a_run_ends_once_and_the_last_one_is_told_by_number_not_by_clock(ledger: Ledger) -> None:
    first = Outcome("r1", AT.isoformat(), "manual", outcomes.GATE_REFUSED, "两条规则")
    assert outcomes.record(ledger, first)
    assert not outcomes.record(ledger, Outcome("r1", AT.isoformat(), "manual", outcomes.FAILED))
    earlier = (AT - timedelta(days=1)).isoformat()
    outcomes.record(ledger, Outcome("r2", earlier, "folder_arrivals", outcomes.FAILED, "磁盘已满", seconds=2.5))
    found = outcomes.last(ledger)
    assert found is not None
    assert (found.run_id, found.seconds) == ("r2", 2.5)
    assert outcomes.last(ledger, outcomes.DECISIVE) == first
    assert outcomes.counts(ledger)["failed"] == 1
    assert ledger.journal_entries() == []
