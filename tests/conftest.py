"""Settings of every test: no test is timed, and every run draws the same examples."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A shared machine is slow at times; speed is measured in benchmarks/.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
