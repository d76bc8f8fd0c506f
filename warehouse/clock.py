"""The one clock: Asia/Shanghai, and settable for trials. Nothing else in the project asks for the time."""

from __future__ import annotations

import os
from datetime import datetime
from zoneinfo import ZoneInfo

from warehouse.errors import UsageError

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The present instant in Asia/Shanghai; EDUPLAN_NOW (ISO 8601 with offset) replaces it. Raises UsageError."""
    pinned = os.environ.get("EDUPLAN_NOW")
    if not pinned:
        return datetime.now(SHANGHAI)
    return parse_instant(pinned)


def to_the_minute(instant: str) -> str:
    """An ISO instant with offset as people of the city write it. Raises ValueError."""
    return f"{datetime.fromisoformat(instant).astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def parse_instant(text: str) -> datetime:
    """Read an ISO instant with offset as Asia/Shanghai time. Raises UsageError when there is no offset or no date."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"时间写法不对：{text!r}。", "请写成 2025-09-30T10:15:00+08:00 的样子。") from error
    if instant.tzinfo is None:
        raise UsageError(f"时间缺少时区：{text!r}。", "请写成 2025-09-30T10:15:00+08:00 的样子。")
    return instant.astimezone(SHANGHAI)
