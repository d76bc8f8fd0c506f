"""Receipts: what a submitter is told about a delivery, as JSON for machines and as a Chinese text for people.

What belongs here: the content and its two forms. What does not: deciding the status (`sources.intake`), and personal
data: every text passes the mask, whatever a parser put into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sources.findings import Finding
from warehouse.files import fsync_dir, fsync_file, pretty_json, write_atomic
from warehouse.ledger import Withdrawal
from warehouse.masking import mask_personal
from warehouse.paths import Home
from warehouse.records import DeliveryRow

if TYPE_CHECKING:
    from sources.marked import MarkedCopy

STATUS_ZH: Final = {"accepted": "接收", "partly": "部分接收", "refused": "退回"}
SEVERITY_ZH: Final = {"refusal": "退回", "quarantine": "隔离", "notice": "提示"}
_NEXT_STEP_ZH: Final = {
    "accepted": "无需处理。",
    "partly": "请按下列问题改正后重新报送整份文件；改正件到达后自动替换本件。未改正前，被隔离的行不计入统计。",
    "refused": "本件未计入统计。请按下列问题改正后重新报送整份文件。",
}
MARKED_SUFFIX: Final = ".xlsx"
# A person reads a page or two; the JSON holds every finding.
_SHOWN: Final = 200


def receipt_path(home: Home, feed: str, delivery_id: str) -> Path:
    """Where the JSON receipt of a delivery lies; the text lies beside it with suffix .md."""
    return home.receipts / feed / f"{delivery_id}.json"


def write_receipt(
    home: Home,
    row: DeliveryRow,
    findings: Sequence[Finding],
    *,
    feed_title_zh: str,
    marked: MarkedCopy | None = None,
) -> Path:
    """Write both forms, place the marked copy beside them and return the path of the JSON. Raises OSError."""
    content = receipt(row, findings, feed_title_zh=feed_title_zh, marked=marked)
    path = receipt_path(home, row.feed, row.delivery_id)
    _place_copy(marked, path.with_suffix(MARKED_SUFFIX))
    write_atomic(path, pretty_json(content))
    write_atomic(path.with_suffix(".md"), receipt_text(content).encode("utf-8"))
    return path


def write_withdrawal(
    home: Home, row: DeliveryRow, decision: Withdrawal, standing: str | None, *, feed_title_zh: str
) -> Path:
    """Write beside the receipt that the delivery was withdrawn (or counts again), and what stands in its place."""
    path = receipt_path(home, row.feed, row.delivery_id).with_suffix(".withdrawal.md")
    lines = [
        f"# 报送件{'已撤回' if decision.withdrawn else '已恢复'}",
        "",
        f"- 报送内容：{feed_title_zh}（{row.feed}）",
        f"- 文件：{_plain(mask_personal(row.file_name))}",
        f"- 区域代码：{row.area_code}　年度：{row.period or '—'}",
        f"- 时间：{decision.at}",
        f"- 理由：{_plain(decision.reason)}",
        f"- 经办人：{_plain(decision.person)}",
        f"- 现在采用：{standing or '无（按应报未报处理）'}",
        "",
        "原件、记录和回执仍予保留。同一份文件再次报送不会改变这一决定；请报送更正后的文件，或由经办人恢复。",
    ]
    write_atomic(path, ("\n".join(lines) + "\n").encode("utf-8"))
    return path


def _place_copy(marked: MarkedCopy | None, target: Path) -> None:
    """Move the marked copy to its place, or remove what an earlier reading left there."""
    if marked is None:
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    marked.path.replace(target)
    fsync_file(target)
    fsync_dir(target.parent)


def receipt(
    row: DeliveryRow, findings: Iterable[Finding], *, feed_title_zh: str, marked: MarkedCopy | None = None
) -> dict[str, Any]:
    """The content of a receipt, masked. `marked_copy` is the name of the .xlsx beside it, null where there is none."""
    return {
        "delivery_id": row.delivery_id,
        "feed": row.feed,
        "feed_title_zh": feed_title_zh,
        "status": row.status,
        "status_zh": STATUS_ZH[row.status],
        "file_name": mask_personal(row.file_name),
        "submitter": mask_personal(row.submitter),
        "sha256": row.sha256,
        "area_code": row.area_code,
        "period": row.period,
        "part": row.part,
        "reported_on": row.reported_on,
        "received_at": row.received_at,
        "contract_version": row.contract_version,
        "rows_in": row.rows_in,
        "rows_accepted": row.rows_accepted,
        "rows_quarantined": row.rows_quarantined,
        "next_step_zh": _NEXT_STEP_ZH[row.status],
        "marked_copy": None if marked is None else f"{row.delivery_id}{MARKED_SUFFIX}",
        "marked_copy_whole": None if marked is None else marked.whole,
        "findings": [_finding(finding) for finding in findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    masked = {
        name: mask_personal(value) if isinstance(value, str) else value for name, value in asdict(finding).items()
    }
    return {**masked, "severity_zh": SEVERITY_ZH.get(finding.severity, finding.severity)}


def receipt_text(content: dict[str, Any]) -> str:
    """The receipt as a short Markdown text in Chinese."""
    lines = [
        f"# 报送回执：{content['status_zh']}",
        "",
        f"- 报送内容：{content['feed_title_zh']}（{content['feed']}）",
        f"- 文件：{_plain(content['file_name'])}",
        f"- 区域代码：{content['area_code'] or '未能识别'}　年度：{content['period'] or '—'}",
        f"- 收到时间：{content['received_at'].strftime('%Y-%m-%d %H:%M:%S')}（北京时间）",
        f"- 行数：收到 {content['rows_in']}，接收 {content['rows_accepted']}，隔离 {content['rows_quarantined']}",
        f"- 回执编号：{content['delivery_id']}",
        "",
        f"**下一步：**{content['next_step_zh']}",
        *_about_copy(content),
    ]
    findings = content["findings"]
    if findings:
        lines += ["", f"## 发现的问题（共 {len(findings)} 条）", "", *_summary(findings), ""]
        lines += [_line(number, finding) for number, finding in enumerate(findings[:_SHOWN], 1)]
    if len(findings) > _SHOWN:
        lines += ["", f"其余 {len(findings) - _SHOWN} 条见同名 JSON 回执。"]
    return "\n".join(lines) + "\n"


def _about_copy(content: dict[str, Any]) -> list[str]:
    if content["marked_copy"] is None:
        return []
    extent = "" if content["marked_copy_whole"] else "报送件较大，副本只列出表头和有问题的行。"
    return ["", f"标注副本：{content['marked_copy']}（问题单元格已着色并附批注，位置与报送件相同）。{extent}"]


def _summary(findings: Iterable[dict[str, Any]]) -> list[str]:
    counts = Counter((finding["severity_zh"], finding["rule_id"]) for finding in findings)
    return [f"- {severity} `{rule}`：{count} 条" for (severity, rule), count in sorted(counts.items())]


def _line(number: int, finding: dict[str, Any]) -> str:
    place = [
        finding["member"],
        f"工作表“{finding['sheet']}”" if finding["sheet"] else "",
        f"第 {finding['row_no']} 行" if finding["row_no"] else "",
        f"列“{finding['column_name']}”" if finding["column_name"] else "",
        f"单元格 {finding['cell']}" if finding["cell"] else "",
    ]
    where = "，".join(part for part in place if part) or "整份文件"
    value = f"（原值：{finding['masked_value']}）" if finding["masked_value"] else ""
    text = f"{number}. 【{finding['severity_zh']}】{where}：{finding['message_zh']}{value} {finding['remedy_zh']}"
    return f"{_plain(text)} `{finding['rule_id']}`"


def _plain(text: str) -> str:
    """Text from a file must stay text: no line break, no markup."""
    return " ".join(text.split()).replace("<", "＜").replace(">", "＞").replace("`", "'")
