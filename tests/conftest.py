"""Settings of every test: no test is timed, and every run draws the same examples."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shared machine is slow at times; speed is measured in benchmarks/.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# A sensor that is asked here would start a warm process for a home that is gone a moment later; a daemon has its own.
os.environ["EDUPLAN_WARM"] = "0"

# Files of tests are handed to the workers as they become free: the long ones first, so that none is left for the end.
_LONGEST_FIRST = ("pipeline", "service", "contract", "unit")
# One worker makes the home that most of the pipeline tests share, one has enough to do meanwhile, and the third starts
# on what takes longest by the clock. Whoever is done before that home is there needs none for the dbt project either.
_FIRST = ("test_kill.py", "test_crash_matrix.py", "test_daemon.py", "test_dbt_project.py")
# The long ones among the last, by their processor seconds.
_FIRST_OF_THE_LAST = (
    *("test_expectations_rules.py", "test_orchestration_definitions.py", "test_release_crash.py", "test_intake.py"),
    *(
        "test_expectations_report.py",
        "test_retention.py",
        "test_sample_files.py",
        "test_tampering.py",
        "test_backup.py",
    ),
    *("test_warm.py", "test_orchestration_dbt.py", "test_expectations_gate.py", "test_sample_further.py"),
)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A command that was told to stop ignores signals from then on, and so would whatever a later test starts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _place(name: str, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else len(names)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> tuple[int, int, int]:
        name, room = item.path.name, item.path.relative_to(tests).parts[0]
        return _place(name, _FIRST), _LONGEST_FIRST.index(room), _place(name, _FIRST_OF_THE_LAST)

    items.sort(key=rank)
