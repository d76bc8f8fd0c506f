"""What the command line prints with: two consoles, tables, JSON, errors.

What belongs here: the look. What does not: the content.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Wide enough for the tables where there is no terminal to ask (files, pipes, schedulers).
PLAIN_WIDTH: Final = 100


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)


# Results go to out, everything else (progress, notes, errors) to err, so that `--json` can be piped.
out: Final = _console(stderr=False)
err: Final = _console(stderr=True)


def print_error(message: str, remedy: str = "") -> None:
    """What happened, and what to do next on a line of its own."""
    err.print(f"[bold red]✗[/] {escape(message)}")
    if remedy:
        err.print(f"  {escape(remedy)}")


def print_json(value: object) -> None:
    """One JSON document on standard output, exact and uncoloured."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n")


def _plain(value: object) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def table(title: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Table:
    """A table with (heading, 'left'|'right'|'code') columns; 'code' is never broken over lines, None is shown as a
    dash, and texts are never read as markup."""
    made = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for heading, justify in columns:
        side: Literal["left", "right"] = "right" if justify == "right" else "left"
        made.add_column(heading, justify=side, overflow="fold", no_wrap=justify == "code")
    for row in rows:
        made.add_row(*("—" if cell is None else escape(str(cell)) for cell in row))
    return made


def figure(value: float | Decimal | None, decimals: int = 2) -> str | None:
    """A number as people write it; None stays None."""
    return None if value is None else f"{value:,.{decimals}f}"


def cell(row: Mapping[str, Any], column: str, decimals: int = 2) -> str | None:
    """A number of a mart's row as people write it, or the symbol where it was taken out."""
    from warehouse.disclosure_policy import is_taken_out, policy

    return policy().symbol if is_taken_out(row, column) else figure(row[column], decimals)
