"""The whole way on a small sample city: landing to release through the job, against the sample's own truth."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.support.command import eduplan
from warehouse import alerts, outcomes
from warehouse.ledger import Ledger
from warehouse.paths import Home

YEARS = ("2023", "2024")


@pytest.fixture(scope="module")
def marts(released: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(released / "current" / "marts.duckdb"), read_only=True) as connection:
        yield connection


def truth(home: Path, name: str) -> list[dict[str, str]]:
    with (home.with_name(f"{home.name}-sample") / "truth" / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_computed_value_equals_the_truth_exactly(released: Path, marts: duckdb.DuckDBPyConnection) -> None:
    expected = {
        (row["indicator_id"], row["area_code"], int(row["year"])): (
            Decimal(row["numerator"]),
            Decimal(row["denominator"]) if row["denominator"] else None,
        )
        for row in truth(released, "indicators") + truth(released, "further_indicators")
        if row["year"] in YEARS
    }
    found = {
        (indicator, area, year): (numerator, denominator)
        for indicator, area, year, numerator, denominator in marts.execute(
            "SELECT indicator_id, area_code, period, numerator, denominator FROM marts.marts.fct_indicator_value"
            " WHERE method = 'computed' AND value IS NOT NULL"
        ).fetchall()
    }
    # A ratio over nobody has no value, in the marts as in the truth.
    hidden = marts.execute(
        "SELECT indicator_id, area_code, period FROM marts.marts.fct_indicator_value WHERE suppressed IS NOT NULL"
    ).fetchall()
    # What the disclosure step took out is not there to compare; the city's values all are.
    assert not [key for key in hidden if key[1] == "500000"]
    meant = {key: value for key, value in expected.items() if value[1] != 0 and key not in set(hidden)}
    assert {key for key in meant if key[1] == "500000"}
    differing = {key: (value, found.get(key)) for key, value in meant.items() if found.get(key) != value}
    assert differing == {}


def test_the_enrolment_mart_equals_the_truth_exactly(released: Path, marts: duckdb.DuckDBPyConnection) -> None:
    measures = ("school_count", "enrolment", "entrants", "graduates", "female", "class_count", "fulltime_teachers")
    expected = {
        (row["area_code"], int(row["year"]), row["stage"]): tuple(int(row[name]) for name in measures)
        for row in truth(released, "enrolment")
        if row["year"] in YEARS and row["area_level"] == "city"
    }
    query = f"SELECT area_code, period, stage, {', '.join(measures)} FROM marts.marts.mart_enrolment"
    found = {
        row[:3]: tuple(int(value or 0) for value in row[3:])
        for row in marts.execute(f"{query} WHERE area_level = 'city' AND period IN (2023, 2024)").fetchall()
    }
    assert len(expected) == 12
    assert found == expected


def test_what_was_damaged_is_quarantined_and_nothing_is_lost(released: Path, marts: duckdb.DuckDBPyConnection) -> None:
    totals = marts.execute("SELECT sum(rows_in), sum(rows_accepted), sum(rows_quarantined) FROM marts.audit.deliveries")
    rows_in, accepted, quarantined = totals.fetchall()[0]
    assert rows_in == accepted + quarantined
    assert quarantined > 0
    assert truth(released, "damaged")


def test_the_run_is_on_record_as_one_success(released: Path) -> None:
    with sqlite3.connect(released / "dagster" / "history" / "runs.db") as connection:
        runs = connection.execute("SELECT pipeline_name, status FROM runs").fetchall()
    assert runs[:1] == [("release_job", "SUCCESS")]


def test_everything_verifies(released: Path) -> None:
    assert json.loads(eduplan(released, "verify", "--json").stdout) == {
        "release_id": None,
        "whole": True,
        "findings": [],
        "notes": [],
    }


def test_a_figure_can_be_explained_down_to_the_files(released: Path) -> None:
    question = ("explain", "primary_enrolment", "--area", "渝中区", "--year", "2024")
    told = json.loads(eduplan(released, *question, "--json").stdout)
    expected = next(
        row
        for row in truth(released, "indicators")
        if (row["indicator_id"], row["area_code"], row["year"]) == ("primary_enrolment", "500103", "2024")
    )
    assert Decimal(told["numerator"]) == Decimal(expected["numerator"])
    assert told["formula_zh"]
    assert {item["area_code"] for item in told["deliveries"]} == {"500103"}
    assert all(len(item["sha256"]) == 64 for item in told["deliveries"])


@pytest.mark.skipif(os.environ.get("EDUPLAN_SOAK") != "1", reason="long: a fault for every critical rule; make soak")
def test_every_critical_rule_bites_on_a_candidate_as_it_is_published(released: Path) -> None:
    # The model candidate of the rules' own tests has no cell that disclosure took out, and no year of the baseline.
    eduplan(released, "gate", "self-test")


def test_a_second_run_finds_nothing_to_do_and_skips_every_station_behind_the_inputs(home: Path) -> None:
    before = (home / "current").readlink()
    candidates = sorted((home / "candidates").iterdir())
    summary = json.loads(eduplan(home, "run", "--json").stdout)
    assert summary["outcome"] == "unchanged"
    assert summary["release_id"] == before.name
    assert set(summary["seconds"]) == {"prepare", "intake", "inputs"}
    assert (home / "current").readlink() == before
    assert sorted((home / "candidates").iterdir()) == candidates
    with closing(Ledger(Home(home).ledger_url)) as ledger:
        last, standing = outcomes.last(ledger), alerts.standing(ledger)
    assert last is not None
    assert last.outcome == outcomes.UNCHANGED
    # The sample has two years of many: what is overdue was told by the run itself, nothing else was.
    told = [json.loads(line) for line in (home / "alerts" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {one["kind"] for one in told} <= {"feed_late", "quarantine_high"}
    assert {one["id"] for one in told} == {news.id for news in standing}
