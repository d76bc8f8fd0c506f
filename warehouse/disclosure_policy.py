"""What is person-based or one school's money in the marts, and how such cells hang together: the policy as a model.

What belongs here: the shape of `disclosure.yaml` and reading it. What does not: applying it (`warehouse.disclosure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from warehouse.errors import Fault

POLICY_FILE: Final = Path(__file__).with_name("disclosure.yaml")
# The parser in C reads the same; it takes a tenth of the time where it was built in.
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
FACTS: Final = "fct_indicator_value"
FACT_KEY: Final = ("indicator_id", "area_code", "period")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sum(_Strict):
    """`whole` = sum of `parts`: columns of a row, or values of a key column."""

    whole: Name
    parts: tuple[Name, ...]


class Rollup(_Strict):
    """The row with `whole` in the key column is the sum of the rows with anything else there."""

    column: Name
    whole: str


class Across(Sum):
    """The row with `whole` in the key column is the sum of the rows with `parts` there."""

    column: Name


class Alias(_Strict):
    """Rows that repeat another row's amount: value of the key column -> value of the row it repeats."""

    column: Name
    same: dict[Name, Name]


class Money(_Strict):
    """Whose amounts make up a cell: one row a unit of `relation`, with the table's area and period, the key column
    `kind`, and for each value of the key column `measure` the column its amount stands in."""

    relation: str
    kind: Name
    measure: Name
    columns: dict[Name, Name]


class Carried(_Strict):
    """Columns of next year's row that tell this year's `column`."""

    column: Name
    into: tuple[Name, ...]


class Spread(_Strict):
    """A measure of how far the parts of a rollup lie apart, weighted by `weight`: published with `decimals` places
    where a part is out, and not at all where that would still tell the part, or would cross `limit`."""

    column: Name
    weight: Name
    limit: Name
    decimals: int = Field(ge=0, le=3)
    note: str


class Table(_Strict):
    """A mart with cells to protect. Its `counts` are persons, or amounts where `money` says of whom.

    `where`: the rows that hold such cells. `additive`: areas add up to groups and city. `wholes`: the group a count is
    part of; `complements`: counts whose rest of the group is told as well (boys beside girls); `derived`: columns that
    give a count away, with the counts.
    """

    name: Name
    key: tuple[Name, ...]
    counts: tuple[Name, ...]
    where: str = "true"
    additive: bool = True
    sums: tuple[Sum, ...] = ()
    wholes: dict[Name, Name] = Field(default_factory=dict)
    complements: tuple[Name, ...] = ()
    derived: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    rollup: Rollup | None = None
    across: tuple[Across, ...] = ()
    alias: Alias | None = None
    money: Money | None = None
    carried: tuple[Carried, ...] = ()
    spread: Spread | None = None

    def canonical(self, place: tuple[object, ...]) -> tuple[object, ...]:
        """The key of the row whose amount this row repeats; mostly its own."""
        if self.alias is None:
            return place
        at = self.key.index(self.alias.column)
        return (*place[:at], self.alias.same.get(str(place[at]), place[at]), *place[at + 1 :])


class Same(_Strict):
    """The same number stands in two tables of the same key."""

    table: Name
    other: Name
    column: Name


class Part(_Strict):
    """`part` of an indicator's value. With `column`, it is the sum of that column of `table` over every combination of
    `at`, and of the parts named in `plus`. Persons unless the table holds money."""

    indicator: Name
    part: Name
    table: Name | None = None
    column: Name | None = None
    at: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    plus: tuple[tuple[Name, Name], ...] = ()
    is_share: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.table is None) != (self.column is None):
            raise ValueError("table 与 column 须同时给出")
        return self


class Copy(_Strict):
    """Rows of `table` that repeat cells of `of`: `at` gives, for each part of that key, an expression over the row (and
    what `join` brings in); `columns`: which of the row's columns go when which column there went. `any_period`: the row
    rests on every year of the series."""

    table: Name
    key: tuple[Name, ...]
    of: Name
    at: tuple[str, ...]
    columns: dict[Name, tuple[Name, ...]]
    join: str = ""
    any_period: bool = False


class Policy(_Strict):
    """The whole of `disclosure.yaml`."""

    k: int = Field(ge=2)
    small_group: int = Field(ge=0)
    dominance_percent: float = Field(gt=0, le=100)
    symbol: str
    tables: tuple[Table, ...]
    same: tuple[Same, ...] = ()
    indicators: tuple[Part, ...] = ()
    copies: tuple[Copy, ...] = ()

    def table(self, name: str) -> Table:
        """The table of this name. Raises KeyError."""
        return {table.name: table for table in self.tables}[name]


def is_taken_out(row: Mapping[str, object], column: str) -> bool:
    """Whether a row of a mart (by column name) names this column among the cells that were taken out."""
    return column in str(row.get("suppressed") or "").split(",")


@cache
def policy() -> Policy:
    """The shipped policy, read once. Raises Fault when it is not valid."""
    try:
        return Policy.model_validate(yaml.load(POLICY_FILE.read_bytes(), _LOADER))  # noqa: S506 - both are safe loaders
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Fault(f"披露控制配置 {POLICY_FILE.name} 不合规：{error}", "请按文件开头的说明修改。") from error
