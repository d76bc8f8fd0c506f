"""What a run begins before its station comes is begun once, handed over once, and never left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import duckdb
import pytest

import expectations
from expectations.beforehand import Beforehand
from expectations.catalogue import rules
from expectations.known import Known
from orchestration import steps
from orchestration.ahead import begun
from orchestration.steps import Workbench, open_workbench
from tests.support.candidate_kit import dbt_manifest, delivery, fill_marts, judged
from warehouse import candidate as candidates
from warehouse import kept
from warehouse.candidate import Candidate
from warehouse.errors import Fault
from warehouse.names import NAMED_FEEDS, NameMarks
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.verdict import Verdict


@pytest.fixture
def bench(home: Home) -> Iterator[Workbench]:
    """A run with a build that dbt would be done with."""
    with open_workbench(home) as opened:
        delivery(home, opened.ledger, "one")
        build = steps.begin(opened)
        fill_marts(build.database, 1.0)
        (build.work_dir / "manifest.json").write_bytes(dbt_manifest())
        yield opened


def is_closed(asked: Beforehand) -> bool:
    try:
        asked.connection.execute("SELECT 1")
    except duckdb.ConnectionException:
        return True
    return False


def asking(bench: Workbench) -> Beforehand:
    steps.ask_ahead(bench)
    assert bench.asking is not None
    return bench.asking


def test_records_are_asked_once_and_no_more_when_the_build_is_dropped(bench: Workbench) -> None:
    first = asking(bench)
    assert asking(bench) is first
    assert not is_closed(first)
    steps.begin(bench)
    assert is_closed(first)
    assert bench.asking is None
    assert asking(bench) is not first


def test_the_rest_is_asked_while_a_part_is_built_on_a_day_on_which_something_was_judged(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = bench.build
    assert build is not None
    steps.ask_the_rest(bench)
    assert bench.asking is None, "nobody knows the records yet"
    steps.know_ahead(bench)
    monkeypatch.setattr("expectations.memo.is_of_today", lambda *_: True)
    steps.ask_the_rest(bench)
    assert bench.asking is None, "everything is built, and has the memory for itself"
    bench.build = replace(build, kept={})
    monkeypatch.setattr("expectations.memo.is_of_today", lambda *_: False)
    steps.ask_the_rest(bench)
    assert bench.asking is None, "everything will be asked"
    monkeypatch.setattr("expectations.memo.is_of_today", lambda *_: True)
    steps.ask_the_rest(bench)
    begun = bench.asking
    assert begun is not None
    assert begun.told() is not None
    steps.begin(bench)
    assert is_closed(begun)


def test_a_run_that_ends_leaves_nothing_open(home: Home) -> None:
    with open_workbench(home) as opened:
        delivery(home, opened.ledger, "one")
        steps.ask_ahead(opened)
        assert opened.asking is None, "nothing is being built"
        steps.begin(opened)
        left = asking(opened)
    assert is_closed(left)


@pytest.mark.parametrize("fails", [False, True])
def test_the_gate_gets_it_once_and_it_is_closed_whatever_becomes_of_the_verdict(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    handed: list[Beforehand | None] = []

    def judge(*_: object, before: Beforehand | None, **__: object) -> Verdict:
        handed.append(before)
        if fails:
            raise Fault("磁盘已满。")
        return judged(bench.ledger, candidate)

    monkeypatch.setattr(expectations, "judge", judge)
    begun, build = asking(bench), bench.build
    assert build is not None
    candidate = bench.record.candidate = candidates.seal(bench.home, build)
    bench.build = None
    if fails:
        with pytest.raises(Fault):
            steps.judge(bench)
    else:
        steps.judge(bench)
    assert is_closed(begun)
    if not fails:
        steps.judge(bench)
        assert handed == [begun, None]


def test_what_the_gate_finds_out_of_records_is_begun_and_handed_to_it(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Future[Known] | None] = []

    def judge(*_: object, known: Future[Known] | None, **__: object) -> Verdict:
        handed.append(known)
        return judged(bench.ledger, candidate)

    monkeypatch.setattr(expectations, "judge", judge)
    row = delivery(bench.home, bench.ledger, "two")
    monkeypatch.setattr(steps, "active_deliveries", lambda _: [row])
    steps.know_ahead(bench)
    build = bench.build
    assert build is not None
    candidate = bench.record.candidate = candidates.seal(bench.home, build)
    bench.build = None
    steps.judge(bench)
    [begun] = handed
    assert begun is not None
    assert begun.result().is_of(rules(), [row])
    assert not begun.result().is_of(rules(), [])


def test_what_is_being_found_out_ends_with_the_build_it_is_about(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> None:
        threading.Event().wait(0.2)

    monkeypatch.setattr("expectations.known.know", slow)
    steps.know_ahead(bench)
    begun = bench.knowing
    assert begun is not None
    steps._drop_build(bench)
    assert begun.done()
    assert bench.knowing is None


@pytest.mark.parametrize("ahead", ["done", "failed", "of others", "not begun"])
def test_marks_of_names_are_made_once_and_anew_where_they_are_not_those(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, ahead: str
) -> None:
    made: list[list[str]] = []

    def marks(_: Home, deliveries: Iterable[DeliveryRow]) -> NameMarks:
        named = [row.delivery_id for row in deliveries if row.feed in NAMED_FEEDS]
        made.append(named)
        if ahead == "failed" and len(made) == 1:
            raise Fault("原件缺失。")
        return NameMarks(b"k" * 32, (), frozenset(named))

    monkeypatch.setattr("sources.known_names.known_names", marks)
    row = delivery(bench.home, bench.ledger, "a register")
    register = replace(row, delivery_id="d1", feed="teacher_register", tables={})
    bench.ledger.record_delivery(register, size=1)
    monkeypatch.setattr(steps, "active_deliveries", lambda _: [] if ahead == "of others" else [row, register])
    if ahead != "not begun":
        steps.warm_names(bench)
    inputs = {"deliveries": [{"delivery_id": row.delivery_id}, {"delivery_id": "d1"}]}
    candidate = Candidate("c1", bench.home.root, bench.home.root, "f", inputs)
    assert steps._names_behind(bench, candidate).deliveries == {"d1"}
    assert made == {"done": [["d1"]], "failed": [["d1"]] * 2, "of others": [[], ["d1"]], "not begun": [["d1"]]}[ahead]


def test_what_the_next_build_begins_with_is_copied_ahead_taken_once_and_left_nowhere(home: Home) -> None:
    def folders() -> set[str]:
        return {path.name for path in (home.root / kept.FOLDER).iterdir() if path.is_dir()}

    with open_workbench(home) as first:
        delivery(home, first.ledger, "one")
        steps.begin(first)
        steps.keep_built(first)
        steps.finish_keeping(first)
    [standing] = folders()
    for begins in (True, False):
        with open_workbench(home) as bench:
            bench.finding = begun("find", partial(steps._find_base, home, bench.code_digest))
            found = bench.finding.result()
            assert found.kept is not None
            assert found.kept.copied is not None
            assert len(folders()) == 2
            if begins:
                build = steps.begin(bench)
                assert build.kept == found.kept.sources
                assert bench.finding is None
                assert folders() == {standing}
                # A second attempt finds its own.
                assert steps.begin(bench).kept == found.kept.sources
        assert folders() == {standing}
