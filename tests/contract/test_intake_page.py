"""The page on intake names tests that exist, and all of those that carry its promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "intake.md"
_NAMED = re.compile(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`")
_DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
_CARRIED = (
    *("test_dirt.py", "test_intake_faults.py", "test_hostile.py", "test_marked_copy.py"),
    *("test_single_workbook.py", "test_old_workbooks.py", "test_people.py"),
)


def table_rows() -> Iterator[str]:
    _, _, after = PAGE.read_text("utf-8").partition("## Which test covers which line")
    yield from (line for line in after.splitlines() if line.startswith("|") and not line.startswith(("| Line", "|---")))


def defined(path: str) -> set[str]:
    here = TESTS / "contract" / path
    return set(_DEFINED.findall((here if here.is_file() else TESTS / path).read_text("utf-8")))


def test_every_line_names_a_test() -> None:
    rows = list(table_rows())
    assert len(rows) > 50
    assert [row for row in rows if not _NAMED.search(row)] == []


def test_every_named_test_exists() -> None:
    named = {found for row in table_rows() for found in _NAMED.findall(row)}
    assert sorted(f"{path}::{name}" for path, name in named if name not in defined(path)) == []


def test_every_test_of_intake_stands_in_the_table() -> None:
    named = {found for row in table_rows() for found in _NAMED.findall(row)}
    written = {(path, name) for path in _CARRIED for name in defined(path)}
    assert sorted(written - named) == []


def test_the_rules_of_intake_are_listed() -> None:
    rooms = (TESTS.parent / "sources" / name for name in ("reading.py", "claims.py"))
    rules = {rule for room in rooms for rule in re.findall(r'"(intake\.\w+)"', room.read_text("utf-8"))}
    page = PAGE.read_text("utf-8")
    assert sorted(rule for rule in rules if f"`{rule}`" not in page) == []
