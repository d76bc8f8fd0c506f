"""Names of things on other machines, as this house writes them down.

What belongs here: which names are temporary, and a reversible spelling of any name that ledger, log and terminal can
hold. What does not: what a name might say about content (nothing does).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

# What editors, browsers and copying programs leave while they are at it, and what desktops leave anyway.
_TEMPORARY_PREFIXES: Final = (".", "~$", "~")
_TEMPORARY_SUFFIXES: Final = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
_DESKTOP_NAMES: Final = {"thumbs.db", "desktop.ini"}


def is_temporary(name: str) -> bool:
    """True for the last part of a path that no office hands in on purpose."""
    lowered = name.lower()
    return lowered.startswith(_TEMPORARY_PREFIXES) or lowered.endswith(_TEMPORARY_SUFFIXES) or lowered in _DESKTOP_NAMES


def escape(name: bytes | str, *, keep: str = "/") -> str:
    """A readable spelling that `unescape` reverses: printable text stays, everything else becomes %XX.

    `keep` holds the separators that stay as they are. Of bytes that are not UTF-8 throughout only ASCII stays: parts of
    a name in another encoding may look like UTF-8 by chance.
    """
    text = name if isinstance(name, str) else _text(name)
    return "".join(mark if _is_plain(mark, keep) else _percent(mark) for mark in text)


def unescape(name: str) -> bytes:
    """The bytes that `escape` was given (UTF-8 when it was given text)."""
    return unquote_to_bytes(name)


def _text(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("ascii", "surrogateescape")


def _is_plain(mark: str, keep: str) -> bool:
    return mark in keep or (mark.isprintable() and mark not in "%/")


def _percent(mark: str) -> str:
    return quote_from_bytes(mark.encode("utf-8", "surrogateescape"), safe="")
