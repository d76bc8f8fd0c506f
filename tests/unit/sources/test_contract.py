"""Contracts: standard documents, strict to the last key, and true to the official blank form."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from sources import contract
from sources.contract import FEEDS_DIR, Contract, feed_table, load, parse_contract
from sources.labels import form_name, key, path_key
from sources.parsers.grid import Workbook
from warehouse.errors import Fault
from warehouse.records import RECORD_SCHEMAS

BLANK = Path(__file__).parents[2] / "fixtures" / "school_workbook_2020_blank.xlsx"


def text_of(feed: str) -> str:
    return (FEEDS_DIR / f"{feed}.odcs.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("feed", contract.feeds())
def test_documents_follow_the_published_json_schema(feed: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
    jsonschema.validate(yaml.safe_load(text_of(feed)), schema)


@pytest.mark.parametrize("feed", contract.feeds())
def test_columns_lead_to_record_tables(feed: str) -> None:
    loaded = load(feed)
    tables = {str(table.physicalName) for table in loaded.document.schema_ or []}
    assert tables == {name for name in RECORD_SCHEMAS if name.startswith(f"{feed}__")}
    assert loaded.rules
    assert loaded.info.title_zh


def test_the_feeds_and_their_table() -> None:
    assert contract.feeds() == sorted(
        [
            "education_finance",
            "fiscal_accounts",
            "higher_education",
            "official_figures",
            "population",
            "programme_register",
            "school_census",
            "teacher_register",
        ]
    )
    table = feed_table()
    assert table.column_names == ["feed", "title_zh", "cadence", "per_area", "parts", "first_year", "period_kind"]
    assert dict(zip(*table.select(["feed", "parts"]).to_pydict().values(), strict=True))["teacher_register"] == (
        "established,contract"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("status: active", "status: active\nstatus: draft"),
        ("domain: education", "domain: education\ncolour: red"),
        ("      per_area: true", "      per_area: true\n      per_moon: true"),
        ("      title_zh: 教师名册", "      title_zh: 教师名册\n      title_zh: 别名"),
        ("severity: refusal", "severity: fatal"),
        ("        classification: internal", "        classification: internal\n        colour: red"),
        ("id: teacher.no_rows", "id: teacher.unreadable"),
        ("version: 1.0.0\n", ""),
        ("- property: unread", "- property: unread_headers"),
    ],
)
def test_unknown_duplicate_and_missing_keys_are_refused(old: str, new: str) -> None:
    text = text_of("teacher_register")
    assert old in text
    with pytest.raises(Fault, match="teacher_register"):
        parse_contract(text.replace(old, new, 1), "teacher_register")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: population.bad_age", "id: population.odd_age"),
        ("unit_column: unit", "unit_column: measure"),
        ("carriers: [json]", "carriers: [telegram]"),
        ("kind: age_band", "kind: shoe_size"),
    ],
)
def test_a_flat_contract_must_word_every_rule_and_name_real_columns(old: str, new: str) -> None:
    text = text_of("population")
    assert old in text
    with pytest.raises(Fault, match="population"):
        parse_contract(text.replace(old, new), "population")


def test_unknown_feed() -> None:
    with pytest.raises(Fault, match="no_such_feed"):
        load("no_such_feed")


def test_a_check_of_an_address_that_does_not_exist_is_refused() -> None:
    text = text_of("school_census").replace("whole: [1, 6], parts: [[1, 7]]", "whole: [1, 6], parts: [[1, 77]]", 1)
    with pytest.raises(Fault, match="school_census"):
        parse_contract(text, "school_census")


def test_personal_columns_of_the_register_are_never_columns_taken_in() -> None:
    loaded = load("teacher_register")
    taken = {key(label) for column in loaded.columns("teacher") for label in column.headers}
    never = {key(label) for label in loaded.unread.personal}
    assert {key("姓名"), key("手机号"), key("常住地址"), key("婚姻状况")} <= never
    assert not taken & never
    assert {column.name for column in loaded.columns("teacher") if column.info.personal == "hmac"} == {"person_key"}


def test_measures_of_the_catalogue_are_unique_within_a_form() -> None:
    for form in load("school_census").catalogue.forms:
        measures = list(form.measure_at.values())
        assert len(measures) == len(set(measures)), form.form


@pytest.mark.parametrize("year", [2020, 2021, 2025])
def test_list_headers_are_unique_on_every_sheet(year: int) -> None:
    for layout in load("school_census").catalogue.layouts(year).values():
        paths = [path_key(column.path) for column in layout.list_columns]
        assert len(paths) == len(set(paths)), layout.name
        assert all(1 <= len(column.path) <= 2 for column in layout.list_columns)


def _blank_forms() -> list[tuple[str, Any]]:
    loaded: Contract = load("school_census")
    layouts = loaded.catalogue.layouts(2020)
    book = Workbook(BLANK)
    return [(name, layouts[form]) for name in book.sheet_names if (form := form_name(name)) in layouts]


@pytest.mark.parametrize(("sheet", "layout"), _blank_forms())
def test_the_catalogue_says_what_the_official_blank_form_says(sheet: str, layout: Any) -> None:
    """Headers and stub labels of the forms for 2020, compared label by label."""
    grid = Workbook(BLANK).grid(sheet)
    index = grid.index_row
    if index is None:
        return
    form = layout.blocks[0].form
    for number, column in index.figures.items():
        official = path_key(grid.header_path(range(3, index.row), column))
        assert path_key(form.column_by_no[number].header) == official
    for row in range(index.row + 1, len(grid.rows)):
        line = form.line_by_no[int(grid.text(row, index.line))]
        assert key(line.label) == key(grid.text(row, index.stub))
