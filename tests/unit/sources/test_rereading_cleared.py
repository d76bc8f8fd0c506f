"""Records the retention policy cleared away: they stay away, until their delivery counts again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sources import rereading
from sources.intake import contract_versions
from sources.rereading import selection
from tests.support import desk as desks
from tests.support.desk import Desk
from warehouse import retention
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.retention_policy import policy_of
from warehouse.verify import verify

FEED = "teacher_register"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Four versions of one year and one of another; all that the policy lets go of was cleared away years later."""
    home = Home(tmp_path / "home").ensure()
    found = Desk(home, Ledger(home.ledger_url))
    for number in range(4):
        found.put(FEED, f"2023-{number}.csv", desks.teachers(everywhere={"常住地址": f"{number} 号"}), at=number)
        found.take_in()
    found.put(FEED, "2024.csv", desks.teachers(everywhere={"统计年度": "2024"}), at=9)
    found.take_in()
    (home.root / "retention.yaml").write_text("records: {superseded_days: 30}\noriginals: {keep_years: 40}\n")
    monkeypatch.setenv("EDUPLAN_NOW", "2060-01-01T00:00:00+08:00")
    with retention.alone(home, found.ledger) as fences:
        going = retention.doomed(home, found.ledger, policy_of(home))
        retention.clear(home, found.ledger, going, person="x", fences=fences)
    assert len(found.ledger.pruned()) == 2
    return found


def versions_of_2023(desk: Desk) -> list[DeliveryRow]:
    return [row for row in desk.ledger.deliveries() if row.period == 2023]


def there(desk: Desk, row: DeliveryRow) -> bool:
    return all((desk.home.root / path).is_file() for path in row.tables.values())


def test_only_the_newest_two_of_a_key_have_their_records(desk: Desk) -> None:
    assert [there(desk, row) for row in versions_of_2023(desk)] == [False, False, True, True]
    assert verify(desk.home) == []


def test_reading_again_does_not_bring_back_what_does_not_count(desk: Desk) -> None:
    report = rereading.read_again(desk.home, desk.ledger, selection([], [], []))
    assert (report.confirmed, report.restored, report.problems) == (3, [], [])
    assert [there(desk, row) for row in versions_of_2023(desk)] == [False, False, True, True]


def test_what_counts_again_is_read_again_byte_for_byte(desk: Desk) -> None:
    first, second, third, fourth = versions_of_2023(desk)
    for row in (third, fourth):
        desk.ledger.withdraw(row.delivery_id, reason="误报", person="甲")
    active = desk.ledger.active_set(contract_versions())
    assert second.delivery_id in {row.delivery_id for row in active}
    report = rereading.bring_back(desk.home, desk.ledger, active)
    assert (report.restored, report.problems) == ([second.delivery_id], [])
    assert there(desk, second)
    assert not there(desk, first)
    recorded = desk.ledger.record_files()[second.delivery_id]
    for path in second.tables.values():
        assert hashlib.sha256((desk.home.root / path).read_bytes()).hexdigest() == recorded[path]
    assert rereading.bring_back(desk.home, desk.ledger, active) == rereading.Reread()


def test_an_original_that_was_let_go_is_no_problem_until_it_is_wanted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2100-01-01T00:00:00+08:00")
    with retention.alone(desk.home, desk.ledger) as fences:
        going = retention.doomed(desk.home, desk.ledger, policy_of(desk.home))
        retention.clear(desk.home, desk.ledger, going, person="x", fences=fences)
    first, second, third, fourth = versions_of_2023(desk)
    assert not (desk.home.archive / first.sha256[:2] / first.sha256).exists()
    assert rereading.read_again(desk.home, desk.ledger, selection([], [], [])).problems == []
    unread = desk.ledger.unread({FEED: "another version"})
    assert {row.delivery_id for row in unread} & {first.delivery_id, second.delivery_id} == set()
    for row in (third, fourth):
        desk.ledger.withdraw(row.delivery_id, reason="误报", person="甲")
    (problem,) = rereading.bring_back(desk.home, desk.ledger, desk.ledger.active_set()).problems
    assert "缺失" in problem
