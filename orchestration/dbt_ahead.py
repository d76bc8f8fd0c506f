"""A dbt process that is started before it is needed: while deliveries are read it imports, parses and waits.

What belongs here: starting it, handing it its arguments, ending it unused; and what that process itself does. What does
not: which arguments (`orchestration.dbt`). The process gets no variable of the environment but those dbt needs: neither
credentials nor the addresses of sources. In a warm process (`orchestration.warm_server`), which has imported and parsed
already, it is a fork and waits at once.
"""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration.forked import ForkedChild

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

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
# As dbt's own command line has them: done, something failed, dbt itself broke.
_DONE, _FAILED, _BROKEN = 0, 1, 2


Running = subprocess.Popen[bytes] | ForkedChild


@dataclass(frozen=True)
class DbtProcess:
    """A dbt process that has parsed the project whose files had this digest, and waits for its arguments."""

    process: Running
    digest: str

    def begin(self, arguments: Sequence[str], variables: Mapping[str, str]) -> Running:
        """Hand it the arguments of one dbt command, and what its environment says beside that of parsing; return it.
        Raises BrokenPipeError when it died meanwhile."""
        orders, self.process.stdin = self.process.stdin, None
        if orders is None:
            raise BrokenPipeError
        # Written out on closing: a process that died since anybody looked shows here and nowhere else.
        with orders:
            orders.write(json.dumps([list(arguments), dict(variables)]).encode() + b"\n")
        return self.process

    def dismiss(self) -> None:
        """End it unused."""
        self.process.kill()
        self.process.communicate()


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
    from dbt.cli.main import dbtRunner

    order = sys.stdin.readline()
    if not order:
        return _DONE
    arguments, variables = json.loads(order)
    os.environ.update(variables)
    # A project that does not parse is parsed again, this time aloud.
    result = dbtRunner(manifest=known).invoke([*_GLOBAL, *arguments])
    if result.exception is not None:
        return _BROKEN
    return _DONE if result.success else _FAILED
