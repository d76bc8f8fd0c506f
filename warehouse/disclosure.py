"""The disclosure step: cells that could tell about single persons, or one school's money, leave the marts before
anybody judges or sees them.

What belongs here: the order of the step. What does not: the policy (`warehouse.disclosure_policy`), finding cells and
how they hang together (`warehouse.disclosure_cells`), the linear algebra (`warehouse.suppression`), taking cells out
(`warehouse.disclosure_marks`) and the rules that check the result (`expectations`).

A suppressed number is NULL, and the text column `suppressed` of its row names the column; CSV, screen and report show
the symbol. What an earlier release suppressed stays suppressed, and what it published counts as known: so two releases
subtracted from each other give no more than each of them alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from warehouse import duck
from warehouse.disclosure_cells import Sheet, read_earlier, read_sheet
from warehouse.disclosure_marks import take_out
from warehouse.disclosure_policy import Policy, policy
from warehouse.errors import Refused
from warehouse.suppression import complete


@dataclass(frozen=True)
class Outcome:
    """How many cells were taken out: sensitive ones, and those beside them."""

    primary: int
    complementary: int


def protect(database: Path, previous: Path | None, *, rules: Policy | None = None) -> Outcome:
    """Take sensitive cells out of schema `marts` of a build, in place. `previous`: the standing release's marts file.

    Raises Refused when a suppressed cell could still be computed, Fault when a file cannot be opened or holds an area
    whose place among the others is not known.
    """
    book = rules if rules is not None else policy()
    earlier = read_earlier(previous, book)
    with duck.connect(database) as connection:
        sheet = read_sheet(connection, book, earlier)
        hidden, left = complete(sheet.cells, sheet.equations, sheet.primary, least=book.k)
        _check(sheet, left)
        take_out(connection, book, sheet, hidden)
    return Outcome(len(sheet.primary), len(hidden) - len(sheet.primary))


def _check(sheet: Sheet, left: frozenset[int]) -> None:
    open_cells = [cell for cell in left if not sheet.cells[cell].known]
    if open_cells:
        names = {number: key for key, number in sheet.number.items()}
        shown = "；".join("/".join(map(str, (names[cell][0], *names[cell][1]))) for cell in sorted(open_cells)[:3])
        raise Refused(
            f"披露控制：{len(open_cells)} 个应隐去的单元格仍可由公布的合计推算，未构建。例如 {shown}。",
            "请检查 disclosure.yaml 中的表间关系；不要调低 k。",
        )
