"""Schema `audit` of a release: the history beside the figures, for auditors and for tracing a value back.

What belongs here: the audit tables and how they are filled from ledger, verdict, quarantine and dbt's manifest. What
does not: the marts, and anything that names a person (texts from outside pass the mask).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from warehouse.candidate import DBT_MANIFEST, Candidate
from warehouse.duck import connect, ident, literal, path_list, tables
from warehouse.errors import Fault
from warehouse.evidence import VALUE_LINEAGE
from warehouse.fingerprint import MARTS_SCHEMA
from warehouse.ledger import ReleaseRow
from warehouse.masking import MASK, PERSONAL_PATTERN, mask_all, mask_personal
from warehouse.names import NameMarks, masked
from warehouse.paths import Home
from warehouse.records import QUARANTINE_SCHEMA, RECORD_SCHEMAS, DeliveryRow
from warehouse.verdict import Verdict
from warehouse.waived import Guards, waived_values

AUDIT_SCHEMA: Final = "audit"
_MASKED_COLUMNS: Final = ("message_zh", "masked_value", "sheet", "member")

_WRITTEN_OUTSIDE: Final = {
    "deliveries": ("file_name", "submitter", "held_zh"),
    "quarantined_rows": _MASKED_COLUMNS,
    "waivers": ("reason_zh", "evidence", "rows"),
    "check_results": ("failing_keys", "observed"),
}

_T: Final = pa.string()


def _schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema(columns)


_DELIVERIES: Final = _schema(
    {
        **dict.fromkeys(("delivery_id", "feed", "area_code"), _T),
        "period": pa.int32(),
        **dict.fromkeys(("part", "sha256", "file_name", "submitter"), _T),
        "reported_on": pa.date32(),
        "received_at": _T,
        "status": _T,
        **dict.fromkeys(("rows_in", "rows_accepted", "rows_quarantined"), pa.int64()),
        "contract_version": _T,
        "active": pa.bool_(),
        "held": pa.bool_(),
        "held_zh": _T,
    }
)
_CHECK_RESULTS: Final = _schema(
    {
        **dict.fromkeys(("rule_id", "tier", "severity", "mart", "column_name"), _T),
        "passed": pa.bool_(),
        **dict.fromkeys(("rows_checked", "rows_failed"), pa.int64()),
        **dict.fromkeys(("failing_keys", "title_zh", "meaning_zh", "remedy_zh", "observed", "error", "waived_by"), _T),
    }
)
_WAIVERS: Final = _schema(
    {
        **dict.fromkeys(("waiver_id", "rule_id", "scope", "reason_zh", "evidence", "requested_by", "approved_by"), _T),
        **dict.fromkeys(("valid_from", "valid_to"), pa.date32()),
        **dict.fromkeys(("max_rows", "rows_waived"), pa.int64()),
        "rows": _T,
    }
)
_RELEASES: Final = _schema(
    dict.fromkeys([name for name in ReleaseRow.__dataclass_fields__ if name != "manifest_sha256"], _T)
)
_LINEAGE: Final = _schema(dict.fromkeys(("mart", "record_table", "feed", "delivery_id", "sha256"), _T))

_VALUE_LINEAGE: Final = _schema(
    {**dict.fromkeys(("indicator_id", "area_code"), _T), "period": pa.int32(), "feed": _T, "delivery_id": _T}
)

_WAIVED_VALUES: Final = _schema(
    {
        **dict.fromkeys(("waiver_id", "rule_id", "indicator_id", "area_code"), _T),
        "period": pa.int32(),
        **dict.fromkeys(("target_id", "status_zh", "failing_key"), _T),
    }
)

_COMMENTS: Final = {
    "deliveries": "全部报送件；active 表示本次发布采用，held 表示因质量检查暂缓采用（held_zh 为原因）",
    "check_results": "本次发布所依据的质量规则结果；failing_keys 为 JSON 数组",
    "quarantined_rows": "本次采用的报送件中被隔离的行与提示（已脱敏）",
    "waivers": "本次发布使用的豁免",
    "waived_values": "依据了被豁免的行的指标数值，以及用它评价的目标状态",
    "releases": "历次发布，含本次",
    "lineage": "数据表—记录表—报送件的来源关系",
    "value_lineage": "指标数值—报送件的来源关系：每个指标、区域、年度所依据的报送件",
}


def write_audit(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    *,
    home: Home,
    candidate: Candidate,
    verdict: Verdict,
    deliveries: Sequence[DeliveryRow],
    releases: Sequence[ReleaseRow],
    guards: Guards,
    lineage: pa.Table | None,
) -> None:
    """Create schema `audit` in the attached `database`; `guards`: which rules guard which indicator; `lineage`: the
    candidate's value lineage, None where it has no evidence views.

    Raises Fault when a quarantine file of an active delivery is missing.
    """
    active = {item["delivery_id"] for item in candidate.inputs["deliveries"]}
    held = {item["delivery_id"]: str(item["reason_zh"]) for item in candidate.inputs.get("held", [])}
    content = {
        "deliveries": _deliveries(deliveries, active, held),
        "check_results": _check_results(verdict),
        "waivers": _waivers(verdict),
        "waived_values": _waived_values(candidate, verdict, guards),
        "releases": _releases(releases),
        "lineage": _lineage(candidate, deliveries, set(tables(connection, MARTS_SCHEMA, database))),
        VALUE_LINEAGE: _VALUE_LINEAGE.empty_table() if lineage is None else lineage,
    }
    schema = f"{ident(database)}.{AUDIT_SCHEMA}"
    connection.execute(f"CREATE SCHEMA {schema}")
    for name, table in content.items():
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {schema}.{name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    used = [row for row in deliveries if row.delivery_id in active]
    connection.execute(f"CREATE TABLE {schema}.quarantined_rows AS {_quarantine_query(home, used)}")
    for name, comment in _COMMENTS.items():
        connection.execute(f"COMMENT ON TABLE {schema}.{name} IS {literal(comment)}")


def mask_names(connection: duckdb.DuckDBPyConnection, database: str, names: NameMarks) -> None:
    """Black out names of the registers in whatever submitters or people wrote: file and sheet names, values, reasons.
    Who requested or approved a waiver stays named."""
    schema = f"{ident(database)}.{AUDIT_SCHEMA}"
    texts: dict[tuple[str, str], list[str]] = {}
    for table, columns in _WRITTEN_OUTSIDE.items():
        for column in columns:
            name = ident(column)
            found = connection.execute(f"SELECT DISTINCT {name} FROM {schema}.{table} WHERE {name} IS NOT NULL")
            texts[table, name] = [str(text) for (text,) in found.fetchall()]
    # Asked once for all of them.
    known = names.names_in(chain.from_iterable(texts.values()))
    for (table, name), told in texts.items():
        changed = [(masked(text, known), text) for text in told if known and masked(text, known) != text]
        if changed:
            connection.executemany(f"UPDATE {schema}.{table} SET {name} = ? WHERE {name} = ?", changed)


def _deliveries(deliveries: Iterable[DeliveryRow], active: set[str], held: Mapping[str, str]) -> pa.Table:
    rows = list(deliveries)
    told: dict[str, list[Any]] = {
        "file_name": mask_all([row.file_name for row in rows]),
        "submitter": mask_all([row.submitter for row in rows]),
        "received_at": [row.received_at.isoformat() for row in rows],
        "active": [row.delivery_id in active for row in rows],
        "held": [row.delivery_id in held for row in rows],
        "held_zh": [held.get(row.delivery_id) for row in rows],
    }
    columns = {name: told.get(name) or list(map(attrgetter(name), rows)) for name in _DELIVERIES.names}
    return pa.table(columns, schema=_DELIVERIES)


def _check_results(verdict: Verdict) -> pa.Table:
    rows = [
        {
            **asdict(result),
            "column_name": result.column,
            "failing_keys": json.dumps(result.failing_keys, ensure_ascii=False),
            "waived_by": "、".join(result.waived_by),
        }
        for result in verdict.results
    ]
    return pa.Table.from_pylist(rows, schema=_CHECK_RESULTS)


def waiver_uses(verdict: Verdict) -> list[dict[str, Any]]:
    """Every waiver the verdict rests on, with the failing rows it covers; texts pass the mask."""
    keys = {result.rule_id: result.failing_keys for result in verdict.results}
    return [
        {
            **waiver.content(),
            "reason": mask_personal(waiver.reason),
            "evidence": mask_personal(waiver.evidence),
            "rows": [key for key in keys.get(waiver.rule, ()) if waiver.covers(key)],
        }
        for waiver in verdict.waivers
    ]


def _waivers(verdict: Verdict) -> pa.Table:
    uses = {use["id"]: use for use in waiver_uses(verdict)}
    rows = [
        {
            "waiver_id": waiver.id,
            "rule_id": waiver.rule,
            "scope": json.dumps(waiver.scope, ensure_ascii=False),
            "reason_zh": uses[waiver.id]["reason"],
            "evidence": uses[waiver.id]["evidence"],
            "requested_by": mask_personal(waiver.requested_by),
            "approved_by": mask_personal(waiver.approved_by),
            "valid_from": waiver.issued,
            "valid_to": waiver.expires,
            "max_rows": waiver.max_rows,
            "rows_waived": len(uses[waiver.id]["rows"]),
            "rows": json.dumps(uses[waiver.id]["rows"], ensure_ascii=False),
        }
        for waiver in verdict.waivers
    ]
    return pa.Table.from_pylist(rows, schema=_WAIVERS)


def _waived_values(candidate: Candidate, verdict: Verdict, guards: Guards) -> pa.Table:
    if not verdict.waivers:
        return _WAIVED_VALUES.empty_table()
    with connect(candidate.database, read_only=True) as connection:
        return pa.Table.from_pylist(waived_values(connection, verdict, guards), schema=_WAIVED_VALUES)


def _releases(releases: Iterable[ReleaseRow]) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in releases], schema=_RELEASES)


def _quarantine_query(home: Home, deliveries: Iterable[DeliveryRow]) -> str:
    paths = []
    for row in sorted(deliveries, key=lambda item: item.delivery_id):
        path = home.quarantine / f"{row.delivery_id}.parquet"
        if path.is_file():
            paths.append(path)
        elif row.rows_quarantined:
            raise Fault(f"缺少隔离文件 {home.relative(path)}。", "请执行 eduplan verify 查明原因。")
    if not paths:
        nulls = (f"CAST(NULL AS {_duck_name(column.type)}) AS {ident(column.name)}" for column in QUARANTINE_SCHEMA)
        return f"SELECT {', '.join(nulls)} WHERE false"
    columns = ", ".join(_masked(name) for name in QUARANTINE_SCHEMA.names)
    return f"SELECT {columns} FROM read_parquet({path_list(paths)}) ORDER BY ALL"


def _duck_name(kind: pa.DataType) -> str:
    return "INTEGER" if pa.types.is_integer(kind) else "VARCHAR"


def _masked(name: str) -> str:
    if name not in _MASKED_COLUMNS:
        return ident(name)
    replacement = literal(rf"\1{MASK}\2")
    return f"regexp_replace({ident(name)}, {literal(PERSONAL_PATTERN)}, {replacement}, 'g') AS {ident(name)}"


def _lineage(candidate: Candidate, deliveries: Iterable[DeliveryRow], marts: set[str]) -> pa.Table:
    active = {item["delivery_id"] for item in candidate.inputs["deliveries"]}
    by_table: dict[str, list[DeliveryRow]] = {}
    for row in deliveries:
        if row.delivery_id in active:
            for table in row.tables:
                by_table.setdefault(table, []).append(row)
    told = {
        table: [(table, row.feed, row.delivery_id, row.sha256) for row in sorted(rows, key=lambda row: row.delivery_id)]
        for table, rows in by_table.items()
    }
    found = [
        (mart, *rest)
        for mart, upstream in sorted(upstream_records(candidate.path / DBT_MANIFEST).items())
        if mart in marts
        for table in sorted(upstream)
        for rest in told.get(table, ())
    ]
    columns = [pa.array([row[at] for row in found], kind) for at, kind in enumerate(_LINEAGE.types)]
    return pa.Table.from_arrays(columns, schema=_LINEAGE)


def upstream_records(manifest: Path) -> dict[str, set[str]]:
    """For each dbt model, the record tables it is made from, however many models lie between. Raises Fault."""
    try:
        content = json.loads(manifest.read_bytes())
        nodes, sources, parents = content["nodes"], content["sources"], content["parent_map"]
    except (OSError, ValueError, KeyError) as error:
        raise Fault(
            "候选中没有可读的 dbt manifest.json，无法写出来源关系。", "请执行 eduplan run 重新构建。"
        ) from error
    models = {key: node["name"] for key, node in nodes.items() if node.get("resource_type") == "model"}
    return {name: _ancestors(key, parents, sources) for key, name in models.items()}


def _ancestors(start: str, parents: Mapping[str, Sequence[str]], sources: Mapping[str, Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    waiting, visited = [start], {start}
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            name = sources.get(parent, {}).get("name")
            if name in RECORD_SCHEMAS:
                found.add(str(name))
            if parent not in visited:
                visited.add(parent)
                waiting.append(parent)
    return found
