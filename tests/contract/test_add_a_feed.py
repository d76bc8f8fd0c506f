"""The page on adding a feed, followed to the letter in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from orchestration import dbt
from tests.support.command import MAIN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-feed.md").read_text("utf-8")
# What a candidate shows of the feed, and whether the pipeline's definitions load with it.
LOOK = """
import json
from orchestration.definitions import defs
from sources.contract import feed_table
from sources.intake import contract_versions
from warehouse import candidate, duck
from warehouse.ledger import Ledger
from warehouse.paths import Home
home = Home.from_env()
build = candidate.begin(home, Ledger(home.ledger_url).active_set(contract_versions()), feed_table())
with duck.connect(build.database, read_only=True) as connection:
    relation = connection.sql("select * from records.school_bus__town order by row_no")
    print(json.dumps({"columns": dict(zip(relation.columns, map(str, relation.types))), "rows": relation.fetchall(),
        "assets": sorted(key.to_user_string() for key in defs.resolve_all_asset_keys() if "bus" in str(key))},
        default=str, ensure_ascii=False))
"""


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the page's first step was taken: one file more.

    As in a checkout at work, its modules are compiled and its dbt project is parsed.
    """
    copy = tmp_path_factory.mktemp("nine") / "project"
    ignored = shutil.ignore_patterns("target", "logs", "*.duckdb", ".*")
    for name in ("orchestration", "sources", "expectations", "warehouse", "dbt_project"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    parsed = dbt.manifest_path().parent
    shutil.copytree(parsed, copy / "dbt_project" / "target" / parsed.name)
    (copy / "sources" / "feeds" / "school_bus.odcs.yaml").write_text(block("yaml"), "utf-8")
    return copy


def run(project: Path, *arguments: str) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("EDUPLAN_", "PYTHONPATH"))}
    environment |= {
        "PYTHONPATH": str(project),
        "EDUPLAN_PROJECT": str(project),
        "EDUPLAN_HOME": str(project / "home"),
        "EDUPLAN_SETTLE_SECONDS": "0",
        "EDUPLAN_WORKERS": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", *arguments],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_page_leads_from_a_yaml_to_records(project: Path) -> None:
    file, marked = project / "校车.csv", project / "标注.xlsx"
    file.write_text(block("csv"), "utf-8")
    told = run(project, MAIN, "check", str(file), "--feed", "school_bus", "--marked", str(marked), "--json")
    assert (told["status"], told["area_code"], told["period"]) == ("partly", "500233", 2023)
    assert (told["rows_in"], told["rows_accepted"], told["rows_quarantined"]) == (4, 2, 2)
    (crowded,) = [found for found in told["findings"] if found["rule_id"] == "bus.riders_without_bus"]
    assert f"cell {crowded['cell']}" in PAGE
    assert openpyxl.load_workbook(marked)["报送件"][crowded["cell"]].comment is not None
    assert not (project / "home").exists(), "a rehearsal leaves nothing"
    inbox = project / "home" / "inbox" / "school_bus"
    inbox.mkdir(parents=True)
    shutil.copy(file, inbox)
    taken = run(project, MAIN, "intake", "--json")
    assert taken["partly"] == 1
    seen = run(project, LOOK)
    assert seen["columns"] == {
        "stat_year": "INTEGER", "area_code": "VARCHAR", "town": "VARCHAR", "buses": "INTEGER", "seats": "INTEGER",
        "riders": "INTEGER", "reported_on": "DATE", "original": "VARCHAR", "delivery_id": "VARCHAR",
        "member": "VARCHAR", "sheet": "VARCHAR", "row_no": "INTEGER",
    }  # fmt: skip
    assert [row[:8] for row in seen["rows"]] == [
        [2023, "500233", "忠州街道", 12, 480, 455, "2023-10-12", '{"riders":"455 人"}'],
        [2023, "500233", "乌杨街道", 4, 1160, 160, "2023-10-12", '{"riders":"160 人"}'],
    ]
    assert any("school_bus" in key for key in seen["assets"])


def test_no_line_of_python_names_the_ninth_feed() -> None:
    rooms = ("orchestration", "sources", "expectations", "warehouse")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    assert [path for path in files if "school_bus" in path.read_text("utf-8")] == []
