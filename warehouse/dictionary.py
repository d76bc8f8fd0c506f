"""What a consumer may rely on: the data dictionary and one Open Data Contract per mart, from dbt's manifest.

What belongs here: reading descriptions, types, labels, units and keys out of `manifest.json`, and writing them in both
forms. What does not: the descriptions themselves, whose one home is the models' YAML in `dbt_project/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from open_data_contract_standard.model import CustomProperty, Description, OpenDataContractStandard
from open_data_contract_standard.model import SchemaObject as OdcsObject
from open_data_contract_standard.model import SchemaProperty as OdcsProperty

from warehouse.errors import Fault
from warehouse.fingerprint import MARTS_SCHEMA

_DUMPER: Final = yaml.CDumper if yaml.__with_libyaml__ else yaml.Dumper
ODCS_VERSION: Final = "v3.0.2"
_LOGICAL_TYPES: Final = {
    "VARCHAR": "string",
    "DATE": "date",
    "TIMESTAMP": "date",
    "BOOLEAN": "boolean",
    "DOUBLE": "number",
    "DECIMAL": "number",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "HUGEINT": "integer",
}


@dataclass(frozen=True)
class ColumnDoc:
    """One column: name, DuckDB type, Chinese label, meaning, unit, and whatever else its YAML says."""

    name: str
    data_type: str
    label_zh: str
    description: str
    unit: str
    meta: dict[str, Any]


@dataclass(frozen=True)
class MartDoc:
    """One mart: name, Chinese label, meaning, key columns and columns in table order."""

    name: str
    label_zh: str
    description: str
    key: tuple[str, ...]
    columns: tuple[ColumnDoc, ...]


def read_docs(manifest: Path, marts: Mapping[str, Sequence[tuple[str, str]]]) -> list[MartDoc]:
    """Describe the marts (name -> [(column, type)] as built). Raises Fault when the manifest does not know one of them:
    then it belongs to another build."""
    try:
        nodes = json.loads(manifest.read_bytes())["nodes"].values()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise Fault(
            "候选中没有可读的 dbt manifest.json，无法生成数据字典。", "请执行 eduplan run 重新构建。"
        ) from error
    models = {node["name"]: node for node in nodes if node.get("resource_type") == "model"}
    unknown = sorted(set(marts) - set(models))
    if unknown:
        raise Fault(f"dbt manifest 中没有数据表 {'、'.join(unknown)}：manifest 与候选不是同一次构建。")
    return [_mart_doc(models[name], columns) for name, columns in sorted(marts.items())]


def _mart_doc(node: Mapping[str, Any], built: Sequence[tuple[str, str]]) -> MartDoc:
    documented = {str(name).lower(): column for name, column in node.get("columns", {}).items()}
    missing = [name for name, _ in built if name.lower() not in documented]
    if missing:
        raise Fault(f"数据表 {node['name']} 的列 {'、'.join(missing)} 在 dbt 模型说明中没有登记。")
    meta = _meta(node)
    return MartDoc(
        name=node["name"],
        label_zh=str(meta.get("label_zh", "")),
        description=str(node.get("description", "")).strip(),
        key=_key(node, meta),
        columns=tuple(_column_doc(documented[name.lower()], name, data_type) for name, data_type in built),
    )


def _column_doc(column: Mapping[str, Any], name: str, data_type: str) -> ColumnDoc:
    meta = _meta(column)
    return ColumnDoc(
        name=name,
        data_type=data_type,
        label_zh=str(meta.get("label_zh", "")),
        description=str(column.get("description", "")).strip(),
        unit=str(meta.get("unit_zh", meta.get("unit", ""))),
        meta=meta,
    )


def _meta(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**(item.get("meta") or {}), **((item.get("config") or {}).get("meta") or {})}


def _key(node: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[str, ...]:
    for constraint in node.get("constraints") or []:
        if constraint.get("type") == "primary_key":
            return tuple(constraint.get("columns") or ())
    declared = meta.get("key") or meta.get("primary_key") or ()
    return (declared,) if isinstance(declared, str) else tuple(declared)


def dictionary(docs: Sequence[MartDoc]) -> dict[str, Any]:
    """The content of data_dictionary.json."""
    return {
        "schema": MARTS_SCHEMA,
        "tables": [
            {
                "name": mart.name,
                "label_zh": mart.label_zh,
                "description": mart.description,
                "key": list(mart.key),
                "columns": [
                    {
                        "name": column.name,
                        "type": column.data_type,
                        "label_zh": column.label_zh,
                        "unit": column.unit,
                        "description": column.description,
                    }
                    for column in mart.columns
                ],
            }
            for mart in docs
        ],
    }


def contract(mart: MartDoc, *, version: str) -> str:
    """The mart's Open Data Contract (ODCS v3) as YAML; `version` is the data version of the release."""
    model = OpenDataContractStandard(
        apiVersion=ODCS_VERSION,
        kind="DataContract",
        id=f"eduplan.marts.{mart.name}",
        name=mart.label_zh or mart.name,
        version=version,
        status="active",
        domain="education",
        dataProduct="eduplan",
        description=Description(purpose=mart.description),
        schema=[
            OdcsObject(
                name=mart.name,
                physicalName=f"{MARTS_SCHEMA}.{mart.name}",
                physicalType="table",
                logicalType="object",
                businessName=mart.label_zh or None,
                description=mart.description,
                properties=[_odcs_property(mart, column) for column in mart.columns],
            )
        ],
    )
    # As the model writes itself, by the same library's emitter in C where it was built in.
    content = model.model_dump(exclude_defaults=True, exclude_none=True, by_alias=True)
    return str(yaml.dump(content, Dumper=_DUMPER, sort_keys=False, allow_unicode=True))


def _odcs_property(mart: MartDoc, column: ColumnDoc) -> OdcsProperty:
    in_key = column.name in mart.key
    return OdcsProperty(
        name=column.name,
        physicalType=column.data_type,
        logicalType=_LOGICAL_TYPES.get(column.data_type.split("(")[0], "string"),
        businessName=column.label_zh or None,
        description=column.description,
        required=True if in_key else None,
        primaryKey=True if in_key else None,
        primaryKeyPosition=mart.key.index(column.name) + 1 if in_key else None,
        customProperties=[CustomProperty(property="unit", value=column.unit)] if column.unit else None,
    )
