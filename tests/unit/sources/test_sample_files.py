"""The sample's files: the same bytes for the same seed, people that are valid by form, damage that is written down."""

import csv
import hashlib
import sqlite3
import zipfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook

from sources.pseudonym import id_check
from sources.sample import PROFILES, write_sample
from sources.sample import build as sample_build
from sources.sample.area_job import AreaJob, make_area
from sources.sample.finance_db import TABLE
from sources.sample.frame import build_frame
from sources.sample.geography import areas
from sources.sample.mangling import number
from sources.sample.people import build_roster
from sources.sample.register_columns import headers, particulars
from warehouse.errors import UsageError

SEED = 5


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    write_sample("small", [2024], SEED, 0.02, out)
    return out


@pytest.fixture(scope="module")
def damaged(sample: Path) -> list[dict[str, str]]:
    with (sample / "truth" / "damaged.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _digests(folder: Path, part: str = "") -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and part in path.name
    }


def test_same_seed_same_bytes(sample: Path, tmp_path: Path) -> None:
    write_sample("small", [2024], SEED, 0.02, tmp_path)
    assert len(_digests(sample)) > 120
    assert _digests(sample) == _digests(tmp_path)


def test_a_year_is_the_same_whatever_other_years_are_asked_for(sample: Path, tmp_path: Path) -> None:
    names = ("500101", "500229", "500000")
    for area in areas():
        if area.code in names:
            make_area(AreaJob("small", SEED, 0.02, (2022, 2024), area.index, _folders(tmp_path)))
    of_areas = ("school_census/", "teacher_register/")
    alone, among = (
        {name: digest for name, digest in _digests(folder / "inbox", "2024").items() if name.startswith(of_areas)}
        for folder in (sample, tmp_path)
    )
    assert len(alone) == 39 * 3
    assert len(among) == 3 * 3
    assert among.items() <= alone.items()


def _folders(out: Path) -> Path:
    for feed in ("school_census", "teacher_register"):
        (out / "inbox" / feed).mkdir(parents=True, exist_ok=True)
    return out


def test_another_seed_is_another_city() -> None:
    ours, others = (build_frame("small", seed) for seed in (SEED, SEED + 1))
    assert (ours.slots.enrolment.sum(axis=0) == others.slots.enrolment.sum(axis=0)).all()
    rows = min(len(ours.schools), len(others.schools))
    assert (ours.schools.name[:rows] != others.schools.name[:rows]).mean() > 0.9


def test_worker_processes_hand_back_what_this_process_makes(tmp_path: Path) -> None:
    here, there = (_folders(tmp_path / name) for name in ("here", "there"))
    jobs = [AreaJob("small", SEED, 0.02, (2024,), index, there) for index in (3, 38)]
    with sample_build.worker_pool(2) as pool:
        outcomes = list(sample_build.in_order(pool, jobs, ahead=1))
    alone = [make_area(AreaJob("small", SEED, 0.02, (2024,), index, here)) for index in (3, 38)]
    assert _digests(here) == _digests(there)
    assert [outcome.area_code for outcome in outcomes] == [outcome.area_code for outcome in alone]
    assert [outcome.damaged for outcome in outcomes] == [outcome.damaged for outcome in alone]
    assert all(one.finance[0].equals(two.finance[0]) for one, two in zip(outcomes, alone, strict=True))


def test_layout_says_that_all_is_synthetic(sample: Path) -> None:
    assert "合成数据" in (sample / "README.md").read_text(encoding="utf-8")
    assert "ynthetic" in (sample / "README.md").read_text(encoding="utf-8")
    workbook = load_workbook(sample / "inbox" / "school_census" / "渝中区2024学年初一览表.xlsx")
    assert "合成样例数据" in str(workbook.properties.description)
    notes = [str(row[0].value) for row in workbook["教基1001"].iter_rows() if row[0].value]
    assert any("合成样例数据" in note for note in notes)
    assert (sample / "inbox" / "official_figures" / "official_figures.csv").read_bytes()


def test_register_files_carry_the_real_headers_and_encodings(sample: Path) -> None:
    folder = sample / "inbox" / "teacher_register"
    text = (folder / "渝北区教师信息（在编）2024.csv").read_bytes().decode("gb18030")
    head = [name.strip() for name in text.split("\r\n", 1)[0].split(",")]
    assert head == headers(2024, contract=False)
    assert "2024年9月在岗状态" in head
    assert "入编时间" in head
    rows = list(csv.DictReader(text.split("\r\n")))
    assert {len(row) for row in rows} == {len(head)}
    sheet = load_workbook(folder / "渝北区教师信息（编外）2024.xlsx", read_only=True)["教师信息"]
    contract = [str(cell.value).strip() for cell in next(sheet.iter_rows(max_row=1))]
    assert "教师身份" in contract
    assert not {"入编时间", "兼教学科", "现聘职称"} & set(contract)
    assert set(headers(2023, contract=False)) < set(headers(2024, contract=False))


def test_id_numbers_are_valid_unique_and_some_carry_retired_codes() -> None:
    frame = build_frame("small", SEED)
    numbers: list[str] = []
    names: list[str] = []
    for area in areas():
        people = particulars(frame, build_roster(frame, area))
        numbers += people.id_number.tolist()
        names += people.name.tolist()
    assert len(set(numbers)) == len(numbers)
    assert all(id_check(number_) for number_ in numbers)
    starts = Counter(number_[:2] for number_ in numbers)
    assert starts["51"] > len(numbers) / 10
    assert starts["50"] > len(numbers) / 10
    assert any(len(name.encode("gb18030")) > 2 * len(name) for name in names)


