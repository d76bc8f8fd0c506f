"""The last belt against personal data in texts that leave the house: identity and phone numbers are blacked out.

What belongs here: the patterns and their replacement. What does not: pseudonyms (`sources.pseudonym`), which come
first; this is for messages, file names and sample values, where nobody should have put a number, but somebody may.
"""

from __future__ import annotations

import re
from typing import Final

# 18 digits with a date of birth inside (a unified social credit code has none), 15-digit old numbers, mobile phones.
# The same text is used by Python and by DuckDB (RE2): no look-around, the neighbours are captured and put back.
PERSONAL_PATTERN: Final = (
    r"(^|[^0-9])(?:[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]{4}[0-9Xx]"
    r"|[1-9][0-9]{5}[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]{4}"
    r"|1[3-9][0-9]{9})([^0-9]|$)"
)
MASK: Final = "▇▇▇"
_compiled: Final = re.compile(PERSONAL_PATTERN)


def mask_personal(text: str) -> str:
    """The text with identity and mobile numbers replaced by blocks."""
    previous = None
    # Neighbours shared by two numbers are consumed by the first match, hence the second look.
    while previous != text:
        previous, text = text, _compiled.sub(rf"\g<1>{MASK}\g<2>", text)
    return text


def holds_personal(text: str) -> bool:
    """True when something that looks like an identity or mobile number stands in the text."""
    return _compiled.search(text) is not None
