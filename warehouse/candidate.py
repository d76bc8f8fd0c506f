"""Candidates: one DuckDB file a build, a pure function of active deliveries and code, sealed once and never changed.

What belongs here: naming, opening, sealing, loading and sweeping candidates, and the `records` schema dbt reads.
What does not: the models (`dbt_project/`), judging (`expectations/`), publishing (`warehouse.release`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from warehouse import duck, kept, last_release
from warehouse.errors import Fault, Refused
from warehouse.files import canonical_json, fsync_dir, fsync_tree, pretty_json, sha256_bytes, sha256_file, unique_suffix
from warehouse.fingerprint import fingerprint_of, table_digests, table_hashes
from warehouse.holds import Selection
from warehouse.lock import drop_lease, exclusive, is_leased, take_lease
from warehouse.paths import Home, package_root, project_root
from warehouse.records import RECORD_SCHEMAS, DeliveryRow
from warehouse.waivers import Waiver

DATABASE_NAME: Final = kept.DATABASE_NAME
SEAL_NAME: Final = "candidate.json"
DBT_MANIFEST: Final = "manifest.json"
BUILDING: Final = ".building-"

# Held while candidates are named, swept or renamed, which takes milliseconds: whoever waits longer than this waits for
# something broken.
LOCK: Final = "candidates"
LOCK_WAIT: Final = 30.0

# What dbt writes for itself; it says nothing about the code.
_DBT_LEFTOVERS: Final = {"target", "logs", "dbt_packages", ".user.yml", "__pycache__"}
_DBT_SUFFIXES: Final = {".sql", ".yml", ".yaml", ".csv", ".md"}

_DELIVERY_TYPES: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(("delivery_id", "feed", "area_code"), pa.string()),
    "period": pa.int32(),
    **dict.fromkeys(("part", "sha256", "file_name", "submitter"), pa.string()),
    "reported_on": pa.date32(),
    "status": pa.string(),
    **dict.fromkeys(("rows_in", "rows_accepted", "rows_quarantined"), pa.int64()),
}
DELIVERY_SCHEMA: Final = pa.schema(_DELIVERY_TYPES)
# Deliveries set aside: `replaced_by` is the predecessor that counts instead, if there is one.
_HELD_TYPES: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(("delivery_id", "feed", "area_code"), pa.string()),
    "period": pa.int32(),
    **dict.fromkeys(("part", "replaced_by", "reason_zh"), pa.string()),
}
HELD_SCHEMA: Final = pa.schema(_HELD_TYPES)


@dataclass(frozen=True)
class Build:
    """A candidate under construction: dbt writes into `database`, and its manifest.json belongs into `work_dir`.

    `sources` names for each table of schema `records` what it says, `years` the same for (table, year) of the record
    tables; `kept` are the sources of the build whose tables this one begins with, None where it begins empty.
    """

    candidate_id: str
    work_dir: Path
    database: Path
    inputs: dict[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)
    years: Mapping[tuple[str, int], str] = field(default_factory=dict)
    kept: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Candidate:
    """A sealed candidate: its directory, its database, the fingerprint of its marts and what it was made from."""

    candidate_id: str
    path: Path
    database: Path
    fingerprint: str
    inputs: dict[str, Any]


def code_digest() -> str:
    """SHA-256 over everything in the code that can change a mart: dbt sources and seeds, parsers, contracts, schemas.

    Names and contents only: no clock, no absolute path, so the same checkout has the same digest everywhere.
    """
    named = {**_dbt_files(project_root() / "dbt_project"), **_package_files(package_root())}
    return sha256_bytes(canonical_json({name: sha256_file(path) for name, path in named.items()}))


def _dbt_files(root: Path) -> dict[str, Path]:
    found = {}
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and path.suffix in _DBT_SUFFIXES and not _DBT_LEFTOVERS.intersection(parts):
            found["dbt_project/" + "/".join(parts)] = path
    return found


def _package_files(root: Path) -> dict[str, Path]:
    own = ("agreed_tables.py", "candidate.py", "records.py", "suppression.py")
    disclosure = sorted(path.name for path in (root / "warehouse").glob("disclosure*") if path.is_file())
    found = {f"warehouse/{name}": root / "warehouse" / name for name in (*own, *disclosure)}
    for path in (root / "sources").rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and path.suffix in {".py", ".yaml"} and parts[1] != "sample":
            found["/".join(parts)] = path
    return found


def candidate_id(
    active: Iterable[DeliveryRow],
    *,
    code_digest: str,
    waivers: Iterable[Waiver] = (),
    held: Sequence[Mapping[str, Any]] = (),
    disclosed: str = "",
) -> str:
    """'c' and 16 hex digits: a pure function of the active set, the code, the waivers, the deliveries set aside and
    what earlier releases disclosed (`warehouse.disclosure_history`), in whatever order."""
    identity = {
        "code": code_digest,
        "active": sorted(_input_key(row) for row in active),
        "waivers": _waiver_contents(waivers),
        "held": sorted(item["delivery_id"] for item in held),
        "disclosed": disclosed,
    }
    return "c" + sha256_bytes(canonical_json(identity))[:16]


def _waiver_contents(waivers: Iterable[Waiver]) -> list[dict[str, Any]]:
    return [waiver.content() for waiver in sorted(waivers, key=lambda item: item.id)]


def _input_key(row: DeliveryRow) -> tuple[Any, ...]:
    return (row.feed, row.area_code, row.period, row.part, row.sha256, row.contract_version, row.status)


def begin(
    home: Home,
    chosen: Selection | Sequence[DeliveryRow],
    feeds: pa.Table,
    waivers: Sequence[Waiver] = (),
    *,
    disclosed: str = "",
    last: pa.Table | None = None,
    base: kept.Kept | None = None,
) -> Build:
    """Open a candidate database with schema `records` filled, in a work directory of its own: `announce` and `fill`.
    Raises Fault when a record file is missing, OSError when the disk fails."""
    build = announce(home, chosen, feeds, waivers, disclosed=disclosed, base=base)
    return fill(home, build, chosen, feeds, last=last, base=base)


def announce(
    home: Home,
    chosen: Selection | Sequence[DeliveryRow],
    feeds: pa.Table,
    waivers: Sequence[Waiver] = (),
    *,
    disclosed: str = "",
    base: kept.Kept | None = None,
    code: str | None = None,
) -> Build:
    """Make the work directory of a build and tell where its database will lie and what its records will say.

    `chosen` is the active set (`Ledger.active_set`), with what was set aside if anything was, `feeds` what
    `sources.contract.feed_table` gives, `waivers` what `warehouse.waivers.read_waivers` gives: the gate may use these
    and no others. `disclosed` is the digest of what earlier releases disclosed, `base` what it is to begin with, `code`
    the code's digest where it is known. Raises OSError when the disk fails.
    """
    selection = _selection(chosen)
    active, held = selection.active, selection.held_contents()
    digest = code_digest() if code is None else code
    identity = candidate_id(active, code_digest=digest, waivers=waivers, held=held, disclosed=disclosed)
    work_dir = home.candidates / f"{BUILDING}{identity}-{unique_suffix()}"
    with exclusive(home, LOCK, wait=LOCK_WAIT):
        sweep(home)
        work_dir.mkdir(parents=True)
        take_lease(work_dir)
    inputs = {**_inputs(active, digest, waivers), "held": held, "disclosed": disclosed}
    return Build(
        identity,
        work_dir,
        work_dir / DATABASE_NAME,
        inputs,
        sources=_said(home, selection, feeds),
        years=_by_year(home, active),
        kept=None if base is None else base.sources,
    )


def fill(
    home: Home,
    build: Build,
    chosen: Selection | Sequence[DeliveryRow],
    feeds: pa.Table,
    *,
    last: pa.Table | None = None,
    base: kept.Kept | None = None,
    more: Callable[[duckdb.DuckDBPyConnection, Build], None] | None = None,
) -> Build:
    """Make the database of an announced build, with schema `records` filled; of the same `chosen`, `feeds` and `base`.

    It begins with the tables of `base` (`warehouse.kept.find`) when these are unaltered, else empty, which the build
    that is returned tells. `last` is what the standing release shows (`warehouse.last_release.last_values`), for the
    gate; `more` writes into it what others know. Raises Fault when a record file is missing, OSError when the disk
    fails; then the build is gone.
    """
    with ExitStack() as unless_done:
        unless_done.callback(abandon, build)
        begins_with = base.sources if base is not None and kept.take(base, build.database) else None
        with duck.connect(build.database) as connection:
            duck.leave_log(connection)
            stays = {name for name, said in (begins_with or {}).items() if said == build.sources.get(name)}
            _create_records(connection, home, _selection(chosen), feeds, stays)
            _create_table(connection, last_release.TABLE, last_release.SCHEMA.empty_table() if last is None else last)
            kept.prepare(connection)
            if more is not None:
                more(connection, build)
        unless_done.pop_all()
    return replace(build, kept=begins_with)


def _selection(chosen: Selection | Sequence[DeliveryRow]) -> Selection:
    return chosen if isinstance(chosen, Selection) else Selection(tuple(chosen))


def _said(home: Home, selection: Selection, feeds: pa.Table) -> dict[str, str]:
    """For each table of schema `records` a digest of what it says."""
    # A record file is never changed under its name: the view's text names all it says, given the same code.
    views = {table: _record_query(home, table, selection.active).encode() for table in RECORD_SCHEMAS}
    tables = {
        name: canonical_json([content.schema.names, content.to_pylist()])
        for name, content in _record_tables(selection, feeds).items()
    }
    return {name: sha256_bytes(said) for name, said in {**views, **tables}.items()}


def _record_tables(selection: Selection, feeds: pa.Table) -> dict[str, pa.Table]:
    """The tables of schema `records` that are no views of record files."""
    return {"delivery": _delivery_table(selection.active), "held": _held_table(selection), "feed": feeds}


def _create_records(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    selection: Selection,
    feeds: pa.Table,
    stays: Collection[str],
) -> None:
    """Schema `records`. A view that stands there and would say the same `stays`, for the engine looks at its files on
    making it."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS records")
    for table in RECORD_SCHEMAS:
        if table in stays:
            _check_files(home, table, selection.active)
        else:
            create_record_view(connection, home, table, selection.active)
    for name, content in _record_tables(selection, feeds).items():
        _create_table(connection, name, content)


