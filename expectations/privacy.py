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

# Characters of a personal number, gaps included: a mobile number has eleven, an identity number eighteen.
_SHORTEST: Final = 11
_LONGEST: Final = 18
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
    if forbids != "person_number":
        return f"coalesce(regexp_matches({column}, '{portable}'), false)"
    narrow = f"translate({column}, '{FULL_WIDTH}', '{HALF_WIDTH}')"
    # The pattern is dear, and most cells of a large table are spared it: the shortest number has eleven digits; and one
    # that stands among hexadecimal digits is none, so that a longer text of nothing else (a key, a hash) holds none.
    return (
        f"case when length({column}) < {_SHORTEST} then false"
        f" when length({column}) > {_LONGEST} and not regexp_matches({column}, '[^0-9a-fA-F]') then false"
        f" else coalesce(regexp_matches({narrow}, '{portable}'), false) end"
    )


def mask(text: str) -> str:
    """The text with everything that looks like an ID or mobile number replaced; what stands around it stays."""
    if not shows_number(text):
        return text
    narrow = text.translate(_NARROW)
    # The edges are consumed by the pattern, so neighbouring numbers need a second pass.
    for _ in range(2):
        narrow = _PERSON_RE.sub(lambda match: f"{match.group(1)}{MASKED}{match.group(match.re.groups)}", narrow)
    return narrow
