"""Progress of a run on the terminal: bars where somebody is watching, one line a station where nobody is.

Only drawing belongs here; it all goes to standard error.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from orchestration.report import STATIONS, Reporter


class TerminalReporter(Reporter):
    """Draws on a console while its `with` block lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, station: str) -> None:
        """A bar without an end until the station says how much there is."""
        if self._progress is not None:
            self._tasks[station] = self._progress.add_task(STATIONS[station], total=None)

    def advance(self, station: str, done: int, total: int, what: str = "") -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.update(self._tasks[station], completed=done, total=total)

    def end(self, station: str, seconds: float, summary: str, *, good: bool) -> None:
        """The bar goes, a line stays."""
        if self._progress is not None:
            self._progress.remove_task(self._tasks.pop(station))
        super().end(station, seconds, summary, good=good)
        mark = "[green]✓[/]" if good else "[bold red]✗[/]"
        self._console.print(f"{mark} {STATIONS[station]}：{escape(summary)} [dim]{seconds:.1f} 秒[/]")

    def note(self, text: str) -> None:
        """One line."""
        super().note(text)
        self._console.print(f"[yellow]·[/] {escape(text)}")
