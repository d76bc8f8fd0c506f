"""Which further cells must stay unpublished so that no suppressed one can be computed from the rest.

What belongs here: the linear algebra of additive tables, on plain numbers. What does not: which cells are sensitive and
where they stand (`warehouse.disclosure`).

A published total and its parts are a linear equation. A suppressed cell is exposed exactly when some combination of
equations leaves it alone on one side; the published cells in that combination are the ones of which one more must go.
Elimination is done modulo a large prime: coefficients are 0 and ±1, so a rank lost by chance would need a minor
divisible by it. The choice is deterministic: the cell that hides most and exposes least by going, dear ones (city,
indicator values) less readily, then the smallest value that hides enough, then the order of the cells.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

_PRIME: Final = 2_147_483_647
# Its powers run through every number below the prime.
_GENERATOR: Final = 7


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
    """What choosing needs to know: the value, how dear losing it is, whether readers know it already, and how large a
    value hides it well."""

    value: float
    price: int = 0
    known: bool = False
    need: float = 0.0


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
            added = _choose(cells, group, _alone(group, suppressed), suppressed, least)
            exposed = {} if added else _exposed(group, suppressed)
            added = added or _choose(cells, group, exposed, suppressed, least)
            suppressed |= added
            if not added:
                left |= set(exposed)
                break
    return frozenset(suppressed), frozenset(left)


def _choose(
    cells: Sequence[Cell],
    equations: Sequence[Equation],
    exposed: Mapping[int, Sequence[int]],
    suppressed: AbstractSet[int],
    least: float,
) -> set[int]:
    """One further cell for each exposed one, unless one chosen in this round serves it too.

    A cell that stands beside the exposed one in several equations is listed as often, and hides it in all of them. One
    whose other equations have suppressed cells already exposes nothing by going.
    """
    if not exposed:
        return set()
    clean = Counter(cell for equation in equations if suppressed.isdisjoint(equation.cells) for cell in equation.cells)
    added: set[int] = set()
    for cell in sorted(exposed):
        counts = Counter(other for other in exposed[cell] if not cells[other].known)
        if counts and added.isdisjoint(counts):
            added.add(_best(cells, counts, clean, max(least, cells[cell].need)))
    return added


def _best(cells: Sequence[Cell], counts: Mapping[int, int], clean: Mapping[int, int], need: float) -> int:
    return min(
        counts,
        key=lambda n: (
            clean[n] + cells[n].price - counts[n],
            cells[n].price,
            cells[n].value < need,
            cells[n].value,
            n,
        ),
    )


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
    if not equations or not marked:
        return []
    sizes = np.array([len(equation.parts) + 1 for equation in equations])
    cells, at = np.unique(
        np.fromiter(chain.from_iterable(equation.cells for equation in equations), np.int64), return_inverse=True
    )
    owner, starts = np.repeat(np.arange(len(equations)), sizes), np.cumsum(sizes) - sizes
    # Each cell and equation takes the least name among its neighbours until none changes.
    name = np.arange(len(cells))
    while True:
        least = np.minimum.reduceat(name[at], starts)
        before = name.copy()
        np.minimum.at(name, at, least[owner])
        if np.array_equal(before, name):
            break
    wanted = np.unique(name[np.isin(cells, np.fromiter(marked, np.int64))])
    groups: dict[int, list[Equation]] = {int(group): [] for group in wanted}
    for number, group in enumerate(least.tolist()):
        if group in groups:
            groups[group].append(equations[number])
    return list(groups.values())


# A linear combination of cells: cell -> coefficient modulo the prime, none of them zero.
_Row = dict[int, int]


def _exposed(equations: Sequence[Equation], suppressed: Collection[int]) -> dict[int, list[int]]:
    """Exposed cell -> the published cells it can be computed from.

    A suppressed cell is exposed when it is zero in every solution of the system without its published side. One
    solution with arbitrary free cells tells: what is zero there by chance is one in two thousand million.
    """
    if len(equations) == 1:
        return _alone(equations, suppressed)
    system = _System(suppressed)
    touched = [e for e in equations if any(cell in suppressed for cell in e.cells)]
    system.count(touched)
    for equation in sorted(touched, key=lambda e: sum(cell in suppressed for cell in e.cells)):
        system.add(_row(equation))
    solution = system.solution()
    return {cell: system.shown_beside(cell) for cell in sorted(system.pivots) if solution[cell] == 0}


def _row(equation: Equation) -> _Row:
    row = {equation.whole: 1}
    for part in equation.parts:
        row[part] = (row.get(part, 0) - 1) % _PRIME
    return {cell: factor for cell, factor in row.items() if factor}


class _System:
    """Equations brought to triangular form over the suppressed cells, sparse: totals touch few cells each.

    `pivots`: cell -> (when it became one, its row with coefficient 1). A row holds no pivot that is older than itself.
    """

    def __init__(self, suppressed: Collection[int]) -> None:
        self._suppressed = suppressed
        self._often: Counter[int] = Counter()
        self.pivots: dict[int, tuple[int, _Row]] = {}

    def count(self, equations: Iterable[Equation]) -> None:
        """Note how often each suppressed cell stands in the equations: rare ones make cheap pivots."""
        self._often = Counter(cell for e in equations for cell in e.cells if cell in self._suppressed)

    def add(self, row: _Row) -> None:
        """Take an equation in, unless it follows from those that are in."""
        self._reduce(row)
        hidden = [cell for cell in row if cell in self._suppressed]
        if hidden:
            pivot = min(hidden, key=lambda cell: (self._often[cell], cell))
            inverse = pow(row[pivot], -1, _PRIME)
            scaled = {cell: factor * inverse % _PRIME for cell, factor in row.items()}
            self.pivots[pivot] = (len(self.pivots), scaled)

    def _reduce(self, row: _Row, keep: int | None = None) -> None:
        """Take every pivot but `keep` out of the row, the oldest first: younger rows do not bring them back."""
        waiting = [(self.pivots[cell][0], cell) for cell in row if cell in self.pivots and cell != keep]
        heapq.heapify(waiting)
        while waiting:
            _, pivot = heapq.heappop(waiting)
            factor = row.get(pivot, 0)
            if factor == 0:
                continue
            for cell, other in self.pivots[pivot][1].items():
                left = (row.get(cell, 0) - factor * other) % _PRIME
                if left == 0:
                    row.pop(cell, None)
                    continue
                if cell not in row and cell in self.pivots and cell != keep:
                    heapq.heappush(waiting, (self.pivots[cell][0], cell))
                row[cell] = left

    def solution(self) -> dict[int, int]:
        """One solution over the suppressed cells, with all published ones zero and the free ones anything but alike."""
        values: dict[int, int] = {}
        for pivot, (_, row) in reversed(self.pivots.items()):
            total = 0
            for cell, factor in row.items():
                if cell != pivot and cell in self._suppressed:
                    if cell not in values:
                        values[cell] = pow(_GENERATOR, cell + 1, _PRIME)
                    total += factor * values[cell]
            values[pivot] = -total % _PRIME
        return values

    def shown_beside(self, pivot: int) -> list[int]:
        """The published cells an exposed pivot follows from."""
        row = dict(self.pivots[pivot][1])
        self._reduce(row, keep=pivot)
        return sorted(cell for cell in row if cell not in self._suppressed)
