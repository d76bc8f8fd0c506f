"""Wholes that a plan prints beside their parts: they add up as far as printed numbers can, and stay as printed.

What belongs here: which statements make up which (seed `plan_sum`) and comparing their numbers. What does not: mending
a number; 202.5 + 115.0 beside 317.4 is rounding, and the registry says what the plan says.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from warehouse.errors import UsageError
from warehouse.paths import project_root
from warehouse.statement import Problem, Statement

SEED = Path("dbt_project") / "seeds" / "plan_sum.csv"


@dataclass(frozen=True)
class Sum:
    """A statement, the statements that make it up, and by how much their printed numbers may miss it."""

    whole: str
    parts: tuple[str, ...]
    tolerance: Decimal


def load_sums(path: Path | None = None) -> list[Sum]:
    """The sums of every plan, in file order. Raises UsageError when the seed cannot be read."""
    source = project_root() / SEED if path is None else path
    try:
        with source.open(encoding="utf-8", newline="") as stream:
            rows = [(row["whole_id"], row["part_id"], Decimal(row["tolerance"])) for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, InvalidOperation) as error:
        raise UsageError(f"种子表 {source} 无法读取：{error}。", "列为 whole_id、part_id、tolerance。") from error
    wholes = dict.fromkeys(whole for whole, _, _ in rows)
    return [
        Sum(whole, tuple(part for of, part, _ in rows if of == whole), min(room for of, _, room in rows if of == whole))
        for whole in wholes
    ]


def parts_make_the_whole(statements: Sequence[Statement], sums: Sequence[Sum]) -> Iterator[Problem]:
    """Targets and baselines whose parts miss the whole by more than the tolerance, and parts that are not there."""
    by_id = {statement.id: statement for statement in statements}
    for one in sums:
        whole = by_id.get(one.whole)
        if whole is None:
            continue
        parts = [by_id[name] for name in one.parts if name in by_id]
        if len(parts) < len(one.parts):
            yield Problem(whole.id, "sum", "组成它的条目不全。", f"应有：{'、'.join(one.parts)}。")
            continue
        for name, of in (("目标值", _target), ("基数", _baseline)):
            yield from _misses(whole, parts, one.tolerance, name, [of(statement) for statement in (whole, *parts)])


def _misses(
    whole: Statement, parts: Sequence[Statement], tolerance: Decimal, name: str, numbers: Sequence[Decimal | None]
) -> Iterator[Problem]:
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or abs(known[0] - sum(known[1:])) <= tolerance:
        return
    printed = " + ".join(f"{number}" for number in known[1:])
    message = f"{name} {printed} = {sum(known[1:])}，与合计 {known[0]} 相差超过 {tolerance}。"
    yield Problem(
        whole.id, "sum", message, f"请对照原文核对 {'、'.join(part.id for part in parts)}；登记的数须与原文一致。"
    )


def _target(statement: Statement) -> Decimal | None:
    return statement.value_low


def _baseline(statement: Statement) -> Decimal | None:
    try:
        return Decimal(statement.baseline_2020)
    except InvalidOperation:
        return None
