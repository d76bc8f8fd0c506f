"""A dbt process that is started before it is needed: while deliveries are read it imports, parses and waits.

What belongs here: starting it, handing it its arguments, ending it unused; and what that process itself does. What does
not: which arguments (`orchestration.dbt`). The process gets no variable of the environment but those dbt needs: neither
credentials nor the addresses of sources. In a warm process (`orchestration.warm_server`), which has imported and parsed
already, it is a fork and waits at once. It waits a second time, with its orders, where it would open the database.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestration.forked import ForkedChild

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.events.base_types import EventMsg

    from orchestration.dbt_kept import Share

_CHILD: Final = [sys.executable, "-c", "from orchestration.dbt_ahead import serve; raise SystemExit(serve())"]
_GLOBAL: Final = ["--no-version-check", "--no-use-colors"]
_SILENT: Final = ["--log-level", "none", "--log-level-file", "none"]
_PASSED: Final = {
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "EDUPLAN_MEMORY",
    "EDUPLAN_PROJECT",
}
# What parsing does not import.
_USED_BY_A_BUILD: Final = (
    "dbt.task.build",
    "dbt.adapters.duckdb.environments.local",
    "dbt_common.clients.agate_helper",
    "sqlparse",
)
# The line behind the orders.
_FILLED: Final = b"filled\n"
# dbt says so before it opens a database, and first when it has chosen its nodes.
_OPENING: Final = "NewConnection"
_CHOSEN: Final = "eduplan_chosen"
# Such nodes are small: while one waits for the interpreter the engine has time for others. And these only: a test that
# also looks at a table which stays is among them already.
_OF_CHOSEN: Final = ("--threads", "4", "--indirect-selection", "empty", "--select", f"tag:{_CHOSEN}")
# As dbt's own command line has them: done, something failed, dbt itself broke.
_DONE, _FAILED, _BROKEN = 0, 1, 2


Running = subprocess.Popen[bytes] | ForkedChild


@dataclass(frozen=True)
class Orders:
    """What a process that waits is to do: one dbt command with these `arguments`, and what the environment says beside
    that of parsing. With a `share` it is run on that part of the nodes only, on `database`, and what became of them is
    written to `results`; without, dbt writes down itself what it did."""

    arguments: Sequence[str]
    variables: Mapping[str, str]
    database: Path
    results: Path
    share: Share | None = None

    def to_json(self) -> bytes:
        """As one line."""
        share = self.share.to_json() if self.share is not None else None
        paths = [str(self.database), str(self.results)]
        return json.dumps([list(self.arguments), dict(self.variables), *paths, share]).encode()

    @classmethod
    def from_json(cls, line: str) -> Orders:
        """What `to_json` wrote."""
        arguments, variables, database, results, share = json.loads(line)
        return cls(arguments, variables, Path(database), Path(results), _share(share))


def _share(said: Mapping[str, Any] | None) -> Share | None:
    if said is None:
        return None
    # Only here: a process that builds everything need not import what this does.
    from orchestration.dbt_kept import Share

    return Share.from_json(said)


@dataclass(frozen=True)
class DbtProcess:
    """A dbt process that has parsed the project whose files had this digest, and waits for its arguments."""

    process: Running
    digest: str

    def begin(self, orders: Orders) -> Running:
        """Tell it what to run, and return it; it opens the database once it is told that it may (`let_open`). Raises
        BrokenPipeError when it died meanwhile."""
        line = self.process.stdin
        if line is None:
            raise BrokenPipeError
        line.write(orders.to_json() + b"\n")
        # A process that died since anybody looked shows here and nowhere else.
        line.flush()
        return self.process

    def dismiss(self) -> None:
        """End it unused."""
        self.process.kill()
        self.process.communicate()


def let_open(process: Running) -> None:
    """Tell a process that has its orders that the database is there. One that died meanwhile tells so by its code."""
    line, process.stdin = process.stdin, None
    if line is not None:
        with suppress(BrokenPipeError), line:
            line.write(_FILLED)


def start(digest: str, project: Path, target: Path, variables: Mapping[str, str]) -> DbtProcess:
    """Start a process that parses `project` now, or take the one that was kept ready for this digest. `target` is where
    its parse cache lies; `variables` are set in its environment. Raises OSError."""
    while _ready:
        kept = _ready.pop()
        if kept.digest == digest and kept.process.poll() is None:
            return kept
        kept.dismiss()
    target.mkdir(parents=True, exist_ok=True)
    environment = _environment(project, target, variables)
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        _CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=project
    )
    return DbtProcess(process, digest)


# Started or forked before the run of this process asks for one; taken once.
_ready: Final[list[DbtProcess]] = []


def keep_ready(process: DbtProcess) -> None:
    """Keep a process for the next `start`, which takes it if the project is still the one it parsed."""
    _ready.append(process)


def fork(parsed: Parsed, variables: Mapping[str, str]) -> None:
    """Keep a process ready for `start`: a fork of this one, which holds the parsed project. Raises Fault, OSError."""
    environment = _environment(parsed.project, parsed.target, variables)

    def work() -> int:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(parsed.project)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)
        return _obey(parsed.manifest)

    _ready.append(DbtProcess(ForkedChild(work, _CHILD), parsed.digest))


def dismiss_ready() -> None:
    """End what was kept ready and not taken."""
    while _ready:
        _ready.pop().dismiss()


@dataclass(frozen=True)
class Parsed:
    """A project whose files had this digest, as dbt parsed it; `target` is where its parse cache lies."""

    digest: str
    project: Path
    target: Path
    manifest: Manifest


def parse(digest: str, project: Path, target: Path, variables: Mapping[str, str]) -> Parsed | None:
    """Parse in this process; None when the project does not parse. Leaves neither connections nor variables behind."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt_common.clients.jinja import template_cache

    target.mkdir(parents=True, exist_ok=True)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(_environment(project, target, variables))
    try:
        manifest = _parse()
    finally:
        os.environ.clear()
        os.environ.update(before)
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # the library has no types here
    if manifest is None:
        return None
    for macro in manifest.macros.values():
        # Jinja compiles a macro when it is first called: a seventh of what a fork's nodes take.
        template_cache.get_node_template(macro)
    for name in _USED_BY_A_BUILD:
        importlib.import_module(name)
    # How each kind of node is written out is compiled when the first one is written.
    manifest.writable_manifest().to_dict(omit_none=False)
    return Parsed(digest, project, target, manifest)


