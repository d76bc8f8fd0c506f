"""The self-test plants a fault for every critical rule, and notices a rule that would not have seen it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from expectations.catalogue import Catalogue, Rows, Rule, catalogue, rules
from expectations.self_test import Faults, Trial, faults, self_test, unproven
from tests.unit.expectations import gate_candidate
from warehouse.errors import Fault

CHOSEN = ("dim_area.name_present", "fct_value.not_empty", "fct_value.city_is_sum", "census.figures_non_negative")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate_candidate.build(tmp_path_factory.mktemp("self") / "candidate.duckdb")


def _book(*members: Rule) -> Catalogue:
    return Catalogue.model_construct(rules=members, conditions=catalogue().conditions)


def _rule(rule_id: str) -> Rule:
    return next(rule for rule in rules() if rule.id == rule_id)


def _try(model: Path, *members: Rule) -> list[Trial]:
    return self_test(model, rules=_book(*members))


def test_every_rule_has_one_fault() -> None:
    assert set(faults().faults) | set(faults().emptied) == {rule.id for rule in rules()}


def test_sound_rules_bite_and_the_candidate_is_not_touched(model: Path) -> None:
    before = model.read_bytes()
    told: list[tuple[int, int, str]] = []
    book = _book(*(_rule(rule_id) for rule_id in CHOSEN))
    trials = self_test(model, rules=book, progress=lambda *step: told.append(step))
    assert [(t.rule_id, t.outcome) for t in trials] == [(rule_id, "bites") for rule_id in CHOSEN]
    assert unproven(trials) == []
    assert told[-1] == (4, 4, CHOSEN[-1])
    assert model.read_bytes() == before


def test_rule_that_was_made_toothless_is_named(model: Path) -> None:
    loose = _rule("fct_value.city_is_sum").model_copy(update={"check": Rows(kind="rows", fails="false and w is null")})
    blind = _rule("dim_area.name_present").model_copy(update={"check": Rows(kind="rows", fails="false")})
    trials = _try(model, loose, blind, _rule("fct_value.finite"))
    # A rule that breaks has not bitten either.
    assert [trial.outcome for trial in trials] == ["silent", "silent", "bites"]
    assert [trial.rule_id for trial in unproven(trials)] == ["fct_value.city_is_sum", "dim_area.name_present"]


def test_rule_without_a_fault_is_named(model: Path) -> None:
    (trial,) = _try(model, _rule("dim_area.name_present").model_copy(update={"id": "dim_area.brand_new"}))
    assert trial.outcome == "not_planted"
    assert not trial.proven


def test_fault_that_hits_nothing_proves_nothing_unless_the_rule_has_nothing_to_examine(
    model: Path, tmp_path: Path
) -> None:
    database = Path(shutil.copyfile(model, tmp_path / "final.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("update marts.fct_indicator_value set publish_status = 'final' where method = 'computed'")
    (excused,) = _try(database, _rule("progress.partial_is_cannot_assess"))
    assert (excused.outcome, excused.proven) == ("not_applicable", True)
    nowhere = faults().model_copy(update={"faults": {"fct_value.finite": "delete from marts.dim_area where false"}})
    (missed,) = self_test(model, rules=_book(_rule("fct_value.finite")), seeded=nowhere)
    assert (missed.outcome, missed.proven) == ("not_planted", False)


def test_warnings_are_left_alone(model: Path) -> None:
    assert _try(model, _rule("fct_value.city_jump")) == []


def test_records_behind_views_are_reached(model: Path, tmp_path: Path) -> None:
    """In a real candidate the records are views over Parquet; the copy must be damageable all the same."""
    database = Path(shutil.copyfile(model, tmp_path / "views.duckdb"))
    with duckdb.connect(str(database)) as connection:
        parquet = tmp_path / "figure.parquet"
        connection.execute(f"copy records.school_census__figure to '{parquet}' (format parquet)")
        connection.execute("drop table records.school_census__figure")
        connection.execute(f"create view records.school_census__figure as select * from read_parquet('{parquet}')")
    (trial,) = _try(database, _rule("census.figures_non_negative"))
    assert trial.outcome == "bites"


@pytest.mark.parametrize(
    "content",
    [
        {"picks": {"a": "select ${b}", "b": "select 1"}, "faults": {}, "emptied": {}},
        {"picks": {}, "faults": {"x.y": "delete from t where a = ${unknown}"}, "emptied": {}},
        {"picks": {}, "faults": {"x.y": "delete"}, "emptied": {"x.y": "delete"}},
    ],
)
def test_faulty_list_of_faults_is_refused(content: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"pick|two faults"):
        Faults.model_validate(content)


def test_shipped_list_is_read_once_and_damage_to_it_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from expectations import self_test as room

    assert faults() is faults()
    (tmp_path / room.FAULTS_FILE).write_text("picks: 3", encoding="utf-8")
    monkeypatch.setattr(room, "HERE", tmp_path)
    with pytest.raises(Fault, match="不合规"):
        room.faults.__wrapped__()
