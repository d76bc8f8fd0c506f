"""The one way to run dbt: offline, in a process of its own, with artefacts outside the checkout's sources.

What belongs here: preparing the manifest, starting a build for one candidate, reading back what it made and why it
failed. What does not: models (`dbt_project/`) and Dagster's view of them (`orchestration.assets.marts`).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from orchestration import dbt_ahead, dbt_kept
from orchestration.dbt_ahead import DbtProcess, Orders, Parsed, Running
from orchestration.dbt_kept import Share
from orchestration.logs import logs_dir
from warehouse import duck
from warehouse.candidate import DATABASE_NAME, Build
from warehouse.errors import EduplanError, Fault, Refused
from warehouse.files import TEMP_PREFIX, canonical_json, sha256_bytes, sha256_file, unique_suffix
from warehouse.paths import Home, project_root

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

    from orchestration.dbt_library import DagsterDbtTranslator, DbtCliInvocation
    from orchestration.steps import Workbench

MANIFEST: Final = "manifest.json"
RUN_RESULTS: Final = "run_results.json"
LOG: Final = "dbt.log"
PARSE_LOCK: Final = "eduplan-parse.lock"
_ARTEFACTS: Final = "dbt"
_SOURCES: Final = {".sql", ".yml", ".yaml", ".csv"}
_GENERATED: Final = {"target", "logs", "dbt_packages"}
# How long dbt may take to give up its connections after it was told to stop.
_STOP_SECONDS: Final = 20.0
_SHOWN: Final = 10

# The tag of data tests that ask several things at once: a row for each promise that does not hold, and how many rows.
_PROMISES: Final = "promises"
_STATES_ZH: Final = {"fail": "测试未通过", "error": "执行出错", "runtime error": "执行出错"}


@dataclass(frozen=True)
class Table:
    """A table dbt made: its row count and its columns as (name, type)."""

    rows: int
    columns: tuple[tuple[str, str], ...]


def project_dir() -> Path:
    """The dbt project. Raises UsageError when the checkout cannot be found."""
    return project_root() / "dbt_project"


def manifest_path() -> Path:
    """The manifest of the project as it stands, parsed once for each state of its files. Raises Fault, OSError.

    Lies below DBT_TARGET_PATH or `dbt_project/target`, in a folder named by the digest of the project's files, so that
    processes that load the definitions at the same time never see a half-written one.
    """
    folder = _parsed_dir()
    if not (folder / MANIFEST).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Who comes meanwhile waits: parsing takes ten seconds of processor.
        with (folder.parent / PARSE_LOCK).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not (folder / MANIFEST).is_file():
                _parse(folder)
    return folder / MANIFEST


def _parsed_dir() -> Path:
    base = Path(os.environ.get("DBT_TARGET_PATH") or project_dir() / "target").absolute()
    return base / f"eduplan-{project_digest()[:16]}"


def project_digest() -> str:
    """A digest of dbt, its adapter and the project's files."""
    root = project_dir()
    found = {
        path.relative_to(root).as_posix(): sha256_file(path)
        for path in root.rglob("*")
        if path.is_file() and path.suffix in _SOURCES and not _GENERATED.intersection(path.relative_to(root).parts)
    }
    return sha256_bytes(canonical_json([version("dbt-core"), version("dbt-duckdb"), found]))


