"""What need not be examined again: results whose rule, engine and data are those of an earlier recorded check.

What belongs here: by which key a result is known (the rule with its SQL, the code that runs it, and the content of
every table it reads), which results are therefore carried over, and which records the rest must examine. What does not:
where results are kept (`expectations.memo`), running rules and judging (`expectations.gate`).

A table of the marts is known by its digest under the candidate's fingerprint, a record view by the bytes of every file
it reads. A rule that reads anything else, or whose answer depends on more than its tables, is always run. Rules that
stand apart (`Rule.apart`) are known area by area and year by year: a corrected delivery has them examine the records of
its own area and year, and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from expectations import memo
from expectations import sql as rule_sql
from expectations.catalogue import Catalogue, Rule
from expectations.known import Cell, Known, RecordTable, create_views, know, views_of
from expectations.memo import Entry, Found
from expectations.sql import Place, TextColumns
from warehouse import candidate as candidates
from warehouse import duck
from warehouse.candidate import Candidate
from warehouse.clock import now
from warehouse.errors import Fault
from warehouse.files import canonical_json, sha256_bytes, sha256_file
from warehouse.records import RECORD_SCHEMAS, DeliveryRow

if TYPE_CHECKING:
    from warehouse.ledger import Ledger
    from warehouse.paths import Home
    from warehouse.verdict import Verdict

# "0": everything is judged anew, and what is found is kept for the next time.
SETTING: Final = "EDUPLAN_GATE_CARRY"

_NARROWED: Final = "narrowed"

log = logging.getLogger(__name__)


def engine_digest(rooms: Iterable[Path]) -> str:
    """SHA-256 over all Python in these folders, by name and content, and the libraries that judge. Raises OSError."""
    code = {f"{room.name}/{path.name}": sha256_file(path) for room in rooms for path in room.glob("*.py")}
    used = {name: version(name) for name in ("duckdb", "duckdb-engine", "great-expectations", "sqlalchemy")}
    return sha256_bytes(canonical_json([code, used]))


_HERE: Final = Path(__file__).parent
# When this module is loaded, not when it is asked: the code in memory, whatever lies on the disk by then.
ENGINE: Final = engine_digest([_HERE, _HERE.parent / "warehouse"])


@dataclass(frozen=True)
class Plan:
    """Which rules are asked, of which records, and what is carried over instead.

    `whole`: rules asked of the whole candidate; `apart`: rules asked of the areas and years `fresh` only. `keys`: under
    which keys what is found of a rule is kept, and `carried` what is taken over, by area and year (None: of the whole).
    `cells`: where a row of the records belongs.
    """

    whole: tuple[Rule, ...] = ()
    apart: tuple[Rule, ...] = ()
    fresh: frozenset[Cell] = frozenset()
    carried: Mapping[str, Mapping[Cell | None, Found]] = field(default_factory=dict)
    keys: Mapping[str, Mapping[Cell | None, str]] = field(default_factory=dict)
    cells: Mapping[Place, Cell] = field(default_factory=dict)

    @cached_property
    def asked(self) -> dict[str, frozenset[Cell | None]]:
        """Rule id -> the parts of it that are examined here, of those that have keys."""
        found = {rule.id: frozenset(self.keys.get(rule.id, ())) for rule in self.whole}
        return found | {rule.id: frozenset(self.keys[rule.id]) & self.fresh for rule in self.apart}

    def is_astray(self, rule_id: str, places: Iterable[Place]) -> bool:
        """Whether a rule that stands apart found something where it was not to look."""
        return any(self.cells.get(place) not in self.asked[rule_id] for place in places)


def everything(rules: Catalogue) -> Plan:
    """Nothing carried over, nothing kept."""
    return Plan(rules.rules)


@dataclass(frozen=True)
class Earlier:
    """What earlier checks found, as recorded (`entries`).

    `known`: what was found under which key by this code and these rules, which `basis` stands for; `usable`: that of it
    which may be carried over today, all of which goes back to one judging of everything at `fully_judged_at`.
    """

    entries: tuple[Entry, ...]
    basis: str
    known: Mapping[str, Found]
    usable: Mapping[str, Found]
    fully_judged_at: str

    @classmethod
    def read(cls, home: Home, ledger: Ledger, rules: Catalogue, code_digest: str) -> Earlier:
        """As it stands now for a candidate made by this code. Raises Fault when the ledger cannot be read."""
        entries = memo.read(home, ledger)
        basis = sha256_bytes(canonical_json([ENGINE, rules.version, code_digest]))
        same = [entry for entry in entries if entry.basis == basis]
        lately = [entry for entry in same if entry.is_of(now())] if os.environ.get(SETTING) != "0" else []
        full = max((entry.fully_judged_at for entry in lately), default="")
        return cls(
            entries=entries,
            basis=basis,
            known={key: found for entry in same for key, found in entry.found.items()},
            usable={
                key: found for entry in lately if entry.fully_judged_at == full for key, found in entry.found.items()
            },
            fully_judged_at=full,
        )

    def unanswered(
        self, rules: Iterable[Rule], texts: TextColumns, known: Known, views: Mapping[str, str]
    ) -> tuple[Rule, ...]:
        """Of the rules that look at record `views` alone and are asked of them as a whole, those of which nothing may
        be carried over."""
        records = readable(known, views)
        keys = [(rule, _keys(rule, known.reads[rule.id], texts, {}, records)) for rule in rules if not rule.apart]
        return tuple(rule for rule, parts in keys if parts and not self.usable.keys() >= {*parts.values()})


def readable(known: Known, views: Mapping[str, str]) -> dict[str, RecordTable]:
    """The record tables among these `views` (name -> text) that read exactly what is known, with digests of their
    parts."""
    return {f"records.{name}": table for name, table in known.records.items() if known.views[name] == views.get(name)}


class Carrying:
    """What earlier checks found, put against one candidate."""

    def __init__(
        self,
        home: Home,
        ledger: Ledger,
        candidate: Candidate,
        rules: Catalogue,
        known_ahead: Future[Known] | None = None,
    ) -> None:
        """`known_ahead`: what was begun to be known while the candidate was built."""
        self._home, self._candidate, self._known_ahead = home, candidate, known_ahead
        self.notes: list[str] = []
        self._earlier = Earlier.read(home, ledger, rules, str(candidate.inputs.get("code_digest")))
        self._rows = _taken_in(candidate, ledger)

    @property
    def fully_judged_at(self) -> str:
        """When everything was last judged, of what is carried over; '' where nothing may be."""
        return self._earlier.fully_judged_at

    # -- before -------------------------------------------------------------------------------------------------------

    def plan(self, connection: duckdb.DuckDBPyConnection, rules: Catalogue, texts: TextColumns) -> Plan:
        """What to ask of this candidate. Everything, when it cannot be told what it is made of."""
        try:
            known = self._know(rules)
            marts = {f"marts.{name}": digest for name, digest in candidates.table_contents(self._candidate).items()}
            records = readable(known, views_of(connection))
        except (Fault, OSError, duckdb.Error) as error:
            log.warning("候选的内容无法逐表辨认，全部重新检查：%s", error)
            return everything(rules)
        keys = {rule.id: _keys(rule, known.reads[rule.id], texts, marts, records) for rule in rules.rules}
        plan = self._choose(rules, keys)
        apart = {table for rule in rules.rules if rule.apart for table in known.reads[rule.id]}
        if self._is_mixed(connection, plan, sorted(table.split(".")[1] for table in apart & set(records))):
            log.error("有记录行的地区或年度与其报送件的不同，不能按地区和年度分别检查，全部重新检查。")
            return everything(rules)
        return plan

    def _is_mixed(self, connection: duckdb.DuckDBPyConnection, plan: Plan, names: Sequence[str]) -> bool:
        """Whether a row to be examined says another area or year than its delivery: then none of them stand apart."""
        if not plan.fresh:
            return False
        with self.narrowed(connection, plan):
            return any(
                plan.cells.get((delivery_id,)) != (area, year)
                for name in names
                for delivery_id, area, year in duck.rows(
                    connection, f"SELECT DISTINCT delivery_id, area_code, {_year(name)} FROM records.{duck.ident(name)}"
                )
            )

    def _choose(self, rules: Catalogue, keys: Mapping[str, Mapping[Cell | None, str]]) -> Plan:
        """Which areas and years something must be asked of, and with them what is carried over."""
        every = {cell for parts in keys.values() for cell in parts if cell}
        lacking = {
            cell for parts in keys.values() for cell, key in parts.items() if cell and key not in self._earlier.usable
        }
        # Most of the records in pieces would take longer than all of them at once.
        fresh = frozenset(lacking if 2 * len(lacking) <= len(every) else every)
        whole: list[Rule] = []
        apart: list[Rule] = []
        carried: dict[str, dict[Cell | None, Found]] = {}
        for rule in rules.rules:
            parts = keys[rule.id]
            if all(key in self._earlier.usable for key in parts.values()) and parts:
                asked: set[Cell | None] = set()
            elif None in parts or fresh >= parts.keys():
                asked = set(parts)
                whole.append(rule)
            else:
                asked = {*fresh}
                apart.append(rule)
            carried[rule.id] = {cell: self._earlier.usable[key] for cell, key in parts.items() if cell not in asked}
        return Plan(tuple(whole), tuple(apart), fresh, carried, keys, _cells(self._rows))

    def _know(self, rules: Catalogue) -> Known:
        """What was found out while the candidate was built, where that was about these rules and deliveries."""
        if self._known_ahead is not None and self._known_ahead.exception() is None:
            found = self._known_ahead.result()
            if found.is_of(rules.rules, self._rows):
                return found
        return know(self._home, self._candidate.database, self._rows, rules.rules)

    # -- while asking -------------------------------------------------------------------------------------------------

    @contextmanager
    def narrowed(self, connection: duckdb.DuckDBPyConnection, plan: Plan) -> Iterator[None]:
        """Within the block `records.<table>` holds the areas and years to examine, and there is no other table."""
        rows = [row for row in self._rows if (row.area_code, row.period) in plan.fresh]
        names = sorted({name for row in self._rows for name in row.tables})
        with _narrow(connection, self._home, names, rows):
            yield

    # -- after --------------------------------------------------------------------------------------------------------

    def remember(self, plan: Plan, verdict: Verdict, found: Mapping[str, Found]) -> None:
        """Keep what was found, once the verdict is recorded. `notes` then tells what disagrees with earlier checks."""
        if not found:
            return
        rule_of = {key: rule for rule, keys in plan.keys.items() for key in keys.values()}
        for key in sorted(set(found) & set(self._earlier.known)):
            before, after = self._earlier.known[key], found[key]
            if (before.checked, before.failed, before.keys) != (after.checked, after.failed, after.keys):
                self.notes.append(
                    f"质量检查：规则 {rule_of[key]} 对同样的数据，在候选 {before.origin} 上得出 {before.failed} 行"
                    f"不合格，重新检查得出 {after.failed} 行；以重新检查的为准，此前的记录弃用。请报告技术支持。"
                )
        for note in self.notes:
            log.error("%s", note)
        full = verdict.fully_judged_at or verdict.judged_at
        entry = Entry(self._candidate.candidate_id, verdict.digest(), self._earlier.basis, full, found)
        memo.add(self._home, () if self.notes else self._earlier.entries, entry)


def _year(table: str) -> str:
    return next(name for name in ("stat_year", "fiscal_year") if name in RECORD_SCHEMAS[table].names)


def _taken_in(candidate: Candidate, ledger: Ledger) -> tuple[DeliveryRow, ...]:
    """The deliveries whose records a candidate reads, as the ledger knows them."""
    used = [item for item in candidate.inputs.get("deliveries", []) if item["status"] in ("accepted", "partly")]
    return tuple(ledger.deliveries_of(item["delivery_id"] for item in used))


def _cells(rows: Iterable[DeliveryRow]) -> dict[Place, Cell]:
    """Where a row of the records belongs, by its delivery or by its area and year."""
    cells: dict[Place, Cell] = {}
    for row in rows:
        cell = (row.area_code, row.period)
        cells[(row.delivery_id,)] = cells[(row.area_code, str(row.period))] = cell
    return cells


def _keys(
    rule: Rule,
    reads: frozenset[str],
    texts: TextColumns,
    marts: Mapping[str, str],
    records: Mapping[str, RecordTable],
) -> dict[Cell | None, str]:
    """Under which keys what is found of a rule is known, by area and year (None: of the whole); none when it is not."""
    if not reads or not reads <= {*marts, *records}:
        return {}
    try:
        sql = rule_sql.compose(rule, texts)
    except LookupError:
        # Whoever asks this rule will be told what is wrong with it.
        return {}
    asked = sha256_bytes(canonical_json([ENGINE, rule.model_dump(mode="json"), sql.relation, sql.scope, sql.fails]))
    if not rule.apart or not reads <= set(records):
        contents = {name: marts[name] if name in marts else records[name].digest() for name in reads}
        return {None: sha256_bytes(canonical_json([asked, contents]))}
    cells = {cell for name in reads for cell in records[name].parts}
    return {
        cell: sha256_bytes(canonical_json([asked, {name: records[name].parts.get(cell) for name in reads}]))
        for cell in sorted(cells)
    }


@contextmanager
def _narrow(
    connection: duckdb.DuckDBPyConnection, home: Home, names: Iterable[str], rows: Sequence[DeliveryRow]
) -> Iterator[None]:
    """Within the block a database in memory is in use, in which `records.<name>` reads these deliveries only."""
    own = duck.ident(duck.rows(connection, "SELECT current_database()")[0][0])
    connection.execute(f"ATTACH ':memory:' AS {_NARROWED} (READ_WRITE)")
    try:
        connection.execute(f"USE {_NARROWED}")
        create_views(connection, home, names, rows)
        yield
    finally:
        connection.execute(f"USE {own}")
        connection.execute(f"DETACH {_NARROWED}")
