"""One spelling for labels that people type: header texts, sheet names, form numbers.

What belongs here: normalisation of text that names something. What does not: numbers (`sources.parsers.numbers`) and
the meaning of a code (`sources.codelists`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

# Zero-width and byte-order marks, and the way OOXML writes a carriage return into a cell.
_INVISIBLE: Final = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]|_x000D_", re.IGNORECASE)
_BLANK: Final = re.compile(r"\s+")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212~\uff5e]")
_SUBSET: Final = re.compile(r"^(?:#+|其中[:]|总计中[:])+")
_SHEET: Final = re.compile(r"^(基础基|中职基|教基)(\d{3,4})(续表?\d*)?(?:[_\-(].*)?$")


@lru_cache(maxsize=65536)
def plain(text: str) -> str:
    """Full-width forms to half-width (NFKC), no blanks of any kind, no invisible characters."""
    return _BLANK.sub("", unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)))


@lru_cache(maxsize=65536)
def key(text: str) -> str:
    """What two spellings of one header share: plain text, without subset marks (`#`, 其中：), one kind of dash."""
    bare = _DASHES.sub("-", plain(text))
    return _SUBSET.sub("", bare) or bare


def path_key(path: tuple[str, ...]) -> tuple[str, ...]:
    """The key of a header path: its labels' keys without blanks and without repetitions that merged cells leave."""
    keys: list[str] = []
    for label in path:
        found = key(label)
        if found and (not keys or keys[-1] != found):
            keys.append(found)
    return tuple(keys)


@lru_cache(maxsize=4096)
def form_name(text: str) -> str | None:
    """`基础基111`, `教基3112_九年一贯制学校 ` -> the bare form name; None when the text names no form."""
    match = _SHEET.match(plain(text))
    return None if match is None else "".join(part or "" for part in match.groups())
