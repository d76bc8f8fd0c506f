"""The register of recognition decisions as the analyst counts it: what stands at the end of each year."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from analyst_facts import seed
from analyst_reading import Records
from analyst_tables import Tables, areas_of, ratio, standing, years_of

OBJECT = ["target_id", "object_kind", "object_key"]
KEYS = ["target_id", "period"]


def plans_of() -> pd.DataFrame:
    """The plans, years as numbers."""
    plans = seed("plan").drop(columns=["plan_name_zh", "document_no"]).rename(columns={"city_area_code": "area_code"})
    years = ["baseline_year", "first_year", "final_year", "mid_term_year"]
    return plans.astype(dict.fromkeys(years, int))


def plan_of_statement() -> pd.DataFrame:
    """Each statement with the years and the city of its plan."""
    statements = seed("plan_registry")[["id", "plan_id"]].rename(columns={"id": "target_id"})
    return statements.merge(plans_of(), on="plan_id")


def year_ends(periods: pd.Series[int]) -> pd.Series[Any]:
    """The last day of each year."""
    return pd.to_datetime({"year": periods, "month": 12, "day": 31})


def register_years(records: Records) -> pd.DataFrame:
    """The years the register reaches, with how many decisions each has; none means that it was not handed in."""
    counts = records.events["decided_on"].dt.year.value_counts()
    if counts.empty:
        return pd.DataFrame({"period": [], "events": []})
    return (
        counts.reindex(range(counts.index.min(), counts.index.max() + 1), fill_value=0)
        .rename_axis("period")
        .reset_index(name="events")
    )


def spells(records: Records) -> pd.DataFrame:
    """From when to when each object stands recognised; a repeated grant begins nothing new."""
    events = records.events.rename(columns={"statement_id": "target_id"})
    events = events[events["target_id"].notna() & ~events["is_contested"]].copy()
    code = events["object_code"].fillna("")
    events["object_code"] = code
    events["object_key"] = code.where(code != "", events["object_name"].fillna(""))
    events["withdraws"] = (events["decision"] != "granted").astype(int)
    named = events[events["object_key"] != ""].sort_values([*OBJECT, "decided_on", "withdraws", "event_id"])
    before = named.groupby(OBJECT)["decision"].shift().fillna("withdrawn")
    changes = named[named["decision"] != before]
    changes = changes.assign(until=changes.groupby(OBJECT)["decided_on"].shift(-1))
    # Persons have neither name nor code: nothing links a withdrawal to its grant, so it takes its own number off.
    people = events[events["object_key"] == ""].assign(until=pd.NaT)
    people["quantity"] = people["quantity"].where(people["decision"] == "granted", -people["quantity"])
    found = pd.concat([changes[changes["decision"] == "granted"], people], ignore_index=True)
    names = ["target_id", "event_id", "object_kind", "object_code", "area_code", "level", "quantity", "until"]
    return found[[*names, "decided_on"]].rename(columns={"decided_on": "granted_on"})


def standing_at_year_end(rows: pd.DataFrame) -> pd.DataFrame:
    """Spells that stand on the last day of the row's period."""
    day = year_ends(rows["period"])
    return rows[(rows["granted_on"] <= day) & ~(rows["until"] <= day)]


def members_of_shares(tables: Tables) -> pd.DataFrame:
    """What shares are shares of: districts at the end of a year, schools of its census."""
    areas = areas_of()
    districts = areas[areas["area_level"].isin(["district", "unconfirmed"])]
    districts = standing(years_of().merge(districts, how="cross"), "year_end")[["period", "area_code"]]
    districts = districts.assign(denominator="districts", object_code=districts["area_code"])
    schools = tables.schools[tables.schools["counts_as_school"]].rename(columns={"school_code": "object_code"})
    names = ["denominator", "period", "object_code", "area_code"]
    has_senior = schools["stages"].str.split("|").map(lambda stages: "senior_general" in stages)
    ethnic = set(areas.loc[areas["ethnic_area_zh"].notna(), "area_code"])
    senior = schools[has_senior].assign(denominator="senior_general_schools")
    in_ethnic_areas = schools[schools["area_code"].isin(ethnic)].assign(denominator="ethnic_area_schools")
    return pd.concat([districts[names], senior[names], in_ethnic_areas[names]], ignore_index=True)


