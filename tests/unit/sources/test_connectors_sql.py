from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.connectors import sql
from tests.support.finance_table import line, run, write
from warehouse.errors import Fault
from warehouse.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/finance.db"
    write(address, [line(area, year, unit, n) for n in (2, 1) for unit in "BA"
                    for area in ("500105", "500103") for year in (2023, 2022)])  # fmt: skip
    return address


def test_each_group_is_one_canonical_snapshot(home: Home, url: str) -> None:
    arrivals = sql.list_arrivals(url, set())
    assert [arrival.group for arrival in arrivals] == [
        ("500103", 2022), ("500103", 2023), ("500105", 2022), ("500105", 2023),
    ]  # fmt: skip
    found = list(sql.fetch(home, url, arrivals))
    assert [arrival for arrival, _ in found] == arrivals
    lines = found[0][1].path.read_text("utf-8").split("\n")
    assert lines[0] == ",".join(sql.COLUMNS)
    assert [text.split(",")[1] for text in lines[1:5]] == ["A", "A", "B", "B"]
    assert lines[1] == ('2022,A,单位A,3150000001,500103,61,jz_3,1,"合计, ""其中""",12.50,,,,,,,,2024-11-01 08:00:00')
    assert lines[5:] == [""]


def test_the_order_of_rows_in_the_database_does_not_matter(home: Home, url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    write(other, [line("500103", 2022, unit, n) for unit in "AB" for n in (1, 2)])
    [[_, mine]] = sql.fetch(home, url, sql.list_arrivals(url, set())[:1])
    [[_, theirs]] = sql.fetch(home, other, sql.list_arrivals(other, set()))
    assert mine.sha256 == theirs.sha256


@pytest.mark.parametrize("batch", [1, 3, 4, 7])
def test_where_a_batch_ends_does_not_matter(home: Home, url: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a group, of a part of one, and of several."""
    arrivals = sql.list_arrivals(url, set())
    whole = [snapshot.sha256 for _, snapshot in sql.fetch(home, url, arrivals, workers=1)]
    monkeypatch.setattr(sql, "_BATCH", batch)
    assert [snapshot.sha256 for _, snapshot in sql.fetch(home, url, arrivals, workers=1)] == whole
    assert len(set(whole)) == 4


def test_a_file_that_stayed_as_it_was_is_not_asked_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, memory = tmp_path / "finance.db", tmp_path / "looks" / "finance.json"

    def still(seconds_ago: float) -> None:
        moment = time.time() - seconds_ago
        os.utime(file, (moment, moment))

    # Written a moment ago it may be written again within the same tick of the file system's clock.
    sql.list_arrivals(url, set(), memory=memory)
    assert not memory.exists()
    still(60)
    found = sql.list_arrivals(url, set(), memory=memory)
    asked = sql._asked
    monkeypatch.setattr(sql, "_asked", lambda _: pytest.fail("nothing has changed"))
    assert sql.list_arrivals(url, set(), memory=memory) == found
    monkeypatch.setattr(sql, "_asked", asked)
    # A full comparison asks all the same, and so does whoever finds the memory damaged.
    assert len(sql.list_arrivals(url, {(a.source, a.version) for a in found}, compare=True, memory=memory)) == 4
    memory.write_text("[]", encoding="utf-8")
    assert sql.list_arrivals(url, set(), memory=memory) == found
    run(url, "UPDATE education_finance_line SET 金额1 = '99' WHERE 地区代码 = '500103' AND 年度 = 2023")
    still(30)
    changed = sql.list_arrivals(url, {(a.source, a.version) for a in found}, memory=memory)
    assert [arrival.group for arrival in changed] == [("500103", 2023)]


def test_what_was_begun_is_asked_once_and_never_after_its_block(url: str, tmp_path: Path) -> None:
    memory = tmp_path / "finance.json"
    with sql.looking_ahead(url, memory):
        # Waited for, so that the change below comes after it.
        begun = sql._begun[url, memory].result()
        run(url, "DELETE FROM education_finance_line WHERE 地区代码 = '500103' AND 年度 = 2023")
        found = sql.list_arrivals(url, set(), memory=memory)
        assert len(found) == len(begun) == 4
        assert len(sql.list_arrivals(url, set(), memory=memory)) == 3
    with sql.looking_ahead(url, memory):
        pass
    run(url, "DELETE FROM education_finance_line")
    assert sql.list_arrivals(url, set(), memory=memory) == []


def test_what_goes_wrong_ahead_is_told_to_whoever_asks(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/none.db"
    with sql.looking_ahead(address, None):
        pass
    with sql.looking_ahead(address, None), pytest.raises(Fault, match="不存在"):
        sql.list_arrivals(address, set())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE education_finance_line SET updated_at = '2025-01-01' WHERE 地区代码 = '500103' AND 年度 = 2023",
        "DELETE FROM education_finance_line WHERE 地区代码 = '500103' AND 年度 = 2023 AND 行次 = 2",
        "UPDATE education_finance_line SET 金额1 = '99' WHERE 地区代码 = '500103' AND 年度 = 2023",
    ],
)
def test_only_a_changed_group_is_fetched_again(home: Home, url: str, change: str) -> None:
    seen = {(arrival.source, arrival.version) for arrival in sql.list_arrivals(url, set())}
    assert sql.list_arrivals(url, seen) == []
    run(url, change)
    changed = sql.list_arrivals(url, seen)
    assert [arrival.group for arrival in changed] == [("500103", 2023)]
    assert len(list(sql.fetch(home, url, changed))) == 1


def test_the_source_is_never_written(url: str, tmp_path: Path, home: Home) -> None:
    database = tmp_path / "finance.db"
    before = database.read_bytes()
    list(sql.fetch(home, url, sql.list_arrivals(url, set())))
    assert database.read_bytes() == before


def test_rows_without_area_are_told_and_not_lost_in_silence(url: str, home: Home) -> None:
    run(url, "UPDATE education_finance_line SET 地区代码 = NULL WHERE 单位代码 = 'A' AND 年度 = 2022")
    arrivals = sql.list_arrivals(url, set())
    assert ["没有地区代码" in arrival.problem for arrival in arrivals] == [False] * 4 + [True]
    assert "4 行" in arrivals[-1].problem
    assert len(list(sql.fetch(home, url, arrivals))) == 4


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE education_finance_line DROP COLUMN 行次", "缺少列：行次"),
        ("DROP TABLE education_finance_line", "没有表"),
    ],
)
def test_a_missing_table_or_column_is_named(url: str, statement: str, message: str) -> None:
    run(url, statement)
    with pytest.raises(Fault, match=message):
        sql.list_arrivals(url, set())


def test_an_absent_file_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="不存在"):
        sql.list_arrivals(f"sqlite:///{tmp_path}/none.db", set())
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("address", ["postgresql://amt:geheim@127.0.0.1:1/db", "nonsense geheim", "odd://a:geheim@h/d"])
def test_no_message_holds_the_password(address: str) -> None:
    with pytest.raises(Fault) as caught:
        sql.list_arrivals(address, set())
    assert "geheim" not in f"{caught.value} {caught.value.__cause__}"


TYPED = {name: "INTEGER" if name in (sql.YEAR, "行次") else "TEXT" for name in sql.COLUMNS}
UNTYPED = dict.fromkeys(sql.COLUMNS, "")
# Declared one way, kept another: SQLAlchemy calls these text, SQLite whole numbers.
MISLABELLED = {**TYPED, "项目": '"VARCHAR(POINT)"', "金额1": '"VARCHAR(POINT)"'}


def _plain_row(number: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {name: None if name.startswith("金额") else f" 文{name}𠀀'" for name in sql.COLUMNS}
    return {**row, sql.AREA: "500103", sql.YEAR: 2022 + number // 5, "行次": number, "金额1": "-12.50", **changes}


def _fill(connection: sqlite3.Connection, declared: dict[str, str], rows: Iterable[dict[str, Any]]) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in declared.items())
    connection.execute(f"CREATE TABLE {sql.TABLE} ({columns})")
    values = [[row[name] for name in sql.COLUMNS] for row in rows]
    names, marks = ", ".join(f'"{name}"' for name in sql.COLUMNS), ", ".join("?" * len(sql.COLUMNS))
    connection.executemany(f"INSERT INTO {sql.TABLE} ({names}) VALUES ({marks})", values)
    connection.commit()


def _joined(chunks: Iterable[sql.Chunk]) -> list[tuple[Any, bytes]]:
    return [(group, b"".join(text for _, text in pieces)) for group, pieces in groupby(chunks, key=itemgetter(0))]


def _by_csv_writer(connection: sa.Connection, groups: Sequence[tuple[Any, Any]]) -> Iterator[sql.Chunk]:
    return sql._by_writer(connection, sql._rows_query(set(), groups, "sqlite"), 0)


def _ways(fill: Callable[[sqlite3.Connection], None], file: Path) -> tuple[bool, list[Any], list[Any]]:
    """Whether SQLite wrote all lines of 2022 to 2025, what the connector gives, and what csv.writer alone gives."""
    with closing(sqlite3.connect(file)) as database:
        fill(database)
    groups = [("500103", year) for year in range(2022, 2026)]
    calls: list[int] = []
    writer = sql._by_writer

    def watched(connection: sa.Connection, query: sa.Select[Any], taken: int) -> Iterator[sql.Chunk]:
        calls.append(taken)
        return writer(connection, query, taken)

    with pytest.MonkeyPatch.context() as patch, sql._connected(f"sqlite:///{file}") as connection:
        patch.setattr(sql, "_BATCH", 3)
        patch.setattr(sql, "_by_writer", watched)
        given_back = _joined(sql._chunks(connection, groups))
        fast = not calls
        return fast, given_back, _joined(_by_csv_writer(connection, groups))


@pytest.mark.parametrize("declared", [TYPED, {**TYPED, sql.YEAR: "BIGINT", "项目": "VARCHAR(90) NOT NULL"}])
def test_sqlite_writes_the_lines_of_a_plain_table(declared: dict[str, str], tmp_path: Path) -> None:
    rows = [_plain_row(n, 金额2="", 金额3="\x7f\u2028\ufeff;\u3000") for n in reversed(range(17))]
    fast, found, expected = _ways(lambda database: _fill(database, declared, rows), tmp_path / "f.db")
    assert fast
    assert found == expected
    assert [(year, text.count(b"\n")) for (_, year), text in found] == [(2022, 5), (2023, 5), (2024, 5), (2025, 2)]


@pytest.mark.parametrize(
    ("declared", "odd"),
    [
        *((TYPED, {"项目": f"a{mark}b"}) for mark in [",", '"', "\n", "\r", "\t", "\0", "\\", "[", "]", '","', "[[]]"]),
        *((TYPED, {column: b"a"}) for column in ["项目", "行次", "金额8"]),
        (TYPED, {"项目": b""}),
        *((TYPED, {"行次": value}) for value in [0.5, 1e300, float("inf"), None, "b", ""]),
        *((UNTYPED, {"项目": value}) for value in [0.5, 1, None, "b"]),
        *((MISLABELLED, {"项目": value}) for value in [0.5, 1]),
        # What one value has too many another has too few.
        (MISLABELLED, {"项目": 7, "单位名称": 'a"b'}),
        (MISLABELLED, {"项目": 7, "单位名称": "a[]b"}),
    ],
)
@pytest.mark.parametrize("number", [0, 5, 16])
def test_what_sqlite_would_write_otherwise_is_left_to_csv_writer(
    declared: dict[str, str], odd: dict[str, Any], number: int, tmp_path: Path
) -> None:
    """In the first batch, in one of two years, in the last one: no row is lost and none comes twice."""
    rows = [_plain_row(n, **(odd if n == number else {})) for n in range(17)]
    fast, found, expected = _ways(lambda database: _fill(database, declared, rows), tmp_path / "f.db")
    assert not fast
    assert found == expected
    assert sum(len(text.splitlines()) for _, text in found) >= 17


def _view(database: sqlite3.Connection) -> None:
    _fill(database, TYPED, [_plain_row(n) for n in range(5)])
    database.execute(f"ALTER TABLE {sql.TABLE} RENAME TO kept")
    columns = ", ".join("json('\"x\"') AS 项目" if name == "项目" else f'"{name}"' for name in sql.COLUMNS)
    database.execute(f"CREATE VIEW {sql.TABLE} AS SELECT {columns} FROM kept")


def _generated(database: sqlite3.Connection) -> None:
    _fill(database, {**TYPED, "json": "TEXT DEFAULT '\"x\"'"}, [_plain_row(n) for n in range(5)])
    database.execute(f"ALTER TABLE {sql.TABLE} DROP COLUMN 项目")
    database.execute(f"ALTER TABLE {sql.TABLE} ADD COLUMN 项目 TEXT AS (json(json))")


def _utf16(database: sqlite3.Connection) -> None:
    """All ASCII: with a NUL behind every character it would still pass for UTF-8."""
    database.execute("PRAGMA encoding = 'UTF-16le'")
    ascii_only = {name: "a" for name in sql.COLUMNS if name not in (sql.AREA, sql.YEAR, "行次")}
    _fill(database, TYPED, [_plain_row(n, **ascii_only) for n in range(5)])


@pytest.mark.parametrize("fill", [_view, _generated, _utf16])
def test_a_table_of_another_kind_is_left_to_csv_writer(
    fill: Callable[[sqlite3.Connection], None], tmp_path: Path
) -> None:
    fast, found, expected = _ways(fill, tmp_path / "f.db")
    assert not fast
    assert found == expected
    assert found[0][1].count(b"\n") == 5


@pytest.mark.parametrize("broken", [b"\xe4\xb8", b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_text_that_is_not_utf_8_is_a_fault(broken: bytes, tmp_path: Path) -> None:
    def fill(database: sqlite3.Connection) -> None:
        _fill(database, TYPED, [_plain_row(n) for n in range(5)])
        database.execute(f"UPDATE {sql.TABLE} SET 项目 = CAST(? AS TEXT) WHERE 行次 = 4", (broken,))
        database.commit()

    with closing(sqlite3.connect(tmp_path / "f.db")) as database:
        fill(database)
    with pytest.raises(Fault, match="OperationalError"), sql._connected(f"sqlite:///{tmp_path}/f.db") as connection:
        list(sql._chunks(connection, [("500103", 2022)]))


def test_what_fails_after_good_batches_is_left_to_csv_writer(tmp_path: Path) -> None:
    """By the key of the table the rows come one by one: the blob is met when two batches are already written."""

    def fill(database: sqlite3.Connection) -> None:
        key = (sql.AREA, sql.YEAR, "单位代码", "表号", "行次")
        declared = {name: f"{kind} NOT NULL" if name in key else kind for name, kind in TYPED.items()}
        _fill(database, declared, [_plain_row(n, 金额1=b"a" if n == 8 else "1") for n in range(10)])
        database.execute(f"CREATE UNIQUE INDEX key ON {sql.TABLE} ({', '.join(key)})")

    fast, found, expected = _ways(fill, tmp_path / "f.db")
    assert not fast
    assert found == expected
    assert [text.count(b"\n") for _, text in found] == [5, 5]


def test_both_ways_read_the_same_state_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line written after the last batch was refused belongs to the next look."""
    file = tmp_path / "f.db"
    writer = sql._by_writer
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = wal")
        _fill(database, TYPED, [_plain_row(n, 项目="a,b" if n == 4 else "a") for n in range(5)])

        def changed(connection: sa.Connection, query: sa.Select[Any], taken: int) -> Iterator[sql.Chunk]:
            database.execute(f"UPDATE {sql.TABLE} SET 项目 = 'new'")
            database.commit()
            return writer(connection, query, taken)

        monkeypatch.setattr(sql, "_BATCH", 2)
        monkeypatch.setattr(sql, "_by_writer", changed)
        with sql._connected(f"sqlite:///{file}") as connection:
            [(_, text)] = _joined(sql._chunks(connection, [("500103", 2022)]))
    assert text.count(b"\n") == 5
    assert b"new" not in text


_TEXTS = st.one_of(
    st.text(max_size=6),
    st.text(alphabet=",\"'\r\n\t\0\\[]{}: 中𠀀\x1f\x7f\x85\u2028null012.e", max_size=6),
    st.sampled_from(["null", "1", "1.0", "-0.0", "1e5", "true", "{}", "9223372036854775808"]),
)
_VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=4),
    _TEXTS,
)
# Mostly what a finance office keeps, so that SQLite writes some of it and csv.writer the rest.
_FIELDS = st.one_of(st.none(), st.text(alphabet="a中 .7", max_size=4), _VALUES)
_YEARS = st.sampled_from([2022, 2022.0, "2022", 2023, "2,3", "年", -1])


