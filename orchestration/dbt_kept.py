"""Which of dbt's nodes a build has to run, when it begins with the tables of the last one.

What belongs here: walking dbt's graph. What does not: the kept tables themselves (`warehouse.kept`), running dbt
(`orchestration.dbt`), and the second look at each table (`dbt_project/macros/support/kept_table.sql`): a node that is
run here may still find that everything it is made of says what it said.

Seeds and SQL are code, and tables are only kept under the same code; so what can differ is the records. A view holds
nothing of its own: it stays, and what is asked of it again are its tests.

Most of what lies downstream of a change stays all the same, and to find that out node by node takes dbt as long as the
work itself. So the nodes that the last change of the same records reached are run first, and what they left says
whether others have to follow: belief decides in what order, never whether.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from warehouse import kept
from warehouse.candidate import Build

if TYPE_CHECKING:
    import duckdb

_SOURCE, _MODEL, _TEST = "source", "model", "test"
_VIEW: Final = "view"


@dataclass(frozen=True)
class Share:
    """The part of the nodes that may have to run; all others stay as they are.

    `needs`: unique id -> the tables and sources it is made of. `first`: the nodes among them that are run first: what
    they are made of says something else or is believed to; `rest` then tells which of the others have to follow.
    """

    needs: Mapping[str, frozenset[str]]
    first: frozenset[str]

    def rest(self, changed: Collection[str]) -> frozenset[str]:
        """The nodes to run behind the first ones, when `changed` are the tables and sources that say something else:
        those left out although something they are made of changed, and all that is made of these."""
        found = {node for node, bases in self.needs.items() if node not in self.first and bases & frozenset(changed)}
        waiting = list(found)
        while waiting:
            made = waiting.pop()
            further = {node for node, bases in self.needs.items() if made in bases} - found
            found |= further
            waiting += further
        return frozenset(found)

    def to_json(self) -> dict[str, Any]:
        """For the process that runs dbt."""
        needs = {node: sorted(bases) for node, bases in self.needs.items()}
        return {"needs": needs, "first": sorted(self.first)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Share:
        """What `to_json` wrote."""
        needs = {node: frozenset(bases) for node, bases in said["needs"].items()}
        return cls(needs, frozenset(said["first"]))


def choose(build: Build, manifest: Mapping[str, Any], followed: Mapping[str, Collection[str]]) -> Share | None:
    """Which nodes to run in a build, where `followed` (`warehouse.kept`) is what followed from changes before; None:
    all of them."""
    if build.kept is None:
        return None
    named, before = _names(manifest), build.kept
    changed = {unique_id for unique_id, name in named.items() if before.get(name) != build.sources[name]}
    nodes, bases = _to_run(manifest, changed), _bases(manifest)
    # The same records once more, after a failure or under another waiver: dbt visits everything, and tables stay all
    # the same. It cannot be told to run nothing.
    if not nodes:
        return None
    return _share(manifest, {node: bases[node] for node in nodes}, changed, followed)


def note(connection: duckdb.DuckDBPyConnection, build: Build, manifest: Mapping[str, Any]) -> None:
    """Write into a build what its tables rest on."""
    named = _names(manifest)
    ids = {name: unique_id for unique_id, name in named.items()}
    years = {(ids[name], year): content for (name, year), content in build.years.items() if name in ids}
    needs = {
        (node, base)
        for node, found in _bases(manifest).items()
        if manifest["nodes"][node]["resource_type"] == _MODEL
        for base in found
    }
    kept.note(connection, needs, {unique_id: build.sources[name] for unique_id, name in named.items()}, years)


def _names(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Source -> its table of schema `records`."""
    return {unique_id: source["name"] for unique_id, source in manifest["sources"].items()}


def _share(
    manifest: Mapping[str, Any],
    needs: Mapping[str, frozenset[str]],
    changed: Collection[str],
    followed: Mapping[str, Collection[str]],
) -> Share:
    if not followed.keys() >= set(changed):
        return Share(needs, frozenset(needs))
    # What followed from a change of these records last time is believed to follow again.
    believed = frozenset(changed).union(*(followed[source] for source in changed))
    return Share(needs, frozenset(node for node, bases in needs.items() if bases & believed))


def _bases(manifest: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Table or test -> what it is made of or looks at: sources and tables, seen through views."""
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

    return {name: below(name) for name, node in nodes.items() if _is_run(node)}


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