def _inputs(active: Iterable[DeliveryRow], code: str, waivers: Iterable[Waiver]) -> dict[str, Any]:
    names = ("delivery_id", "feed", "area_code", "period", "part", "sha256", "contract_version", "status")
    deliveries = sorted(
        ({name: getattr(row, name) for name in names} for row in active),
        key=lambda item: (item["feed"], item["area_code"], item["period"], item["part"], item["delivery_id"]),
    )
    return {"code_digest": code, "deliveries": deliveries, "waivers": _waiver_contents(waivers)}


def create_record_view(
    connection: duckdb.DuckDBPyConnection, home: Home, table: str, active: Sequence[DeliveryRow]
) -> None:
    """Make the view `records.<table>` of these deliveries in the database in use. Raises Fault when a file is
    missing."""
    _check_files(home, table, active)
    connection.execute(f"CREATE OR REPLACE VIEW records.{duck.ident(table)} AS {_record_query(home, table, active)}")


def _check_files(home: Home, table: str, active: Iterable[DeliveryRow]) -> None:
    missing = [name for name in _files(table, active) if not (home.root / name).is_file()]
    if missing:
        raise Fault(
            f"缺少 {len(missing)} 个记录文件，例如 {missing[0]}。",
            "请执行 eduplan verify 查明原因；报送原件仍在 archive/ 中。",
        )


