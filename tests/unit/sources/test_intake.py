from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sources import intake
from sources.connectors.arrival import Arrival
from sources.intake import IntakeReport, contract_versions, scan, take_in
from tests.support import tiny_parser
from tests.support.tiny_parser import document
from warehouse.errors import Fault, Refused
from warehouse.files import TEMP_PREFIX
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.paths import Home
from warehouse.records import DeliveryRow

FEED = "school_census"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger_url)
    yield opened
    opened.close()


def put(home: Home, name: str, data: bytes, *, at: int = 1_700_000_000) -> Path:
    path = home.inbox / FEED / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


def arrivals(home: Home, ledger: Ledger) -> list[Arrival]:
    """What came by folder or is to be read again; the project's own figures have tests of their own."""
    return [arrival for arrival in scan(home, ledger, settle=0) if arrival.connector != intake.SHIPPED]


def run(home: Home, ledger: Ledger) -> IntakeReport:
    return take_in(home, ledger, arrivals(home, ledger), parse=tiny_parser.parse, workers=1)


def only(report: IntakeReport) -> DeliveryRow:
    [row] = report.deliveries
    return row


def receipt(home: Home, row: DeliveryRow) -> dict[str, object]:
    content: dict[str, object] = json.loads((home.receipts / FEED / f"{row.delivery_id}.json").read_bytes())
    return content


def test_a_good_delivery_becomes_records_receipt_and_one_entry(home: Home, ledger: Ledger) -> None:
    path = put(home, "渝中区/a.xlsx", document(reported="2023-09-20"))
    steps: list[tuple[int, int, str]] = []
    found = arrivals(home, ledger)
    report = take_in(home, ledger, found, parse=tiny_parser.parse, workers=1, progress=lambda *step: steps.append(step))
    row = only(report)
    assert (row.status, row.area_code, row.period, row.rows_in) == ("accepted", "500103", 2023, 3)
    assert (row.submitter, row.file_name) == ("渝中区", "a.xlsx")
    assert steps == [(1, 1, "a.xlsx")]
    for table in ("school_census__school", "school_census__figure"):
        assert row.tables[table].startswith(f"records/{FEED}/{row.delivery_id}-")
        assert pq.read_metadata(home.root / row.tables[table]).num_rows == 3
    assert receipt(home, row)["status_zh"] == "接收"
    assert not (home.quarantine / f"{row.delivery_id}.parquet").exists()
    assert (home.archive / row.sha256[:2] / row.sha256).read_bytes() == path.read_bytes()
    assert ledger.active_set(contract_versions()) == [row]
    assert [event.outcome for event in ledger.events()] == ["accepted"]
    assert not list(home.records.glob(".work-*"))


def test_nothing_new_means_nothing_to_do(home: Home, ledger: Ledger) -> None:
    put(home, "a.xlsx", document())
    run(home, ledger)
    assert arrivals(home, ledger) == []


