"""A dbt process that is started before it is needed: while deliveries are read it imports, parses and waits.

What belongs here: starting it, handing it its arguments, ending it unused; and what that process itself does. What does
not: which arguments (`orchestration.dbt`). The process gets no variable of the environment but those dbt needs: neither
credentials nor the addresses of sources.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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


@dataclass(frozen=True)
class DbtProcess:
    """A dbt process that has parsed the project whose files had this digest, and waits for its arguments."""

    process: subprocess.Popen[bytes]
    digest: str

    def begin(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Hand it the arguments of one dbt command and return it. Raises BrokenPipeError when it died meanwhile."""
        orders, self.process.stdin = self.process.stdin, None
        if orders is None:
            raise BrokenPipeError
        # Written out on closing: a process that died since anybody looked shows here and nowhere else.
        with orders:
            orders.write(json.dumps(list(arguments)).encode() + b"\n")
        return self.process

    def dismiss(self) -> None:
        """End it unused."""
        self.process.kill()
        self.process.communicate()


def start(digest: str, project: Path, target: Path, variables: Mapping[str, str]) -> DbtProcess:
    """Start a process that parses `project` now. `target` is where it keeps its parse cache from one start to the next;
    `variables` are set in its environment. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if _is_passed(name)}
    environment |= {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        _CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=project
    )
    return DbtProcess(process, digest)


def _is_passed(name: str) -> bool:
    return name in _PASSED or name.startswith(("LC_", "PYTHON"))


def serve() -> int:
    """What the process does: parse, wait for one line with the arguments as JSON, run them. Events go to standard
    output. Without a line (it was not needed, or its parent is gone) it ends at once. Returns dbt's exit code."""
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    parsed = dbtRunner().invoke([*_GLOBAL, *_SILENT, "parse", "--no-write-json"])
    order = sys.stdin.readline()
    if not order:
        return _DONE
    # A project that does not parse is parsed again, this time aloud.
    known = parsed.result if isinstance(parsed.result, Manifest) else None
    result = dbtRunner(manifest=known).invoke([*_GLOBAL, *json.loads(order)])
    if result.exception is not None:
        return _BROKEN
    return _DONE if result.success else _FAILED
