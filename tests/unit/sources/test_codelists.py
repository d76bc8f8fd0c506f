"""Code lists and areas: every seed loads, every spelling means one thing, names follow the calendar."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sources.codelists import areas, code_list
from sources.contract import feeds, load
from warehouse.errors import Fault
from warehouse.paths import project_root

SEEDS = project_root() / "dbt_project" / "seeds"
NAMES = sorted(path.stem.removeprefix("code_") for path in SEEDS.glob("code_*.csv"))


@pytest.mark.parametrize("name", NAMES)
def test_every_code_and_label_finds_itself(name: str) -> None:
    found = code_list(name)
    for code, label in found.labels.items():
        assert found.find(label) == code
        if code:
            assert found.find(code) == code


def test_every_list_a_contract_names_exists() -> None:
    named = {column.info.code_list for feed in feeds() for table in load(feed).tables.values() for column in table}
    named |= {entry.code_list or "" for entry in load("school_census").catalogue.profile.fields}
    assert named - {""} <= set(NAMES)


def test_unknown_labels_and_lists() -> None:
    assert code_list("school_type").find("飞行学校") is None
    with pytest.raises(Fault):
        code_list("no_such_list")


def test_spellings_of_education() -> None:
    education = code_list("education")
    for text in ("本科", "大学本科毕业", " 全日制本科 ", "本　科"):
        assert education.find(text) == "bachelor"


@pytest.mark.parametrize(
    ("name", "year", "code"),
    [
        ("渝中区", 2023, "500103"),
        ("重庆市渝中区", 2023, "500103"),
        ("忠　县", 2023, "500233"),
        ("忠县", 2023, "500233"),
        ("开县", 2021, "500154"),
        ("武隆县", 2023, "500156"),
        ("酉阳", 2023, "500242"),
        ("彭水土家族苗族自治县", 2023, "500243"),
        ("重庆市市直属", 2023, "500000"),
        ("市本级", 2023, "500000"),
        ("万盛", 2023, "500X03"),
        ("两江新区", 2024, "500X01"),
        ("两江新区", 2026, "500U01"),
        ("江北区", 2025, "500105"),
        ("江北区", 2026, None),
        ("500103001001", 2023, "500103"),
        ("500222", 2023, "500110"),
        ("某某区", 2023, None),
        ("重庆市", 2023, None),
    ],
)
def test_area_names(name: str, year: int, code: str | None) -> None:
    assert areas().find(name, year) == code


def test_a_code_means_what_it_meant_then() -> None:
    """500110 was 万盛区 until 2010, then 綦江区; both lie in today's 綦江区."""
    assert areas().resolve_code("500110", 2005) == "500110"
    assert areas().resolve_code("500111", 2005) == "500111", "双桥区 then, 大足区 now, which took it in"
    assert areas().resolve_code("500234", 2012) == "500154"
    assert areas().resolve_code("510100", 2023) is None


def test_functional_areas_report_through_their_district() -> None:
    known = areas()
    assert known.reporting("500X03") == "500110"
    assert known.reporting("500X01") is None
    assert known.reporting("500103") == "500103"
    assert known.reporting("500000") == "500000"
    assert known.name("500000") == "市直属"


def test_area_seed_is_whole() -> None:
    with (SEEDS / "area.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    districts = [row for row in rows if row["area_level"] == "district"]
    assert len(districts) == 38
    city = next(row for row in rows if row["area_code"] == "500000")
    assert sum(int(row["population_2020"]) for row in districts) == int(city["population_2020"]) == 32_054_159
    assert {row["area_code"] for row in rows if row["area_level"] == "group"} == {"G1", "G2", "G3"}
    assert {row["area_code"] for row in districts if row["valid_to"]} == {"500105", "500112"}
    assert Path(SEEDS / "area_history.csv").is_file()
