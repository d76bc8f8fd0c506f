"""`eduplan gate …`: looking at the gate itself.

What belongs here: printing what the gate's own room says. What does not: any rule or judgement.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from orchestration.cli.console import out, print_json
from orchestration.cli.main import OK
from warehouse.files import write_atomic
from warehouse.paths import project_root

RULES_PAGE: Final = "docs/rules.md"


def rules(*, write: bool, as_json: bool) -> int:
    """Print the rule page, or write it into the checkout. Raises OSError when it cannot be written."""
    from expectations.catalogue import catalogue
    from expectations.guards import guard_coverage
    from expectations.rules_page import render_rules_page

    book = catalogue()
    if as_json:
        guards = guard_coverage(book.rules)
        content = {
            "version": book.version,
            "rules": [rule.model_dump(mode="json") for rule in book.rules],
            "guards": {**asdict(guards), "unguarded": guards.unguarded},
        }
        print_json(content)
        return OK
    page = render_rules_page(book)
    if write:
        path = project_root() / RULES_PAGE
        write_atomic(path, page.encode("utf-8"))
        out.print(f"已写入 {path}", soft_wrap=True)
    else:
        out.print(page, markup=False, soft_wrap=True)
    return OK