def _parse(folder: Path) -> None:
    work = folder.parent / f".parse-{unique_suffix()}"
    work.mkdir(parents=True)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [*_DBT, "parse"],
            env=_environment(work, **_PARSED_AS),
            cwd=project_dir(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not (work / MANIFEST).is_file():
            raise Fault(f"dbt 项目解析失败：{_tail(done.stdout)}", "请在 dbt_project/ 下执行 dbt parse 查看全部信息。")
        if not folder.exists():
            work.rename(folder)
    except OSError:
        # Another process put its own, equal result there first.
        if not (folder / MANIFEST).is_file():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


# The project is parsed for no home and no build: dbt parses everything anew, for seconds, when the database has another
# address. The file's name says how relations are named; whoever opened it there would fail.
_PARSED_AS: Final = {"EDUPLAN_CANDIDATE_DB": f"/nowhere/eduplan/parsed/{DATABASE_NAME}"}
_PARSE_CACHE: Final = "partial_parse.msgpack"
_AHEAD: Final = {**_PARSED_AS, "DBT_LOG_FORMAT": "json", "DBT_LOG_FORMAT_FILE": "debug", "DBT_LOG_LEVEL_FILE": "info"}
# `warehouse` first: what it says about Python's collector holds for dbt as well.
_CLI: Final = "import warehouse; from dbt.cli.main import cli; cli()"
_DBT: Final = [sys.executable, "-c", _CLI, "--no-version-check", "--no-use-colors"]


def _environment(artefacts: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_PROJECT_DIR": str(project_dir()),
        "DBT_PROFILES_DIR": str(project_dir()),
        "DBT_TARGET_PATH": str(artefacts),
        "DBT_LOG_PATH": str(artefacts),
        "PYTHONUTF8": "1",
        **more,
    }


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-_SHOWN:])


# -- building ---------------------------------------------------------------------------------------------------------


def start_ahead(home: Home) -> DbtProcess:
    """Start the process that will build, so that it has imported and parsed when its build begins. Raises OSError."""
    return dbt_ahead.start(project_digest(), project_dir(), _parse_cache(home, "ahead"), _AHEAD)


def keep_ready(home: Home) -> None:
    """Start it before anybody is sure to ask, unless the project was never parsed: whoever parses it first keeps two
    processors busy. `dbt_ahead.dismiss_ready` ends it if nobody does. Raises OSError."""
    if (_parsed_dir() / _PARSE_CACHE).is_file():
        dbt_ahead.keep_ready(start_ahead(home))


def parse_warm(home: Home) -> Parsed | None:
    """Parse the project in this process, for forks of it; None when it does not parse. Raises OSError."""
    return dbt_ahead.parse(project_digest(), project_dir(), _parse_cache(home, "warm"), _AHEAD)


def fork_ahead(parsed: Parsed) -> None:
    """As `start_ahead`, by a fork that waits until `start_ahead` asks for it. Raises Fault, OSError."""
    dbt_ahead.fork(parsed, _AHEAD)


def _parse_cache(home: Home, name: str) -> Path:
    """A folder of the home where dbt finds what it remembers of this very project, if anybody has parsed it.

    dbt compares checksums and starts anew when anything differs. Raises OSError.
    """
    folder = home.root / "dbt" / name
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{TEMP_PREFIX}{unique_suffix()}"
    with suppress(FileNotFoundError):
        shutil.copyfile(_parsed_dir() / _PARSE_CACHE, fresh)
        fresh.replace(folder / _PARSE_CACHE)
    return folder


@contextmanager
def building(
    home: Home,
    build: Build,
    manifest: Path,
    translator: DagsterDbtTranslator,
    context: AssetExecutionContext | None,
    *,
    share: Share | None,
    fill: Callable[[], Build],
    ahead: DbtProcess | None = None,
) -> Iterator[DbtCliInvocation]:
    """Run `dbt build` on the build's database, which `fill` makes meanwhile; the process is stopped when the block is
    left early.

    `share` are the nodes to run (`orchestration.dbt_kept.choose`), None for all; all are run where what was filled
    does not begin with anything. `ahead` is used when it parsed the project as it stands now. The caller holds the
    home's lock `run`: two builds of one home never meet here. Raises what `fill` raises.
    """
    from packaging.version import Version

    from orchestration.dbt_library import DbtCliInvocation, validate_manifest

    artefacts = artefact_dir(build)
    artefacts.mkdir()
    content = validate_manifest(manifest)
    if share is not None:
        # What dbt would write out again, but for the SQL of the nodes it runs: that lies in their results.
        shutil.copyfile(manifest, artefacts / MANIFEST)
    process = _begin(home, ahead, _orders(build.database, artefacts, share))
    try:
        # Until it opens a database dbt needs none, for as long as it takes to make one.
        if fill().kept is None and share is not None:
            _stop(process)
            process = start_ahead(home).begin(_orders(build.database, artefacts, None))
        dbt_ahead.let_open(process)
        yield DbtCliInvocation(
            # A forked child has as much of its face as is used there.
            process=cast("subprocess.Popen[bytes]", process),
            manifest=content,
            dagster_dbt_translator=translator,
            project_dir=project_dir(),
            target_path=artefacts,
            raise_on_error=False,
            context=context,
            adapter=None,
            cli_version=Version(version("dbt-core")),
        )
    finally:
        _stop(process)


