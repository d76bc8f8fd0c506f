"""The code location that Dagster loads: `dagster dev -m orchestration.definitions`.

Only `defs` belongs here; how it is composed stands in `orchestration.build`.
"""

from __future__ import annotations

from orchestration.build import build_defs

defs = build_defs()
