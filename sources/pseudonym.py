"""Pseudonyms: a person is known by a keyed hash (HMAC-SHA256) of the identity number, never by the number.

What belongs here: the hash and the check of an identity number (GB 11643, the same for one number and for a whole
column). What does not: reading deliveries (`sources.parsers`), and the file of the key (`warehouse.home_key`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from sources.labels import plain

_WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int32)
_CHECK: Final = np.frombuffer(b"10X98765432", dtype=np.uint8)
# Bytes that SHA-256 takes in at a time.
_BLOCK: Final = 64
_OLDEST: Final = 1900
_OLD_LENGTH: Final = 15
_MONTH_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int32)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


def normalise_id(text: str) -> str:
    """An identity number in its one spelling: half-width, no blanks or invisible characters, upper-case X; a number of
    15 digits (cards until 1999) as the one of 18 that was issued in its place."""
    bare = plain(text).upper()
    return _issued_again(bare) if len(bare) == _OLD_LENGTH and bare.isascii() and bare.isdigit() else bare


def _issued_again(old: str) -> str:
    """GB 11643-1999: the year of birth gets its century, and a check character is added. What has no date of birth in
    its place is no old number and stays as it is (18 digits cut off by a spreadsheet, for one)."""
    seventeen = f"{old[:6]}19{old[6:]}"
    digits = np.array([[int(digit) for digit in seventeen]], dtype=np.int32)
    if not valid_birth(digits)[0]:
        return old
    return seventeen + chr(_CHECK[(digits @ _WEIGHTS)[0] % 11])


def pseudonym(key: bytes, id_number: str) -> str:
    """HMAC-SHA256 of the normalised identity number, 64 lower-case hex digits."""
    return hmac.digest(key, normalise_id(id_number).encode(), "sha256").hex()


def pseudonyms(key: bytes, normalised: Iterable[bytes]) -> list[str]:
    """`pseudonym` for numbers that are normalised and encoded already: HMAC by its definition (RFC 2104, section 2).

    A copy of `hmac`'s own state for every number takes 2.0 µs, these two 1.3: the key is taken in once here as well.
    """
    padded = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    found: list[str] = []
    for number in normalised:
        message, told = inner.copy(), outer.copy()
        message.update(number)
        told.update(message.digest())
        found.append(told.hexdigest())
    return found


def id_check(id_number: str) -> bool:
    """True when an 18-character identity number is valid by GB 11643: digits, date of birth, check character."""
    number = normalise_id(id_number)
    if len(number) != 18 or not number.isascii():
        return False
    return bool(check_ids(np.frombuffer(number.encode(), dtype=np.uint8).reshape(1, 18))[0])


def check_ids(numbers: Bytes) -> Bools:
    """`id_check` for a column: `numbers` is n×18 ASCII bytes, normalised; n booleans."""
    digits = numbers[:, :17].astype(np.int32) - ord("0")
    all_digits: Bools = np.all((digits >= 0) & (digits <= 9), axis=1)
    safe = np.where(all_digits[:, None], digits, 0)
    expected: Bytes = _CHECK[(safe @ _WEIGHTS) % 11]
    # The first digit names a region of the country, 1 to 8 (9: residents from Hong Kong, Macao and Taiwan).
    valid: Bools = all_digits & (expected == numbers[:, 17]) & (safe[:, 0] > 0) & _valid_dates(*birth(safe))
    return valid


def birth(digits: npt.NDArray[np.int32]) -> tuple[Ints, Ints, Ints]:
    """Year, month and day of birth out of n×17 digits."""
    year = digits[:, 6] * 1000 + digits[:, 7] * 100 + digits[:, 8] * 10 + digits[:, 9]
    return year, digits[:, 10] * 10 + digits[:, 11], digits[:, 12] * 10 + digits[:, 13]


def _valid_dates(year: Ints, month: Ints, day: Ints) -> Bools:
    month_ok = (month >= 1) & (month <= 12)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _MONTH_DAYS[np.where(month_ok, month, 0)] + (leap & (month == 2))
    valid: Bools = month_ok & (day >= 1) & (day <= last) & (year >= _OLDEST)
    return valid


def valid_birth(digits: npt.NDArray[np.int32]) -> Bools:
    """True where the date of birth exists."""
    return _valid_dates(*birth(digits))


def id_digits(numbers: Bytes) -> npt.NDArray[np.int32]:
    """n×17 digits of checked numbers."""
    digits: npt.NDArray[np.int32] = numbers[:, :17].astype(np.int32) - ord("0")
    return digits


def ages(digits: npt.NDArray[np.int32], on: date) -> Ints:
    """Full years of age on a day; before birth the result is negative."""
    year, month, day = birth(digits)
    had_birthday = (month < on.month) | ((month == on.month) & (day <= on.day))
    result: Ints = (on.year - year - np.where(had_birthday, 0, 1)).astype(np.int32)
    return result


def is_male(digits: npt.NDArray[np.int32]) -> Bools:
    """True where the sequence number is odd."""
    odd: Bools = np.equal(digits[:, 16] % 2, 1)
    return odd
