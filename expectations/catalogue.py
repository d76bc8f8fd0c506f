"""The rule catalogue: what a publication rule is, where rules are read from, and the version of the whole.

What belongs here: the shape of a rule, loading and validating `rules/*.yaml` and `conditions.yaml`, `rules_version`.
What does not: how a rule becomes SQL (`expectations.sql`), how Great Expectations runs it (`expectations.gx_runner`),
and keys and relationships, which dbt owns: a rule lives in one of the two.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from warehouse.errors import Fault
from warehouse.files import canonical_json, sha256_bytes

Tier = Literal["syntax", "validity", "quality", "macro", "forensic"]
Severity = Literal["critical", "warning", "info"]
Words = Annotated[str, StringConstraints(min_length=2, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Relation = Annotated[str, StringConstraints(pattern=r"^(marts|records|staging|intermediate)\.[a-z][a-z0-9_]*$")]

HERE: Final = Path(__file__).parent
_PARAMETER = re.compile(r"\$\{(\w+)\}")
# SQLAlchemy reads `:word` as a bound parameter, GX pastes the text into its own query, and rules only ever read.
_FORBIDDEN_SQL = re.compile(r":|;|--|/\*|\b(insert|update|delete|attach|copy|install|load|pragma|create|drop)\b", re.I)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NotNull(_Strict):
    """The column is filled in every row in scope."""

    kind: Literal["not_null"]


class InSet(_Strict):
    """The column, where filled, holds one of the agreed values."""

    kind: Literal["in_set"]
    values: tuple[str, ...] = Field(min_length=1)


class Between(_Strict):
    """The column, where filled, lies between two bounds, both allowed; one bound may be absent."""

    kind: Literal["between"]
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Between:
        if self.low is None and self.high is None:
            raise ValueError("a range without bounds cannot fail")
        return self


class RowCount(_Strict):
    """The table holds at least `low` rows (and at most `high`)."""

    kind: Literal["row_count"]
    low: int = Field(ge=1)
    high: int | None = None


class Rows(_Strict):
    """No row in scope satisfies the SQL predicate `fails`."""

    kind: Literal["rows"]
    fails: Words


class Text(_Strict):
    """No text column of the table (whichever exist when judged) matches what is forbidden."""

    kind: Literal["text"]
    forbids: Literal["person_number", "control_character", "stray_blank"]


Check = Annotated[NotNull | InSet | Between | RowCount | Rows | Text, Field(discriminator="kind")]


class Blame(_Strict):
    """How a failing row leads to deliveries: exactly, or not at all.

    Either `delivery` is the column with a delivery's id, or the deliveries are those of a feed, an area and a period.
    The feed is named (`feed`), or is the one feed of the indicator whose id stands in column `feed_of` (an indicator
    with several feeds leads nowhere: no single one of them can be blamed). `area` and `period` are columns; `until`
    ends a span of periods. `area_as`: an area code of the marts (a whole city or group leads nowhere), or as reported.
    """

    delivery: Name | None = None
    feed: Name | None = None
    feed_of: Name | None = None
    area: Name | None = None
    period: Name | None = None
    until: Name | None = None
    area_as: Literal["mart", "reported"] = "mart"

    @model_validator(mode="after")
    def _one_way(self) -> Blame:
        by_key = [self.feed is not None, self.feed_of is not None].count(True) == 1 and bool(self.area and self.period)
        if (self.delivery is not None) == by_key or (self.delivery and (self.feed or self.feed_of)):
            raise ValueError("blame: either a delivery column, or one feed with area and period columns")
        return self


class Rule(_Strict):
    """One publication rule.

    `relation` is what the rule speaks of; `source` (a SELECT) replaces it as the rows examined; `scope` narrows them.
    `keys` name a failing row, `observed` is the SQL expression printed next to it. Nothing to examine is an error,
    unless the condition named by `empty_when` holds, or `vacuous_zh` says why this small part of the data may well be
    absent (the whole tables are guarded by rules that have no such excuse). `blame` says how a failing row leads to
    deliveries, which can then be held without freezing everybody else; None: a failure here belongs to no delivery.
    `apart`: what the rule says of the rows of one area and year rests on the records of that area and year alone, so
    that these can be examined without the others; its keys tell the delivery, or area and year.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
    tier: Tier
    severity: Severity
    owner: Words
    relation: Relation
    column: Name | None = None
    keys: tuple[Name, ...]
    title_zh: Words
    title_en: Words
    meaning_zh: Words
    meaning_en: Words
    when_it_matters_zh: Words
    when_it_matters_en: Words
    remedy_zh: Words
    remedy_en: Words
    parameters: dict[str, float] = Field(default_factory=dict)
    source: Words | None = None
    scope: Words | None = None
    observed: Words | None = None
    empty_when: Name | None = None
    vacuous_zh: Words | None = None
    blame: Blame | None = None
    apart: bool = False
    check: Check

    @model_validator(mode="after")
    def _sound(self) -> Rule:
        if self.check.kind in ("not_null", "in_set", "between") and self.column is None:
            raise ValueError(f"{self.id}: this kind of check needs a column")
        if not self.keys and self.check.kind != "row_count":
            raise ValueError(f"{self.id}: keys are missing, failing rows could not be named")
        for text in self._sql_texts():
            if _FORBIDDEN_SQL.search(text):
                raise ValueError(f"{self.id}: colon, semicolon, comment or a writing statement in SQL: {text}")
        if self.source is not None and not self.source.lower().startswith("select"):
            raise ValueError(f"{self.id}: source must start with SELECT")
        if self.empty_when and self.vacuous_zh:
            raise ValueError(f"{self.id}: either a condition or a standing reason excuses an empty rule, not both")
        if self.tier == "forensic" and self.severity == "critical":
            raise ValueError(f"{self.id}: a pattern is a question and never stops a publication")
        if self.apart and not (self.place and self.relation.startswith("records.")):
            raise ValueError(f"{self.id}: only rows of records that name their delivery, or area and year, stand apart")
        self._parameters_match()
        return self

    @property
    def place(self) -> tuple[str, ...]:
        """The keys that tell to which area and year a row of a rule `apart` belongs; empty for all others."""
        if not self.apart:
            return ()
        ways = [("delivery_id",), ("area_code", "stat_year"), ("area_code", "fiscal_year")]
        return next((way for way in ways if set(way) <= set(self.keys)), ())

    def _sql_texts(self) -> list[str]:
        fails = self.check.fails if isinstance(self.check, Rows) else None
        return [text for text in (self.source, self.scope, self.observed, fails) if text is not None]

    def _parameters_match(self) -> None:
        """What the meaning says and what the SQL does come from the same number."""
        used = {name for text in self._sql_texts() for name in _PARAMETER.findall(text)}
        for text in (self.meaning_zh, self.meaning_en):
            told = set(_PARAMETER.findall(text))
            if not used == told == set(self.parameters):
                raise ValueError(
                    f"{self.id}: parameters {sorted(self.parameters)}, in SQL {sorted(used)}, told {sorted(told)}"
                )

    def fill(self, text: str) -> str:
        """Put the rule's parameters in place of `${name}`; numbers are written without a superfluous `.0`."""
        return _PARAMETER.sub(lambda match: f"{self.parameters[match.group(1)]:.12g}", text)

    def identity(self) -> str:
        """What makes two rules the same check: GX merges such rules in silence."""
        return f"{self.source or self.relation}|{self.scope}|{self.column}|{self.check!r}|{self.parameters}"


