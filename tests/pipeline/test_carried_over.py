"""What the gate carries over on a real city: the same as asking again, and only for rules that really stand apart."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from expectations import sql
from expectations.beforehand import Beforehand, all_of
from expectations.carrying import Carrying, everything
from expectations.catalogue import Rule, catalogue, rules
from expectations.gate import evaluate
from expectations.known import Cell, views_of
from tests.pipeline.conftest import CODE, YEAR, Corrected
from warehouse import candidate as candidates
from warehouse import duck
from warehouse.candidate import Candidate
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import RECORD_SCHEMAS
from warehouse.verdict import Verdict


def _candidate_of(home: Home, release_id: str) -> Candidate:
    manifest = json.loads((home.releases / release_id / "manifest.json").read_bytes())
    return candidates.load(home, manifest["candidate_id"])


def _verdict(candidate: Candidate) -> Verdict:
    return Verdict.from_json((candidate.path / "verdict.json").read_bytes())


def test_a_corrected_city_is_judged_as_if_everything_were_examined(corrected: Corrected) -> None:
    home = Home(corrected.home)
    before, after = _candidate_of(home, corrected.before), _candidate_of(home, corrected.after)
    verdict = _verdict(after)
    if _verdict(before).judged_at[:10] != verdict.judged_at[:10]:
        pytest.skip("midnight lay between the two runs")
    again = evaluate(after, catalogue())
    assert list(again.results) == [replace(result, carried_from=(), rows_carried=0) for result in verdict.results]

    carried = {result.rule_id: result for result in verdict.carried}
    assert all(result.carried_from == (before.candidate_id,) for result in carried.values())
    settled = {name for name, result in carried.items() if result.rows_carried == result.rows_checked}
    # Of other feeds everything, of the census all but the corrected district's year.
    assert {rule.id for rule in rules() if rule.id.startswith(("finance.", "register.")) and rule.apart} <= {
        *settled,
        "register.agrees_with_census",
    }
    figures = carried["census.figures_non_negative"]
    assert 0 < figures.rows_carried < figures.rows_checked
    assert carried["dim_target.not_empty"].rule_id in settled
    assert "census.figures_non_negative" not in settled
    assert not {"enrolment.not_empty", "forensic.repeats_last_year"} & set(carried)


def test_what_was_asked_while_the_candidate_was_finished_is_what_the_candidate_says(corrected: Corrected) -> None:
    home = Home(corrected.home)
    first = _candidate_of(home, corrected.before)
    again = evaluate(first, catalogue())
    assert again.results == _verdict(first).results
    with closing(Ledger(home.ledger_url)) as ledger:
        deliveries = ledger.deliveries_of(item["delivery_id"] for item in first.inputs["deliveries"])
    with closing(Beforehand(home, first.database, deliveries, all_of(catalogue()))) as before:
        told = before.told()
        with duck.connect(first.database, read_only=True) as connection:
            asked = before.rules_for(everything(catalogue()), views_of(connection))
        assert told is not None
    results = {result.rule_id: result for result in again.results}
    assert {rule.id for rule in asked} == {rule.id for rule in rules() if _is_of_records(rule)}
    assert len(asked) > 20
    for rule in asked:
        count = told.answers.counts[rule.id]
        assert (count.checked, count.failed) == (results[rule.id].rows_checked, results[rule.id].rows_failed), rule.id
        assert tuple(key for _, key in told.rows.get(rule.id, [])) == results[rule.id].failing_keys


def _is_of_records(rule: Rule) -> bool:
    """Whether a rule speaks of records alone, told by its text."""
    names = set(re.findall(r"\b(?:marts|records|reference)\.\w+", f"{rule.relation} {rule.source} {rule.check}"))
    return names <= {f"records.{name}" for name in RECORD_SCHEMAS}


def _by_place(
    home: Home, candidate: Candidate, asked: list[Rule], cell: Cell | None
) -> dict[str, dict[Cell, tuple[int, int]]]:
    """(rows examined, rows failed) of each area and year by rule, asked of all records or of one area and year."""
    book = catalogue().model_copy(update={"rules": tuple(asked)})
    answers = sql.Answers(by_place=True)
    with closing(Ledger(home.ledger_url)) as ledger, duck.connect(candidate.database, read_only=True) as connection:
        carrying, texts = Carrying(home, ledger, candidate, book), sql.text_columns(connection)
        plan = carrying.plan(connection, book, texts)
        if cell is None:
            sql.ask(connection, asked, texts, answers)
        else:
            with carrying.narrowed(connection, replace(plan, fresh=frozenset({cell}))):
                sql.ask(connection, asked, texts, answers)
    assert all(count.error is None for count in answers.counts.values())
    found: dict[str, dict[Cell, tuple[int, int]]] = {}
    for rule_id, places in answers.places.items():
        cells = found.setdefault(rule_id, {})
        for place, count in places.items():
            # An area may have handed in several parts of a year.
            checked, failed = cells.get(plan.cells[place], (0, 0))
            cells[plan.cells[place]] = (checked + count.checked, failed + count.failed)
    return found


def test_rules_that_stand_apart_find_the_same_of_an_area_and_year_alone(released: Path) -> None:
    home = Home(released)
    candidate = _candidate_of(home, (home.current).resolve(strict=True).name)
    apart = [rule for rule in rules() if rule.apart]
    # And one that compares a school with itself a year before, to show that the comparison would tell.
    torn = next(rule for rule in rules() if rule.id == "forensic.repeats_last_year").model_copy(update={"apart": True})
    whole = _by_place(home, candidate, [*apart, torn], None)
    for cell in ((CODE, YEAR), ("500112", YEAR)):
        alone = _by_place(home, candidate, [*apart, torn], cell)
        for rule in apart:
            assert {cell: whole[rule.id].get(cell)} == (alone[rule.id] or {cell: None}), rule.id
        assert alone[torn.id][cell] != whole[torn.id][cell]
