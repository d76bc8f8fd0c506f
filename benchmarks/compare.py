"""Are the floor's marts eduplan's marts? All marts, all columns, row for row.

One column is left out: `mart_data_coverage.delivery_id` of the finance feed. It is a hash of the canonical CSV that
eduplan's connector archives; the floor reads the database without making that CSV.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

_LEFT_OUT = {"mart_data_coverage": "delivery_id"}


def differing_rows(release: Path, floor: Path) -> dict[str, int]:
    """Mart -> rows that only one of `release/parquet` and `floor/parquet` has. Raises ValueError for a missing mart."""
    ours = {path.name for path in (release / "parquet").glob("*.parquet")}
    theirs = {path.name for path in (floor / "parquet").glob("*.parquet")}
    if not ours or ours != theirs:
        raise ValueError(f"not the same marts: {sorted(ours ^ theirs)}")
    with duckdb.connect() as connection:
        return {Path(name).stem: _differing(connection, name, release, floor) for name in sorted(ours)}


def _differing(connection: duckdb.DuckDBPyConnection, name: str, release: Path, floor: Path) -> int:
    column = _LEFT_OUT.get(Path(name).stem)
    shown = f"* REPLACE (CASE WHEN feed <> 'education_finance' THEN {column} END AS {column})" if column else "*"
    left, right = (f"SELECT {shown} FROM read_parquet('{folder / 'parquet' / name}')" for folder in (release, floor))
    query = f"SELECT count(*) FROM (({left} EXCEPT ALL {right}) UNION ALL ({right} EXCEPT ALL {left}))"
    return int(connection.execute(query).fetchall()[0][0])