@pytest.mark.parametrize(
    ("files", "groups", "expected"),
    [(6, 2, "fffgfffg"), (5, 2, "ffgffgf"), (1, 3, "fggg"), (0, 2, "gg"), (3, 0, "fff")],
)
def test_files_and_groups_of_rows_alternate(files: int, groups: int, expected: str) -> None:
    many, few = ([letter] * count for letter, count in (("f", files), ("g", groups)))
    every = max(1, files // max(1, groups))
    assert "".join(intake._alternating(iter(many), iter(few), every)) == expected


def test_many_files_keep_their_order_and_their_own_troubles(home: Home, ledger: Ledger) -> None:
    for number in range(3 * intake.COPYING):
        put(home, f"{number:02d}.xlsx", document(area=f"5001{number:02d}"), at=1_700_000_000 + number)
    found = arrivals(home, ledger)
    (home.inbox / FEED / "05.xlsx").unlink()
    report = take_in(home, ledger, found, parse=tiny_parser.parse, workers=1)
    assert [row.file_name for row in report.deliveries] == [f"{n:02d}.xlsx" for n in range(12) if n != 5]
    assert report.problems == ["文件“05.xlsx”在收取前被移走。"]


def test_the_same_bytes_under_other_names_are_one_delivery(home: Home, ledger: Ledger) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        put(home, name, document())
    report = run(home, ledger)
    assert (len(report.deliveries), report.duplicates) == (1, 1)
    put(home, "c.xlsx", document())
    assert run(home, ledger).duplicates == 1
    assert sorted(event.outcome for event in ledger.events()) == ["accepted", "duplicate", "duplicate"]
    assert arrivals(home, ledger) == []


def test_the_same_arrivals_twice_have_one_effect(home: Home, ledger: Ledger) -> None:
    put(home, "a.xlsx", document())
    waiting = arrivals(home, ledger)
    for _ in range(2):
        take_in(home, ledger, [*waiting, *waiting], parse=tiny_parser.parse, workers=1)
    assert len(ledger.deliveries()) == len(ledger.events()) == 1


def test_new_bytes_under_an_old_name_supersede(home: Home, ledger: Ledger) -> None:
    put(home, "a.xlsx", document())
    run(home, ledger)
    put(home, "a.xlsx", document(salt="corrected"))
    row = only(run(home, ledger))
    assert ledger.active_set(contract_versions()) == [row]
    assert len(ledger.deliveries()) == 2


def test_a_partly_good_delivery_is_quarantined_and_told_masked(home: Home, ledger: Ledger) -> None:
    put(home, "a 13912345678.xlsx", document(rows=5, bad=2))
    row = only(run(home, ledger))
    assert (row.status, row.rows_accepted, row.rows_quarantined) == ("partly", 3, 2)
    quarantined = pq.read_table(home.quarantine / f"{row.delivery_id}.parquet").to_pylist()
    assert [item["row_no"] for item in quarantined] == [7, 8]
    text = (home.receipts / FEED / f"{row.delivery_id}.md").read_text("utf-8")
    assert "第 7 行" in text
    assert "单元格 B7" in text
    assert "tiny.rule" in text
    assert "部分接收" in text
    for shown in (text, json.dumps(receipt(home, row)), str(quarantined)):
        assert "110101199003078515" not in shown
        assert "13812345678" not in shown
        assert "13912345678" not in shown
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("wishes", "rule"),
    [
        ({"do": "refuse"}, "tiny.rule"),
        ({"rows": 0}, "intake.no_rows"),
        ({"rows": 4, "bad": 4}, "intake.nothing_accepted"),
        ({"do": "crash"}, "intake.parser_fault"),
        ({"do": "miscount"}, "intake.parser_fault"),
        ({"do": "wrong_columns"}, "intake.parser_fault"),
        ({"do": "one_table"}, "intake.parser_fault"),
        ({"do": "kill"}, "intake.parser_fault"),
    ],
)
def test_a_delivery_that_cannot_be_read_is_refused_and_the_others_are_not(
    home: Home, ledger: Ledger, wishes: dict[str, object], rule: str
) -> None:
    put(home, "a.xlsx", document("500105"), at=1_700_000_000)
    put(home, "b.xlsx", document(**wishes), at=1_700_000_001)  # type: ignore[arg-type]
    put(home, "c.xlsx", document("500106"), at=1_700_000_002)
    report = run(home, ledger)
    assert [row.status for row in report.deliveries] == ["accepted", "refused", "accepted"]
    refused = report.deliveries[1]
    content = receipt(home, refused)
    assert content["status_zh"] == "退回"
    assert rule in str(content["findings"])
    assert "110101199003078515" not in json.dumps(content)
    assert refused.tables == {}
    assert arrivals(home, ledger) == []


@pytest.mark.parametrize(
    ("do", "setting"), [("loop", ("EDUPLAN_PARSE_CPU_SECONDS", "1")), ("eat", ("EDUPLAN_PARSE_MEMORY", str(1 << 27)))]
)
def test_a_bomb_ends_in_its_own_process(tmp_path: Path, do: str, setting: tuple[str, str]) -> None:
    home = Home(tmp_path / "home").ensure()
    put(home, "a.xlsx", document(do=do))
    # The limits are read by the parsers' own server process, which a fresh interpreter starts afresh.
    done = _subprocess(home, **dict([setting]))
    assert done.returncode == 0, done.stderr
    ledger = Ledger(home.ledger_url)
    [row] = ledger.deliveries()
    ledger.close()
    assert row.status == "refused"
    assert "intake.parser_fault" in str(receipt(home, row)["findings"])


