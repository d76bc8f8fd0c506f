"""The disclosure step: cells that could tell about single persons, or one school's money, leave the marts before
anybody judges or sees them.

What belongs here: the order of the step. What does not: the policy (`warehouse.disclosure_policy`), finding cells
(`warehouse.disclosure_cells`) and how they hang together (`warehouse.disclosure_equations`), the linear algebra
(`warehouse.suppression`), taking cells out (`warehouse.disclosure_marks`) and the rules that check the result
(`expectations`).

A suppressed number is NULL, and the text column `suppressed` of its row names the column; CSV, screen and report show
the symbol. What an earlier release suppressed stays suppressed, and what it published counts as known: so two releases
subtracted from each other give no more than each of them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from warehouse import duck
from warehouse.disclosure_cells import Sheet, read_sheet
from warehouse.disclosure_equations import equations
from warehouse.disclosure_marks import take_out
from warehouse.disclosure_policy import Policy, policy
from warehouse.errors import Refused
from warehouse.suppression import complete


@dataclass(frozen=True)
class Outcome:
    """How many cells were taken out: sensitive ones, and those beside them."""

    primary: int
    complementary: int


def protect(
    database: Path,
    previous: Path | None,
    *,
    rules: Policy | None = None,
    before_writing: Callable[[], object] | None = None,
) -> Outcome:
    """Take sensitive cells out of schema `marts` of a build, in place. `previous`: the standing release's marts file.
    `before_writing` is called when it is known which, and the file still is what it was.

    Raises Refused when a suppressed cell could still be computed, Fault when a file cannot be opened or holds an area
    whose place among the others is not known.
    """
    book = rules if rules is not None else policy()
    with ExitStack() as opened:
        told = opened.enter_context(duck.open_database(previous)) if previous is not None else None
        connection = opened.enter_context(duck.connect(database))
        sheet = read_sheet(connection, told, book)
        primary = sheet.primary
        hidden, left = complete(sheet.cells, equations(connection, book, sheet), primary, least=book.k)
        _check(sheet, left)
        if before_writing is not None:
            before_writing()
        take_out(connection, book, sheet, hidden)
    return Outcome(len(primary), len(hidden) - len(primary))


def _check(sheet: Sheet, left: frozenset[int]) -> None:
    open_cells = [cell for cell in left if not sheet.known[cell]]
    if open_cells:
        named = [sheet.named(cell) for cell in sorted(open_cells)[:3]]
        shown = "；".join("/".join(map(str, (table, *place))) for table, place, _ in named)
        raise Refused(
            f"披露控制：{len(open_cells)} 个应隐去的单元格仍可由公布的合计推算，未构建。例如 {shown}。",
            "请检查 disclosure.yaml 中的表间关系；不要调低 k。",
        )
