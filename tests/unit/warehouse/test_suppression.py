"""Complementary suppression on hand-made tables, against an elimination with fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.suppression import Cell, Equation, complete

# city 0 = districts 1..4 + municipal 5; group 6 = 1 + 2; group 7 = 3 + 4
CITY = [Equation(0, (1, 2, 3, 4, 5)), Equation(6, (1, 2)), Equation(7, (3, 4))]


def cells(*values: float) -> list[Cell]:
    prices = [2, 0, 0, 0, 0, 0, 1, 1]
    return [Cell(value, price) for value, price in zip(values, prices, strict=True)]


def exposed(equations: list[Equation], hidden: frozenset[int]) -> set[int]:
    """By an elimination of its own, with fractions."""
    rows = []
    for equation in equations:
        row = {cell: Fraction(1 if cell == equation.whole else -1) for cell in equation.cells if cell in hidden}
        if row:
            rows.append(row)
    done: list[dict[int, Fraction]] = []
    while rows:
        row = rows.pop()
        if not row:
            continue
        pivot = min(row)
        row = {cell: value / row[pivot] for cell, value in row.items()}
        for others in (rows, done):
            for other in others:
                factor = other.get(pivot, Fraction(0))
                for cell, value in row.items():
                    left = other.get(cell, Fraction(0)) - factor * value
                    if left:
                        other[cell] = left
                    else:
                        other.pop(cell, None)
        done.append(row)
    return {next(iter(row)) for row in done if len(row) == 1}


def test_a_district_takes_the_smallest_sufficient_neighbour_of_its_group() -> None:
    hidden, left = complete(cells(109, 3, 20, 30, 40, 16, 23, 70), CITY, {1}, least=5)
    assert hidden == {1, 2}
    assert left == frozenset()


def test_the_municipal_cell_takes_a_group_total_not_every_district() -> None:
    hidden, left = complete(cells(96, 13, 20, 30, 30, 3, 33, 60), CITY, {5}, least=5)
    assert left == frozenset()
    assert 0 not in hidden, "the city's total is the last to go"
    assert {5} < hidden
    assert exposed(CITY, hidden) == set()


def test_a_known_cell_hides_nothing() -> None:
    given_cells = cells(109, 3, 20, 30, 40, 16, 23, 70)
    given_cells[2] = Cell(20, 0, known=True)
    hidden, left = complete(given_cells, CITY, {1}, least=5)
    assert 2 not in hidden
    assert left == frozenset()
    assert exposed(CITY, hidden) == set()


def test_what_nothing_can_hide_is_told() -> None:
    known = [Cell(cell.value, cell.price, known=True) for cell in cells(109, 3, 20, 30, 40, 16, 23, 70)]
    assert complete(known, CITY, {1}, least=5) == ({1}, {1})


def test_nothing_sensitive_nothing_suppressed() -> None:
    assert complete(cells(126, 10, 20, 30, 40, 26, 30, 70), CITY, set(), least=5) == (frozenset(), frozenset())


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.integers(0, 30), min_size=5, max_size=5), primary=st.sets(st.integers(0, 7), max_size=4))
def test_whatever_is_sensitive_nothing_can_be_recovered(values: list[int], primary: set[int]) -> None:
    whole = [sum(values), *values, values[0] + values[1], values[2] + values[3]]
    hidden, left = complete(cells(*whole), CITY, primary, least=5)
    assert primary <= hidden
    assert left == frozenset()
    assert exposed(CITY, hidden) == set()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_order_of_equations_changes_nothing(order: tuple[int, ...]) -> None:
    given_cells = cells(99, 3, 20, 30, 30, 16, 23, 60)
    shuffled = [CITY[number] for number in order]
    assert complete(given_cells, shuffled, {1, 5}, least=5) == complete(given_cells, CITY, {1, 5}, least=5)
