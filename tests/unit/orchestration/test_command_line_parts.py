from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from orchestration.cli.console import figure, table
from orchestration.cli.demo import hand_over, years_of
from orchestration.cli.progress import TerminalReporter
from orchestration.logs import FILE, logging_to, logs_dir
from orchestration.report import RunRecord
from orchestration.resources import HomeResource, default_resources
from warehouse.errors import Refused, UsageError
from warehouse.paths import Home


@pytest.mark.parametrize(("text", "expected"), [("2024", (2024,)), ("2020-2022", (2020, 2021, 2022))])
def test_years_are_a_year_or_a_range(text: str, expected: tuple[int, ...]) -> None:
    assert years_of("small", text) == expected


@pytest.mark.parametrize("text", ["24", "2025-2020", "2020-", "二〇二〇", "2020,2021"])
def test_other_spellings_of_years_are_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        years_of("small", text)


def test_handing_over_twice_leaves_the_inbox_as_it_was(tmp_path: Path, home: Home) -> None:
    source = tmp_path / "sample" / "inbox" / "school_census" / "甲区"
    source.mkdir(parents=True)
    (source / "一览表.xlsx").write_bytes(b"bytes")
    (tmp_path / "sample" / "finance.db").write_bytes(b"database")
    assert hand_over(tmp_path / "sample", home) == 1
    delivered = home.inbox / "school_census" / "甲区" / "一览表.xlsx"
    before = delivered.stat()
    assert hand_over(tmp_path / "sample", home) == 1
    after = delivered.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert list(delivered.parent.iterdir()) == [delivered]
    assert (home.sources / "finance.db").read_bytes() == b"database"
    assert home.finance_url is not None


def test_the_finance_database_handed_over_is_a_copy_of_its_own(tmp_path: Path, home: Home) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "finance.db").write_bytes(b"database")
    hand_over(tmp_path, home)
    (tmp_path / "finance.db").write_bytes(b"later")
    assert (home.sources / "finance.db").read_bytes() == b"database"


def test_cells_are_never_read_as_markup_and_nothing_is_shown_as_a_dash() -> None:
    sink = io.StringIO()
    Console(file=sink, width=60).print(table("t", [("a", "left"), ("b", "right")], [("[red]x[/]", None)]))
    assert "[red]x[/]" in sink.getvalue()
    assert "—" in sink.getvalue()


def test_codes_are_never_broken_over_lines() -> None:
    sink = io.StringIO()
    rule = "census.school_profile_missing"
    Console(file=sink, width=50).print(table("t", [("a", "left"), ("b", "code")], [("很长的说明" * 20, rule)]))
    assert rule in sink.getvalue()


@pytest.mark.parametrize(("value", "shown"), [(None, None), (1234.5, "1,234.50"), (-0.005, "-0.01")])
def test_figures(value: float | None, shown: str | None) -> None:
    assert figure(value) == shown


def test_without_a_terminal_a_station_is_one_line_and_no_escape_codes() -> None:
    sink = io.StringIO()
    with TerminalReporter(Console(file=sink, width=100)) as reporter:
        record = RunRecord(reporter)
        with record.station("intake") as station:
            station.advance(1, 2, "甲")
            station.summary = "收取 2 件"
        with record.station("judge") as station:
            station.good = False
            station.summary = "不通过"
    lines = sink.getvalue().splitlines()
    assert [line[:1] for line in lines] == ["✓", "✗"]
    assert "\x1b" not in sink.getvalue()
    assert set(record.seconds) == {"intake", "judge"}


def test_the_log_is_json_masked_and_holds_what_was_refused(home: Home) -> None:
    with pytest.raises(Refused), logging_to(home) as path:
        logging.getLogger("orchestration.trial").info("身份证 %s", "110101199003078515")
        logging.getLogger("some.library").info("chatter")
        logging.getLogger("some.library").warning("worth knowing")
        raise Refused("不行")
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [entry["message"] for entry in entries]
    assert any("worth knowing" in text for text in texts)
    assert any("不行" in text for text in texts)
    assert not any("chatter" in text for text in texts)
    assert "110101199003078515" not in path.read_text(encoding="utf-8")
    assert all(entry["time"].endswith("+08:00") for entry in entries)


def test_a_run_writes_into_the_homes_log_whoever_started_it(home: Home) -> None:
    path = logs_dir(home) / FILE
    with dg.build_resources(default_resources() | {"home": HomeResource(root=str(home.root))}) as resources:
        record = resources.record
        with record.station("intake") as station:
            station.summary = "收取 2 件"
        record.reporter.note("一句话")
        with pytest.raises(Refused), record.station("judge"):
            raise Refused("不行", "换一件")
        with pytest.raises(ZeroDivisionError), record.station("publish"):
            _ = 1 / 0
    logging.getLogger("orchestration.trial").warning("after it")
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    intake, note, judge, publish = (entry for entry in entries if entry["logger"] == "orchestration.report")
    assert intake["message"].startswith("intake: 收取 2 件 (")
    assert note["message"] == "一句话"
    assert judge["message"].startswith("judge: 不行")
    assert "exception" not in judge
    assert "ZeroDivisionError" in publish["message"]
    assert "Traceback" in publish["exception"]
    assert not any("after it" in entry["message"] for entry in entries)


def test_a_run_of_a_command_that_logs_already_writes_every_line_once(home: Home) -> None:
    with logging_to(home) as path, logging_to(home):
        logging.getLogger("orchestration.trial").warning("once")
    assert path.read_text(encoding="utf-8").count("once") == 1


def test_what_a_library_would_print_of_it_is_not_printed(home: Home) -> None:
    sink, root = io.StringIO(), logging.getLogger()
    printing = logging.StreamHandler(sink)
    root.addHandler(printing)
    try:
        with logging_to(home) as path:
            logging.getLogger("orchestration.trial").info("110101199003078515")
        assert sink.getvalue() == ""
        assert path.read_text(encoding="utf-8") != ""
        root.warning("printed as before")
        assert sink.getvalue() == "printed as before\n"
    finally:
        root.removeHandler(printing)


def test_tests_that_a_share_did_not_run_are_not_told_as_gates_that_stood_open(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    @dg.multi_asset(
        specs=[dg.AssetSpec("table")],
        check_specs=[dg.AssetCheckSpec("sound", asset="table", blocking=True)],
        can_subset=True,
    )
    def build() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult("table")

    @dg.asset(deps=["table"])
    def release() -> None:
        logging.getLogger("dagster._core.execution.plan.active").warning("worth knowing")

    with logging_to(home) as path:
        assert dg.materialize([build, release]).success
    for text in (path.read_text(encoding="utf-8"), caplog.text):
        assert "emitted no result" not in text
        assert "worth knowing" in text
    # Dagster still says it in these words.
    assert dg.materialize([build, release]).success
    assert "emitted no result" in caplog.text
