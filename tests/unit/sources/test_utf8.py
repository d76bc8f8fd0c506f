"""What is UTF-8 is what Python decodes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from sources.utf8 import is_utf8


@given(st.one_of(st.binary(max_size=12), st.text(max_size=6).map(lambda text: text.encode("utf-8"))))
@example(b"\xed\xa0\x80")
@example(b"\xc0\xaf")
@example(b"\xf4\x90\x80\x80")
@example("\U0010ffff".encode())
@example(b"")
def test_what_is_utf8_is_what_can_be_decoded(data: bytes) -> None:
    """Halves of surrogate pairs, overlong forms and numbers beyond Unicode are none."""
    try:
        data.decode("utf-8")
        decodes = True
    except UnicodeDecodeError:
        decodes = False
    assert is_utf8(data) is decodes
