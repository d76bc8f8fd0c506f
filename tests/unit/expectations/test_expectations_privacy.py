"""Numbers that point at a person are found by the gate's SQL and masked in everything it prints."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.privacy import MASKED, forbidden_sql, mask

PERSONAL = [
    "50010319900228123X",
    "50010319900228123x",
    "学校50010319900228123X老师",
    "５００１０３１９９００２２８１２３Ｘ",
    "500103900228123",
    "13800138000",
    "电话13800138000",
    "tel 138-0013-8000",
    "13800138000、13900139000",
    "１３８００１３８０００",
]
HARMLESS = [
    "",
    "重庆市渝中区中心小学",
    "2150000104",
    "d13800138000abcde",
    "sha256 3f13800138000fa",
    "12800138000",
    "138001380001",
    "50010319901328123X",
    "2020—2024年",
    "91.56 万人",
]


def _within_digits(number: str) -> st.SearchStrategy[str]:
    """The number between hexadecimal digits, or parted from them by something else."""
    digits = st.text("0123456789abcdefABCDEF", max_size=64)
    between = st.sampled_from(["", " ", "-", "g", "甲", "０"])
    return st.builds(lambda before, gap, after: f"{before}{gap}{number}{gap}{after}", digits, between, digits)


def _found(text: str, forbids: str) -> bool:
    with duckdb.connect() as connection:
        row = connection.execute(f"select {forbidden_sql('t', forbids)} from (select ? as t)", [text]).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_numbers_are_found_and_masked(text: str) -> None:
    assert _found(text, "person_number")
    masked = mask(text)
    assert MASKED in masked
    assert not re.search(r"[0-9０-９]{8}", masked)
    assert mask(masked) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not _found(text, "person_number")
    assert mask(text) == text


@pytest.mark.parametrize("text", ["a\x07b", "零\u200b宽", "\ufeff表头", "翻\u202e转", "制\t表"])
def test_control_characters_are_found(text: str) -> None:
    assert _found(text, "control_character")


@pytest.mark.parametrize("text", ["", " a", "a ", "　甲", "甲\u00a0"])
def test_stray_blanks_are_found(text: str) -> None:
    assert _found(text, "stray_blank")


@pytest.mark.parametrize("forbids", ["control_character", "stray_blank"])
def test_clean_text_passes(forbids: str) -> None:
    assert not _found("重庆市 渝中区（中心）小学 No.1", forbids)


@given(before=st.text(alphabet="甲乙 ,，(（:：-", max_size=4), after=st.text(alphabet="丙丁 ,，)）。", max_size=4))
def test_masking_keeps_what_stands_around(before: str, after: str) -> None:
    assert mask(f"{before}13912345678{after}") == f"{before}{MASKED}{after}"


@given(st.text(max_size=60))
def test_masked_text_holds_nothing_the_gate_would_find(text: str) -> None:
    assert not _found(mask(text), "person_number")


@given(st.text("0123456789abcdefFXx- ０１３８甲", max_size=70) | st.sampled_from(PERSONAL).flatmap(_within_digits))
def test_the_sql_spares_no_text_that_holds_a_number(text: str) -> None:
    assert _found(text, "person_number") == (mask(text) != text)
