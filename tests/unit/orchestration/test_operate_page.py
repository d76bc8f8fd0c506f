"""What docs/operate.md, the runbook and the units tell an engineer to type exists, and no setting is left out."""

from __future__ import annotations

import configparser
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from orchestration.cli.app import app
from warehouse.paths import project_root

ROOT = project_root()
OPERATE = ROOT / "docs" / "operate.md"
RUNBOOK = ROOT / "docs" / "runbook"
UNITS = ROOT / "deploy" / "systemd"
PAGES = sorted([ROOT / "README.md", OPERATE, ROOT / "docs" / "evidence.md", *RUNBOOK.glob("*.md")])
# Of the tests only; a person who runs the product never sets them.
FOR_TRIALS = {"EDUPLAN_SOAK", "EDUPLAN_SOAK_ROUNDS"}
_TYPED = re.compile(r"(?<!-u )(?<![\w/.=-])(?:\S*/bin/)?eduplan +([a-z][^`\n]*)")


def typed(text: str) -> Iterator[list[str]]:
    """Every `eduplan …` in code: of fenced blocks whole lines, of running text what stands between backticks."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in [line for block in fenced for line in block.splitlines()] + inline:
        code = line.partition("#")[0]
        if "install" in code or "useradd" in code or "import" in code:
            continue
        for found in _TYPED.findall(code):
            yield re.split(r"[;'\"]", found)[0].split()


def unknown(words: list[str]) -> str:
    """What of a typed command does not exist; '' when all does."""
    # typer carries its own copy of click, so its types are not to be asked for.
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        if not rest:
            return ""
        name = rest.pop(0).strip("，。,.")
        if name not in command.commands:
            return f"eduplan {' '.join(words)}: no command {name}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    missing = [word for word in rest if word.startswith("--") and word.partition("=")[0].strip("）)") not in options]
    return f"eduplan {' '.join(words)}: no option {' '.join(missing)}" if missing else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_a_page_names_exists(page: Path) -> None:
    assert [told for words in typed(page.read_text(encoding="utf-8")) if (told := unknown(words))] == []


def test_the_reader_of_pages_sees_commands_and_notices_wrong_ones() -> None:
    text = "Do `eduplan status --json`, `eduplan nothing`.\n```\neduplan run  # again\neduplan prune --force\n```\n"
    found = list(typed(text))
    assert found == [["run"], ["prune", "--force"], ["status", "--json"], ["nothing"]]
    assert [bool(unknown(words)) for words in found] == [False, True, False, True]
    assert len(list(typed(OPERATE.read_text(encoding="utf-8")))) > 30


def settings_in_code() -> set[str]:
    """Every EDUPLAN_… that the product, its dbt project and its units read."""
    files = [
        path
        for room in ("orchestration", "sources", "expectations", "warehouse")
        for path in (ROOT / room).rglob("*.py")
    ]
    files += [*(ROOT / "dbt_project").glob("*.yml"), *(ROOT / "deploy").rglob("*.*")]
    found = {name for path in files for name in re.findall(r"EDUPLAN_[A-Z_]+", path.read_text(encoding="utf-8"))}
    from orchestration.guard import LIMITS

    stations = {f"EDUPLAN_LIMIT_{station.upper()}" for station in LIMITS}
    return {name for name in found if not name.endswith("_")} | stations


def test_the_table_of_settings_is_complete_and_holds_nothing_else() -> None:
    told = {
        name
        for line in OPERATE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `EDUPLAN_")
        for name in re.findall(r"EDUPLAN_[A-Z_]+", line.split("|")[1])
    }
    assert sorted(settings_in_code() - told) == [], "say in docs/operate.md what these do"
    assert sorted(told - settings_in_code()) == []


def test_the_runbook_lists_every_page_and_every_page_is_there() -> None:
    listed = set(re.findall(r"\]\(([a-z_]+\.md)\)", (RUNBOOK / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in RUNBOOK.glob("*.md")} - {"README.md"}


def unit(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(path, encoding="utf-8")
    return found


def told(path: Path, name: str) -> str:
    """What a unit says a variable is."""
    (value,) = re.findall(rf"^Environment=.*\b{name}=(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.service")), ids=lambda path: path.name)
def test_a_unit_starts_what_there_is_and_may_write_little(path: Path) -> None:
    service = unit(path)["Service"]
    program, *rest = service["ExecStart"].split()
    name = Path(program).name
    assert (Path(sysconfig.get_path("scripts")) / name).is_file()
    if name == "eduplan":
        assert unknown(rest) == ""
    elif "-w" in rest:
        workspace = ROOT / Path(rest[rest.index("-w") + 1]).relative_to("/opt/eduplan")
        (location,) = yaml.safe_load(workspace.read_text(encoding="utf-8"))["load_from"]
        # What they ask listens where they look.
        assert location["grpc_server"]["socket"] == {"env": "EDUPLAN_CODE_SOCKET"}
        assert told(path, "EDUPLAN_CODE_SOCKET") == told(UNITS / "eduplan-code.service", "EDUPLAN_CODE_SOCKET")
    else:
        assert rest[rest.index("-m") + 1] == "orchestration.definitions"
        assert Path(told(path, "EDUPLAN_CODE_SOCKET")).parent == Path("/run") / service["RuntimeDirectory"]
    named = set(re.findall(r"\$\{(EDUPLAN_[A-Z_]+)\}", service["ExecStart"]))
    example = (ROOT / "deploy" / "eduplan.env.example").read_text(encoding="utf-8")
    assert named - {"EDUPLAN_CODE_SOCKET"} <= set(re.findall(r"^(EDUPLAN_[A-Z_]+)=", example, re.MULTILINE))
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    assert "MemoryMax" in service
    assert set(service["ReadWritePaths"].split()) <= {
        *("/var/lib/eduplan", "/var/cache/eduplan", "/srv/backup/eduplan", "/srv/keys/eduplan")
    }


def test_the_web_page_is_of_this_machine_only() -> None:
    words = unit(UNITS / "eduplan-webserver.service")["Service"]["ExecStart"].split()
    assert words[words.index("-h") + 1] == "127.0.0.1"


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.timer")), ids=lambda path: path.name)
def test_a_timer_has_its_service(path: Path) -> None:
    assert path.with_suffix(".service").is_file()
