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
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
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
    if (ready := _take_ready(workers, prepare)) is not None:
        return ready
    return ProcessPoolExecutor(workers, mp_context=_server(), initializer=_begin, initargs=(prepare,))


def start_server() -> None:
    """Start the process that workers are forked from, so that it imports while this one does something else."""
    _server()
    forkserver.ensure_running()


def _server() -> ForkServerContext:
    # Never fork here: the caller may be a daemon with threads and open databases.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@dataclass(frozen=True)
class _Ready:
    """A pool whose workers were forked from this process before it had threads."""

    workers: int
    prepare: Callable[[], None] | None
    pool: ProcessPoolExecutor


_ready: Final[list[_Ready]] = []


def keep_ready(prepare: Callable[[], None] | None) -> None:
    """Fork workers of this process for the first pool that asks for as many with the same `prepare`.

    For a process that has imported what they need, has one thread and has opened nothing. Raises OSError when there can
    be no more processes.
    """
    workers = worker_count()
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(prepare,))
    # With the first task all are forked, and only then the pool starts its thread.
    pool.submit(os.getpid)
    _ready.append(_Ready(workers, prepare, pool))


def dismiss_ready() -> None:
    """End the workers that nobody asked for."""
    while _ready:
        _ready.pop().pool.shutdown()


def _take_ready(workers: int, prepare: Callable[[], None] | None) -> ProcessPoolExecutor | None:
    for index, ready in enumerate(_ready):
        if (ready.workers, ready.prepare) == (workers, prepare):
            return _ready.pop(index).pool
    return None


def _begin(prepare: Callable[[], None] | None) -> None:
    # First the watch: without memory a thread cannot begin, and whoever starts it would wait for ever.
    threading.Thread(target=die_with_parent, daemon=True).start()
    if prepare is not None:
        prepare()


def die_with_parent() -> None:
    """Wait for the end of the process this one was forked from, and end. Killed, it cannot end its workers, and they
    would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
