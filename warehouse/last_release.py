"""What readers are shown at the moment, as a table beside a candidate's records: the gate compares with it.

What belongs here: reading the standing release's indicator values. What does not: listing what changed
(`warehouse.changes`), asking who answers for it (`warehouse.materiality`), and the rules (`expectations/`). No model
may read this table: marts are made of deliveries only, and the fingerprint does not cover it.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from warehouse import duck
from warehouse.manifest import Release
from warehouse.marts_file import MARTS_FILE

TABLE: Final = "last_release"
_TYPES: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(("release_id", "indicator_id", "area_code"), pa.string()),
    "period": pa.int32(),
    "value": pa.float64(),
}
SCHEMA: Final = pa.schema(_TYPES)
_QUERY: Final = """
    SELECT CAST(? AS VARCHAR) AS release_id, indicator_id, area_code, period, CAST(value AS DOUBLE) AS value
    FROM marts.fct_indicator_value
    WHERE value IS NOT NULL
    ORDER BY indicator_id, area_code, period
"""


def last_values(standing: Release | None) -> pa.Table:
    """(release_id, indicator_id, area_code, period, value) of every value the standing release shows; without one, no
    row. Raises Fault when its marts cannot be opened."""
    if standing is None:
        return SCHEMA.empty_table()
    with duck.open_database(standing.path / MARTS_FILE) as connection:
        return connection.execute(_QUERY, [standing.release_id]).to_arrow_table().cast(SCHEMA)
