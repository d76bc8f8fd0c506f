"""Feed contracts: what is agreed with those who hand data in, read from `feeds/<feed>.odcs.yaml` and validated whole.

What belongs here: loading, validation and typed access. What does not: the facts themselves (they stand in the YAML
documents) and reading deliveries (`sources.parsers`). A contract is an Open Data Contract Standard v3 document; what
the standard has no key for stands in `customProperties` and has a strict model here. Unknown keys and keys that stand
twice are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import yaml
from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import Field, TypeAdapter, ValidationError

from sources.catalogue import Catalogue, Form, ListLayout, Profile, Strict, WorkbookLayout
from sources.flat import FlatLayout, Kind, needed_rules
from warehouse.errors import Fault

FEEDS_DIR: Final = Path(__file__).parent / "feeds"
_SUFFIX: Final = ".odcs.yaml"
Severity = Literal["quarantine", "refusal", "notice"]


class FeedInfo(Strict):
    """What the whole house needs to know of a feed. `due` is month-day of the year after the period's 1 September."""

    title_zh: str
    licence: str
    cadence: str
    due: str
    per_area: bool
    parts: tuple[str, ...]
    first_year: int
    period_kind: Literal["stat_year", "fiscal_year", "any"]
    part_headers: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class ColumnInfo(Strict):
    """What ODCS has no key for: `header` and `aliases` (equal after normalisation), `pattern` (a whole header).

    personal: none; hmac (kept only as keyed hash); derived (only what is computed from it is kept).
    on_unknown: what an unknown label of the code list does to the row (`notice` keeps the row with an empty value).
    kind: what a text of a flat feed stands for. code_pattern: what a code looks like. own_unit: a unit printed above
    the table does not apply. default: the value of an empty cell. blank_when: `column=code`; such rows keep no value.
    """

    header: str
    aliases: tuple[str, ...] = ()
    pattern: str = ""
    unit: str = ""
    code_list: str = ""
    on_unknown: Severity = "quarantine"
    personal: Literal["none", "hmac", "derived"] = "none"
    part_only: str = ""
    kind: Kind = ""
    code_pattern: str = ""
    own_unit: bool = False
    default: str = ""
    blank_when: str = ""


class Unread(Strict):
    """Headers that are known and never read into records: personal ones and those without use. Patterns match whole
    headers. `names`: those of the personal ones that hold names; a release is searched for what stands there."""

    personal: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    personal_patterns: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    unused_patterns: tuple[str, ...] = ()


class Rule(Strict):
    """A row or delivery rule. The message may use {sheet}, {row}, {column}, {value} and {detail}."""

    id: str
    severity: Severity
    title_zh: str
    message_zh: str
    remedy_zh: str


@dataclass(frozen=True)
class SourceColumn:
    """A column of a delivery: record name, ODCS facts, and the rest."""

    name: str
    label_zh: str
    logical_type: str
    required: bool
    key_position: int | None
    classification: str
    info: ColumnInfo

    @property
    def headers(self) -> tuple[str, ...]:
        """The header and its aliases."""
        return (self.info.header, *self.info.aliases)


@dataclass(frozen=True)
class Contract:
    """One feed's contract, validated."""

    feed: str
    version: str
    document: OpenDataContractStandard
    info: FeedInfo
    rules: dict[str, Rule]
    tables: dict[str, tuple[SourceColumn, ...]]
    unread: Unread
    extras: dict[str, Any]

    def columns(self, table: str) -> tuple[SourceColumn, ...]:
        """The columns taken in for a source table. Raises KeyError."""
        return self.tables[table]

    @property
    def prefix(self) -> str:
        """What the contract's rule ids begin with."""
        return next(iter(self.rules)).split(".")[0]

    @cached_property
    def flat(self) -> FlatLayout | None:
        """How the feed's one table is read; None for feeds that are more than a table."""
        return FlatLayout.model_validate(self.extras["flat"]) if "flat" in self.extras else None

    @cached_property
    def catalogue(self) -> Catalogue:
        """The census form catalogue. Raises Fault for feeds without one."""
        if "forms" not in self.extras:
            raise Fault(f"数据约定 {self.feed} 没有表目录。")
        return Catalogue(
            profile=Profile.model_validate(self.extras["profile"]),
            forms=TypeAdapter(tuple[Form, ...]).validate_python(self.extras["forms"]),
            list_layout=ListLayout.model_validate(self.extras["listLayout"]),
            workbook_layout=WorkbookLayout.model_validate(self.extras["workbookLayout"]),
            aliases=TypeAdapter(dict[str, tuple[str, ...]]).validate_python(self.extras["headerAliases"]),
        )


