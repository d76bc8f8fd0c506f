"""`eduplan acknowledge`: a named person answers for changes that no delivery explains.

What belongs here: finding the candidate and showing what is acknowledged. What does not: what counts as material
(`warehouse.materiality`).
"""

from __future__ import annotations

from dataclasses import asdict

from orchestration.cli.console import out, print_json
from orchestration.cli.main import OK
from warehouse import candidate as candidates
from warehouse import materiality
from warehouse.changes import compare
from warehouse.errors import UsageError
from warehouse.manifest import current
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home


def acknowledge(candidate_id: str, *, by: str, reason: str, as_json: bool) -> int:
    """Write the acknowledgement for exactly this candidate against the present release. Raises UsageError when there is
    nothing to compare with or nothing to acknowledge, Refused for an unknown candidate."""
    home = Home.from_env()
    standing = current(home)
    if standing is None:
        raise UsageError("尚无发布，没有可比较的变化。", "首次发布不需要确认。")
    found = candidates.load(home, candidate_id)
    changes = compare(standing.path / MARTS_FILE, found.database)
    lines = materiality.unexplained(changes, materiality.limit_percent())
    if not lines:
        raise UsageError(f"候选 {candidate_id} 没有需要确认的变化。", "直接执行 eduplan run 即可。")
    given = materiality.draft(candidate_id, found.fingerprint, standing.release_id, by, reason)
    path = materiality.acknowledge(home, given)
    if as_json:
        print_json({**asdict(given), "file": str(path), "changes": lines})
        return OK
    for line in lines:
        out.print(f"  {line}", markup=False)
    out.print(f"[green]✓[/] 已由 {by} 确认上述 {len(lines)} 处变化；请重新执行 eduplan run。")
    return OK
