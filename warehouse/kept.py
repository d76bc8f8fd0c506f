"""What the last build made, for the next one to begin with: tables whose inputs did not change are not made again.

What belongs here: keeping a built database before the disclosure step changes it, finding it again unaltered, and the
schema in which a build says what its tables were made from. What does not: which models follow from what
(`orchestration.dbt_kept`), and when a table may stay as it is (`dbt_project/macros/support/kept_table.sql`).

It is a cache: removing `<home>/kept/` costs one whole build and nothing else. It holds cells that the disclosure step
takes out, as records do, so only the owner may read it. A file that somebody altered is not used: its digest stands in
a note that is sealed with the home's key (`warehouse.home_key`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from warehouse import duck
from warehouse.errors import Fault
from warehouse.files import canonical_json, unique_suffix
from warehouse.home_key import read_sealed, write_sealed
from warehouse.paths import Home
from warehouse.program import program_digest

FOLDER: Final = "kept"
NOTE: Final = "note"
_PURPOSE: Final = "kept build"
SCHEMA: Final = "kept"
WHOLE_VARIABLE: Final = "EDUPLAN_WHOLE_BUILDS"
# As a candidate's, in a folder as deep: its views name it so, and their files by the way from there.
DATABASE_NAME: Final = "candidate.duckdb"
_BLOCK: Final = 1 << 20
_ENGINES: Final = ("dbt-core", "dbt-duckdb", "duckdb")

_TYPES: Final[dict[str, pa.DataType]] = {"node": pa.string(), "year": pa.int32(), "content": pa.string()}
_SAID: Final = pa.schema(_TYPES)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A built database in the home, and for each source (a table of schema `records`) what it said then; `copied`: a
    copy made ahead, and its digest (`copy_ahead`)."""

    database: Path
    sha256: str
    sources: Mapping[str, str]
    copied: tuple[Path, str] | None = None


def find(home: Home, code_digest: str, key: bytes) -> Kept | None:
    """The last build by this code on these engines; None when there is none, when its note is not ours, or when
    EDUPLAN_WHOLE_BUILDS asks for whole builds. The file's own digest is checked when it is taken (`take`)."""
    if os.environ.get(WHOLE_VARIABLE):
        return None
    folder = home.root / FOLDER
    try:
        sealed = read_sealed(folder / NOTE, key, _PURPOSE)
    except FileNotFoundError:
        return None
    if sealed is None:
        log.warning("%s/%s is not as it was written; everything is built anew", FOLDER, NOTE)
        return None
    said = json.loads(sealed)
    if said["made_by"] != made_by(code_digest):
        return None
    return Kept(folder / said["folder"] / DATABASE_NAME, said["sha256"], said["sources"])


def made_by(code_digest: str) -> dict[str, str]:
    """What must be the same for a table to be the same: the code that makes marts, the engines, and the whole program:
    what was kept by code that mended a fault since is not used."""
    return {"code": code_digest, "program": program_digest(), **{name: version(name) for name in _ENGINES}}


def copy_ahead(home: Home, kept: Kept) -> Kept:
    """Copy the kept database before anybody has a place for it; without a copy where that fails, for whoever takes it
    then will see. `drop` removes what nobody took."""
    folder = home.root / FOLDER / unique_suffix()
    try:
        folder.mkdir(mode=0o700)
        copied = (folder / DATABASE_NAME, _copy(kept.database, folder / DATABASE_NAME))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return kept
    return replace(kept, copied=copied)


def drop(kept: Kept) -> None:
    """Remove a copy made ahead, if there is one; of one that was taken nothing but its folder is left."""
    if kept.copied is not None:
        shutil.rmtree(kept.copied[0].parent, ignore_errors=True)


def take(kept: Kept, target: Path) -> bool:
    """Copy the kept database to `target`, or move there what was copied ahead; False, and no file, when it is missing
    or not what was kept. Raises OSError when the disk fails."""
    try:
        digest = _copied(kept, target)
    except FileNotFoundError:
        return False
    if digest == kept.sha256:
        return True
    target.unlink()
    log.warning("%s/%s was altered since it was kept; everything is built anew", FOLDER, kept.database.parent.name)
    return False


def _copied(kept: Kept, target: Path) -> str:
    if kept.copied is None:
        return _copy(kept.database, target)
    path, digest = kept.copied
    shutil.move(path, target)
    path.parent.rmdir()
    return digest


def _copy(source: Path, target: Path) -> str:
    """Copy and return the SHA-256 of what was written: one reading, so that nothing changes in between."""
    digest = hashlib.sha256()
    with source.open("rb") as incoming, target.open("wb") as outgoing:
        while block := incoming.read(_BLOCK):
            digest.update(block)
            outgoing.write(block)
    return digest.hexdigest()