def _orders(database: Path, artefacts: Path, share: Share | None) -> Orders:
    # Unit tests prove formulas on made-up rows: part of `make test`, not of every build.
    arguments = ["build", "--exclude-resource-type", "unit_test", "--target-path", str(artefacts)]
    arguments += ["--log-path", str(artefacts)]
    variables = {"EDUPLAN_CANDIDATE_DB": str(database), "EDUPLAN_KEPT": "1"}
    return Orders(arguments, variables, database, artefacts / RUN_RESULTS, share)


def _begin(home: Home, ahead: DbtProcess | None, orders: Orders) -> Running:
    if ahead is not None and ahead.digest == project_digest() and ahead.process.poll() is None:
        # One that dies between this look and its orders is as good as none.
        with suppress(BrokenPipeError):
            return ahead.begin(orders)
    if ahead is not None:
        ahead.dismiss()
    return start_ahead(home).begin(orders)


def begin(bench: Workbench, manifest: Mapping[str, Any]) -> tuple[Build, Share | None]:
    """Announce the build of a run, and choose the nodes to run in it. Raises Refused, OSError."""
    from orchestration import steps

    build = steps.announce(bench)
    return build, dbt_kept.choose(build, manifest, bench.base.followed)


def filled(bench: Workbench, manifest: Mapping[str, Any]) -> Build:
    """Make the database of the build that was begun, ready for dbt. Raises Fault, OSError."""
    from orchestration import steps

    return steps.fill(bench, partial(dbt_kept.note, manifest=manifest))


def build_again(bench: Workbench) -> None:
    """Build once more inside a run, outside Dagster's view of the models. Raises Refused, Fault, OSError."""
    from orchestration import steps
    from orchestration.dbt_library import DagsterDbtTranslator

    manifest = manifest_path()
    content = json.loads(manifest.read_bytes())
    build, share = begin(bench, content)
    fill = partial(filled, bench, content)
    with building(bench.home, build, manifest, DagsterDbtTranslator(), None, share=share, fill=fill) as invocation:
        # Reading its lines to the end is what keeps the process from waiting for us.
        exit_code = invocation.wait().process.returncode
    problem = failure(artefact_dir(build), content, exit_code=exit_code)
    if problem is not None:
        keep_log(build, bench.home)
        raise problem
    keep_artefacts(build)
    steps.keep_built(bench)


