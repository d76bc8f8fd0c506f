"""What a run begins before its station comes, because it is certain to be asked for.

What belongs here: beginning it beside other work, handing over what came of it, and giving up what nobody asked for.
What does not: the work itself (`warehouse`), the order of the stations (`orchestration.steps`), dbt's own process
(`orchestration.dbt_ahead`). Nothing here decides anything: a draft of what is not published is removed.

A thread here touches neither ledger nor reporter nor Dagster: those belong to the thread of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestration import helper
from warehouse import candidate as candidates
from warehouse.candidate import Candidate, Content
from warehouse.disclosure import Outcome, protect
from warehouse.draft import Draft, write_draft
from warehouse.evidence import value_lineage
from warehouse.paths import Home
from warehouse.unchanged import Unchanged

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


@dataclass(frozen=True)
class Protected:
    """A finished build without its sensitive cells: what was taken out, and what the build says since."""

    outcome: Outcome
    content: Content


def begun(name: str, work: Callable[[], T]) -> Future[T]:
    """Begin work in a thread of that name."""
    pool = ThreadPoolExecutor(1, thread_name_prefix=f"eduplan-{name}")
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def protected(database: Path, previous: Path | None, may_write: Callable[[], object]) -> Protected:
    """Take sensitive cells out of a build's database and read what it says then. They are sought at once; before the
    first is taken out `may_write` is called. Raises what `protect` and `finish` raise."""
    outcome = protect(database, previous, before_writing=may_write)
    return Protected(outcome, candidates.finish(database))


def protecting(database: Path, previous: Path | None, after: Future[None] | None) -> Future[Protected]:
    """Begin it, in a process of its own where one is ready: Dagster needs this one's interpreter meanwhile. Nothing is
    written before what comes `after` is done, whose own faults are told elsewhere."""
    work = partial(protected, database, previous)
    ready = helper.take()
    if ready is not None:
        return begun("protect", partial(ready.do, work, after))
    return begun("protect", partial(work, partial(wait, [after] if after is not None else [])))


class Ahead:
    """What was begun for one sealed candidate: its value lineage, and a draft of its tables."""

    def __init__(self, home: Home, candidate: Candidate, same: Unchanged) -> None:
        """Begin; `same` is what may stay of the standing release (`warehouse.release.staying`)."""
        self._candidate_id = candidate.candidate_id
        self._lineage = begun("lineage", partial(value_lineage, candidate.database))
        self._draft = begun("draft", partial(write_draft, home, candidate, same))

    def is_for(self, candidate: Candidate) -> bool:
        """Whether this was begun for that candidate."""
        return self._candidate_id == candidate.candidate_id

    def lineage(self) -> pa.Table | None:
        """The value lineage (`warehouse.evidence.value_lineage`). Raises Fault."""
        return self._lineage.result()

    def draft(self) -> Draft:
        """The draft. Raises Refused, Fault, OSError."""
        return self._draft.result()

    def give_up(self) -> None:
        """Wait for what is under way and remove the draft, unless it became a release."""
        wait([self._lineage])
        if self._draft.exception() is None:
            self._draft.result().discard()