def test_persons_of_the_truth_cover_the_files(sample: Path) -> None:
    table = pq.read_table(sample / "truth" / "persons.parquet").to_pydict()
    known = set(table["id_number"]), set(table["phone"]), set(table["name"])
    path = sample / "inbox" / "teacher_register" / "万州区教师信息（在编）2024.csv"
    text = path.read_bytes().decode("gb18030")
    head, *lines = text.rstrip("\r\n").split("\r\n")
    names = [name.strip() for name in head.split(",")]
    for line in lines:
        row = dict(zip(names, line.split(","), strict=True))
        assert row["姓名"] in known[2]
        assert row["手机号"] in known[1]
        assert row["紧急联系方式"] in known[1]
    good = [line.split(",")[names.index("身份证号")] for line in lines]
    assert np.mean([number_.strip().upper() in known[0] for number_ in good]) > 0.9


def test_every_damaged_row_exists_and_is_recorded_once(sample: Path, damaged: list[dict[str, str]]) -> None:
    places = [(row["feed"], row["file"], row["member"], row["sheet"], row["row_no"]) for row in damaged]
    assert len(places) == len(set(places))
    feeds = Counter(row["feed"] for row in damaged if row["cause"] == "damage")
    assert set(feeds) == {"school_census", "teacher_register", "education_finance"}
    lines = {}
    for row in damaged:
        if row["feed"] == "teacher_register" and row["file"].endswith(".csv"):
            path = sample / "inbox" / "teacher_register" / row["file"]
            if path not in lines:
                lines[path] = path.read_bytes().decode("gb18030").split("\r\n")
            assert 2 <= int(row["row_no"]) < len(lines[path])


def test_damage_is_about_the_share_asked_for(sample: Path, damaged: list[dict[str, str]]) -> None:
    with sqlite3.connect(f"file:{sample / 'finance.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0]
    finance = sum(row["feed"] == "education_finance" for row in damaged)
    assert 0.015 < finance / rows < 0.025


def test_a_clean_sample_has_no_damage_but_people_who_have_left(tmp_path: Path) -> None:
    summary = write_sample("small", [2023, 2024], SEED, 0.0, tmp_path)
    assert set(summary.damaged) == {"left"}
    clean = (tmp_path / "truth" / "indicators_clean.csv").read_bytes()
    assert (tmp_path / "truth" / "indicators.csv").read_bytes() == clean
    # Only the exports from 2024 on say who has left.
    with (tmp_path / "truth" / "damaged.csv").open(encoding="utf-8", newline="") as handle:
        assert {(row["cause"], row["period"]) for row in csv.DictReader(handle)} == {("left", "2024")}


def test_damage_takes_away_from_the_truth_only_what_it_hits(sample: Path) -> None:
    kept, clean = (_indicators(sample / "truth" / name) for name in ("indicators.csv", "indicators_clean.csv"))
    assert kept.keys() == clean.keys()
    lower = [key for key in clean if kept[key] < clean[key]]
    assert lower
    assert not [key for key in clean if kept[key] > clean[key] and not key[0].startswith("budget")]


def _indicators(path: Path) -> dict[tuple[str, str, str], Decimal]:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {(row["indicator_id"], row["area_code"], row["year"]): Decimal(row["numerator"]) for row in rows}


def test_money_is_exact_text(sample: Path) -> None:
    with sqlite3.connect(f"file:{sample / 'finance.db'}?mode=ro", uri=True) as connection:
        kinds = connection.execute(f"SELECT DISTINCT typeof(金额1), typeof(金额8) FROM {TABLE}").fetchall()
        rows = connection.execute(
            f"SELECT 单位代码, 行次, 金额3 FROM {TABLE} WHERE 地区代码 = '500101' AND 表号 = 'jz_3'"
        ).fetchall()
    assert {kind for pair in kinds for kind in pair} <= {"text", "null"}
    units: dict[str, dict[int, Decimal]] = {}
    for unit, line, amount in rows:
        units.setdefault(unit, {})[line] = Decimal(amount or 0)
    groups = (2, 16, 44, 57, 74, 79)
    for lines in units.values():
        assert sum(lines[line] for line in groups) == lines[1]
        assert sum(lines[line] for line in range(3, 16)) == lines[2]


def test_zips_hold_school_workbooks_with_names_in_gb18030(sample: Path) -> None:
    path = sample / "inbox" / "school_census" / "城口县2024年基层表.zip"
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        assert infos
        for info in infos:
            assert not info.flag_bits & 0x800
            assert info.filename.encode("cp437").decode("gb18030").startswith("城口县/城口县")
            assert archive.read(info)[:2] == b"PK"


@pytest.mark.parametrize(
    ("profile", "years", "dirt"),
    [
        ("town", [2024], 0.0),
        ("small", [2019], 0.0),
        ("small", [], 0.0),
        ("small", [2024], 0.5),
        ("small", [2024], -1.0),
    ],
)
def test_impossible_wishes_are_refused(tmp_path: Path, profile: str, years: list[int], dirt: float) -> None:
    with pytest.raises(UsageError):
        write_sample(profile, years, SEED, dirt, tmp_path)
    assert not (tmp_path / "inbox").exists()


def test_workers_must_be_a_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDUPLAN_WORKERS", "many")
    with pytest.raises(UsageError):
        write_sample("small", [2024], SEED, 0.0, tmp_path)


def test_profiles_are_exported() -> None:
    assert set(PROFILES) == {"city", "small"}
    assert sample_build.OFFICIAL.name == "official_figures.csv"


@pytest.mark.parametrize(
    ("text", "style", "shown"), [("1234", 0, "１２３４"), ("1234", 1, "1,234"), ("7", 2, " 7  "), ("12.5", 1, "12.5")]
)
def test_untidy_numbers(text: str, style: int, shown: str) -> None:
    assert number(text, style) == shown