def test_a_full_disk_refuses_nobody(home: Home, ledger: Ledger) -> None:
    put(home, "a.xlsx", document(do="disk_full"))
    with pytest.raises(Fault, match="系统资源不足"):
        run(home, ledger)
    assert ledger.deliveries() == []
    assert len(arrivals(home, ledger)) == 1


def test_strays_and_broken_sources_are_told_and_hold_nobody_up(home: Home, ledger: Ledger) -> None:
    put(home, "a.xlsx", document())
    (home.inbox / "typo").mkdir()
    broken = Home(home.root, finance_setting=f"sqlite:///{home.root}/none.db")
    found = [arrival for arrival in scan(broken, ledger, settle=0) if arrival.connector != intake.SHIPPED]
    report = take_in(broken, ledger, found, parse=tiny_parser.parse, workers=1)
    assert len(report.deliveries) == 1
    assert any("typo" in problem for problem in report.problems)
    assert any("none.db" in problem for problem in report.problems)
    assert report.to_dict()["problems"] == report.problems


def test_two_intakes_at_once_are_one_too_many(home: Home, ledger: Ledger) -> None:
    with exclusive(home, intake.INTAKE_LOCK), pytest.raises(Refused, match="进程号"):
        run(home, ledger)


def test_a_new_contract_reads_old_deliveries_again(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "a.xlsx", document())
    old = only(run(home, ledger))
    (home.inbox / FEED / "a.xlsx").unlink()
    monkeypatch.setattr(intake, "_reading_digest", lambda _feed: "f" * 64)
    new = only(run(home, ledger))
    assert (new.delivery_id, new.received_at) == (old.delivery_id, old.received_at)
    assert new.contract_version != old.contract_version
    assert set(new.tables.values()).isdisjoint(old.tables.values())
    assert ledger.active_set(contract_versions()) == [new]
    assert arrivals(home, ledger) == []


def test_an_edited_original_is_not_read_again(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "a.xlsx", document())
    row = only(run(home, ledger))
    path = home.archive / row.sha256[:2] / row.sha256
    path.chmod(0o644)
    path.write_bytes(document(salt="forged"))
    monkeypatch.setattr(intake, "_reading_digest", lambda _feed: "f" * 64)
    report = run(home, ledger)
    assert report.deliveries == []
    assert any("被改动" in problem for problem in report.problems)


def test_half_written_receipts_of_a_dead_intake_are_removed(home: Home, ledger: Ledger) -> None:
    left = [home.receipts / "school_census" / f"{TEMP_PREFIX}1", home.quarantine / f"{TEMP_PREFIX}2"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    run(home, ledger)
    assert [path for path in left if path.exists()] == []


def _subprocess(home: Home, die_at: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.support.dying_intake", str(home.root), str(die_at)]
    environment = {**os.environ, **settings}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_killed_anywhere_a_rerun_loses_and_doubles_nothing(home: Home, tmp_path: Path) -> None:
    for number in range(4):
        put(home, f"{number}.xlsx", document(f"50010{number}", bad=number % 2), at=1_700_000_000 + number)
    lived = Home(tmp_path / "lived")
    shutil.copytree(home.root, lived.root)
    done = _subprocess(lived)
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    expected = _state(lived)
    for point in sorted(random.Random(4).sample(range(1, steps), 3)):
        trial = Home(tmp_path / f"trial{point}")
        shutil.copytree(home.root, trial.root)
        died = _subprocess(trial, point)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert _subprocess(trial).returncode == 0
        assert _state(trial) == expected


def _state(home: Home) -> list[object]:
    """What counts after an intake, without the times of it."""
    ledger = Ledger(home.ledger_url)
    assert ledger.findings() == []
    rows = [(row.delivery_id, row.status, row.rows_in, row.tables) for row in ledger.deliveries()]
    events = sorted((event.source, event.outcome) for event in ledger.events())
    ledger.close()
    files = sorted(
        path.relative_to(home.root).as_posix()
        for folder in (home.archive, home.records, home.quarantine, home.receipts)
        for path in folder.rglob("*")
        if path.is_file()
    )
    return [rows, events, files]
