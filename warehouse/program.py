"""The program's own texts: which files they are, and one digest that changes when any of them does.

What belongs here: listing and hashing them. What does not: the digest of the code that makes marts, which goes into a
candidate's name (`warehouse.candidate`), and the words in these texts (`warehouse.names`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from warehouse.files import canonical_json, sha256_bytes, sha256_file
from warehouse.paths import package_root, project_root

_SUFFIXES: Final = {".csv", ".yaml", ".yml", ".md", ".py", ".j2", ".sql", ".txt"}
# The makers of sample persons hold names; the rest is what dbt writes for itself.
_LEFT_OUT: Final = {"sample", "target", "logs", "dbt_packages", "__pycache__"}
_ROOMS: Final = ("sources", "warehouse", "expectations", "orchestration")


def own_texts() -> dict[str, Path]:
    """Seeds, models, contracts, rules, templates and code by their path below the project, sorted."""
    roots = [(project_root(), "dbt_project"), *((package_root(), room) for room in _ROOMS)]
    found = {
        path.relative_to(base).as_posix(): path
        for base, name in roots
        for path in (base / name).rglob("*")
        if path.suffix in _SUFFIXES and path.is_file() and not _LEFT_OUT.intersection(path.relative_to(base).parts)
    }
    return dict(sorted(found.items()))


@cache
def program_digest() -> str:
    """SHA-256 over the program's own texts and the version of the engine that writes its files. Raises OSError."""
    texts = {name: sha256_file(path) for name, path in own_texts().items()}
    return sha256_bytes(canonical_json([duckdb.__version__, texts]))
