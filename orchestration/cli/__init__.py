"""The command line: `eduplan`. A thin front over the stations and the other rooms.

What belongs here: arguments, what is printed, exit codes. What does not: any work. Exit codes: 0 done, 1 refused by a
gate or check, 2 wrong usage, 3 a fault.
"""

from __future__ import annotations

from orchestration.cli.main import main

__all__ = ["main"]