@st.composite
def _tables(draw: st.DrawFn) -> tuple[dict[str, str], list[dict[str, Any]]]:
    declared = draw(st.sampled_from([TYPED, UNTYPED, MISLABELLED, dict.fromkeys(sql.COLUMNS, "TEXT")]))
    odd = draw(st.sets(st.sampled_from(sorted(set(sql.COLUMNS) - {sql.AREA, sql.YEAR})), max_size=4))
    row = st.fixed_dictionaries({**dict.fromkeys(odd, _FIELDS), sql.YEAR: _YEARS})
    return declared, [_plain_row(n, **changes) for n, changes in enumerate(draw(st.lists(row, max_size=9)))]


@settings(max_examples=150, deadline=None)
@given(_tables(), st.integers(1, 4))
def test_both_ways_give_the_same_bytes(table: tuple[dict[str, str], list[dict[str, Any]]], batch: int) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with pytest.MonkeyPatch.context() as patch, engine.connect() as connection:
        patch.setattr(sql, "_BATCH", batch)
        database = connection.connection.driver_connection
        assert database is not None
        _fill(database, *table)
        years = {row["年度"] if isinstance(row["年度"], str) else int(row["年度"]) for row in table[1]}
        groups = [("500103", year) for year in sorted(years, key=str)]
        if groups:
            assert _joined(sql._chunks(connection, groups)) == _joined(_by_csv_writer(connection, groups))
    engine.dispose()


@given(st.binary(max_size=12))
def test_bytes_are_counted_as_bytes_counts_them(data: bytes) -> None:
    assert [sql._count(data, bytes([byte])) for byte in data] == [data.count(byte) for byte in data]
