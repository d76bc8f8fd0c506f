"""Are the analyst's marts eduplan's? Every row by its key, every column but those no analyst has. And did the analyst's
checks examine and fail as many rows as the gate's?

A number may lie one millionth beside ours. Where the release took a cell out for privacy, nothing is compared, and
neither are the counts of rules that look at such cells (`analyst_checks_left.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from analyst_checks_left import LEFT_OUT_RULES, NOT_COMPARED

TOLERANCE = 1e-6
AREA = ["area_code", "period"]
KEYS = {
    "dim_area": ["area_code"],
    "dim_indicator": ["indicator_id"],
    "dim_school": ["school_code", "valid_from_year"],
    "dim_target": ["target_id"],
    "fct_indicator_value": ["indicator_id", *AREA],
    "mart_class_size": [*AREA, "stage"],
    "mart_compulsory_balance": [*AREA, "stage", "row_kind", "school_code", "item_no"],
    "mart_data_coverage": ["feed", *AREA, "part"],
    "mart_education_finance": [*AREA, "school_kind", "measure"],
    "mart_enrolment": [*AREA, "stage"],
    "mart_plan_evaluation": ["plan_id", "evaluation_kind", "year", "row_no"],
    "mart_plan_progress": ["target_id", "area_code", "year"],
    "mart_preschool_inclusive": [*AREA, "item_no"],
    "mart_programme_targets": ["target_id", "area_code", "year"],
    "mart_standing_rules": ["target_id", "row_kind", "area_code", "year", "school_kind"],
    "mart_teacher_quality": [*AREA, "stage"],
}
# Bookkeeping of the warehouse: which delivery, which cells were taken out, and the sentences that say how complete a
# figure is. `dim_target.note` is a column of the plan registry and is compared.
LEFT_OUT = {"suppressed", "delivery_id", "last_delivery_id", "note"}


class DifferenceError(Exception):
    """The marts are not the same; says which mart, column and rows."""


def compare(workbook: Path, release: Path) -> dict[str, int]:
    """Mart -> cells compared. Raises DifferenceError."""
    sheets = pd.read_excel(workbook, sheet_name=None, dtype=object, engine="calamine", keep_default_na=False)
    ours = {path.stem: path for path in sorted((release / "parquet").glob("*.parquet"))}
    if missing := sorted(set(ours) ^ set(KEYS) | set(KEYS) - set(sheets)):
        raise DifferenceError(f"not the same marts: {missing}")
    return {name: compare_mart(name, sheets[name], pd.read_parquet(path)) for name, path in ours.items()}


def compare_rules(counts: dict[str, list[int]], release: Path) -> int:
    """How many rules examined and failed as many rows as by the gate's verdict. Raises DifferenceError."""
    judged = json.loads((release / "quality" / "verdict.json").read_bytes())["results"]
    ours = {result["rule_id"]: [result["rows_checked"], result["rows_failed"]] for result in judged}
    run, left_out = set(counts), set(LEFT_OUT_RULES)
    if odd := sorted(set(ours) ^ (run | left_out) | run & left_out | set(NOT_COMPARED) - run):
        raise DifferenceError(f"rules neither run nor left out with a reason, or both, or unknown: {odd}")
    lacking = cells_taken_out(release)
    compared = [name for name in counts if not lacking & set(NOT_COMPARED.get(name, "").split())]
    different = {name: (counts[name], ours[name]) for name in compared if counts[name] != ours[name]}
    if different:
        raise DifferenceError(f"rules counted differently (rule: analyst, eduplan): {different}")
    return len(compared)


def cells_taken_out(release: Path) -> set[str]:
    """Marts that lack cells, and their columns as `mart.column`."""
    found: set[str] = set()
    for path in (release / "parquet").glob("*.parquet"):
        rows = pd.read_parquet(path)
        names = rows["suppressed"].dropna() if "suppressed" in rows else pd.Series(dtype=object)
        columns = set(",".join(names.unique()).split(",")) - {""}
        found |= {f"{path.stem}.{column}" for column in columns} | ({path.stem} if columns else set())
    return found


def compare_mart(name: str, theirs: pd.DataFrame, ours: pd.DataFrame) -> int:
    """How many cells agree. Raises DifferenceError."""
    keys = KEYS[name]
    left, right = keyed(theirs, keys, name), keyed(ours, keys, name)
    if len(left.index.symmetric_difference(right.index)):
        only = {
            "the analyst": [*left.index.difference(right.index)],
            "eduplan": [*right.index.difference(left.index)],
        }
        raise DifferenceError(f"{name}: rows that only one has: " + tell(only))
    left = left.reindex(right.index)
    wanted = [column for column in right if column not in LEFT_OUT or (name, column) == ("dim_target", "note")]
    if lacking := [column for column in wanted if column not in left]:
        raise DifferenceError(f"{name}: the analyst lacks the columns {lacking}")
    return sum(compare_column(name, column, left, right) for column in wanted)


def tell(only: dict[str, list[Any]]) -> str:
    """How many rows a side has alone, with the first of them."""
    return "; ".join(f"{who} {len(rows)}, e.g. {rows[:3]}" for who, rows in only.items() if rows)


def keyed(frame: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    """Rows under their key, as texts. Raises DifferenceError when two rows have the same."""
    parts = [frame[key].map(text_of) for key in keys]
    index = pd.MultiIndex.from_arrays(parts, names=keys)
    if index.has_duplicates:
        raise DifferenceError(f"{name}: a key stands twice, e.g. {index[index.duplicated()][:3].tolist()}")
    return frame.drop(columns=keys).set_axis(index, axis=0)


def text_of(cell: Any) -> str:
    """A cell as text: whole numbers without a fraction, days without a time, nothing as ''."""
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)) or cell is pd.NA:
        return ""
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell)).lower()
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())[:10]
    return str(cell)


def compare_column(name: str, column: str, left: pd.DataFrame, right: pd.DataFrame) -> int:
    """How many cells of a column were compared. Raises DifferenceError."""
    ours, theirs = right[column], left[column]
    known = pd.Series(True, index=ours.index)
    if "suppressed" in right:
        # A cell was taken out where the row says that anything was and this one is empty.
        known = ~(right["suppressed"].fillna("").ne("") & ours.isna())
    same = close(theirs, ours) if is_number(ours) else theirs.map(text_of) == ours.map(text_of)
    if column == "cv":
        # Beside amounts that were taken out the coefficient is published with two decimals.
        same |= close(pd.to_numeric(theirs, errors="coerce").round(2), ours)
    wrong = known & ~same
    if wrong.any():
        shown = [(key, theirs[key], ours[key]) for key in wrong.index[wrong][:3]]
        raise DifferenceError(f"{name}.{column}: {int(wrong.sum())} rows differ (key, analyst, eduplan): {shown}")
    return int(known.sum())


def is_number(column: pd.Series[Any]) -> bool:
    """True for numbers, decimals among them."""
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    given = column.dropna()
    return bool(len(given)) and type(given.iloc[0]).__name__ == "Decimal"


def close(theirs: pd.Series[Any], ours: pd.Series[Any]) -> pd.Series[bool]:
    """Equal within the tolerance; missing equals missing."""
    left, right = pd.to_numeric(theirs.map(nothing_as_nan)), pd.to_numeric(ours.map(nothing_as_nan))
    within = (left - right).abs() <= TOLERANCE * right.abs() + 1e-9
    return within | (left.isna() & right.isna())


def nothing_as_nan(cell: Any) -> float:
    """A cell as a number."""
    return float("nan") if text_of(cell) == "" else float(cell)
