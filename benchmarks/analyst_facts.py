"""What the analyst's script looks up: code lists, areas, form layouts and the plan, from the project's data files."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "dbt_project" / "seeds"
FEEDS = ROOT / "sources" / "feeds"
CITY = "500000"
FIRST_YEAR, LAST_YEAR = 2010, 2060  # for which areas are laid out, as in dbt_project.yml
STAGES = ("preschool", "primary", "junior", "senior_general", "senior_vocational", "special")


@cache
def seed(name: str) -> pd.DataFrame:
    """A seed as texts; empty cells are missing."""
    return pd.read_csv(SEEDS / f"{name}.csv", dtype=object, keep_default_na=False, na_values=[""])


@cache
def codes(name: str) -> dict[str, str]:
    """Every spelling of a code list, lower case -> code."""
    found: dict[str, str] = {}
    for row in seed(f"code_{name}").fillna("").itertuples():
        for text in (row.code, row.label_zh, *row.aliases.split("|")):
            if text:
                found.setdefault(text.lower(), row.code)
    return found


def column_of_codes(name: str, column: str) -> dict[str, str]:
    """Code -> another column of its list."""
    table = seed(f"code_{name}")
    return dict(zip(table["code"], table[column], strict=True))


def coded(texts: pd.Series[Any], name: str) -> pd.Series[Any]:
    """Codes of texts; missing where the list does not know one."""
    return texts.str.strip().str.lower().map(codes(name))


@cache
def aliases() -> dict[str, str]:
    """Name of an area -> its code."""
    table = seed("area_alias")
    return dict(zip(table["alias"], table["area_code"], strict=True))


def area_code(text: str) -> str | None:
    """The reporting code of an area, by name or code."""
    bare = text if text in {"重庆市", "重庆"} else text.removeprefix("重庆市")
    return bare[:6] if bare[:6].isdigit() else aliases().get(bare)


def area_codes(texts: pd.Series[Any]) -> pd.Series[Any]:
    """The same for a column."""
    return texts.map({text: area_code(text) for text in texts.unique()})


@cache
def contract(feed: str) -> dict[str, Any]:
    """A feed's contract."""
    found: dict[str, Any] = yaml.load((FEEDS / f"{feed}.odcs.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    return found


@cache
def properties(feed: str) -> dict[str, Any]:
    """A contract's custom properties."""
    return {entry["property"]: entry["value"] for entry in contract(feed)["customProperties"]}


@cache
def feed_table() -> pd.DataFrame:
    """One row a feed: what is due from whom."""
    rows = []
    for path in sorted(FEEDS.glob("*.odcs.yaml")):
        name = path.name.removesuffix(".odcs.yaml")
        info = properties(name)["feed"]
        rows.append({"feed": name, **{key: info[key] for key in ("per_area", "first_year", "period_kind", "parts")}})
    return pd.DataFrame(rows)


@cache
def headings(feed: str, table: str) -> dict[str, str]:
    """Spelling of a header -> name of the column."""
    schema = next(entry for entry in contract(feed)["schema"] if entry["name"] == table)
    found: dict[str, str] = {}
    for column in schema["properties"]:
        info = column["customProperties"][0]["value"]
        found |= {heading(text): column["name"] for text in (info["header"], *info.get("aliases", ()))}
    return found


def heading(text: str) -> str:
    """What spellings of one header share."""
    return unicodedata.normalize("NFKC", squeezed(text)).removeprefix("其中:")


def squeezed(text: Any) -> str:
    """Text without blanks."""
    return re.sub(r"\s+", "", str(text))


@cache
def census_layout() -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Name of a census sheet -> the forms on it, each with its place there."""
    found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for form in properties("school_census")["forms"]:
        for sheet in form["sheets"]:
            found.setdefault(sheet["name"], []).append((form, sheet))
    return found


@cache
def measures() -> dict[tuple[str, int, int], str]:
    """(form, line, column) -> measure, of the figures that have a name."""
    found: dict[tuple[str, int, int], str] = {}
    for form in properties("school_census")["forms"]:
        first = form["lines"][0]["number"]
        found |= {(form["form"], first, c["number"]): c["measure"] for c in form["columns"] if c.get("measure")}
        found |= {(form["form"], *entry["at"]): entry["measure"] for entry in form.get("measures", ())}
    return found
