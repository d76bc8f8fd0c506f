"""Worker processes of intake: how many, how they start, and that none outlives the intake that started it.

What belongs here: the pool. What does not: what a worker does (`sources.reading`, `sources.connectors`) and the limits
around a parser (`sources.reading`).
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Final

# Imported once by the process all workers are forked from, and not again by each of them. (pyarrow imports pandas at
# its first conversion to numpy, which takes longer than reading a district's register.)
_PRELOADED: Final = [
    "sources.reading",
    *(f"sources.parsers.{name}" for name in ("census", "teacher", "finance", "flat", "official")),
    "pandas",
]


def worker_count() -> int:
    """Parser processes at a time: EDUPLAN_WORKERS, default two or as many as there are processors."""
    return max(1, int(os.environ.get("EDUPLAN_WORKERS") or min(2, os.cpu_count() or 1)))


def new_pool(workers: int, prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """A pool of `workers` processes, each of which calls `prepare` first and ends when this process does."""
    # Never fork: the caller may be a daemon with threads and open databases.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(prepare,))


def _begin(prepare: Callable[[], None] | None) -> None:
    if prepare is not None:
        prepare()
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Killed, an intake cannot end its workers, and they would wait for work for ever: they watch it and follow."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
