"""What an analyst would write instead: pandas with openpyxl, one process, all in memory, one workbook at the end.

It reads the same deliveries of a sample (collated lists and zips of school workbooks by openpyxl, registers, finance
SQLite, the JSON, JSON Lines, Parquet and CSV of the flat feeds), drops the rows that break a rule, and computes all
sixteen marts by merges, groupbys and pivots: a sheet a mart. Before it writes them it runs the publication rules on
records and marts. No SQL but the one SELECT that fetches the finance lines, no DuckDB, nothing of eduplan but its data
files (code lists, areas, form layouts, plan). `analyst_agreement.py` compares every row and column with the release,
and how many rows each rule examined and found wrong with the verdict of the gate.

Left out, since no analyst has them:
- `suppressed` of every mart that has it: which cells were taken out for privacy. The analyst takes none out.
- `last_delivery_id` of dim_school and `delivery_id` of mart_data_coverage: hashes of files.
- `note` of fct_indicator_value, mart_compulsory_balance, mart_data_coverage, mart_education_finance,
  mart_plan_evaluation, mart_plan_progress, mart_preschool_inclusive, mart_programme_targets, mart_standing_rules and
  mart_teacher_quality: sentences that say which districts are missing, and the like.
Persons are told apart by their identity numbers, not by pseudonyms, which no mart shows. There is no quarantine file,
history, report or signature. Of the rules those are left out that ask for one of these things
(`analyst_checks_left.py`); what a rule found is counted, and no failing row is named.

Files must be tidy (a sample with dirt 0), as for the floor: rows that break a rule are dropped, but renamed or moved
headers of lists and school workbooks are not understood, superseded deliveries are not looked for, a line of a school
workbook that breaks a rule takes its whole sheet along, and blank cells are never compared with their sum.

Belongs here: the order of things. What does not: looking up (`analyst_facts.py`), reading (`analyst_census.py`,
`analyst_reading.py`), tables (`analyst_tables.py`), marts (`analyst_indicators.py`, `analyst_marts.py`,
`analyst_register.py`, `analyst_rules.py`, `analyst_plan.py`), publication rules (`analyst_checks.py`).

    python benchmarks/analyst.py --sample DIR --out FILE.xlsx       prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from analyst_checks import check
from analyst_indicators import indicator_values
from analyst_marts import marts_of
from analyst_plan import plan_marts
from analyst_reading import Records, read_all
from analyst_tables import Tables, tables_of


def marts(records: Records, tables: Tables) -> dict[str, pd.DataFrame]:
    """All sixteen marts."""
    found = marts_of(records, tables, indicator_values(records, tables))
    return found | plan_marts(records, tables, found)


def write(found: dict[str, pd.DataFrame], out: Path) -> None:
    """One workbook, a sheet a mart. Raises ValueError when a mart has more rows than a sheet may."""
    with pd.ExcelWriter(out, engine="openpyxl") as writer:
        for name, frame in sorted(found.items()):
            frame.to_excel(writer, sheet_name=name, index=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, compute, check, write; print what it took and what the rules counted."""
    parser = argparse.ArgumentParser(description="The same marts with pandas and openpyxl.")
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    started = time.perf_counter()
    records = read_all(options.sample)
    read = time.perf_counter()
    tables = tables_of(records)
    found = marts(records, tables)
    computed = time.perf_counter()
    rules = check(records, tables, found)
    checked = time.perf_counter()
    write(found, options.out)
    seconds = {"read": read - started, "compute": computed - read, "check": checked - computed}
    seconds["write"] = time.perf_counter() - checked
    rows = {"in": int(records.deliveries["rows_in"].sum()), "accepted": int(records.deliveries["rows_accepted"].sum())}
    counts = {name: len(frame) for name, frame in found.items()}
    print(json.dumps({"seconds": seconds, "rows": rows, "marts": counts, "rules": rules}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
