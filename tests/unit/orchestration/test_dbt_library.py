"""The definitions are there without dbt being imported, which stays importable."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from orchestration.dbt_library import _not_installed

SCRIPT = """
import sys
import orchestration.definitions
assert "dagster_dbt" in sys.modules
assert not [name for name in sys.modules if name.partition(".")[0] == "dbt"]
import dbt.version
assert dbt.version.__version__
"""


def test_definitions_are_loaded_without_dbt() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], check=True)


def test_a_module_is_missing_within_the_block_only() -> None:
    import colorsys

    with _not_installed("colorsys"), pytest.raises(ImportError):
        import_module("colorsys")
    assert sys.modules["colorsys"] is colorsys


def test_a_module_that_was_never_loaded_is_not_left_behind() -> None:
    with _not_installed("eduplan_no_such_module"):
        assert sys.modules["eduplan_no_such_module"] is None
    assert "eduplan_no_such_module" not in sys.modules