def _files(table: str, active: Iterable[DeliveryRow]) -> list[str]:
    """The record files of a table, relative to the home, sorted."""
    return sorted(row.tables[table] for row in active if table in row.tables)


def _record_query(home: Home, table: str, active: Sequence[DeliveryRow]) -> str:
    files = _files(table, active)
    # Relative to the home, so that a copied home reads its own records: `duck.connect` says where a candidate's lie.
    named = files if duck.can_search(home.root) else [str(home.root / name) for name in files]
    # NULLs of an empty Arrow table give DuckDB the types; an absent feed is an empty view of the right shape.
    source = f"read_parquet({duck.path_list(named)})" if files else f"(SELECT {_typed_nulls(table)} WHERE false)"
    columns = ", ".join(duck.ident(name) for name in RECORD_SCHEMAS[table].names)
    return f"SELECT {columns} FROM {source}{_laid_over(table, active)}"


def _by_year(home: Home, active: Sequence[DeliveryRow]) -> dict[tuple[str, int], str]:
    """For each record table and year a digest of what it says of that year."""
    years: dict[int, list[DeliveryRow]] = {}
    for row in active:
        years.setdefault(row.period, []).append(row)
    return {
        (table, year): sha256_bytes(_record_query(home, table, rows).encode())
        for year, rows in sorted(years.items())
        for table in RECORD_SCHEMAS
        if any(table in row.tables for row in rows)
    }


