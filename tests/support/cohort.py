"""Retention over nine years of schooling, counted in pandas from the forms: the computation that no sample city is long
enough for. What belongs here: that one count, for every test that needs it."""

from __future__ import annotations

import pandas as pd

YEARS_BETWEEN = 8


def retention(figures: pd.DataFrame, reported: pd.MultiIndex) -> pd.DataFrame:
    """Year -> num (expected graduates of grade nine), den (entrants of grade one, eight years before).

    `figures` has columns year, area, form, measure and value, `reported` the (year, area) whose census was handed in:
    an area counts where both ends of its cohort were.
    """
    areas = reported.to_frame(index=False)
    both = areas.merge(areas.assign(year=areas["year"] + YEARS_BETWEEN), on=["year", "area"])
    leaving = figures[(figures["form"] == "3115") & (figures["measure"] == "expected_graduates")]
    starting = figures[(figures["form"] == "3112") & (figures["measure"] == "entrants")]
    starting = starting.assign(year=starting["year"] + YEARS_BETWEEN)
    sums = {
        name: part.merge(both, on=["year", "area"]).groupby("year")["value"].sum()
        for name, part in {"num": leaving, "den": starting}.items()
    }
    return pd.DataFrame(sums, index=pd.Index(sorted(set(both["year"])), name="year")).astype(float)
