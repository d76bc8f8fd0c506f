"""One statement of a plan as data: its columns, the words each column may hold, and what a found problem looks like.

What belongs here: the shape of a statement. What does not: reading the file (`warehouse.registry`) and judging whether
a statement agrees with itself and with the plan's text (`warehouse.registry_rules`, `warehouse.registry`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from warehouse.plan_text import Span

Kind = Literal[
    "headline_indicator", "programme_target", "text_target", "standing_rule", "baseline_fact", "horizon_2035"
]
# state: the plan names a condition to be reached and prints no number for it.
Operator = Literal["=", ">", ">=", "range", "about", "increase_by", "coverage_all", "trend_up", "trend_down", "state"]
Qualifier = Literal["strive", "about", "at_least", "over", "basically", "gradual", "inferred"]
MeasureType = Literal["stock", "ratio", "count", "cumulative_new_count", "rule", "event"]
Binding = Literal["", "预期性", "约束性"]
SchoolLevel = Literal["全部", "学前", "小学", "初中", "普通高中", "中职", "高校", "高职", "教师", "终身", "经费"]
Feed = Literal[
    "school_census",
    "teacher_register",
    "education_finance",
    "fiscal_accounts",
    "population",
    "higher_education",
    "programme_register",
    "official_figures",
]


def _split(value: Any) -> Any:
    """`a|b` of a CSV cell as ('a', 'b'); an empty cell as ()."""
    return tuple(value.split("|")) if isinstance(value, str) and value else value or ()


def _blank_is_none(value: Any) -> Any:
    return None if value == "" else value


Number = Annotated[Annotated[Decimal, Field(allow_inf_nan=False)] | None, BeforeValidator(_blank_is_none)]
Offset = Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_blank_is_none)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]


class Statement(BaseModel):
    """One row of the plan registry. Field order is the column order of the file; `docs/plan-registry.md` explains it.

    Numbers are Decimals in `unit_zh`; `baseline_2020` is text because it may read `>60` or name its period.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    plan_id: Name
    kind: Kind
    section: Annotated[str, Field(min_length=1)]
    box: str
    box_item: str
    topic_zh: Annotated[str, Field(min_length=1)]
    indicator_zh: Annotated[str, Field(min_length=1)]
    quote_zh: Annotated[str, Field(min_length=1)]
    quote_start: Offset
    quote_end: Offset
    operator: Operator
    value_low: Number
    value_high: Number
    unit_zh: str
    baseline_2020: str
    binding: Binding
    scope: Annotated[str, Field(min_length=1)]
    school_level: Annotated[tuple[SchoolLevel, ...], BeforeValidator(_split), Field(min_length=1)]
    measure_type: MeasureType
    qualifier: Annotated[tuple[Qualifier, ...], BeforeValidator(_split)]
    duplicate_of: str
    data_source: Annotated[tuple[Feed, ...], BeforeValidator(_split)]
    missing_record_zh: str
    note: str

    @property
    def span(self) -> Span | None:
        """Where the quotation stands, or None if the registry gives no offsets."""
        if self.quote_start is None or self.quote_end is None:
            return None
        return Span(self.quote_start, self.quote_end)


COLUMNS: tuple[str, ...] = tuple(Statement.model_fields)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a statement: which, which rule, what, and what to do. str() is one line for people."""

    statement_id: str
    rule: str
    message_zh: str
    remedy_zh: str

    def __str__(self) -> str:
        return f"{self.statement_id} [{self.rule}] {self.message_zh} {self.remedy_zh}".strip()
