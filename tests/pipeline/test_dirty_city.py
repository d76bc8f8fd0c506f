"""Two rows of every hundred damaged: set aside are exactly those, and every indicator is what the others give.

In the ordinary test run the parsers are held to the first half, for every file of the small city
(`tests/unit/sources/test_sample_against_parsers.py`). With `make soak` (EDUPLAN_SOAK=1) both cities go the whole way.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import truth
from tests.support.command import eduplan
from warehouse.paths import Home

DIRT = "0.02"


@pytest.mark.skipif(not os.environ.get("EDUPLAN_SOAK"), reason="a city takes minutes: make soak")
@pytest.mark.parametrize(("profile", "years", "rows"), [("small", "2023-2024", 2_000), ("city", "2024", 20_000)])
def test_what_was_damaged_is_set_aside_and_the_rest_counts(profile: str, years: str, rows: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    eduplan(home, "demo", "--profile", profile, "--years", years, "--dirt", DIRT)
    told = home.with_name(f"{home.name}-sample") / "truth"
    wanted = truth.damaged(told)
    assert len(wanted) > rows
    found = truth.set_aside(Home(home))
    assert sorted(wanted - found) == []
    assert sorted(found - wanted) == []
    assert truth.counted_aside(Home(home)) == len(wanted)
    assert truth.differences(told, home / "current" / "marts.duckdb") == {}
    kept, whole = truth.indicators(told), truth.indicators(told, "_clean")
    assert sum(kept[key] != whole[key] for key in kept) > 300, "the damage is felt"
