"""What must not stand in a text, in SQL for the gate and in Python for everything the gate prints.

What belongs here: the predicates and the masking. What does not: what a personal number looks like
(`warehouse.masking`), which tables are searched (the rule catalogue says so) and pseudonyms (made where the records are
made).
"""

from __future__ import annotations

import re
from typing import Final

from warehouse.masking import FULL_WIDTH, HALF_WIDTH, PERSON_NUMBER, shows_number

# C0 and C1 controls, zero-width and direction marks, the byte order mark: invisible, and they break exports and keys.
CONTROL_CHARACTER: Final = "[\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u202a-\\u202e\\u2060\\ufeff]"
STRAY_BLANK: Final = "^$|^[ \\t\\u3000\\u00a0]|[ \\t\\u3000\\u00a0]$"
MASKED: Final = "〔已遮盖〕"

_NARROW = str.maketrans(FULL_WIDTH, HALF_WIDTH)
_PERSON_RE = re.compile(PERSON_NUMBER)
# DuckDB's engine (RE2) writes code points as \x{200b}; a backslash-u would be an error there.
_CODE_POINT = re.compile(r"\\u([0-9a-f]{4})")


def forbidden_sql(column: str, forbids: str) -> str:
    """A SQL predicate that is true where the (quoted) text column holds what is forbidden. Raises KeyError."""
    pattern = {
        "person_number": PERSON_NUMBER,
        "control_character": CONTROL_CHARACTER,
        "stray_blank": STRAY_BLANK,
    }[forbids]
    portable = _CODE_POINT.sub(r"\\x{\1}", pattern)
    value = f"translate({column}, '{FULL_WIDTH}', '{HALF_WIDTH}')" if forbids == "person_number" else column
    matches = f"coalesce(regexp_matches({value}, '{portable}'), false)"
    # The shortest personal number has eleven digits; CASE spares the expensive pattern most cells of a large table.
    return f"case when length({column}) < 11 then false else {matches} end" if forbids == "person_number" else matches


def mask(text: str) -> str:
    """The text with everything that looks like an ID or mobile number replaced; what stands around it stays."""
    if not shows_number(text):
        return text
    narrow = text.translate(_NARROW)
    # The edges are consumed by the pattern, so neighbouring numbers need a second pass.
    for _ in range(2):
        narrow = _PERSON_RE.sub(lambda match: f"{match.group(1)}{MASKED}{match.group(match.re.groups)}", narrow)
    return narrow
