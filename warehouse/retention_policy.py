"""The retention policy: how much is kept and for how long, as numbers that an operator may change.

What belongs here: the shape of the policy and reading it (`retention.yaml`, in the package and in the home). What does
not: applying it (`warehouse.retention`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from warehouse.errors import UsageError
from warehouse.paths import Home

FILE: Final = "retention.yaml"
DEFAULTS: Final = Path(__file__).with_name(FILE)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReleaseRule(_Strict):
    """Data of releases: the newest `keep_last`, those younger than `keep_days`, and the last one of each month."""

    keep_last: int = Field(ge=1)
    keep_days: int = Field(ge=1)
    keep_monthly: bool


class CandidateRule(_Strict):
    """Candidates: the newest `keep_last`, and folders younger than `keep_days`."""

    keep_last: int = Field(ge=1)
    keep_days: int = Field(ge=0)


class RecordRule(_Strict):
    """Record files of deliveries that no longer count, once they came more than `superseded_days` ago."""

    superseded_days: int = Field(ge=1)


class OriginalRule(_Strict):
    """Archived originals of deliveries that no longer count; `keep_years` 0 keeps all for ever."""

    keep_years: int = Field(ge=0)


class RunRule(_Strict):
    """Dagster's history of runs: the newest `keep_last`, and those younger than `keep_days`."""

    keep_last: int = Field(ge=1)
    keep_days: int = Field(ge=1)


class OutcomeRule(_Strict):
    """How runs ended: the newest `keep_last`, those younger than `keep_days`, and the last one of each kind."""

    keep_last: int = Field(ge=1)
    keep_days: int = Field(ge=1)


class ToldRule(_Strict):
    """Which end was told of which alert: marks younger than `keep_days`."""

    keep_days: int = Field(ge=1)


class Policy(_Strict):
    """What is kept."""

    releases: ReleaseRule
    candidates: CandidateRule
    records: RecordRule
    originals: OriginalRule
    runs: RunRule
    outcomes: OutcomeRule
    told: ToldRule


def policy_of(home: Home) -> Policy:
    """The home's own policy over the defaults, section by section. Raises UsageError naming file and key."""
    own = home.root / FILE
    sections = _sections(DEFAULTS) | (_sections(own) if own.is_file() else {})
    try:
        return Policy.model_validate(sections)
    except ValidationError as error:
        places = "；".join(f"{'.'.join(map(str, item['loc']))}：{item['msg']}" for item in error.errors())
        raise UsageError(f"留存规则 {own} 不可用：{places}。", f"请对照程序自带的 warehouse/{FILE} 改正。") from error


def _sections(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"留存规则 {path} 不是有效的 YAML。", f"请对照程序自带的 warehouse/{FILE} 改正。") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"留存规则 {path} 的顶层应为小节。", f"请对照程序自带的 warehouse/{FILE} 改正。")
    return {str(name): section for name, section in content.items()}