class _StrictLoader(yaml.CSafeLoader):
    """YAML in which a key may stand once, scanned by libyaml: the contracts take half a second without it."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        name = loader.construct_object(key_node, deep=True)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {name!r}", key_node.start_mark)
        seen.add(name)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)

# customProperties every contract has, and those only some have.
_EXTRAS: Final = {"listLayout", "workbookLayout", "profile", "forms", "headerAliases", "flat"}
_KNOWN: Final = {"feed", "rules", "unread"} | _EXTRAS


def feeds() -> list[str]:
    """The feeds that have a contract, sorted."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in FEEDS_DIR.glob(f"*{_SUFFIX}"))


@cache
def load(feed: str) -> Contract:
    """The validated contract of a feed. Raises Fault when there is none or it is not valid."""
    path = FEEDS_DIR / f"{feed}{_SUFFIX}"
    if feed not in feeds():
        raise Fault(f"没有名为 {feed} 的数据约定。", f"现有：{'、'.join(feeds())}。")
    return parse_contract(path.read_text(encoding="utf-8"), feed)


def parse_contract(text: str, feed: str) -> Contract:
    """Validate a contract document. Raises Fault naming what is wrong with it."""
    try:
        # The loader derives from SafeLoader: it builds plain data only.
        raw = yaml.load(text, Loader=_StrictLoader)  # noqa: S506
        contract = _build(raw, feed)
        if "forms" in contract.extras:
            _ = contract.catalogue
        if contract.flat is not None:
            _check_flat(contract, contract.flat)
    except (yaml.YAMLError, ValidationError, TypeError, KeyError, ValueError, re.error) as error:
        raise Fault(f"数据约定 {feed} 无效：{_first_errors(error)}") from error
    return contract


def _check_flat(contract: Contract, layout: FlatLayout) -> None:
    """Every rule that reading can report must be worded, and every column a check or place names must exist."""
    columns = [column for table in contract.tables.values() for column in table]
    features = {feature for column in columns for feature in _features(column)}
    missing = {f"{contract.prefix}.{rule}" for rule in needed_rules(layout, features)} - set(contract.rules)
    if missing:
        raise ValueError(f"rules missing: {sorted(missing)}")
    parts = (layout.part, *layout.part_of_carrier.values())
    named = {
        layout.area.column,
        layout.period.column,
        layout.reported,
        layout.unit_column,
        layout.total_column,
        *layout.head.values(),
    }
    named |= {name for part in parts for name in (part.column, part.digest_of)}
    named |= {name for check in layout.checks for name in (check.whole, *check.parts)}
    strange = named - {column.name for column in columns} - {""}
    if strange:
        raise ValueError(f"no such columns: {sorted(strange)}")


def _features(column: SourceColumn) -> set[str]:
    found = {
        "code_list": bool(column.info.code_list),
        "code_pattern": bool(column.info.code_pattern),
        "date": column.logical_type == "date",
        "whole": column.logical_type == "integer" and not column.info.kind,
        column.info.kind: True,
    }
    return {feature for feature, there in found.items() if there}


