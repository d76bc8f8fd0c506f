from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestration.cli import app as commands
from tests.support.command import MAIN, eduplan, environment
from warehouse.lock import exclusive
from warehouse.paths import Home, project_root

COMMANDS = [
    "demo",
    "sample",
    "run",
    "rerun",
    "intake",
    "check",
    "status",
    "alerts",
    "metrics",
    "releases",
    "verify",
    "explain",
    "diff",
    "dev",
]


def test_help_is_chinese_first_and_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("dagster", "dbt", "duckdb", "pyarrow", "pandas", "great_expectations", "sqlalchemy")
    code = (
        "import sys; from orchestration.cli import main; code = main(['--help']);"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]; print(loaded, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=60
    )
    assert "教育规划指标仓库" in done.stdout
    assert done.stderr.strip() == "[]"
    assert [name for name in [*COMMANDS, "plan"] if name not in done.stdout] == []


def test_a_command_that_ends_frees_nothing_one_by_one(tmp_path: Path) -> None:
    # What was registered first comes last, when everything is frozen.
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0));"
        "from orchestration.cli import main; main(['--help']); print(gc.get_freeze_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-2:] == ["0", "True"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_starts_in_chinese(command: str) -> None:
    found = next(c for c in commands.app.registered_commands if (c.name or c.callback.__name__) == command)
    assert found.callback.__doc__
    assert "一" <= found.callback.__doc__[0] <= "鿿"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["run", "--nonsense"], ["check"], ["check", "no-such-file.csv", "--feed", "official_figures"]],
)
def test_wrong_usage_is_exit_code_2_and_leaves_nothing(tmp_path: Path, arguments: list[str]) -> None:
    done = eduplan(tmp_path / "home", *arguments, expect=2)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_checking_for_an_unknown_feed_names_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n", encoding="utf-8")
    done = eduplan(tmp_path / "home", "check", str(file), "--feed", "weather", expect=2)
    assert "school_census" in done.stderr


def test_a_run_is_refused_while_another_holds_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    with exclusive(home, "run"):
        done = eduplan(home.root, "intake", expect=1)
    assert str(os.getpid()) in done.stderr


def test_what_nobody_foresaw_is_exit_code_3_with_a_log_and_no_traceback(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # A directory where the ledger's file should be, and a driver that cannot say so politely.
    done = eduplan(home, "intake", expect=3, EDUPLAN_SETTLE_SECONDS="not a number")
    assert "Traceback" not in done.stderr
    log = home / "logs" / "eduplan.jsonl"
    assert str(log) in done.stderr.replace("\n", "")
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert "Traceback" in entries[-1]["exception"]


def test_a_fault_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "home" / "ledger.db").mkdir(parents=True)
    eduplan(tmp_path / "home", "intake", expect=3)


@pytest.mark.parametrize("command", [["verify"], ["status"]])
def test_looking_at_a_home_that_is_not_there_creates_nothing(tmp_path: Path, command: list[str]) -> None:
    eduplan(tmp_path / "home", *command, expect=1)
    assert not (tmp_path / "home").exists()


def test_releases_of_an_empty_home_are_an_empty_list(tmp_path: Path) -> None:
    assert json.loads(eduplan(tmp_path / "home", "releases", "--json").stdout) == []


def test_explaining_without_a_release_is_wrong_usage(tmp_path: Path) -> None:
    assert "尚无发布" in eduplan(tmp_path / "home", "explain", "pre_enrolment", expect=2).stderr


def test_the_registry_agrees_with_the_plan_and_a_changed_plan_is_noticed(tmp_path: Path) -> None:
    text = project_root() / "tests" / "fixtures" / "plan" / "chongqing_145_education_plan.txt"
    assert json.loads(eduplan(tmp_path, "plan", "verify", "--text", str(text), "--json").stdout)["agrees"]
    changed = tmp_path / "changed.txt"
    changed.write_text(text.read_text(encoding="utf-8").replace("90%", "91%"), encoding="utf-8")
    done = eduplan(tmp_path, "plan", "verify", "--text", str(changed), "--json", expect=1)
    assert json.loads(done.stdout)["problems"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_cleanly_and_frees_the_home(tmp_path: Path, stop: signal.Signals) -> None:
    home = Home(tmp_path / "home").ensure()
    # The run holds its own lock and waits for the publisher, who is this test.
    with exclusive(home, "publish"):
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "intake"], env=environment(home.root), stderr=subprocess.PIPE, text=True
        )
        owner = home.locks / "run.lock"
        while process.poll() is None and not (owner.is_file() and owner.read_text().strip()):
            time.sleep(0.05)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "已中断" in errors
    with exclusive(home, "run"):
        assert owner.is_file()


def test_the_page_on_plan_coverage_is_written_and_checked(tmp_path: Path) -> None:
    page = tmp_path / "coverage.md"
    old = eduplan(tmp_path / "home", "plan", "coverage", "--check", "--output", str(page), expect=1)
    assert "不是最新" in old.stdout
    eduplan(tmp_path / "home", "plan", "coverage", "--output", str(page))
    assert page.read_text(encoding="utf-8").startswith("# 规划覆盖情况")
    eduplan(tmp_path / "home", "plan", "coverage", "--check", "--output", str(page))
    eduplan(tmp_path / "home", "plan", "coverage", "--check")
