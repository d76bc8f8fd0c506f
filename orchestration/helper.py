"""A process that was forked while this one had a single thread, for one piece of work that would share the interpreter.

What belongs here: keeping it ready, giving it its work, ending it unused. What does not: the work, which
`orchestration.ahead` names, dbt's process (`orchestration.dbt_ahead`) and those that read deliveries
(`sources.workers`). Where none was kept ready the same work is done in a thread: a process with threads cannot be
forked, and one that must import first is slower than none.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, TypeVar

from orchestration.forked import check_alone
from sources.workers import die_with_parent
from warehouse.errors import Fault

T = TypeVar("T")
# Called where the work may go no further before something else is done.
Gate = Callable[[], object]
Work = Callable[[Gate], T]


class Helper:
    """A forked process that waits for its work, does it once and ends; it ends with the process it was forked from."""

    def __init__(self) -> None:
        """Fork now. Raises Fault when this process has threads, OSError when there can be no more processes."""
        check_alone()
        context = multiprocessing.get_context("fork")
        self._line, far = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(far, self._line), daemon=True)
        self._process.start()
        far.close()

    def do(self, work: Work[T], after: Future[Any] | None = None) -> T:
        """What `work`, which must be importable by name with its arguments, returned there; its gate opens `after`
        something that is done here, however that ends. Raises what `work` raised there, Fault when the process died.
        """
        try:
            self._line.send(work)
            wait([after] if after is not None else [])
            # Work that ended before it came to its gate has told how, and asks no more.
            with suppress(OSError):
                self._line.send(None)
            good, found = self._line.recv()
        except (EOFError, OSError) as error:
            raise Fault("一项后台工作的进程意外结束。", "请检查内存后重试。") from error
        finally:
            self.dismiss()
        if not good:
            raise found
        result: T = found
        return result

    def dismiss(self) -> None:
        """End it, whatever it does."""
        self._line.close()
        self._process.kill()
        self._process.join()


def _serve(line: Connection, other: Connection) -> None:
    # While this end of it is open too, the line never ends.
    other.close()
    threading.Thread(target=die_with_parent, daemon=True).start()
    # Nobody needs it any more where the line ends.
    with suppress(EOFError), ThreadPoolExecutor(1) as pool:
        done = pool.submit(line.recv(), line.recv)
        error = done.exception()
        line.send((error is None, done.result() if error is None else error))


_ready: Final[list[Helper]] = []


def keep_ready() -> None:
    """Fork one for the first that asks (`take`). Raises Fault, OSError."""
    _ready.append(Helper())


def take() -> Helper | None:
    """The one that was kept ready, once."""
    return _ready.pop() if _ready else None


def dismiss_ready() -> None:
    """End what was kept ready and not taken."""
    while _ready:
        _ready.pop().dismiss()