def _first_errors(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "；".join(f"{'.'.join(map(str, e['loc']))} {e['msg']}" for e in error.errors()[:3])


def _build(raw: dict[str, Any], feed: str) -> Contract:
    document = OpenDataContractStandard.model_validate(raw)
    _refuse_unknown(document, raw)
    extras = _custom(raw.get("customProperties") or [], _KNOWN)
    if document.name != feed or not document.version or document.kind != "DataContract":
        raise ValueError("name, version or kind missing or wrong")
    rules = TypeAdapter(tuple[Rule, ...]).validate_python(extras.pop("rules"))
    return Contract(
        feed=feed,
        version=document.version,
        document=document,
        info=FeedInfo.model_validate(extras.pop("feed")),
        rules=_unique_rules(rules),
        tables={str(table.name): _columns(table) for table in document.schema_ or []},
        unread=Unread.model_validate(extras.pop("unread", {})),
        extras=extras,
    )


def _refuse_unknown(document: OpenDataContractStandard, raw: dict[str, Any]) -> None:
    """The standard's models drop unknown nested keys in silence: what comes back must be what went in."""
    back = document.model_dump(by_alias=True, exclude_unset=True)
    if back != raw:
        raise ValueError(f"unknown keys: {_lost(raw, back, '')}")


def _lost(raw: object, back: object, where: str) -> list[str]:
    if isinstance(raw, dict) and isinstance(back, dict):
        return [
            name
            for key, value in raw.items()
            for name in (_lost(value, back[key], f"{where}.{key}") if key in back else [f"{where}.{key}"])
        ]
    if isinstance(raw, list) and isinstance(back, list):
        return [name for n, (a, b) in enumerate(zip(raw, back, strict=True)) for name in _lost(a, b, f"{where}[{n}]")]
    return []


def _custom(entries: list[dict[str, Any]], known: set[str]) -> dict[str, Any]:
    names = [entry["property"] for entry in entries]
    wrong = sorted(set(names) - known) + sorted({name for name in names if names.count(name) > 1})
    if wrong:
        raise ValueError(f"unknown or repeated customProperties: {wrong}")
    return {entry["property"]: entry["value"] for entry in entries}


def _unique_rules(rules: tuple[Rule, ...]) -> dict[str, Rule]:
    table = {rule.id: rule for rule in rules}
    if len(table) != len(rules):
        raise ValueError("a rule id stands twice")
    foreign = [name for name in table if not re.fullmatch(r"[a-z]+\.[a-z0-9_]+", name)]
    if foreign:
        raise ValueError(f"rule ids are <feed>.<name>: {foreign}")
    return table


def _columns(table: SchemaObject) -> tuple[SourceColumn, ...]:
    return tuple(_column(column) for column in table.properties or [])


def _column(column: SchemaProperty) -> SourceColumn:
    custom = _custom([entry.model_dump() for entry in column.customProperties or []], {"source"})
    info = ColumnInfo.model_validate(custom["source"])
    for pattern in (info.pattern, info.code_pattern):
        re.compile(pattern)
    return SourceColumn(
        name=str(column.name),
        label_zh=column.businessName or info.header,
        logical_type=column.logicalType or "string",
        required=bool(column.required),
        key_position=column.primaryKeyPosition if column.primaryKey else None,
        classification=column.classification or "internal",
        info=info,
    )


def feed_table() -> pa.Table:
    """`records.feed`: one row a feed (feed, title_zh, cadence, per_area, parts, first_year, period_kind)."""
    contracts = [load(feed) for feed in feeds()]
    return pa.table(
        {
            "feed": pa.array([contract.feed for contract in contracts], pa.string()),
            "title_zh": pa.array([contract.info.title_zh for contract in contracts], pa.string()),
            "cadence": pa.array([contract.info.cadence for contract in contracts], pa.string()),
            "per_area": pa.array([contract.info.per_area for contract in contracts], pa.bool_()),
            "parts": pa.array([",".join(contract.info.parts) for contract in contracts], pa.string()),
            "first_year": pa.array([contract.info.first_year for contract in contracts], pa.int32()),
            "period_kind": pa.array([contract.info.period_kind for contract in contracts], pa.string()),
        }
    )