def laid_over(table: str, active: Iterable[DeliveryRow]) -> list[tuple[str, str]]:
    """(district's delivery, school) wherever a single school's delivery speaks for the school instead, sorted."""
    rows = [row for row in active if table in row.tables]
    districts = {row.key: row.delivery_id for row in rows}
    return sorted(
        (districts[row.lies_over], row.school_code)
        for row in rows
        if row.school_code is not None and row.lies_over in districts
    )


def _laid_over(table: str, active: Iterable[DeliveryRow]) -> str:
    """The condition that leaves out of districts' deliveries the schools that single schools' deliveries speak for;
    '' when there are none."""
    pairs = laid_over(table, active)
    listed = ", ".join(f"({duck.literal(delivery)}, {duck.literal(school)})" for delivery, school in pairs)
    if not listed:
        return ""
    return (
        f" WHERE NOT EXISTS (SELECT 1 FROM (VALUES {listed}) AS laid_over (delivery, school)"
        " WHERE laid_over.delivery = delivery_id AND laid_over.school = school_code)"
    )


def _typed_nulls(table: str) -> str:
    return ", ".join(
        f"CAST(NULL AS {duck_type(column.type)}) AS {duck.ident(column.name)}" for column in RECORD_SCHEMAS[table]
    )


def duck_type(kind: pa.DataType) -> str:
    """The DuckDB name of an Arrow type used in RECORD_SCHEMAS. Raises Fault for any other."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    names = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.bool_(): "BOOLEAN", pa.date32(): "DATE"}
    names |= {pa.timestamp("us"): "TIMESTAMP"}
    if kind not in names:
        raise Fault(f"记录表用了未约定的类型 {kind}。")
    return names[kind]


def _delivery_table(active: Iterable[DeliveryRow]) -> pa.Table:
    ordered = sorted(active, key=lambda row: (*row.key, row.delivery_id))
    columns = {name: [getattr(row, name) for row in ordered] for name in DELIVERY_SCHEMA.names}
    return pa.table(columns, schema=DELIVERY_SCHEMA)


def _held_table(selection: Selection) -> pa.Table:
    rows = [{name: item[name] for name in HELD_SCHEMA.names} for item in selection.held_contents()]
    return pa.Table.from_pylist(rows, schema=HELD_SCHEMA)


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, content: pa.Table) -> None:
    connection.register("incoming", content)
    connection.execute(f"CREATE OR REPLACE TABLE records.{duck.ident(name)} AS SELECT * FROM incoming")
    connection.unregister("incoming")


@dataclass(frozen=True)
class Content:
    """What a finished build says: the digests of its marts (`table_digests`), and the SHA-256 of its file."""

    tables: list[dict[str, object]]
    database_sha256: str


def finish(database: Path) -> Content:
    """What the database of a build says that nobody writes into any more. Raises Fault, OSError."""
    duck.make_whole(database)
    return Content(table_digests(database), sha256_file(database))


def seal(home: Home, build: Build, content: Content | None = None) -> Candidate:
    """Fsync a finished build with its fingerprint and rename it to `candidates/<id>`; the same build twice is one
    candidate. `content` is what `finish` gave, where it was asked before.

    dbt must have let go of the file and its manifest.json must lie in `work_dir`. Raises Fault when a candidate of the
    same id says something else: then the build is not a pure function of its inputs.
    """
    found = finish(build.database) if content is None else content
    fingerprint = fingerprint_of(found.tables)
    manifest = build.work_dir / DBT_MANIFEST
    sealed = {
        "candidate_id": build.candidate_id,
        "fingerprint": fingerprint,
        "tables": found.tables,
        "database_sha256": found.database_sha256,
        "inputs": build.inputs,
        "dbt_manifest_sha256": sha256_file(manifest) if manifest.is_file() else None,
        "duckdb_version": duckdb.__version__,
    }
    (build.work_dir / SEAL_NAME).write_bytes(pretty_json(sealed))
    fsync_tree(build.work_dir)
    with exclusive(home, LOCK, wait=LOCK_WAIT):
        existing = find(home, build.candidate_id)
        if existing is None:
            drop_lease(build.work_dir)
            build.work_dir.rename(home.candidates / build.candidate_id)
            fsync_dir(home.candidates)
            return load(home, build.candidate_id)
    abandon(build)
    if existing.fingerprint != fingerprint:
        raise Fault(
            f"同一输入两次构建的结果不同（候选 {build.candidate_id}）："
            f"{existing.fingerprint[:8]} 与 {fingerprint[:8]}。",
            "请检查模型中是否用了当前时间、随机数或不确定的排序。",
        )
    return existing


def adopt(home: Home, candidate: Candidate, active: Sequence[DeliveryRow]) -> None:
    """Move a candidate sealed in a scratch home into `home`, its record views over the home's own record files.

    The caller has shown that its content is what it should be. Raises Fault when a record file is missing, OSError.
    """
    with duck.connect(candidate.database) as connection:
        for table in RECORD_SCHEMAS:
            connection.execute(f"DROP VIEW records.{duck.ident(table)}")
            create_record_view(connection, home, table, active)
        connection.execute("CHECKPOINT")
    fsync_tree(candidate.path)
    with exclusive(home, LOCK, wait=LOCK_WAIT):
        candidate.path.rename(home.candidates / candidate.candidate_id)
        fsync_dir(home.candidates)


def abandon(build: Build) -> None:
    """Remove a build that will not be sealed."""
    drop_lease(build.work_dir)
    shutil.rmtree(build.work_dir, ignore_errors=True)


def find(home: Home, candidate_id: str) -> Candidate | None:
    """The sealed candidate of this id, or None."""
    return load(home, candidate_id) if (home.candidates / candidate_id / SEAL_NAME).is_file() else None


def load(home: Home, candidate_id: str) -> Candidate:
    """Read a sealed candidate. Its fingerprint is the recorded one: `publish` recomputes it. Raises Refused, Fault."""
    path = home.candidates / candidate_id
    if not (path / SEAL_NAME).is_file() or not (path / DATABASE_NAME).is_file():
        raise Refused(f"没有候选版本 {candidate_id}，或它没有封存完毕。", "请执行 eduplan run 重新构建。")
    sealed = read_seal(path)
    if sealed["candidate_id"] != candidate_id:
        raise Fault(f"候选目录 {candidate_id} 中封存的是 {sealed['candidate_id']}，目录被挪动或改名过。")
    return Candidate(candidate_id, path, path / DATABASE_NAME, sealed["fingerprint"], sealed["inputs"])


def read_seal(path: Path) -> Mapping[str, Any]:
    """The content of `candidate.json`. Raises Fault when it is damaged."""
    try:
        sealed = json.loads((path / SEAL_NAME).read_bytes())
    except ValueError as error:
        raise Fault(f"候选 {path.name} 的封存记录已损坏。", "请删除该候选目录后重新执行 eduplan run。") from error
    if not isinstance(sealed, dict) or not {"candidate_id", "fingerprint", "inputs"} <= set(sealed):
        raise Fault(f"候选 {path.name} 的封存记录不完整。", "请删除该候选目录后重新执行 eduplan run。")
    return sealed


def table_contents(candidate: Candidate) -> dict[str, str]:
    """Table of the marts -> SHA-256 of what it says, as sealed; empty where the seal does not tell. Raises Fault.

    What is told together makes the fingerprint, so nothing here can be other than what was sealed.
    """
    told = read_seal(candidate.path).get("tables") if (candidate.path / SEAL_NAME).is_file() else None
    if not isinstance(told, list) or fingerprint_of(told) != candidate.fingerprint:
        return {}
    return table_hashes(told)


def contents(candidate: Candidate) -> list[dict[str, object]]:
    """What the marts of a sealed candidate say here and now (`table_digests`). Raises Fault.

    A file with the bytes that were sealed says what was sealed; of any other it is found out.
    """
    sealed = read_seal(candidate.path)
    told, expected = sealed.get("tables"), sealed.get("database_sha256")
    if isinstance(told, list) and expected is not None and sha256_file(candidate.database) == expected:
        return told
    return table_digests(candidate.database)


def sweep(home: Home) -> list[str]:
    """Remove work directories that no living process holds; returns their names."""
    removed = []
    for leftover in sorted(home.candidates.glob(f"{BUILDING}*")):
        if not is_leased(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
            removed.append(leftover.name)
    return removed