def _environment(project: Path, target: Path, variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if _is_passed(name)}
    return kept | {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        **variables,
    }


def _is_passed(name: str) -> bool:
    return name in _PASSED or name.startswith(("LC_", "PYTHON"))


def serve() -> int:
    """What the process does: parse, wait for one line with arguments and variables as JSON, run them. Events go to
    standard output. Without a line (nobody needed it, or its parent is gone) it ends at once. Returns dbt's exit code.
    """
    code = _obey(_parse())
    # The process ends now: it need not look through all that it holds for what could be freed.
    gc.freeze()
    return code


def _parse() -> Manifest | None:
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    parsed = dbtRunner().invoke([*_GLOBAL, *_SILENT, "parse", "--no-write-json"])
    return parsed.result if isinstance(parsed.result, Manifest) else None


def _obey(known: Manifest | None) -> int:
    line = sys.stdin.readline()
    if not line:
        return _DONE
    orders = Orders.from_json(line)
    os.environ.update(orders.variables)
    invoke = _Invoking(known)
    if orders.share is None or known is None:
        code = _code(invoke(orders.arguments))
    else:
        code = _build_share(invoke, known, orders, orders.share)
    # Had it not waited, it would have written into a file that another was put in the place of.
    return code if invoke.has_waited else max(code, _BROKEN)


class _Invoking:
    """Runs dbt on what was parsed, and holds it up where it would first open the database until that may be opened."""

    def __init__(self, known: Manifest | None) -> None:
        self._known, self.has_waited = known, False

    def __call__(self, arguments: Sequence[str]) -> dbtRunnerResult:
        from dbt.cli.main import dbtRunner

        # A project that does not parse is parsed again, this time aloud.
        return dbtRunner(manifest=self._known, callbacks=[self._hold_up]).invoke([*_GLOBAL, *arguments])

    def _hold_up(self, event: EventMsg) -> None:
        if self.has_waited or event.info.name != _OPENING:
            return
        self.has_waited = True
        if not sys.stdin.readline():
            # Nobody is there any more to fill it.
            raise SystemExit(_BROKEN)


def _code(result: dbtRunnerResult) -> int:
    if result.exception is not None:
        return _BROKEN
    return _DONE if result.success else _FAILED


def _build_share(invoke: _Invoking, known: Manifest, orders: Orders, share: Share) -> int:
    """Run the nodes that are run first, and then those that have to follow."""

    def run(nodes: Collection[str]) -> dbtRunnerResult:
        _choose(known, nodes)
        # dbt's own account of the whole project takes longer than ten nodes, and says what parsing it said.
        return invoke(["--no-write-json", *orders.arguments, *_OF_CHOSEN])

    passes = [run(share.first)]
    if passes[0].exception is None and (rest := _rest(orders.database, share, well=passes[0].success)):
        passes.append(run(rest))
    _write_results(passes, orders.results)
    return _code(passes[-1])


def _choose(known: Manifest, nodes: Collection[str]) -> None:
    """Mark these nodes and no others: dbt looks through all nodes once for each word it is told to select them by."""
    for unique_id, node in known.nodes.items():
        node.tags = [tag for tag in node.tags if tag != _CHOSEN]
        if unique_id in nodes:
            node.tags.append(_CHOSEN)


def _write_results(passes: Sequence[dbtRunnerResult], path: Path) -> None:
    """Write down what became of each node the last time it was run."""
    from dbt.artifacts.schemas.run import RunExecutionResult

    done = [found.result for found in passes if isinstance(found.result, RunExecutionResult)]
    if done:
        outcomes = {outcome.node.unique_id: outcome for found in done for outcome in found.results}
        seconds = sum(found.elapsed_time for found in done)
        replace(done[-1], results=list(outcomes.values()), elapsed_time=seconds).write(str(path))


def _rest(database: Path, share: Share, *, well: bool) -> frozenset[str]:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    from warehouse import kept

    if share.first == share.needs.keys():
        return frozenset()
    if not well:
        # A test may have failed because it looked at tables of which some were made again and others not yet.
        return frozenset(share.needs)
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # the library has no types here
    return share.rest(kept.changed(database))
