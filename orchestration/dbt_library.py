"""dagster-dbt without dbt: what the other modules of this room take from it.

What belongs here: importing it, and saying why so. What does not: our own translation and builds (`orchestration.dbt`,
`orchestration.assets.marts`).

dbt runs in a process of its own (`orchestration.dbt_ahead`); here its results are read. dagster-dbt nevertheless
imports dbt-core where it finds it, two seconds and 40 MiB in every process that has the definitions, for types and for
its selection of nodes. Where it finds none, which it supports, it takes all nodes of the manifest, and so do we.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = [
    "DagsterDbtTranslator",
    "DagsterDbtTranslatorSettings",
    "DbtCliInvocation",
    "DbtProject",
    "dbt_assets",
    "validate_manifest",
]

_ASKED_FOR: Final = "dbt.version"


@contextmanager
def _not_installed(name: str) -> Iterator[None]:
    """Within the block an import of this module fails as if it were not there; it is left as it was found."""
    # None in this place is how Python itself writes down that a module must not be imported.
    loaded = sys.modules.pop(name, None)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if loaded is not None:
            sys.modules[name] = loaded


with _not_installed(_ASKED_FOR):
    from dagster_dbt import (
        DagsterDbtTranslator,
        DagsterDbtTranslatorSettings,
        DbtCliInvocation,
        DbtProject,
        dbt_assets,
    )
    from dagster_dbt.dbt_manifest import validate_manifest
