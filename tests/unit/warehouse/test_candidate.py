from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.candidate_kit import FEEDS, delivery, fill_marts, make_candidate
from warehouse import candidate as candidates
from warehouse import duck, kept
from warehouse.candidate import candidate_id, code_digest
from warehouse.duck import connect, rows
from warehouse.errors import Fault, Refused
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import RECORD_SCHEMAS, DeliveryRow, check_schema


def test_the_id_depends_on_inputs_and_code_only(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    one, two = delivery(home, ledger, "one", period=1), delivery(home, ledger, "two", period=2)
    plain = candidate_id([one, two], code_digest="code")
    elsewhere = dataclasses.replace(one, tables={}, file_name="x", submitter="y", received_at=two.received_at)
    assert candidate_id([two, elsewhere], code_digest="code") == plain
    others = [
        candidate_id([one], code_digest="code"),
        candidate_id([one, two], code_digest="other"),
        candidate_id([one, dataclasses.replace(two, contract_version="v2")], code_digest="code"),
        candidate_id([one, dataclasses.replace(two, sha256="0" * 64)], code_digest="code"),
        candidate_id([one, dataclasses.replace(two, status="accepted")], code_digest="code"),
    ]
    assert len({plain, *others}) == 6


def test_the_code_digest_sees_sources_and_not_the_sample_city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dbt_project/models/a.sql", "sources/x.py", "sources/sample/y.py", "warehouse/candidate.py",
                 "warehouse/agreed_tables.py", "warehouse/records.py", "warehouse/disclosure.py",
                 "warehouse/disclosure.yaml", "warehouse/suppression.py",
                 "dbt_project/target/b.sql", "dbt_project/logs/c.sql"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    monkeypatch.setattr(candidates, "package_root", lambda: tmp_path)
    monkeypatch.setattr(candidates, "project_root", lambda: tmp_path)

    def changed(name: str) -> bool:
        before = code_digest()
        (tmp_path / name).write_text("2")
        return code_digest() != before

    seen = ["dbt_project/models/a.sql", "sources/x.py", "warehouse/records.py", "dbt_project/seeds.csv"]
    seen += ["warehouse/disclosure.yaml", "warehouse/suppression.py"]
    unseen = ["sources/sample/y.py", "dbt_project/target/b.sql", "dbt_project/logs/c.sql", "sources/notes.txt"]
    assert [changed(name) for name in seen] == [True] * 6
    assert [changed(name) for name in unseen] == [False] * 4


def test_records_are_typed_views_and_absent_feeds_are_empty(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "one")
    build = candidates.begin(home, ledger.active_set(), FEEDS)
    with connect(build.database) as connection:
        for table in RECORD_SCHEMAS:
            view = connection.execute(f"SELECT * FROM records.{table}").to_arrow_table()
            assert view.num_rows == 0
            check_schema(table, view.schema)
        found = connection.execute("SELECT feed, area_code, period, status, rows_in FROM records.delivery").fetchall()
        assert found == [("official_figures", "500000", 0, "partly", 2)]
        assert connection.execute("SELECT title_zh FROM records.feed").fetchall() == [("官方数字",)]
    candidates.abandon(build)
    assert not list(home.candidates.iterdir())


def test_only_the_active_deliveries_are_read(home: Home, ledger: Ledger) -> None:
    table = "official_figures__figure"
    for text, period in (("old", 1), ("new", 1), ("other", 2)):
        row = delivery(home, ledger, text, period=period)
        values = {
            column.name: [text if column.name == "note" else None if column.nullable else _zero(column)]
            for column in RECORD_SCHEMAS[table]
        }
        pq.write_table(pa.table(values, schema=RECORD_SCHEMAS[table]), home.root / row.tables[table])
    build = candidates.begin(home, ledger.active_set(), FEEDS)
    with connect(build.database) as connection:
        assert connection.execute(f"SELECT note FROM records.{table} ORDER BY note").fetchall() == [
            ("new",),
            ("other",),
        ]
    candidates.abandon(build)


def _zero(column: pa.Field) -> object:
    return "" if pa.types.is_string(column.type) else 0


def test_a_copied_home_reads_its_own_records(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    """Also after the original is gone: nothing in a candidate names the place it was made at."""
    candidate = make_candidate(home, ledger, 1.0)
    place = str(home.root).encode()
    assert place not in candidate.database.read_bytes()
    shutil.copytree(home.root, tmp_path / "copy", symlinks=True)
    shutil.rmtree(home.root)
    copied = Home(tmp_path / "copy")
    query = "SELECT count(*) FROM records.official_figures__figure"
    database = candidates.load(copied, candidate.candidate_id).database
    with connect(database, read_only=True) as connection:
        assert rows(connection, query) == [(0,)]
        assert rows(connection.cursor(), query) == [(0,)]
    for path in copied.records.rglob("*.parquet"):
        path.unlink()
    with connect(database, read_only=True) as connection, pytest.raises(duckdb.IOException, match="records"):
        rows(connection, query)


def test_a_home_whose_name_cuts_a_list_of_folders_keeps_whole_paths(tmp_path: Path) -> None:
    home = Home(tmp_path / "a,b").ensure()
    ledger = Ledger(home.ledger_url)
    candidate = make_candidate(home, ledger, 1.0)
    ledger.close()
    with connect(candidate.database, read_only=True) as connection:
        assert rows(connection, "SELECT count(*) FROM records.official_figures__figure") == [(0,)]


def test_a_missing_record_file_is_a_fault(home: Home, ledger: Ledger) -> None:
    row = delivery(home, ledger, "one")
    (home.root / row.tables["official_figures__figure"]).unlink()
    with pytest.raises(Fault, match="缺少 1 个记录文件"):
        candidates.begin(home, ledger.active_set(), FEEDS)
    assert not list(home.candidates.iterdir())


def kept_of(home: Home, build: candidates.Build) -> kept.Kept:
    """The build as the next one finds it."""
    key, code = b"k" * 32, code_digest()
    duck.make_whole(build.database)
    kept.keep(home, build.database, code_digest=code, sources=build.sources, key=key)
    found = kept.find(home, code, key)
    assert found is not None
    return found


def test_of_what_was_kept_the_views_of_the_same_deliveries_stay(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = delivery(home, ledger, "one")
    before = candidates.begin(home, ledger.active_set(), FEEDS)
    base = kept_of(home, before)
    made: list[str] = []
    make = candidates.create_record_view

    def seen(connection: duckdb.DuckDBPyConnection, at: Home, table: str, active: Sequence[DeliveryRow]) -> None:
        made.append(table)
        make(connection, at, table, active)

    monkeypatch.setattr(candidates, "create_record_view", seen)
    same = candidates.begin(home, ledger.active_set(), FEEDS, base=base)
    assert (made, same.sources, same.kept) == ([], before.sources, base.sources)
    delivery(home, ledger, "two", period=1)
    other = candidates.begin(home, ledger.active_set(), FEEDS, base=base)
    assert made == [name for name in RECORD_SCHEMAS if other.sources[name] != base.sources[name]]
    assert "official_figures__figure" in made
    with connect(other.database, read_only=True) as connection:
        assert rows(connection, "SELECT count(*) FROM records.delivery") == [(2,)]
        assert rows(connection, "SELECT count(*) FROM records.official_figures__figure") == [(0,)]
    (home.root / row.tables["official_figures__figure"]).unlink()
    with pytest.raises(Fault, match="缺少 1 个记录文件"):
        candidates.begin(home, [row], FEEDS, base=base)
    for build in (before, same, other):
        candidates.abandon(build)


def test_sealing_finds_loads_and_keeps_inputs(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    assert candidates.find(home, candidate.candidate_id) == candidates.load(home, candidate.candidate_id) == candidate
    assert [item["status"] for item in candidate.inputs["deliveries"]] == ["partly"]
    assert candidates.find(home, "cnone") is None
    with pytest.raises(Refused, match="没有候选"):
        candidates.load(home, "cnone")


def test_a_build_under_way_is_not_swept(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "one")
    build = candidates.begin(home, ledger.active_set(), FEEDS)
    assert candidates.sweep(home) == []
    fill_marts(build.database, 1.0)
    assert candidates.seal(home, build).database.is_file()


@pytest.mark.parametrize("damage", ["", "{}", "[]"])
def test_a_damaged_seal_is_a_fault(home: Home, ledger: Ledger, damage: str) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    (candidate.path / candidates.SEAL_NAME).write_text(damage)
    with pytest.raises(Fault, match="封存记录"):
        candidates.load(home, candidate.candidate_id)


def test_a_renamed_candidate_is_a_fault(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    candidate.path.rename(home.candidates / "cother")
    with pytest.raises(Fault, match="改名"):
        candidates.load(home, "cother")
