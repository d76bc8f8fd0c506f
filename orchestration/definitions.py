"""The code location that Dagster loads: `dagster dev -m orchestration.definitions`.

Only `defs` belongs here; how it is composed stands in `orchestration.build`.
"""

from __future__ import annotations

from orchestration.build import build_defs
from orchestration.resources import HomeResource

# A run that meets another one at work waits for it: nobody stands before a terminal to be told to come again.
LOCK_WAIT_SECONDS = 900.0

defs = build_defs(home=HomeResource(lock_wait_seconds=LOCK_WAIT_SECONDS))
