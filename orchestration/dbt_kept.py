"""Which of dbt's nodes a build has to run, when it begins with the tables of the last one.

What belongs here: walking dbt's graph. What does not: the kept tables themselves (`warehouse.kept`), running dbt
(`orchestration.dbt`), and the second look at each table (`dbt_project/macros/support/kept_table.sql`): a node that is
run here may still find that everything it is made of says what it said.

Seeds and SQL are code, and tables are only kept under the same code; so what can differ is the records. A view holds
nothing of its own: it stays, and what is asked of it again are its tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import Any, Final

from warehouse import kept
from warehouse.candidate import Build

_SOURCE, _MODEL, _TEST = "source", "model", "test"
_VIEW: Final = "view"
# Nodes of such a build are small: while one waits for the interpreter the engine has time for others.
_THREADS: Final = "4"


@dataclass(frozen=True)
class Share:
    """The part of the nodes to run (all others stay as they are), as unique ids in no order; None: all of them."""

    nodes: frozenset[str] | None

    def arguments(self, manifest: Mapping[str, Any]) -> list[str]:
        """What `dbt build` is told beside everything else."""
        if self.nodes is None:
            return []
        chosen = sorted("fqn:" + ".".join(manifest["nodes"][node]["fqn"]) for node in self.nodes)
        # By name only: a test that also looks at a table which stays is among them already.
        return ["--threads", _THREADS, "--indirect-selection", "empty", "--select", *chosen]


def prepare(build: Build, manifest: Mapping[str, Any]) -> Share:
    """Write into a build what its tables rest on, and tell which nodes to run. Raises Fault."""
    named = {unique_id: source["name"] for unique_id, source in manifest["sources"].items()}
    known = {unique_id: build.sources[name] for unique_id, name in named.items()}
    ids = {name: unique_id for unique_id, name in named.items()}
    years = {(ids[name], year): content for (name, year), content in build.years.items() if name in ids}
    kept.note(build.database, needs(manifest), known, years)
    if build.kept is None:
        return Share(None)
    before = build.kept
    changed = [unique_id for unique_id, content in known.items() if before.get(named[unique_id]) != content]
    # The same records once more, after a failure or under another waiver: dbt visits everything, and tables stay all
    # the same. It cannot be told to run nothing.
    return Share(_to_run(manifest, changed) or None)


def needs(manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(table, what it is made of): sources and tables, seen through views."""
    nodes = manifest["nodes"]

    @cache
    def below(unique_id: str) -> frozenset[str]:
        found: set[str] = set()
        for parent in nodes[unique_id]["depends_on"]["nodes"]:
            kind = parent.partition(".")[0]
            if kind == _SOURCE or (kind == _MODEL and not _is_view(nodes[parent])):
                found.add(parent)
            elif kind == _MODEL:
                found |= below(parent)
        return frozenset(found)

    tables = (name for name, node in nodes.items() if node["resource_type"] == _MODEL and not _is_view(node))
    return {(name, base) for name in tables for base in below(name)}


def _is_view(node: Mapping[str, Any]) -> bool:
    return bool(node["config"]["materialized"] == _VIEW)


def _to_run(manifest: Mapping[str, Any], changed: Iterable[str]) -> frozenset[str]:
    """The tables and tests downstream of the changed sources."""
    nodes, children = manifest["nodes"], manifest["child_map"]
    reached, waiting = set(changed), list(changed)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return frozenset(name for name in reached if name in nodes and _is_run(nodes[name]))


def _is_run(node: Mapping[str, Any]) -> bool:
    return bool(node["resource_type"] == _TEST or (node["resource_type"] == _MODEL and not _is_view(node)))


def order(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Node -> its place in an order in which everything comes after what it is made of."""
    parents = {name: set(manifest["parent_map"].get(name, ())) & set(manifest["nodes"]) for name in manifest["nodes"]}
    return {name: place for place, name in enumerate(TopologicalSorter(parents).static_order())}
