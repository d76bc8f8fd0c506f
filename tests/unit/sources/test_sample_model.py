"""The sample city's model: totals, shares and truth, without writing a file."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.codelists import areas as known_areas
from sources.contract import load
from sources.sample import naming
from sources.sample import profiles as pf
from sources.sample.area_job import model_truth
from sources.sample.census import district_year, form_tables
from sources.sample.frame import Frame, build_frame, round_running, spread
from sources.sample.geography import area_of, areas
from sources.sample.indicators import AreaTruth, roll_up
from sources.sample.people import build_roster, education, register_year
from sources.sample.profiles import PRESCHOOL, PRIMARY, STAGES

SEED = 11
Truths = Mapping[tuple[str, int], AreaTruth]


@pytest.fixture(scope="module")
def city() -> Frame:
    return build_frame("city", SEED)


@pytest.fixture(scope="module")
def city_truth() -> Truths:
    rolled = roll_up(model_truth("city", SEED, (2020, 2025)))
    return {(code, year): truth for code, _, year, truth in rolled}


@pytest.fixture(scope="module")
def small_truth() -> list[tuple[str, str, int, AreaTruth]]:
    return roll_up(model_truth("small", SEED, (2021, 2022)))


@given(
    total=st.integers(0, 10**7),
    weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_spread_gives_the_exact_total_in_whole_parts(total: int, weights: list[float]) -> None:
    parts = spread(total, np.array(weights))
    assert parts.sum() == total
    assert (parts >= 0).all()
    share = np.array(weights) / sum(weights) * total
    assert (np.abs(parts - share) <= 1 + 1e-6).all()


def test_rounding_a_running_sum_keeps_whole_group_totals() -> None:
    values = np.array([10 / 3, 10 / 3, 10 / 3, 0.5, 0.25, 0.25, 7.0])
    rounded = round_running(values)
    assert rounded[:3].sum() == 10
    assert rounded[3:6].sum() == 1
    assert rounded[6] == 7


@pytest.mark.parametrize(
    ("indicator", "baseline"),
    [
        ("pre_enrolment", 1_008_000),
        ("primary_enrolment", 2_024_700),
        ("junior_enrolment", 1_149_600),
        ("compulsory_enrolment", 3_174_300),
        ("senior_general_enrolment", 626_400),
        ("senior_vocational_enrolment", 441_400),
    ],
)
def test_city_meets_the_baselines_of_2020(city_truth: Truths, indicator: str, baseline: int) -> None:
    assert city_truth["500000", 2020].indicators[indicator] == (Decimal(baseline), None)


@pytest.mark.parametrize(
    ("indicator", "year", "percent", "tolerance"),
    [
        ("pre_public_share", 2020, 50.15, 0.01),
        ("pre_inclusive_coverage", 2020, 88.3, 0.01),
        ("pre_public_share", 2025, 57.03, 0.01),
        ("pre_inclusive_coverage", 2025, 95.2, 0.01),
        ("primary_large_class_share", 2020, 3.5, 1.5),
        ("primary_large_class_share", 2025, 0.5, 0.5),
        ("junior_large_class_share", 2025, 0.5, 0.5),
        ("senior_large_class_share", 2025, 0.6, 0.6),
        ("teacher_bachelor_share", 2020, 77.5, 3.0),
        ("teacher_bachelor_share", 2025, 88.0, 3.0),
    ],
)
def test_city_shares(city_truth: Truths, indicator: str, year: int, percent: float, tolerance: float) -> None:
    numerator, denominator = city_truth["500000", year].indicators[indicator]
    assert denominator is not None
    assert float(100 * numerator / denominator) == pytest.approx(percent, abs=tolerance)


@pytest.mark.parametrize(("stage", "ratio"), [("primary", 16.0), ("junior", 13.7), ("senior", 15.4)])
def test_pupils_per_teacher_are_near_the_published(city_truth: Truths, stage: str, ratio: float) -> None:
    pupils, teachers = city_truth["500000", 2020].indicators[f"{stage}_pupil_teacher_ratio"]
    assert teachers is not None
    assert float(pupils / teachers) == pytest.approx(ratio, abs=0.2)


def test_city_counts_of_schools_and_teachers(city_truth: Truths) -> None:
    counts = {year: city_truth["500000", year].indicators["school_count"][0] for year in (2020, 2025)}
    assert abs(counts[2020] - 10_600) < 50
    # 9,177 schools were published for 2025, 73 of them universities.
    assert abs(counts[2025] - 9_104) < 50
    teachers = city_truth["500000", 2025].indicators["fulltime_teachers"][0]
    assert 350_000 < teachers < 368_000


def test_spending_per_pupil_rises(city_truth: Truths) -> None:
    for stage in ("primary", "junior"):
        values = []
        for year in (2020, 2025):
            money, students = city_truth["500000", year].indicators[f"budget_spend_per_pupil_{stage}"]
            assert students is not None
            values.append(float(money / students))
        assert 10_000 < values[0] < values[1] < 22_000


def test_districts_and_municipal_schools_add_up_to_the_city(small_truth: list[tuple[str, str, int, AreaTruth]]) -> None:
    for year in (2021, 2022):
        rows = [(level, truth) for _, level, at, truth in small_truth if at == year]
        assert [level for level, _ in rows].count("district") == 38
        whole = next(truth for level, truth in rows if level == "city")
        parts = [truth for level, truth in rows if level in {"district", "municipal"}]
        groups = [truth for level, truth in rows if level == "group"]
        districts = [truth for level, truth in rows if level == "district"]
        for indicator, (numerator, denominator) in whole.indicators.items():
            assert sum(part.indicators[indicator][0] for part in parts) == numerator
            assert (denominator is None) == all(part.indicators[indicator][1] is None for part in parts)
            assert sum(g.indicators[indicator][0] for g in groups) == sum(d.indicators[indicator][0] for d in districts)
        for stage in STAGES:
            assert sum(part.stages[stage].enrolment for part in parts) == whole.stages[stage].enrolment


def test_every_reporting_area_is_in_the_sample() -> None:
    districts = {code for code, area in known_areas().by_code.items() if area.level == "district"}
    assert {area.code for area in areas() if not area.municipal} <= districts
    assert len(areas()) == 39


def test_figures_satisfy_every_check_of_the_contract(city: Frame) -> None:
    catalogue = load("school_census").catalogue
    area = area_of("500243")
    roster = build_roster(city, area)
    world = district_year(city, roster, register_year(city, roster, 2022), area, 2022)
    checked = 0
    for form, table in form_tables(world).items():
        assert len(set(table.school.tolist())) == len(table.school)
        for check in catalogue.form(form).checks:
            whole = table.column(check.whole)
            parts = [np.maximum(table.column(part), 0) for part in check.parts]
            good = sum(parts) == whole if check.kind == "sum" else np.max(parts, axis=0) <= whole
            assert np.all(good), (form, check)
            checked += 1
    assert checked > 40


def test_people_keep_their_degrees_and_leave_by_age(city: Frame) -> None:
    roster = build_roster(city, area_of("500103"))
    everyone = np.arange(len(roster))
    levels = [education(roster, everyone, year) for year in pf.SAMPLE_YEARS]
    for before, after in pairwise(levels):
        assert (after <= before).all()
    years = [register_year(city, roster, year) for year in (2020, 2025)]
    stayed = np.intersect1d(years[0].person, years[1].person)
    gone = np.setdiff1d(years[0].person, stayed)
    assert 0.6 < len(stayed) / len(years[0].person) < 0.95
    assert roster.birth[gone].mean() < roster.birth[stayed].mean()


def test_some_people_stand_twice_and_never_twice_at_one_school_in_one_file(city: Frame) -> None:
    roster = build_roster(city, area_of("500112"))
    register = register_year(city, roster, 2023)
    assert len(register.person) > len(np.unique(register.person))
    rows = list(zip(register.person.tolist(), register.school.tolist(), register.contract.tolist(), strict=True))
    assert len(rows) == len(set(rows))


def test_schools_open_close_merge_change_type_and_get_renamed(city: Frame) -> None:
    schools = city.schools
    assert len(set(schools.code.tolist())) == len(schools)
    assert (schools.successor >= 0).sum() > 500
    changed = np.flatnonzero(schools.type_changed)
    assert len(changed) > 10
    for old in changed.tolist():
        new = int(schools.successor[old])
        assert schools.area[new] == schools.area[old]
        assert schools.type_code[new] == "312"
        assert schools.opened[new] == schools.closed[old]
    assert (schools.names(2025) != schools.names(2020)).sum() > 200


def test_attached_classes_are_reported_by_primary_schools(city: Frame) -> None:
    slots = city.slots
    attached = np.flatnonzero(slots.attached & (slots.stage == PRESCHOOL))
    assert len(attached) > 300
    assert set(city.schools.type_code[slots.school[attached]].tolist()) == {"211"}
    assert (slots.enrolment[slots.stage == PRIMARY].sum(axis=0) > 0).all()


def test_the_schools_of_eight_cities_in_one_still_have_names_of_their_own() -> None:
    """A national input is a city with more schools; the largest district runs out of words, not of names."""
    taken: set[str] = set()
    names = [naming._free("万州区", "primary", pick % 1000, taken) for pick in range(4_000)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("万州区") and name.endswith("小学校") for name in names)