def keep(home: Home, database: Path, *, code_digest: str, sources: Mapping[str, str], key: bytes) -> None:
    """Keep a database that dbt has finished and let go of, and that is whole (`duck.make_whole`). Raises OSError.

    Nothing waits for the disk: a file that a power cut leaves torn has another digest and is not used.
    """
    folder = home.root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    name = unique_suffix()
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(mode=0o700)
    # From its first byte on within a folder that only the owner may enter.
    sha256 = _copy(database, folder / name / DATABASE_NAME)
    (folder / name / DATABASE_NAME).chmod(0o600)
    said = {"folder": name, "sha256": sha256, "made_by": made_by(code_digest), "sources": dict(sources)}
    write_sealed(folder / NOTE, key, _PURPOSE, canonical_json(said))
    for path in folder.iterdir():
        if path.name not in {name, NOTE} and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def forget(home: Home) -> None:
    """Remove what is kept: the next build makes everything."""
    shutil.rmtree(home.root / FOLDER, ignore_errors=True)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make schema `kept` of a build where it does not exist: what each table needs and what it was made from."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.needs (node VARCHAR, base VARCHAR)")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {SCHEMA}.made (node VARCHAR, year INTEGER, inputs VARCHAR, content VARCHAR)"
    )
    connection.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.before (node VARCHAR, content VARCHAR)")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.followed (source VARCHAR, node VARCHAR)")


def note(
    connection: duckdb.DuckDBPyConnection,
    needs: Iterable[tuple[str, str]],
    sources: Mapping[str, str],
    years: Mapping[tuple[str, int], str],
) -> None:
    """Write into a build which tables and sources each model rests on, and what the sources (by the same names) say
    now: as a whole, and (source, year) by year where it is known."""
    nodes, bases = zip(*sorted(needs), strict=True)
    said: list[tuple[str, int | None, str]] = [(name, None, content) for name, content in sorted(sources.items())]
    said += [(name, year, content) for (name, year), content in sorted(years.items())]
    rows = [dict(zip(_SAID.names, item, strict=True)) for item in said]
    connection.register("needed", pa.table({"node": nodes, "base": bases}))
    connection.register("said", pa.Table.from_pylist(rows, schema=_SAID))
    connection.execute(f"DELETE FROM {SCHEMA}.needs")
    connection.execute(f"INSERT INTO {SCHEMA}.needs SELECT node, base FROM needed")
    connection.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.followed AS {_FOLLOWED}")
    # What every table said when the last build had passed its tests.
    connection.execute(
        f"CREATE OR REPLACE TABLE {SCHEMA}.before AS SELECT node, content FROM {SCHEMA}.made WHERE year IS NULL"
    )
    connection.execute(f"DELETE FROM {SCHEMA}.made WHERE node IN (SELECT node FROM said)")
    connection.execute(f"INSERT INTO {SCHEMA}.made SELECT node, year, NULL, content FROM said")
    connection.unregister("needed")
    connection.unregister("said")


def followed(database: Path) -> dict[str, set[str]]:
    """For each source what else came to say something else in the build in which it last did, itself included, as a
    build's database tells when it is done; nothing where the file cannot be opened.

    It decides in what order nodes are run and never whether, so the file need not be proven.
    """
    found: dict[str, set[str]] = {}
    try:
        connection = duck.connect(database, read_only=True)
    except Fault:
        return found
    with connection:
        for source, node in duck.rows(connection, _FOLLOWED):
            found.setdefault(str(source), set()).add(str(node))
    return found


def changed(database: Path) -> frozenset[str]:
    """The tables and sources that say something else in a build than in the one it began with. Raises Fault when the
    database cannot be opened."""
    with duck.connect(database, read_only=True) as connection:
        return frozenset(str(node) for (node,) in duck.rows(connection, _CHANGED))


_CHANGED: Final = f"""
    SELECT m.node FROM {SCHEMA}.made AS m LEFT JOIN {SCHEMA}.before AS b ON m.node = b.node
    WHERE m.year IS NULL AND m.content IS DISTINCT FROM b.content
"""
# Of the last build, while it still is the last one. One that made everything changed nothing that anybody could follow.
_FOLLOWED: Final = f"""
    WITH changed AS ({_CHANGED} AND EXISTS (SELECT 1 FROM {SCHEMA}.before))
    SELECT source, node FROM {SCHEMA}.followed WHERE source NOT IN (SELECT node FROM changed)
    UNION ALL
    SELECT c.node AS source, f.node FROM changed AS c CROSS JOIN changed AS f
    WHERE c.node NOT IN (SELECT node FROM {SCHEMA}.needs)
"""
