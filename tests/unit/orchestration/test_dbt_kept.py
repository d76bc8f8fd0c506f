"""Which nodes a build runs when it begins with the tables of the last one: on a graph of our own."""

from __future__ import annotations

import errno
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration import dbt_ahead, dbt_kept, steps
from orchestration.dbt_kept import Share
from orchestration.report import Reporter, RunRecord
from tests.support import candidate_kit
from warehouse import candidate as candidates
from warehouse import duck, kept
from warehouse.candidate import Build
from warehouse.errors import Refused
from warehouse.home_key import load_or_create_key
from warehouse.paths import Home

SCHOOLS, MONEY = "source.eduplan.records.school", "source.eduplan.records.money"
INT_SCHOOL, INT_MONEY = "model.eduplan.int_school", "model.eduplan.int_money"
MART_BOTH = "model.eduplan.mart_both"
SOUND_SCHOOL, SOUND_MONEY = "test.eduplan.sound_school", "test.eduplan.sound_money"
# name -> (kind, materialised as, made of)
GRAPH: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "seed.eduplan.code": ("seed", "seed", ()),
    "model.eduplan.stg_school": ("model", "view", (SCHOOLS,)),
    "model.eduplan.stg_money": ("model", "view", (MONEY, "seed.eduplan.code")),
    "model.eduplan.int_school": ("model", "table", ("model.eduplan.stg_school", "seed.eduplan.code")),
    "model.eduplan.int_money": ("model", "table", ("model.eduplan.stg_money",)),
    "model.eduplan.mart_both": ("model", "table", ("model.eduplan.int_school", "model.eduplan.stg_money")),
    "model.eduplan.evi_school": ("model", "view", ("model.eduplan.int_school",)),
    "test.eduplan.sound_school": ("test", "test", ("model.eduplan.stg_school",)),
    "test.eduplan.sound_money": ("test", "test", ("model.eduplan.int_money",)),
}


def manifest() -> dict[str, Any]:
    children: dict[str, list[str]] = {}
    for name, (_, _, parents) in GRAPH.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    return {
        "sources": {SCHOOLS: {"name": "school"}, MONEY: {"name": "money"}},
        "nodes": {
            name: {
                "resource_type": kind,
                "config": {"materialized": how},
                "depends_on": {"nodes": list(parents)},
            }
            for name, (kind, how, parents) in GRAPH.items()
        },
        "child_map": children,
        "parent_map": {name: list(parents) for name, (_, _, parents) in GRAPH.items()},
    }


@pytest.fixture
def build(tmp_path: Path) -> Build:
    database = tmp_path / "candidate.duckdb"
    with duck.connect(database) as connection:
        kept.prepare(connection)
    return Build("c0", tmp_path, database, {}, sources={"school": "s1", "money": "m1"}, years={("school", 2024): "s1y"})


def noted(build: Build) -> None:
    with duck.connect(build.database) as connection:
        dbt_kept.note(connection, build, manifest())


def shared(build: Build, before: dict[str, str]) -> Share:
    """The share of a build that begins with what the last one made of sources that said `before`."""
    build = replace(build, kept=before)
    share = dbt_kept.choose(build, manifest(), kept.followed(build.database))
    noted(build)
    assert share is not None
    return share


def said(build: Build, **contents: str) -> None:
    """Let models of a build say something, as the last build left them."""
    with duck.connect(build.database) as connection:
        for name, content in contents.items():
            connection.execute("DELETE FROM kept.made WHERE node = ?", [f"model.eduplan.{name}"])
            connection.execute("INSERT INTO kept.made VALUES (?, NULL, '', ?)", [f"model.eduplan.{name}", content])


def test_a_build_that_begins_empty_runs_everything(build: Build) -> None:
    assert dbt_kept.choose(build, manifest(), kept.followed(build.database)) is None
    noted(build)
    with duck.connect(build.database, read_only=True) as connection:
        assert duck.rows(connection, "SELECT node, base FROM kept.needs ORDER BY ALL") == [
            ("model.eduplan.int_money", MONEY),
            ("model.eduplan.int_school", SCHOOLS),
            ("model.eduplan.mart_both", "model.eduplan.int_school"),
            ("model.eduplan.mart_both", MONEY),
        ]
        assert duck.rows(connection, "SELECT node, year, content FROM kept.made ORDER BY ALL") == [
            (MONEY, None, "m1"),
            (SCHOOLS, 2024, "s1y"),
            (SCHOOLS, None, "s1"),
        ]


def test_what_lies_downstream_of_changed_records_is_run_and_views_stay(build: Build) -> None:
    share = shared(build, {"school": "s0", "money": "m1"})
    assert share.first == share.needs.keys() == {INT_SCHOOL, MART_BOTH, SOUND_SCHOOL}


def test_a_source_nobody_spoke_of_before_counts_as_changed(build: Build) -> None:
    share = shared(build, {"school": "s1"})
    assert share.needs.keys() == {INT_MONEY, MART_BOTH, SOUND_MONEY}


def test_the_same_records_once_more_run_everything(build: Build) -> None:
    assert dbt_kept.choose(replace(build, kept=dict(build.sources)), manifest(), kept.followed(build.database)) is None


def after(build: Build, school: str, before: str, **contents: str) -> Share:
    """The share of the next build of other schools, behind one that left its models saying these contents."""
    said(build, **contents)
    return shared(replace(build, sources={"school": school, "money": "m1"}), {"school": before, "money": "m1"})


