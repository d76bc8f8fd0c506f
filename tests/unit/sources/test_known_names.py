"""Marks of the names in registers: from the archive, kept without a name, made again when missing or damaged."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from sources.contract import feeds, load
from sources.known_names import known_names, names_in
from tests.support import good_deliveries as good
from warehouse.archive import store_bytes
from warehouse.clock import SHANGHAI
from warehouse.errors import Fault
from warehouse.names import NAMED_FEEDS
from warehouse.paths import Home
from warehouse.records import DeliveryRow

PEOPLE = ["欧阳测甲", "测 试 乙", "阿依测·买买提", "某某"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


def rows() -> list[dict[str, str]]:
    found = good.teacher_rows()
    return [row | {"姓名": PEOPLE[n % len(PEOPLE)]} for n, row in enumerate(found * 2)]


def handed_in(home: Home, data: bytes, feed: str = "teacher_register") -> DeliveryRow:
    snapshot = store_bytes(home, data)
    return DeliveryRow(
        delivery_id="d" + snapshot.sha256[:16],
        feed=feed,
        area_code="500101",
        period=2024,
        part="",
        sha256=snapshot.sha256,
        file_name="名册.csv",
        submitter="",
        reported_on=date(2024, 9, 30),
        received_at=datetime(2024, 10, 1, tzinfo=SHANGHAI),
        status="accepted",
        rows_in=1,
        rows_accepted=1,
        rows_quarantined=0,
        contract_version="v",
        tables={},
    )


@pytest.mark.parametrize("form", ["gb18030", "utf-8", "utf-16", "xlsx"])
def test_names_are_taken_from_every_form_of_a_register_in_one_spelling(form: str) -> None:
    headers = list(rows()[0])
    data = good.table_xlsx(headers, rows()) if form == "xlsx" else good.table_csv(headers, rows(), form)
    assert names_in(data, load("teacher_register")) == {"欧阳测甲", "测试乙", "阿依测·买买提", "某某"}


def test_a_register_without_names_has_none() -> None:
    bare = [{name: value for name, value in row.items() if name != "姓名"} for row in rows()]
    assert names_in(good.table_csv(list(bare[0]), bare), load("teacher_register")) == set()


def test_marks_know_the_names_and_hold_none_of_them(home: Home) -> None:
    row = handed_in(home, good.table_csv(list(rows()[0]), rows()))
    other = handed_in(home, "x,欧阳测丙".encode(), "population")
    marks = known_names(home, [row, other])
    assert marks.deliveries == {row.delivery_id}
    assert marks.names_in(["欧阳测甲", "测试乙", "欧阳测丙", "阿依测·买买提"]) == {
        "欧阳测甲",
        "测试乙",
        "阿依测·买买提",
    }
    [kept] = (home.root / "names").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert "测甲".encode() not in kept.read_bytes()
    assert "测甲" not in repr(marks)


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, None])
def test_a_damaged_or_missing_cache_is_made_again(home: Home, damage: bytes | None) -> None:
    row = handed_in(home, good.table_csv(list(rows()[0]), rows()))
    known_names(home, [row])
    [kept] = (home.root / "names").iterdir()
    whole = kept.read_bytes()
    kept.unlink() if damage is None else kept.write_bytes(damage)
    assert known_names(home, [row]).names_in(["测试乙"]) == {"测试乙"}
    assert kept.read_bytes() == whole


def test_another_home_marks_the_same_name_otherwise(home: Home, tmp_path: Path) -> None:
    """Without the home's key nobody can try names on the marks."""
    data = good.table_csv(list(rows()[0]), rows())
    other = Home(tmp_path / "other").ensure()
    for place in (home, other):
        known_names(place, [handed_in(place, data)])
    one, two = (next((place.root / "names").iterdir()).read_bytes() for place in (home, other))
    assert one != two


def test_a_missing_original_is_told(home: Home) -> None:
    row = handed_in(home, good.table_csv(list(rows()[0]), rows()))
    (home.archive / row.sha256[:2] / row.sha256).unlink()
    with pytest.raises(Fault, match="原件缺失"):
        known_names(home, [row])


def test_the_ground_floor_knows_which_feeds_hold_names() -> None:
    assert {feed for feed in feeds() if load(feed).unread.names} == NAMED_FEEDS
