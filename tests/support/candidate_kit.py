"""A tiny real candidate, built by hand: real DuckDB file, real manifest, real verdict."""

from __future__ import annotations

import json
import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse import candidate as candidates
from warehouse.archive import store_bytes
from warehouse.candidate import Candidate
from warehouse.clock import SHANGHAI
from warehouse.duck import connect
from warehouse.files import sha256_bytes, sha256_file
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import QUARANTINE_SCHEMA, RECORD_SCHEMAS, DeliveryRow
from warehouse.verdict import RuleResult, Verdict

FEEDS = pa.table({"feed": ["official_figures"], "title_zh": ["官方数字"], "first_year": pa.array([0], pa.int32())})
REPORT = {"quality/index.html": "<!doctype html><title>质量报告</title>".encode()}

MARTS: dict[str, list[tuple[str, str]]] = {
    "fct_indicator_value": [
        ("indicator_id", "VARCHAR"),
        ("area_code", "VARCHAR"),
        ("period", "INTEGER"),
        ("value", "DOUBLE"),
        ("numerator", "DECIMAL(24,4)"),
        ("note", "VARCHAR"),
    ],
    "mart_plan_progress": [
        ("target_id", "VARCHAR"),
        ("area_code", "VARCHAR"),
        ("year", "INTEGER"),
        ("status", "VARCHAR"),
    ],
}
MART_KEYS = {
    "fct_indicator_value": ["indicator_id", "area_code", "period"],
    "mart_plan_progress": ["target_id", "area_code", "year"],
}


def copied_home(of: Home, folder: Path) -> Home:
    """An independent copy of a home, `home` below `folder`, as the original was left."""
    return Home(shutil.copytree(of.root, folder / "home", symlinks=True))


def the_candidate(home: Home) -> Candidate:
    """The only candidate of a home."""
    (folder,) = home.candidates.glob("c*")
    return candidates.load(home, folder.name)


def delivery(home: Home, ledger: Ledger, text: str, *, period: int = 0, **changes: Any) -> DeliveryRow:
    """Archive bytes, write one record Parquet and a quarantine file, and record the delivery."""
    snapshot = store_bytes(home, text.encode())
    delivery_id = "d" + sha256_bytes(f"official_figures\n{snapshot.sha256}".encode())[:16]
    table = "official_figures__figure"
    path = home.records / "official_figures" / f"{delivery_id}-00000000" / f"{table}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(RECORD_SCHEMAS[table].empty_table(), path)
    finding = dict.fromkeys(QUARANTINE_SCHEMA.names) | {
        "delivery_id": delivery_id,
        "member": "",
        "sheet": "",
        "row_no": 7,
        "rule_id": "test.rule",
        "severity": "quarantine",
        "message_zh": "身份证号 110101199003078515 不应出现",
        "remedy_zh": "请改正",
        "masked_value": "1101**",
    }
    home.quarantine.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist([finding], schema=QUARANTINE_SCHEMA), home.quarantine / f"{delivery_id}.parquet"
    )
    fields: dict[str, Any] = {
        "delivery_id": delivery_id,
        "feed": "official_figures",
        "area_code": "500000",
        "period": period,
        "part": "",
        "sha256": snapshot.sha256,
        "file_name": "数字.csv",
        "submitter": "",
        "reported_on": date(2025, 3, 1),
        "received_at": datetime(2025, 9, 1, 8, tzinfo=SHANGHAI),
        "status": "partly",
        "rows_in": 2,
        "rows_accepted": 1,
        "rows_quarantined": 1,
        "contract_version": "v1",
        "tables": {table: home.relative(path)},
    }
    row = DeliveryRow(**{**fields, **changes})
    left = [*row.tables.values(), home.relative(home.quarantine / f"{delivery_id}.parquet")]
    ledger.record_delivery(row, size=snapshot.size, files={name: sha256_file(home.root / name) for name in left})
    return row


