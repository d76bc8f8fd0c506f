"""Whether a text holds the name of a person in a register, asked without keeping any name.

What belongs here: keyed marks of names, cutting a text into what could be a name, blacking names out. What does not:
reading registers (`sources.known_names`) and going through a release (`warehouse.scan`).

A name in a text is told by its edges: a run of Chinese characters between other characters, or such a run with a title
before or behind it. Inside a longer run (a school named after somebody, a word) nothing can be told from a name, and
nothing is searched there (decision 17).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from warehouse.files import sha256_bytes
from warehouse.masking import MASK
from warehouse.program import own_texts

# Feeds whose contract knows headers of names; a test compares it with the contracts.
NAMED_FEEDS: Final = frozenset({"teacher_register"})
SHORTEST: Final = 2
LONGEST: Final = 15
_BYTES: Final = 8
_BEGIN_BITS: Final = 22
_BEHIND_BITS: Final = np.uint64(64 - _BEGIN_BITS)
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_RUN: Final = re.compile(f"[{_HAN}][{_HAN}·•・]*[{_HAN}]")
_TITLES: Final = (
    *("老师", "教师", "校长", "副校长", "园长", "副园长", "主任", "班主任", "书记", "同志", "先生", "女士", "科长"),
    *("姓名", "填报人", "联系人", "负责人", "经办人", "制表人", "统计人", "审核人", "填表人", "报送人"),
)
_BEFORE: Final = re.compile(f"^(?:{'|'.join(sorted(_TITLES, key=len, reverse=True))})")
_BEHIND: Final = re.compile(f"(?:{'|'.join(sorted(_TITLES, key=len, reverse=True))})$")

Marks = npt.NDArray[np.uint64]


def marks_of(key: bytes, names: Iterable[str]) -> Marks:
    """The keyed marks (BLAKE2b, eight bytes) of names in their one spelling, in the order given."""
    keyed = hashlib.blake2b(digest_size=_BYTES, key=key, person=b"register name")
    found = []
    for name in names:
        one = keyed.copy()
        one.update(name.encode())
        found.append(one.digest())
    return np.frombuffer(b"".join(found), dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class NameMarks:
    """The marks of all names in some deliveries: `marks` are sorted arrays, `deliveries` says whose they are."""

    key: bytes = field(repr=False)
    marks: tuple[Marks, ...] = field(repr=False)
    deliveries: frozenset[str]

    def known(self, candidates: Collection[str]) -> set[str]:
        """Those of the words that are names in the registers and not words of the program."""
        words = sorted(set(candidates) - vocabulary())
        if not words:
            return set()
        asked = marks_of(self.key, words)
        # Registers hold millions of marks: which of them begin like one that is asked is seen without a search.
        begins = np.zeros(1 << _BEGIN_BITS, dtype=np.bool_)
        begins[asked >> _BEHIND_BITS] = True
        alike = [marks[begins[marks >> _BEHIND_BITS]] for marks in self.marks]
        found = np.isin(asked, np.concatenate(alike)) if alike else np.zeros(len(words), dtype=np.bool_)
        return {word for word, hit in zip(words, found, strict=True) if hit}

    def digest(self) -> str:
        """SHA-256 over all marks: two sets of the same names under the same key have the same."""
        return sha256_bytes(b"".join(sorted(hashlib.sha256(marks.tobytes()).digest() for marks in self.marks)))

    def names_in(self, texts: Iterable[str]) -> set[str]:
        """Every name that stands in one of the texts."""
        return self.known(words_of("\n".join(texts)))

    def mask(self, text: str) -> str:
        """The text with names blacked out."""
        return masked(text, self.names_in([text]))


def masked(text: str, names: Collection[str]) -> str:
    """The text with these names blacked out where they stand as words."""
    if not names:
        return text
    return _RUN.sub(lambda run: _masked_run(run.group(), names), text)


def _masked_run(run: str, names: Collection[str]) -> str:
    for word in sorted(_words(run), key=len, reverse=True):
        if word in names:
            run = run.replace(word, MASK)
    return run


def words_of(text: str) -> set[str]:
    """What could be a name in a text: runs of Chinese characters, as they are and without a title."""
    return {word for run in set(_RUN.findall(text)) for word in _words(run)}


def _words(run: str) -> set[str]:
    shorter = (_BEFORE.sub("", run), _BEHIND.sub("", run), _BEHIND.sub("", _BEFORE.sub("", run)))
    return {word for word in (run, *shorter) if SHORTEST <= len(word) <= LONGEST}


@cache
def vocabulary() -> frozenset[str]:
    """Every word in the program's own texts: they cannot come from a register. Raises OSError."""
    return frozenset(words_of("\n".join(path.read_text(encoding="utf-8") for path in own_texts().values())))
