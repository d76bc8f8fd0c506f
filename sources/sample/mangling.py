"""Harmless untidiness: other spellings of the same header, number or area name that must never change a figure.

Belongs here: full-width digits, thousands separators, blanks, header aliases, odd sheet and area names.
Does not belong here: damage that costs a row (``damage``).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sources.labels import key

_WIDE = str.maketrans("0123456789,", "０１２３４５６７８９，")
# A cell in a hundred is untidy, a header in twelve, when a sample is written with damage.
_CELL_SHARE = 0.01
_HEADER_SHARE = 0.08


class Mangler:
    """Draws untidy spellings from its own generator; an inactive one leaves everything as it is."""

    def __init__(self, rng: np.random.Generator, *, active: bool) -> None:
        self._rng = rng
        self.active = active
        self._spelled: dict[tuple[str, str], str] = {}

    def header(self, sheet: str, label: str, aliases: Mapping[str, Sequence[str]]) -> str:
        """The label, sometimes one of its agreed aliases or with blanks around it; spelled alike all over a sheet."""
        if (sheet, label) not in self._spelled:
            self._spelled[sheet, label] = self._spell(label, aliases) if self.active else label
        return self._spelled[sheet, label]

    def _spell(self, label: str, aliases: Mapping[str, Sequence[str]]) -> str:
        choices = [alias for name, others in aliases.items() if key(name) == key(label) for alias in others]
        draw = self._rng.random()
        if choices and draw < _HEADER_SHARE:
            return choices[int(self._rng.integers(0, len(choices)))]
        if draw > 1 - _HEADER_SHARE / 2:
            return f" {label}　"
        return label

    def sheet(self, name: str) -> str:
        """The sheet's name, sometimes with the trailing blank seen in real files."""
        return f"{name} " if self.active and self._rng.random() < 0.15 else name

    def area(self, name: str) -> str:
        """The area's name; 忠县 is often written with a full-width space."""
        return "忠　县" if self.active and name == "忠县" else name

    def cells(self, rows: int, columns: int) -> dict[tuple[int, int], int]:
        """Positions of untidy number cells in a block, with the style of each (see ``number``)."""
        if not self.active or not rows or not columns:
            return {}
        count = int(self._rng.binomial(rows * columns, _CELL_SHARE))
        places = self._rng.integers(0, rows * columns, count)
        styles = self._rng.integers(0, 4, count)
        pairs = zip(places.tolist(), styles.tolist(), strict=True)
        return {(place // columns, place % columns): style for place, style in pairs}


def number(text: str, style: int) -> str:
    """A number's text in one of four untidy spellings: full-width, with thousands separator, in blanks, both."""
    grouped = f"{int(text):,}" if text.isdigit() else text
    return (text.translate(_WIDE), grouped, f" {text}  ", f"{grouped.translate(_WIDE)}　")[style]
