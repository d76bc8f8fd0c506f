"""Marks of the names in registers: from the archive, kept without a name, made again when missing or damaged."""

from __future__ import annotations

import pickle
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import pytest

from sources.contract import feeds, load
from sources.intake import scan, take_in
from sources.known_names import _decoded, known_names, marks_in, names_in
from sources.parsers import delimited
from sources.parsers.delimited import Columns, open_csv
from sources.parsers.grid import Workbook, names_apart, opened_once
from sources.parsers.result import Reporter
from sources.reading import Job, read_delivery
from tests.support import good_deliveries as good
from warehouse.archive import store_bytes
from warehouse.clock import SHANGHAI
from warehouse.errors import Fault
from warehouse.ledger import Ledger
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
def test_names_are_taken_from_every_form_of_a_register_in_one_spelling(form: str, tmp_path: Path) -> None:
    headers = list(rows()[0])
    data = good.table_xlsx(headers, rows()) if form == "xlsx" else good.table_csv(headers, rows(), form)
    register = tmp_path / "register"
    register.write_bytes(data)
    assert names_in(register, load("teacher_register")) == {"欧阳测甲", "测试乙", "阿依测·买买提", "某某"}


def test_a_register_without_names_has_none(tmp_path: Path) -> None:
    bare = [{name: value for name, value in row.items() if name != "姓名"} for row in rows()]
    register = tmp_path / "register"
    register.write_bytes(good.table_csv(list(bare[0]), bare))
    assert names_in(register, load("teacher_register")) == set()


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


@pytest.mark.parametrize("form", ["gb18030", "xlsx"])
def test_intake_leaves_the_marks_that_the_archive_gives(home: Home, form: str) -> None:
    headers = list(rows()[0])
    data = good.table_xlsx(headers, rows()) if form == "xlsx" else good.table_csv(headers, rows(), form)
    path = home.inbox / "teacher_register" / f"register.{'xlsx' if form == 'xlsx' else 'csv'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with closing(Ledger(home.ledger_url)) as ledger:
        arrived = [arrival for arrival in scan(home, ledger, settle=0) if arrival.feed == "teacher_register"]
        [row] = take_in(home, ledger, arrived, workers=1).deliveries
    [left] = (home.root / "names").iterdir()
    by_intake, mode = left.read_bytes(), left.stat().st_mode
    left.unlink()
    assert known_names(home, [row]).names_in(["测试乙"]) == {"测试乙"}
    assert (left.read_bytes(), left.stat().st_mode) == (by_intake, mode)


def test_a_register_is_opened_once_for_records_names_and_marked_copy(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by the next reading again: it may be of another file under the same name."""
    opened: list[object] = []
    init = Workbook.__init__

    def counted(book: Workbook, source: Path | bytes) -> None:
        opened.append(source)
        init(book, source)

    monkeypatch.setattr(Workbook, "__init__", counted)
    # Everybody stands in it twice, which is a finding with a place.
    row = handed_in(home, good.table_xlsx(list(rows()[0]), rows()))
    original = home.archive / row.sha256[:2] / row.sha256
    for number in (1, 2):
        out = tmp_path / f"out{number}"
        out.mkdir()
        outcome = read_delivery(Job(row.feed, original, "名册.xlsx", row.delivery_id, b"k" * 32, out))
        assert outcome.marked is not None
        assert outcome.names is not None
        assert opened == [original] * number


@pytest.mark.parametrize("damage", ["", ",一格太多"])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-16"])
def test_a_text_is_gone_through_once_for_records_and_names(
    encoding: str, damage: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = good.table_csv(list(rows()[0]), rows(), "utf-8").decode("utf-8-sig").rstrip("\r\n") + damage
    row = handed_in(home, text.encode(encoding))
    original = home.archive / row.sha256[:2] / row.sha256
    alone = marks_in(original, row.feed, b"k" * 32)
    passes: list[Columns] = []
    read = delimited.read_columns

    def counted(source: delimited.Source, header: delimited.HeaderLine, wanted: dict[str, int]) -> Columns:
        passes.append(read(source, header, wanted))
        return passes[-1]

    monkeypatch.setattr(delimited, "read_columns", counted)
    monkeypatch.setattr("sources.known_names.read_columns", counted)
    outcome = read_delivery(Job(row.feed, original, "名册.csv", row.delivery_id, b"k" * 32, tmp_path))
    assert outcome.names is not None
    assert outcome.names.tolist() == alone.tolist()
    assert len(passes) == 1
    assert not any(name in repr(outcome) or name.encode() in pickle.dumps(outcome) for name in PEOPLE)


def test_the_parser_gets_no_names(tmp_path: Path) -> None:
    register = tmp_path / "register"
    register.write_bytes(good.table_csv(list(rows()[0]), rows()))
    with opened_once():
        found = open_csv(register.read_bytes(), "teacher", Reporter(load("teacher_register")), names_of=register)
        apart = names_apart()
    assert found is not None
    assert apart is not None
    assert names_apart() is None
    assert (
        set(found.arrays)
        == set(found.places)
        <= {column.name for column in load("teacher_register").columns("teacher")}
    )
    held = {cell.decode(found.encoding) for array in found.arrays.values() for cell in array.to_pylist()}
    assert not held & set(PEOPLE)
    assert {cell.decode(found.encoding) for array in apart[register].arrays for cell in array.to_pylist()} == set(
        PEOPLE
    )
    assert "测" not in repr(apart)


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


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("odd", [[], [b"\xff"], [b"\x81"], [b"a\nb"], [b""], [b"\x81\x30"]])
def test_names_decoded_together_are_those_decoded_one_by_one(encoding: str, odd: list[bytes]) -> None:
    values = [*odd, *(name.encode(encoding) for name in PEOPLE), *odd]
    assert _decoded(values, encoding) == [value.decode(encoding, errors="replace") for value in values]
