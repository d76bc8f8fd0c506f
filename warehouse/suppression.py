"""Which further cells must stay unpublished so that no suppressed one can be computed from the rest.

What belongs here: the linear algebra of additive tables, on plain numbers. What does not: which cells are sensitive and
where they stand (`warehouse.disclosure`).

A published total and its parts are a linear equation. A suppressed cell is exposed exactly when some combination of
equations leaves it alone on one side; the published cells in that combination are the ones of which one more must go.
Elimination is done modulo a large prime: coefficients are 0 and ±1, so a rank lost by chance would need a minor
divisible by it. The choice is deterministic: dearest cells (city, indicator values) last, then the smallest value that
hides enough, then the order of the cells.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_PRIME: Final = 2_147_483_647


@dataclass(frozen=True)
class Equation:
    """cell `whole` = sum of the cells `parts`; all are numbers of cells."""

    whole: int
    parts: tuple[int, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """Every cell the equation speaks of."""
        return (self.whole, *self.parts)


@dataclass(frozen=True)
class Cell:
    """What choosing needs to know: the value (persons), how dear losing it is, and whether readers know it already."""

    value: float
    price: int = 0
    known: bool = False


def complete(
    cells: Sequence[Cell], equations: Sequence[Equation], primary: Collection[int], *, least: float
) -> tuple[frozenset[int], frozenset[int]]:
    """(every cell to suppress, those that stay exposed all the same because nothing may be suppressed beside them).

    `least`: a complement should be at least this large, so that it does not bound the cell it hides.
    """
    suppressed: set[int] = set(primary)
    left: set[int] = set()
    for group in _components(equations, suppressed):
        while True:
            # Most cells stand alone in some equation, which is cheap to see; combinations take elimination.
            added = _choose(cells, _alone(group, suppressed), least)
            exposed = {} if added else _exposed(group, suppressed)
            added = added or _choose(cells, exposed, least)
            suppressed |= added
            if not added:
                left |= set(exposed)
                break
    return frozenset(suppressed), frozenset(left)


def _choose(cells: Sequence[Cell], exposed: Mapping[int, Sequence[int]], least: float) -> set[int]:
    """One further cell for each exposed one, unless one chosen in this round serves it too.

    A cell that stands beside the exposed one in several equations is listed as often, and hides it in all of them.
    """
    added: set[int] = set()
    for cell in sorted(exposed):
        counts = Counter(other for other in exposed[cell] if not cells[other].known)
        if counts and added.isdisjoint(counts):
            added.add(
                min(counts, key=lambda n: (-counts[n], cells[n].price, cells[n].value < least, cells[n].value, n))
            )
    return added


def _alone(equations: Sequence[Equation], suppressed: Collection[int]) -> dict[int, list[int]]:
    """Suppressed cell -> the published cells of the equations in which it is the only suppressed one."""
    found: dict[int, list[int]] = defaultdict(list)
    for equation in equations:
        hidden = [cell for cell in equation.cells if cell in suppressed]
        if len(hidden) == 1:
            found[hidden[0]] += [cell for cell in equation.cells if cell != hidden[0]]
    return found


def _components(equations: Sequence[Equation], marked: Collection[int]) -> list[list[Equation]]:
    """Equations that hang together through shared cells; only where a marked cell is among them."""
    parent: dict[int, int] = {}

    def root(cell: int) -> int:
        while parent.setdefault(cell, cell) != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    for equation in equations:
        for part in equation.parts:
            parent[root(part)] = root(equation.whole)
    wanted = {root(cell) for cell in marked}
    groups: dict[int, list[Equation]] = defaultdict(list)
    for equation in equations:
        if root(equation.whole) in wanted:
            groups[root(equation.whole)].append(equation)
    return [groups[name] for name in sorted(groups)]


def _exposed(equations: Sequence[Equation], suppressed: Collection[int]) -> dict[int, list[int]]:
    """Exposed cell -> the published cells it can be computed from."""
    everything = sorted({cell for equation in equations for cell in equation.cells})
    hidden = [cell for cell in everything if cell in suppressed]
    shown = [cell for cell in everything if cell not in suppressed]
    touched = [e for e in equations if any(cell in suppressed for cell in e.cells)]
    place = {cell: number for number, cell in enumerate([*hidden, *shown])}
    matrix = np.zeros((len(touched), len(place)), dtype=np.int64)
    for row, equation in enumerate(touched):
        matrix[row, place[equation.whole]] += 1
        for part in equation.parts:
            matrix[row, place[part]] -= 1
    reduced = _eliminate(matrix % _PRIME, len(hidden))
    found: dict[int, list[int]] = {}
    for row in reduced:
        pivots = np.flatnonzero(row[: len(hidden)])
        if len(pivots) == 1:
            columns = np.flatnonzero(row[len(hidden) :])
            found[hidden[int(pivots[0])]] = [shown[int(column)] for column in columns]
    return found


def _eliminate(matrix: NDArray[np.int64], columns: int) -> NDArray[np.int64]:
    """Reduced row echelon form modulo the prime, with pivots in the first `columns` columns only."""
    done = 0
    for column in range(columns):
        below = np.flatnonzero(matrix[done:, column])
        if len(below) == 0:
            continue
        pivot = done + int(below[0])
        matrix[[done, pivot]] = matrix[[pivot, done]]
        matrix[done] = matrix[done] * pow(int(matrix[done, column]), -1, _PRIME) % _PRIME
        factors = matrix[:, column].copy()
        factors[done] = 0
        rows = np.flatnonzero(factors)
        matrix[rows] = (matrix[rows] - factors[rows, None] * matrix[done]) % _PRIME
        done += 1
        if done == len(matrix):
            break
    return matrix
