"""Changes that no delivery explains: above a limit they are published only when somebody has put their name to them.

What belongs here: finding such changes among those of `warehouse.changes`, acknowledgements and their files
(`acknowledgements/<candidate>.json`). What does not: comparing releases, and the refusal itself (`warehouse.release`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from warehouse.clock import now
from warehouse.errors import Refused, UsageError
from warehouse.files import pretty_json, write_atomic
from warehouse.paths import Home

SETTING: Final = "EDUPLAN_MATERIALITY"
DEFAULT_PERCENT: Final = 1.0
FACTS: Final = "fct_indicator_value"
_SHOWN: Final = 3


class Unexplained(Refused):
    """The refusal to publish material changes that nothing explains and nobody answered for."""


@dataclass(frozen=True)
class Acknowledgement:
    """Somebody answers for the unexplained changes of exactly this candidate against exactly this release."""

    candidate_id: str
    fingerprint: str
    previous_release_id: str
    acknowledged_by: str
    reason: str
    at: str


def limit_percent() -> float:
    """By how many percent a published value may change unexplained: EDUPLAN_MATERIALITY, default 1.

    Raises UsageError when it is no such number.
    """
    text = os.environ.get(SETTING) or str(DEFAULT_PERCENT)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not math.isfinite(limit) or limit < 0:
        raise UsageError(f"{SETTING}={text} 不是有效的百分数。", "请填不小于 0 的数，如 1 表示 1%。")
    return limit


def unexplained(changes: Mapping[str, Any], percent: float) -> list[str]:
    """Published indicator values that changed by more than `percent`, or are gone, though no delivery behind them did;
    one Chinese line each, in the order of `changes`."""
    facts = changes["tables"].get(FACTS, {"changed": (), "removed": ()})
    changed = [
        f"{_place(item['key'])} {item['old']} → {item['new']}"
        for item in facts["changed"]
        if item["column"] == "value" and not item["deliveries"] and _moved(item["old"], item["new"]) > percent
    ]
    gone = [f"{_place(row)} 不再发布" for row in facts["removed"] if row["value"] is not None and not row["deliveries"]]
    return changed + gone


def _place(key: Mapping[str, Any]) -> str:
    return f"{key['indicator_id']} {key['area_code']} {key['period']}"


def _moved(old: float | None, new: float | None) -> float:
    """Change in percent of the old value; a value where there was none is infinitely more."""
    if old == new:
        return 0.0
    return math.inf if not old or new is None else abs(new - old) / abs(old) * 100


def check(
    home: Home, candidate_id: str, fingerprint: str, previous_release_id: str, changes: Mapping[str, Any]
) -> Acknowledgement | None:
    """The acknowledgement these changes need, or None when they need none. Raises Unexplained naming what is not
    explained and not acknowledged."""
    percent = limit_percent()
    found = unexplained(changes, percent)
    if not found:
        return None
    given = read(home, candidate_id)
    if given is not None and (given.fingerprint, given.previous_release_id) == (fingerprint, previous_release_id):
        return given
    stale = "已有的确认针对的是另一内容或另一发布，不能沿用。" if given is not None else ""
    raise Unexplained(
        f"拒绝发布：{len(found)} 个数的变化超过 {percent:g}%，而其依据的报送件没有变化，例如 "
        f"{'；'.join(found[:_SHOWN])}。{stale}",
        "请核对口径或代码的改动；确认无误后由负责人执行 "
        f"eduplan acknowledge {candidate_id} --by 姓名 --reason 理由，再重新运行。",
    )


def acknowledge(home: Home, draft: Acknowledgement) -> Path:
    """Write an acknowledgement for a candidate. Raises UsageError when nobody or nothing is named, OSError."""
    if len(draft.acknowledged_by.strip()) < 2 or len(draft.reason.strip()) < 2:
        raise UsageError("确认没有写明由谁、因何。", "请用 --by 填姓名，用 --reason 填理由。")
    path = _path(home, draft.candidate_id)
    write_atomic(path, pretty_json(asdict(draft)))
    return path


def draft(candidate_id: str, fingerprint: str, previous_release_id: str, by: str, reason: str) -> Acknowledgement:
    """An acknowledgement of this instant."""
    return Acknowledgement(candidate_id, fingerprint, previous_release_id, by, reason, now().isoformat())


def read(home: Home, candidate_id: str) -> Acknowledgement | None:
    """The acknowledgement given for a candidate, or None. Raises Refused for one that cannot be trusted."""
    path = _path(home, candidate_id)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        given = Acknowledgement(**{str(name): str(value) for name, value in content.items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise _untrusted(path) from error
    if given.candidate_id != candidate_id:
        raise _untrusted(path)
    return given


def _untrusted(path: Path) -> Refused:
    return Refused(f"确认文件 {path.name} 读不出来，或不属于该候选。", "请删除该文件，重新执行 eduplan acknowledge。")


def _path(home: Home, candidate_id: str) -> Path:
    return home.root / "acknowledgements" / f"{candidate_id}.json"