class Condition(_Strict):
    """A state of the candidate in which some rules rightly have nothing to examine."""

    sql: Words
    meaning_zh: Words


class Catalogue(_Strict):
    """All rules, in file order, with the conditions they refer to."""

    rules: tuple[Rule, ...]
    conditions: dict[str, Condition]

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        for what in ("id", "identity"):
            values = Counter(r.id if what == "id" else r.identity() for r in self.rules)
            repeated = sorted(value for value, n in values.items() if n > 1)
            if repeated:
                raise ValueError(f"rules with the same {what}: {repeated}")
        shared = {(r.source or r.relation, r.place) for r in self.rules}
        torn = sorted(relation for relation, n in Counter(relation for relation, _ in shared).items() if n > 1)
        if torn:
            raise ValueError(f"rules that are asked in one scan stand apart together or not at all: {torn}")
        unknown = {r.empty_when for r in self.rules if r.empty_when} - set(self.conditions)
        if unknown:
            raise ValueError(f"unknown conditions: {sorted(unknown)}")
        return self

    @property
    def version(self) -> str:
        """SHA-256 over every rule and condition, thresholds included."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json")))


class _NoDuplicates(yaml.CSafeLoader):
    """Refuses a key that stands twice: PyYAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; raises ConstructorError on a repeated key."""
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(names) != len(set(names)):
            raise yaml.constructor.ConstructorError(None, None, f"repeated key among {names}", node.start_mark)
        return super().construct_mapping(node, deep)


def read_catalogue(folder: Path) -> Catalogue:
    """Read `folder/rules/*.yaml` and `folder/conditions.yaml`. Raises Fault naming the file that is wrong.

    A rule file states `defaults` once (relation, keys, owner ...), each rule may override them.
    """
    rules: list[dict[str, Any]] = []
    for path in sorted((folder / "rules").glob("*.yaml")):
        document = _read_yaml(path)
        if set(document) != {"defaults", "rules"}:
            raise Fault(f"规则文件 {path.name} 只允许 defaults 和 rules 两个键。", "请按其他规则文件的样子修改。")
        rules.extend({**document["defaults"], **rule} for rule in document["rules"])
    content = {"rules": rules, "conditions": _read_yaml(folder / "conditions.yaml")}
    try:
        return Catalogue.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise Fault(f"规则目录不合规：{error}", "请修改 expectations/rules 下的规则文件。") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_NoDuplicates)  # noqa: S506 - derives from SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise Fault(f"规则文件 {path.name} 读不出来：{error}", "请检查该文件的 YAML 写法。") from error
    if not isinstance(document, dict):
        raise Fault(f"规则文件 {path.name} 不是键值结构。", "请按其他规则文件的样子修改。")
    return document


@cache
def catalogue() -> Catalogue:
    """The shipped catalogue, read once. Raises Fault when it is not valid."""
    return read_catalogue(HERE)


def rules() -> tuple[Rule, ...]:
    """All publication rules in catalogue order."""
    return catalogue().rules


def rules_version() -> str:
    """SHA-256 of the shipped catalogue, thresholds included."""
    return catalogue().version