def test_what_did_not_follow_last_time_waits_until_it_is_seen_whether_it_has_to(build: Build) -> None:
    noted(build)
    share = after(build, "s2", "s1", int_school="i1", mart_both="b1")
    assert share.first == share.needs.keys(), "nobody has seen yet what follows"
    # The change of schools changed no school that counts.
    share = after(build, "s3", "s2", int_school="i1", mart_both="b1")
    assert share.needs.keys() == {INT_SCHOOL, MART_BOTH, SOUND_SCHOOL}
    assert share.first == {INT_SCHOOL, SOUND_SCHOOL}
    assert kept.changed(build.database) == {SCHOOLS}
    assert share.rest({SCHOOLS}) == frozenset()
    said(build, int_school="i2")
    assert kept.changed(build.database) == {SCHOOLS, INT_SCHOOL}
    assert share.rest(kept.changed(build.database)) == {MART_BOTH}


def test_what_followed_last_time_is_believed_to_follow_again(build: Build) -> None:
    noted(build)
    after(build, "s2", "s1", int_school="i1", mart_both="b1")
    assert after(build, "s3", "s2", int_school="i2").first == {INT_SCHOOL, MART_BOTH, SOUND_SCHOOL}
    said(build, int_school="i3")
    # Belief is about these records: a change of others says nothing about it.
    money = replace(build, sources={"school": "s3", "money": "m2"})
    assert shared(money, {"school": "s3", "money": "m1"}).first == {INT_MONEY, MART_BOTH, SOUND_MONEY}
    assert after(build, "s4", "s3").first == {INT_SCHOOL, MART_BOTH, SOUND_SCHOOL}


def test_of_a_last_build_that_cannot_be_opened_nothing_is_believed(build: Build, tmp_path: Path) -> None:
    noted(build)
    after(build, "s2", "s1", int_school="i1", mart_both="b1")
    began = replace(build, sources={"school": "s3", "money": "m1"}, kept={"school": "s2", "money": "m1"})
    known = dbt_kept.choose(began, manifest(), kept.followed(build.database))
    unknown = dbt_kept.choose(began, manifest(), kept.followed(tmp_path / "nowhere.duckdb"))
    assert known is not None
    assert unknown is not None
    assert known.first < unknown.first == unknown.needs.keys() == known.needs.keys()


def test_what_follows_is_followed_to_its_end_and_takes_along_what_ran_too_early() -> None:
    chain = {"a": {"s"}, "b": {"a"}, "c": {"b", "s"}, "t": {"c"}, "u": {"s"}}
    share = Share({node: frozenset(bases) for node, bases in chain.items()}, frozenset({"a", "c", "u"}))
    assert share.rest({"s"}) == frozenset()
    assert share.rest({"s", "a"}) == {"b", "c", "t"}
    assert share.rest({"s", "c"}) == {"t"}


def test_when_the_first_nodes_do_not_all_pass_all_are_run(tmp_path: Path) -> None:
    share = Share({"a": frozenset("s"), "b": frozenset("a")}, frozenset("a"))
    assert dbt_ahead._rest(tmp_path / "nowhere.duckdb", share, well=False) == {"a", "b"}
    assert not dbt_ahead._rest(tmp_path / "nowhere.duckdb", replace(share, first=frozenset("ab")), well=False)


def test_a_share_survives_the_way_to_the_process_that_runs_it(build: Build) -> None:
    share = shared(build, {"school": "s0", "money": "m1"})
    assert Share.from_json(json.loads(json.dumps(share.to_json()))) == share


def test_a_build_under_code_that_changed_meanwhile_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    with steps.open_workbench(home) as bench:
        candidate_kit.delivery(home, bench.ledger, "数字")
        bench.build = candidates.begin(home, bench.ledger.active_set(), candidate_kit.FEEDS)
        key = load_or_create_key(home.key_file)
        before = bench.code_digest
        monkeypatch.setattr(candidates, "code_digest", lambda: "0" * 64)
        with pytest.raises(Refused, match="作废"):
            steps.keep_built(bench)
        assert kept.find(home, before, key) is None
        monkeypatch.undo()
        steps.keep_built(bench)
        steps.finish_keeping(bench)
        assert kept.find(home, before, key) is not None
        assert bench.keeping is None


def test_a_run_that_ends_while_its_build_is_being_kept_waits_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, done = Home(tmp_path / "home"), threading.Event()

    def slowly(*_: object, **__: object) -> None:
        time.sleep(0.2)
        done.set()

    monkeypatch.setattr(kept, "keep", slowly)
    with pytest.raises(Refused, match="中途"), steps.open_workbench(home) as bench:
        candidate_kit.delivery(home, bench.ledger, "数字")
        bench.build = candidates.begin(home, bench.ledger.active_set(), candidate_kit.FEEDS)
        steps.keep_built(bench)
        raise Refused("中途停止。")
    assert done.is_set(), "its files are not taken away under the thread"
    assert not list(home.candidates.glob(".building-*"))


def test_no_room_for_what_is_kept_is_told_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, told = Home(tmp_path / "home"), Told()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept, "keep", full)
    with steps.open_workbench(home, RunRecord(reporter=told)) as bench:
        candidate_kit.delivery(home, bench.ledger, "数字")
        bench.build = candidates.begin(home, bench.ledger.active_set(), candidate_kit.FEEDS)
        steps.keep_built(bench)
        steps.finish_keeping(bench)
    assert told.notes == ["未能留存本次构建供下次沿用（No space left on device），下次将全部重新构建。"]


class Told(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """One note."""
        self.notes.append(text)


def test_everything_comes_after_what_it_is_made_of() -> None:
    order = dbt_kept.order(manifest())
    assert set(order) == set(GRAPH)
    assert all(
        order[parent] < order[name] for name, (*_, parents) in GRAPH.items() for parent in parents if parent in order
    )