def dbt_manifest(further: dict[str, list[tuple[str, str]]] | None = None) -> bytes:
    """dbt's manifest of the two marts; `further`: marts besides, or with other columns."""
    nodes: dict[str, Any] = {}
    parents: dict[str, list[str]] = {}
    for mart, columns in {**MARTS, **(further or {})}.items():
        nodes[f"model.eduplan.{mart}"] = {
            "resource_type": "model",
            "name": mart,
            "description": f"{mart} 的说明",
            "config": {"meta": {"label_zh": "某表"}},
            "constraints": [{"type": "primary_key", "columns": MART_KEYS.get(mart, [])}],
            "columns": {
                name: {
                    "name": name,
                    "description": f"{name} 的含义",
                    "config": {"meta": {"label_zh": name, "unit": "人"}},
                }
                for name, _ in columns
            },
        }
        parents[f"model.eduplan.{mart}"] = ["model.eduplan.stg"]
    nodes["model.eduplan.stg"] = {"resource_type": "model", "name": "stg", "columns": {}}
    parents["model.eduplan.stg"] = ["source.eduplan.records.figure"]
    sources = {"source.eduplan.records.figure": {"name": "official_figures__figure"}}
    content = {"metadata": {"dbt_version": "1.11"}, "nodes": nodes, "sources": sources, "parent_map": parents}
    return json.dumps(content, ensure_ascii=False).encode()


def fill_marts(database: Path, value: float, *, reverse: bool = False, note: str = "") -> None:
    """Both marts, 20 rows each with the same value, as dbt would leave them; row order is up to the caller."""
    order = "DESC" if reverse else "ASC"
    with connect(database) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE SCHEMA marts")
        for mart, columns in MARTS.items():
            shape = ", ".join(f"{name} {kind}" for name, kind in columns)
            connection.execute(f"CREATE TABLE marts.{mart} ({shape})")
            connection.execute(f"COMMENT ON TABLE marts.{mart} IS '{mart} 的说明'")
            connection.execute(f"COMMENT ON COLUMN marts.{mart}.area_code IS '区域''代码'")
        connection.execute(
            "INSERT INTO marts.fct_indicator_value SELECT 'pre_enrolment', '500' || i, 2023, ?, ?, ? "
            f"FROM range(20) t(i) ORDER BY i {order}",
            [value, value * 10_000, note],
        )
        connection.execute(
            "INSERT INTO marts.mart_plan_progress SELECT 't1', '500' || i, 2023, CAST(? AS VARCHAR) "
            f"FROM range(20) t(i) ORDER BY i {order}",
            [value],
        )
        connection.execute("COMMIT")


def make_candidate(home: Home, ledger: Ledger, value: float, *, note: str = "") -> Candidate:
    """A sealed candidate whose marts say `value` throughout; another value is another delivery, so another id."""
    delivery(home, ledger, f"delivery {value} {note}")
    build = candidates.begin(home, ledger.active_set({"official_figures": "v1"}), FEEDS)
    fill_marts(build.database, value, note=note)
    (build.work_dir / "manifest.json").write_bytes(dbt_manifest())
    return candidates.seal(home, build)


def rule(**changes: Any) -> RuleResult:
    fields: dict[str, Any] = {
        "rule_id": "r1",
        "tier": "validity",
        "severity": "critical",
        "mart": "fct_indicator_value",
        "column": "value",
        "passed": True,
        "rows_checked": 20,
        "rows_failed": 0,
        "failing_keys": (),
        "title_zh": "数值不为负",
        "meaning_zh": "人数不能为负",
        "remedy_zh": "请核对报表",
        "observed": "0",
        "error": None,
    }
    return RuleResult(**{**fields, **changes})


def make_verdict(candidate: Candidate, *results: RuleResult, **changes: Any) -> Verdict:
    found = results or (rule(),)
    fields: dict[str, Any] = {
        "candidate_id": candidate.candidate_id,
        "fingerprint": candidate.fingerprint,
        "rules_version": "rules-1",
        "rules_expected": len(found),
        "results": found,
        "judged_at": "2025-09-30T10:00:00+08:00",
    }
    return Verdict(**{**fields, **changes})


def judged(ledger: Ledger, candidate: Candidate) -> Verdict:
    """A passing verdict, recorded as the gate would."""
    verdict = make_verdict(candidate)
    ledger.record_verdict(verdict)
    (candidate.path / "verdict.json").write_bytes(verdict.to_json())
    return verdict
