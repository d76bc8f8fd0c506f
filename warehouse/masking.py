"""The last belt against personal data in texts that leave the house: identity and phone numbers are blacked out.

What belongs here: the patterns and their replacement. What does not: pseudonyms (`sources.pseudonym`), which come
first; this is for messages, file names and sample values, where nobody should have put a number, but somebody may.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# 18 digits with a date of birth inside (a unified social credit code has none), 15-digit old numbers, mobile phones.
# The same text is used by Python and by DuckDB (RE2): no look-around, the neighbours are captured and put back.
PERSONAL_PATTERN: Final = (
    r"(^|[^0-9])(?:[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]{4}[0-9Xx]"
    r"|[1-9][0-9]{5}[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]{4}"
    r"|1[3-9][0-9]{9})([^0-9]|$)"
)
# The same where whole tables and files are searched. Hexadecimal neighbours do not count as an edge: delivery ids and
# hashes hold long runs of digits by chance.
_EDGE_BEFORE: Final = "(^|[^0-9a-fA-F])"
_EDGE_AFTER: Final = "($|[^0-9a-fA-F])"
_DAY: Final = "(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
_ID_18: Final = f"[1-9][0-9]{{5}}(19|20)[0-9]{{2}}{_DAY}[0-9]{{3}}[0-9Xx]"
_ID_15: Final = f"[1-9][0-9]{{5}}[0-9]{{2}}{_DAY}[0-9]{{3}}"
_MOBILE: Final = "1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}"
PERSON_NUMBER: Final = f"{_EDGE_BEFORE}({_ID_18}|{_ID_15}|{_MOBILE}){_EDGE_AFTER}"
FULL_WIDTH: Final = "０１２３４５６７８９Ｘｘ"
HALF_WIDTH: Final = "0123456789Xx"
_NARROW: Final = str.maketrans(FULL_WIDTH, HALF_WIDTH)
_number: Final = re.compile(PERSON_NUMBER)
# Every such number ends in eight digits, perhaps with one gap; most texts have none such.
_long: Final = re.compile("[0-9０-９]{4}[- ]?[0-9０-９]{4}")
MASK: Final = "▇▇▇"
_compiled: Final = re.compile(PERSONAL_PATTERN)
# The shortest of these numbers; most texts have none such.
_run: Final = re.compile("[0-9]{11}")


def mask_personal(text: str) -> str:
    """The text with identity and mobile numbers replaced by blocks."""
    previous = None if _run.search(text) else text
    # Neighbours shared by two numbers are consumed by the first match, hence the second look.
    while previous != text:
        previous, text = text, _compiled.sub(rf"\g<1>{MASK}\g<2>", text)
    return text


def mask_all(texts: Sequence[str]) -> list[str]:
    """`mask_personal` of each."""
    # Looked through all at once: most columns hold no such number at all.
    return [mask_personal(text) for text in texts] if _run.search("\n".join(texts)) else list(texts)


def holds_personal(text: str) -> bool:
    """True when something that looks like an identity or mobile number stands in the text."""
    return _compiled.search(text) is not None


def shows_number(text: str) -> bool:
    """True when an identity or mobile number stands in the text, full-width digits included, hashes not."""
    return _long.search(text) is not None and _number.search(text.translate(_NARROW)) is not None
