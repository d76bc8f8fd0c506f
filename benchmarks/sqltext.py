"""The SQL that eduplan runs, as text for the bare engine: compiled models and tests, seeds with types, rules.

Belongs here: taking it out of a sealed candidate (dbt's manifest beside it) and out of the rule catalogue, once and
untimed. What does not: running it (`floor.py`), timing (`run.py`).
"""

from __future__ import annotations

import json
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from expectations import sql as rule_sql
from expectations.catalogue import RowCount, catalogue

# Views that lead from a number back to its rows: no mart, test or rule reads them.
EVIDENCE = "evidence"


def plan_of(candidate: Path) -> dict[str, Any]:
    """Everything `floor.py` needs from a candidate's folder: seeds, models in order, tests, rules, names of marts."""
    nodes = json.loads((candidate / "manifest.json").read_bytes())["nodes"]
    with duckdb.connect(str(candidate / "candidate.duckdb"), read_only=True) as connection:
        columns = _columns(connection)
        texts = rule_sql.text_columns(connection)
    needs = {name: node["depends_on"].get("nodes", []) for name, node in nodes.items()}
    ordered = [nodes[name] for name in TopologicalSorter(needs).static_order() if name in nodes]
    return {
        "seeds": [_seed(node, columns) for node in ordered if node["resource_type"] == "seed"],
        "models": [
            _model(node, columns) for node in ordered if node["resource_type"] == "model" and node["schema"] != EVIDENCE
        ],
        "tests": [
            {"name": node["name"], "sql": node["compiled_code"]} for node in ordered if node["resource_type"] == "test"
        ],
        "rules": _rules(texts),
        "marts": sorted(table for schema, table in columns if schema == "marts"),
    }


Columns = dict[tuple[str, str], list[tuple[str, str]]]


def _columns(connection: duckdb.DuckDBPyConnection) -> Columns:
    found: Columns = {}
    query = (
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        " ORDER BY table_schema, table_name, ordinal_position"
    )
    for schema, table, column, kind in connection.execute(query).fetchall():
        found.setdefault((schema, table), []).append((column, kind))
    return found


def _seed(node: dict[str, Any], columns: Columns) -> dict[str, Any]:
    return {
        "relation": node["relation_name"],
        "path": node["original_file_path"],
        "columns": columns[node["schema"], node["name"]],
    }


def _model(node: dict[str, Any], columns: Columns) -> dict[str, Any]:
    return {
        "relation": node["relation_name"],
        "materialized": node["config"]["materialized"],
        "sql": node["compiled_code"],
        "columns": columns[node["schema"], node["name"]],
    }


def _rules(texts: rule_sql.TextColumns) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rules by the relation they scan: one scan serves all rules of a relation, as a careful author would write it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in catalogue().rules:
        sql = rule_sql.compose(rule, texts)
        count = rule.check if isinstance(rule.check, RowCount) else None
        found.setdefault(sql.relation, []).append(
            {
                "id": rule.id,
                "scope": sql.scope,
                "fails": sql.fails,
                "low": count.low if count else None,
                "high": count.high if count else None,
            }
        )
    return list(found.items())
