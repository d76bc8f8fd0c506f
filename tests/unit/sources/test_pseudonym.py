"""Identity numbers: the check of GB 11643 against an independent one, and the keyed hash."""

from __future__ import annotations

import hashlib
import hmac
import random
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources import pseudonym

KEY = b"k" * 32
DATES = st.dates(min_value=date(1920, 1, 1), max_value=date(2010, 12, 31))


def check_digit(seventeen: str) -> str:
    """ISO 7064 MOD 11-2, written the other way round than in the product."""
    total = 0
    for digit in seventeen:
        total = (total + int(digit)) * 2 % 11
    value = (12 - total) % 11
    return "X" if value == 10 else str(value)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    area = draw(st.integers(min_value=110000, max_value=899999))
    born = draw(DATES)
    order = draw(st.integers(min_value=0, max_value=999))
    body = f"{area}{born:%Y%m%d}{order:03d}"
    return body + check_digit(body)


def test_published_examples() -> None:
    assert pseudonym.id_check("11010519491231002X")
    assert pseudonym.id_check(" 11010519491231002x\u3000")
    assert pseudonym.id_check("50010320150901002X")


@given(numbers())
def test_valid_numbers_pass(number: str) -> None:
    assert pseudonym.id_check(number)


@given(numbers(), st.integers(min_value=0, max_value=16), st.integers(min_value=1, max_value=9))
def test_one_wrong_digit_is_always_seen(number: str, place: int, shift: int) -> None:
    wrong = str((int(number[place]) + shift) % 10)
    assert not pseudonym.id_check(number[:place] + wrong + number[place + 1 :])


def test_ten_thousand_numbers_agree_with_the_standard() -> None:
    """Each generated number with every last character: valid with exactly the one that the standard's sum gives."""
    rng = random.Random(11643)
    born = date(1930, 1, 1).toordinal()
    bodies = [
        f"{rng.randint(110000, 659000)}{date.fromordinal(born + rng.randrange(32_000)):%Y%m%d}{rng.randrange(1000):03d}"
        for _ in range(10_000)
    ]
    right = [body + check_digit(body) for body in bodies]
    wrong = [body + rng.choice([c for c in "0123456789X" if c != check_digit(body)]) for body in bodies]
    for numbers_, expected in ((right, True), (wrong, False)):
        column = np.frombuffer("".join(numbers_).encode(), dtype=np.uint8).reshape(-1, 18)
        assert (pseudonym.check_ids(column) == expected).all()
        assert {pseudonym.id_check(number) for number in numbers_[:500]} == {expected}


@given(st.text(max_size=20))
def test_any_text_is_judged(text: str) -> None:
    assert pseudonym.id_check(text) in {True, False}


@pytest.mark.parametrize("born", ["19900230", "19901301", "19900001", "18991231", "21000229"])
def test_dates_that_do_not_exist(born: str) -> None:
    body = f"500103{born}001"
    assert not pseudonym.id_check(body + check_digit(body))


@given(st.lists(numbers(), min_size=1, max_size=20), DATES)
def test_age_and_sex_of_a_column(found: list[str], on: date) -> None:
    column = np.frombuffer("".join(found).encode(), dtype=np.uint8).reshape(-1, 18)
    digits = pseudonym.id_digits(column)
    assert pseudonym.check_ids(column).all()
    for number, age, male in zip(found, pseudonym.ages(digits, on), pseudonym.is_male(digits), strict=True):
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
        expected = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
        assert age == expected
        assert male == (int(number[16]) % 2 == 1)


def test_a_birthday_counts_from_the_day_itself() -> None:
    body = "50010319900901001"
    column = np.frombuffer((body + check_digit(body)).encode(), dtype=np.uint8).reshape(1, 18)
    digits = pseudonym.id_digits(column)
    day = date(2023, 9, 1)
    assert pseudonym.ages(digits, day)[0] == 33
    assert pseudonym.ages(digits, day - timedelta(days=1))[0] == 32


def test_pseudonym_is_keyed_and_blind_to_spelling() -> None:
    number = "11010519491231002X"
    expected = hmac.new(KEY, number.encode(), hashlib.sha256).hexdigest()
    assert pseudonym.pseudonym(KEY, " 11010519491231002x ") == expected
    assert pseudonym.pseudonym(KEY, "１１０１０５１９４９１２３１００２X") == expected
    assert pseudonym.pseudonyms(KEY, [number.encode()]) == [expected]
    assert pseudonym.pseudonym(b"j" * 32, number) != expected


@given(st.binary(max_size=150), st.lists(st.binary(max_size=150), max_size=4))
def test_a_column_is_hashed_as_the_library_hashes_one(key: bytes, texts: list[bytes]) -> None:
    """Keys and texts of all lengths around SHA-256's blocks of 64 bytes."""
    assert pseudonym.pseudonyms(key, texts) == [hmac.digest(key, text, "sha256").hex() for text in texts]