def within_city(rows: pd.DataFrame) -> pd.Series[bool]:
    """Whose area is the plan's city or a part of it."""
    parents = dict(zip(areas_of()["area_code"], areas_of()["parent_code"], strict=True))
    return (rows["area_code"] == rows["city"]) | (rows["area_code"].map(parents) == rows["city"])


def register_counts(records: Records, tables: Tables) -> pd.DataFrame:
    """What the register answers a statement with at the end of each year, by the statement's own count rule."""
    years = register_years(records)
    rules = seed("register_rule").rename(columns={"object_kind": "of_kind", "level": "of_level"})
    rules = rules.merge(plan_of_statement(), on="target_id").rename(columns={"area_code": "city"})
    rules["since_year"] = pd.to_numeric(rules["since_year"])
    rules = rules.merge(years, how="cross")
    rules = rules[rules["period"].between(rules["baseline_year"], rules["final_year"])]
    names = [*KEYS, "denominator", "city"]
    members = rules[names].merge(members_of_shares(tables), on=["denominator", "period"])
    members = members.loc[within_city(members), [*KEYS, "object_code"]]
    frame = rules.join(counted_spells(rules, members, records), on=KEYS)
    frame = frame.join(members.groupby(KEYS)["object_code"].nunique().rename("below"), on=KEYS)
    counts = ["stock", "new", "share", "outside"]
    frame[counts] = frame[counts].fillna(0)
    kinds = [frame["count_kind"] == kind for kind in ("new", "share")]
    frame["numerator"] = np.select(kinds, [frame["new"], frame["share"]], frame["stock"])
    is_share = frame["count_kind"] == "share"
    frame["value"] = frame["numerator"].where(~is_share, 100 * ratio(frame["numerator"], frame["below"]))
    frame["publish_status"] = register_status(frame, years)
    frame = frame.rename(columns={"below": "denominator", "denominator": "counted_of", "city": "area_code"})
    return frame[[*KEYS, "area_code", "count_kind", "value", "numerator", "denominator", "publish_status"]]


def counted_spells(rules: pd.DataFrame, members: pd.DataFrame, records: Records) -> pd.DataFrame:
    """Recognitions that stand: all, those since the rule's year, those of members, those of others."""
    names = [*KEYS, "city", "since_year", "of_kind", "of_level"]
    rows = standing_at_year_end(rules[names].merge(spells(records), on="target_id"))
    rows = rows[within_city(rows)]
    rows = rows.merge(members.drop_duplicates().assign(is_member=True), on=[*KEYS, "object_code"], how="left")
    fits = rows["of_kind"].isna() | (rows["object_kind"] == rows["of_kind"])
    rows = rows[fits & (rows["of_level"].isna() | (rows["level"] == rows["of_level"]))]
    is_member = rows["is_member"].eq(True)
    recent = rows[rows["granted_on"].dt.year >= rows["since_year"]]
    return pd.DataFrame(
        {
            "stock": rows.groupby(KEYS)["quantity"].sum(),
            "new": recent.groupby(KEYS)["quantity"].sum(),
            "share": rows[is_member].groupby(KEYS)["object_code"].nunique(),
            "outside": rows[~is_member].groupby(KEYS).size(),
        }
    )


def register_status(frame: pd.DataFrame, years: pd.DataFrame) -> Any:
    """Partial where decisions of a year, or those before the plan, were not handed in, or somebody is not known."""
    empty, filled = years.loc[years["events"] == 0, "period"], years.loc[years["events"] > 0, "period"]
    gap = pd.Series(False, index=frame.index)
    for year in empty:
        gap |= (year > frame["baseline_year"]) & (year <= frame["period"])
    has_catalogue = filled.min() <= frame["baseline_year"]
    needs_catalogue = (frame["count_kind"] != "new") | (frame["since_year"] <= frame["baseline_year"])
    unknown = (frame["outside"] > 0) & frame["denominator"].notna() & (frame["denominator"] != "districts")
    return np.where((~has_catalogue & needs_catalogue) | gap | unknown, "partial", "final")
