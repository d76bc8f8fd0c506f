"""A release once more from the archive; and which deliveries a difference between two releases is laid at."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from orchestration.steps import find_inputs
from tests.pipeline.conftest import CODE, MORE, YEAR, Corrected
from tests.pipeline.test_release_thread import changes
from tests.support import lists
from tests.support.attacker import exposed_by
from tests.support.command import eduplan
from tests.support.homes import copied
from warehouse import backup as backups
from warehouse import duck
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.verify import verify


def on_an_empty_machine(home: Path, folder: Path) -> Path:
    """What a back-up of the home gives where there was nothing; the home itself is gone."""
    made = backups.make(Home(home), folder / "kept", keys=folder / "keys")
    assert made.backup.problems == []
    shutil.rmtree(home)
    again = Home(folder / "elsewhere")
    assert backups.check(folder / "kept", made.backup) == []
    backups.restore(folder / "kept", made.backup, again, keys=folder / "keys")
    return again.root


@pytest.fixture
def grown(corrected: Corrected, tmp_path: Path) -> Path:
    """A copy of the corrected home: its second release began with the tables of the first. In two more corrections one
    changes less than the one before it, and the next more."""
    home = copied(corrected.home, tmp_path / "home")
    fewer = correct(home, corrected.workbook, "更正二", lists.more_graduates(MORE))
    assert set(ran(home)) >= {"int_school_stage_year", "fct_indicator_value"}, "believed to follow as last time"
    assert ran(home)["fct_indicator_value"] == "KEPT"
    correct(home, fewer, "更正三", lists.more_pupils(MORE))
    return home


def correct(home: Path, workbook: Path, name: str, edit: lists.Edit) -> Path:
    """Publish a corrected workbook; returns it."""
    corrected = lists.edited(workbook, home / "inbox" / "school_census" / f"{name}.xlsx", edit)
    eduplan(home, "run", EDUPLAN_SETTLE_SECONDS="0")
    return corrected


def ran(home: Path) -> dict[str, str]:
    """Name -> what dbt said of each node it ran for the standing release."""
    return results(home, (home / "current").resolve(strict=True).name)


def results(home: Path, release: str) -> dict[str, str]:
    """Name -> what dbt said of each node it ran for a release."""
    manifest = json.loads((home / "releases" / release / "manifest.json").read_bytes())
    found = json.loads((home / "candidates" / manifest["candidate_id"] / "run_results.json").read_bytes())["results"]
    return {item["unique_id"].split(".")[2]: str(item["message"]) for item in found}


def test_a_correction_makes_only_the_tables_that_say_something_else(corrected: Corrected) -> None:
    whole, share = (results(corrected.home, name) for name in (corrected.before, corrected.after))
    assert len(share) < len(whole) / 2
    # Nothing of finance follows from a list of schools; of teachers much does, and says the same.
    assert "int_finance_unit_year" not in share
    assert share["int_teacher_quality"] == "KEPT"
    assert {share["int_school_stage_year"], share["mart_enrolment"], share["fct_indicator_value"]} == {"OK"}
    assert set(share) < set(whole)


def test_a_year_of_what_is_kept_by_year_follows_from_that_year_alone(corrected: Corrected, tmp_path: Path) -> None:
    [built] = (corrected.home / "kept").glob("*/candidate.duckdb")
    manifest = json.loads((corrected.home / "releases" / corrected.before / "manifest.json").read_bytes())
    folder = corrected.home / "candidates" / manifest["candidate_id"]
    nodes = json.loads((folder / "manifest.json").read_bytes())["nodes"]
    asked = {
        item["unique_id"]: item["compiled_code"]
        for item in json.loads((folder / "run_results.json").read_bytes())["results"]
    }
    tables = {
        name: (f"{nodes[name]['schema']}.{nodes[name]['name']}", nodes[name]["config"]["meta"]["kept_by"])
        for name in asked
        if name in nodes and "kept_by" in nodes[name]["config"]["meta"]
    }
    assert len(tables) >= 8
    alone = Path(shutil.copyfile(built, tmp_path / "candidate.duckdb"))
    with duck.connect(alone, copy_of=built) as connection:
        connection.execute(f"ATTACH {duck.literal(str(built))} AS whole (READ_ONLY)")
        for table, year in tables.values():
            connection.execute(f"DELETE FROM {table} WHERE {year} <> {YEAR}")
        for (view,) in duck.rows(connection, "SELECT view_name FROM duckdb_views() WHERE schema_name = 'records'"):
            [(text,)] = duck.rows(
                connection,
                "SELECT regexp_replace(sql, '^.*? AS ', '') FROM duckdb_views()"
                " WHERE database_name = 'candidate' AND schema_name = 'records' AND view_name = ?",
                [view],
            )
            connection.execute(
                f"CREATE OR REPLACE VIEW candidate.records.{view} AS SELECT * FROM ({text.rstrip('; ')}) AS said"
                f" WHERE delivery_id IN (SELECT delivery_id FROM records.delivery WHERE period = {YEAR})"
            )
        for name, (table, year) in tables.items():
            then, now = f"FROM whole.{table} WHERE {year} = {YEAR}", f"FROM ({asked[name]}) AS made"
            [(rows,)] = duck.rows(connection, f"SELECT count(*) {then}")
            assert rows > 0, table
            for one, other in ((then, now), (now, then)):
                assert duck.rows(connection, f"(SELECT * {one}) EXCEPT ALL (SELECT * {other})") == [], table


# That the tables which stayed are what they would be: the rebuild below makes every one of them.
def test_on_an_empty_machine_ledger_and_archive_give_the_same_release_and_its_rows(grown: Path, tmp_path: Path) -> None:
    home = grown
    # What was not believed to follow was seen to, and then it was run as well.
    assert {ran(home)["fct_indicator_value"], ran(home)["mart_enrolment"]} == {"OK"}
    released = {path.name: path.read_bytes() for path in (home / "current").iterdir() if path.is_file()}
    home = on_an_empty_machine(home, tmp_path)
    assert {path.name: path.read_bytes() for path in (home / "current").iterdir() if path.is_file()} == released
    assert verify(Home(home)) == []
    with closing(Ledger(Home(home).ledger_url)) as ledger:
        assert find_inputs(Home(home), ledger).unchanged, "a run would publish something else"
    release = (home / "current").resolve().name
    manifest = json.loads((home / "current" / "manifest.json").read_bytes())
    # Ledger and originals are enough: everything that was read from them for this release may be lost as well.
    used = {item["delivery_id"] for item in manifest["inputs"]["deliveries"]}
    for folder in (home / "records").glob("*/*"):
        if folder.name.partition("-")[0] in used:
            shutil.rmtree(folder)
    question = ("explain", "primary_enrolment", "--area", CODE, "--year", str(YEAR), "--json")
    lost = json.loads(eduplan(home, *question).stdout)
    assert lost["rows"] is None
    assert f"eduplan rebuild {release}" in lost["rows_note"]
    # With one reader, where the release had as many as there are processors.
    told = json.loads(eduplan(home, "rebuild", release, "--json", EDUPLAN_WORKERS="1").stdout)
    assert told["equal"] is True
    assert told["same_code"] is True
    assert told["fingerprint"] == manifest["fingerprint"]
    assert told["differing"] == told["reread"] == []
    assert told["restored"] is True
    assert json.loads(eduplan(home, *question).stdout)["recomputed"]["agrees"] is True
    assert not list(home.glob(".rebuilding-*"))
    assert verify(Home(home)) == []
    original = manifest["inputs"]["deliveries"][0]["sha256"]
    (home / "archive" / original[:2] / original).unlink()
    assert "原件缺失" in eduplan(home, "rebuild", release, expect=1).stderr


def test_a_correction_is_laid_at_the_deliveries_that_changed(corrected: Corrected) -> None:
    home, first = corrected.home, corrected.before
    moved = [item for item in changes(home)["tables"]["fct_indicator_value"]["changed"] if item["column"] == "value"]
    assert moved
    causes = {tuple(item["deliveries"]) for item in moved}
    assert len(causes) == 1
    known = [json.loads(eduplan(home, "trace", name, "--json").stdout) for name in causes.pop()]
    assert [(item["area_code"], item["period"]) for item in known] == [(CODE, YEAR)] * 2
    # The one came, the other went.
    assert sorted([used["used"] for used in item["releases"]] for item in known) == [[False, True], [True, False]]
    second = (home / "current").resolve().name
    told = json.loads(eduplan(home, "diff", first, second, "--json").stdout)
    assert told["tables"] == changes(home)["tables"]
    before = json.loads(
        eduplan(home, "explain", "primary_enrolment", "--area", CODE, "--release", first, "--json").stdout
    )
    after = json.loads(eduplan(home, "explain", "primary_enrolment", "--area", CODE, "--json").stdout)
    published = before["published_at"]
    then = json.loads(
        eduplan(home, "explain", "primary_enrolment", "--area", CODE, "--as-of", published, "--json").stdout
    )
    assert then["release_id"] == first
    assert then["value"] == before["value"] != after["value"]
    marts = [home / "releases" / name / "marts.duckdb" for name in (first, second)]
    # The correction moved pupils; subtracting the two releases tells no more than each of them.
    assert exposed_by(marts) == set()
