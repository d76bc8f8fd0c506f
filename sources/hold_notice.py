"""The notice to a submitter that a delivery was set aside by the gate, beside its receipt.

What belongs here: wording and writing it, as JSON for machines and as a Chinese text for people. What does not: the
decision (`orchestration.isolation`) and the receipt itself (`sources.receipts`), which stays as it was issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sources.receipts import receipt_path
from warehouse.files import pretty_json, write_atomic
from warehouse.paths import Home
from warehouse.records import SCHOOL_PART

_NEXT_STEP_ZH = "请按所列规则核对并更正，重新报送整份文件；更正件到达后自动重新检查，本件不再使用。"


def notice_path(home: Home, feed: str, delivery_id: str) -> Path:
    """Where the JSON notice lies; the text lies beside it with suffix .md."""
    return receipt_path(home, feed, delivery_id).with_name(f"{delivery_id}.held.json")


def write_notice(home: Home, held: Mapping[str, Any], rules: Mapping[str, tuple[str, str]]) -> Path:
    """Write both forms and return the path of the JSON. Raises OSError.

    `held` is one entry of `Selection.held_contents`, `rules` maps rule ids to (title, remedy). The same hold gives the
    same bytes.
    """
    content = {
        **held,
        "rules": [
            {"rule_id": name, "title_zh": rules[name][0], "remedy_zh": rules[name][1]}
            for name in str(held["rules"]).split("、")
            if name in rules
        ],
        "next_step_zh": _NEXT_STEP_ZH,
    }
    path = notice_path(home, str(held["feed"]), str(held["delivery_id"]))
    write_atomic(path, pretty_json(content))
    write_atomic(path.with_suffix(".md"), notice_text(content).encode("utf-8"))
    return path


def notice_text(content: Mapping[str, Any]) -> str:
    """The notice as a short Markdown text in Chinese."""
    without = "该校以区县成套报送为准" if content["part"].startswith(SCHOOL_PART) else "没有可沿用的报送件，按缺报处理"
    instead = f"沿用报送件 {content['replaced_by']}" if content["replaced_by"] else without
    lines = [
        "# 暂缓采用通知",
        "",
        f"- 报送件：{content['delivery_id']}（{content['feed']}）",
        f"- 区域代码：{content['area_code']}　年度：{content['period'] or '—'}",
        f"- 原因：{content['reason_zh']}",
        f"- 本次发布：{instead}",
        "",
        f"**下一步：**{content['next_step_zh']}",
        "",
        *(f"- `{rule['rule_id']}` {rule['title_zh']}：{rule['remedy_zh']}" for rule in content["rules"]),
    ]
    return "\n".join(lines) + "\n"
