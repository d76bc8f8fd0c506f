"""Damage that must cost a row: which rows are damaged, how, and what is left for the truth.

Belongs here: the choice of rows and kinds of damage, the record of each damaged row, and which figures remain.
Does not belong here: spelling that changes nothing (``mangling``).
"""

from dataclasses import dataclass, field

import numpy as np

from sources.sample.frame import Bools, Ints


@dataclass(frozen=True)
class DamagedRow:
    """One row that must be quarantined.

    ``cause``: ``damage`` (written wrong), ``follows`` (what it depends on is damaged) or ``left`` (a retired person
    who is still listed; such rows stand in every sample, damaged or not).
    """

    feed: str
    file: str
    member: str
    sheet: str
    row_no: int
    rule: str
    cause: str
    area_code: str
    period: int


@dataclass
class Removed:
    """Census figures that will not be counted: whole schools, (form, school) rows and (form, line, school) lines."""

    schools: set[int] = field(default_factory=set)
    forms: set[tuple[str, int]] = field(default_factory=set)
    lines: set[tuple[str, int, int]] = field(default_factory=set)

    def kept(self, form: str, line: int, school: Ints) -> Bools:
        """Which of ``school`` still count for a line of a form."""
        return np.array(
            [
                s not in self.schools and (form, s) not in self.forms and (form, line, s) not in self.lines
                for s in school.tolist()
            ],
            dtype=np.bool_,
        )


def pick(rng: np.random.Generator, count: int, rate: float) -> list[int]:
    """Indexes of the rows to damage, ascending; each row falls with probability ``rate``."""
    return np.flatnonzero(rng.random(count) < rate).tolist() if rate > 0 else []


def choose(rng: np.random.Generator, kinds: tuple[str, ...]) -> str:
    """One kind of damage, all equally likely."""
    return kinds[int(rng.integers(0, len(kinds)))]