def build_models(build: Build) -> None:
    """Run seeds and models, no tests, into a build's database and keep dbt's manifest beside it: what a rebuild needs
    beyond Dagster. Raises Fault saying what dbt said."""
    artefacts = artefact_dir(build)
    artefacts.mkdir()
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [*_DBT, "build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"],
        env=_environment(artefacts, EDUPLAN_CANDIDATE_DB=str(build.database)),
        cwd=project_dir(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Fault(f"dbt 构建失败：{_tail(done.stdout)}", "请检查模型；已发布的版本不受影响。")
    (artefacts / MANIFEST).replace(build.work_dir / MANIFEST)
    shutil.rmtree(artefacts)


def _stop(process: Running) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def artefact_dir(build: Build) -> Path:
    """Where dbt writes its own files during this build."""
    return build.work_dir / _ARTEFACTS


def keep_artefacts(build: Build) -> None:
    """Move what a candidate keeps of dbt's files beside its database and drop the rest. Raises Fault, OSError."""
    for name in (MANIFEST, RUN_RESULTS):
        source = artefact_dir(build) / name
        if not source.is_file():
            raise Fault(f"dbt 没有写出 {name}。", f"请查看 {artefact_dir(build) / LOG}。")
        source.replace(build.work_dir / name)
    shutil.rmtree(artefact_dir(build))


def keep_log(build: Build, home: Home) -> Path:
    """Copy the log of a failed build to where the home keeps its logs, and return that place. Raises OSError."""
    target = logs_dir(home) / LOG
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(artefact_dir(build) / LOG, target)
    return target


def failure(artefacts: Path, manifest: Mapping[str, Any], *, exit_code: int) -> EduplanError | None:
    """Why a dbt build failed, for people; None when it did not. Failed tests are Refused, anything else is a Fault."""
    bad = [item for item in _results(artefacts) if item["status"] in _STATES_ZH]
    if exit_code == 0 and not bad:
        return None
    if not bad:
        return Fault(f"dbt 异常退出（退出码 {exit_code}）。", "请检查磁盘空间与内存后重试；详情见日志。")
    database = artefacts.parent / DATABASE_NAME
    lines = [_describe(item, manifest, database) for item in bad[:_SHOWN]]
    rest = f" 等共 {len(bad)} 项" if len(bad) > _SHOWN else ""
    text = f"dbt 构建未通过：{'；'.join(lines)}{rest}。"
    if all(item["status"] == "fail" for item in bad):
        return Refused(text, "请按所列测试核对报送数据，或检查模型；已发布的版本不受影响。")
    return Fault(text, "请检查所列模型；已发布的版本不受影响。")


def _results(artefacts: Path) -> list[dict[str, Any]]:
    path = artefacts / RUN_RESULTS
    return list(json.loads(path.read_bytes())["results"]) if path.is_file() else []


def _describe(item: Mapping[str, Any], manifest: Mapping[str, Any], database: Path) -> str:
    node = manifest["nodes"].get(item["unique_id"], {})
    name = node.get("name", item["unique_id"])
    state = _STATES_ZH[item["status"]]
    if item["status"] == "fail":
        about = node.get("attached_node") or ""
        model = f"（{about.rsplit('.', 1)[-1]}）" if about else ""
        broken = "；".join(_broken_promises(node, item, database))
        return f"{name}{model}{state}，{item.get('failures') or 0} 行{f'（{broken}）' if broken else ''}"
    # The first line says what; the rest is SQL.
    message = " ".join((item.get("message") or "").split())[:200]
    return f"{name} {state}：{message}"


def _broken_promises(node: Mapping[str, Any], item: Mapping[str, Any], database: Path) -> list[str]:
    """Which promises of a data test do not hold, each with its rows; the test itself says only how many."""
    asked = item.get("compiled_code")
    if _PROMISES not in node.get("tags", ()) or not asked or not database.is_file():
        return []
    with duck.connect(database, read_only=True) as connection:
        return [f"{promise}：{rows} 行" for promise, rows in duck.rows(connection, asked)]


def read_tables(database: Path) -> dict[tuple[str, str], Table]:
    """(schema, name) -> row count and columns of every table (no views) dbt made. Raises Fault."""
    with duck.connect(database, read_only=True) as connection:
        columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for schema, table, column, kind in duck.rows(connection, _COLUMNS_QUERY):
            columns.setdefault((schema, table), []).append((column, kind))
        return {
            (schema, table): Table(
                int(duck.rows(connection, f"SELECT count(*) FROM {duck.ident(schema)}.{duck.ident(table)}")[0][0]),
                tuple(found),
            )
            for (schema, table), found in columns.items()
        }


_COLUMNS_QUERY: Final = """
    SELECT c.table_schema, c.table_name, c.column_name, c.data_type
    FROM information_schema.columns AS c
    INNER JOIN information_schema.tables AS t
        ON t.table_catalog = c.table_catalog AND t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE t.table_type = 'BASE TABLE' AND t.table_schema <> 'records'
    ORDER BY c.table_schema, c.table_name, c.ordinal_position
"""
