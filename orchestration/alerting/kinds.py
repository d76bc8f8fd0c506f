"""The kinds of alerts: what each is called, how grave it is, what to do, and where its page is.

Only words belong here; when a kind applies stands in `orchestration.alerting.conditions`. Each kind has a page
`docs/runbook/<kind>.md`, which names the commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """Title and remedy in Chinese; `critical` where nothing is published any more until somebody acts."""

    title_zh: str
    remedy_zh: str
    critical: bool


RUN_FAILED: Final = "run_failed"
GATE_REFUSED: Final = "gate_refused"
PUBLICATION_REFUSED: Final = "publication_refused"
DELIVERY_HELD: Final = "delivery_held"
QUARANTINE_HIGH: Final = "quarantine_high"
FEED_LATE: Final = "feed_late"
RELEASE_AGEING: Final = "release_ageing"
SENSOR_SILENT: Final = "sensor_silent"
DAEMON_SILENT: Final = "daemon_silent"
SOURCE_AWAY: Final = "source_away"
LEDGER_AWAY: Final = "ledger_away"
BACKUP_FAILED: Final = "backup_failed"
BACKUP_OLD: Final = "backup_old"

KINDS: Final = {
    RUN_FAILED: Kind("运行失败", "执行 eduplan status 查看原因，处理后 eduplan run；原发布不受影响。", critical=True),
    GATE_REFUSED: Kind(
        "质量检查拒绝发布", "打开候选的质量报告逐条处理；更正报送或依程序豁免后会自动重新检查。", critical=True
    ),
    PUBLICATION_REFUSED: Kind(
        "重大变化无报送件可解释，拒绝发布", "核对口径或代码改动；确认无误后执行 eduplan acknowledge。", critical=True
    ),
    DELIVERY_HELD: Kind("报送件被暂缓采用", "通知报送单位按回执更正后重报；其余数据已照常发布。", critical=False),
    QUARANTINE_HIGH: Kind("隔离行超过限度", "查看回执，通知报送单位更正后重报。", critical=False),
    FEED_LATE: Kind("报送逾期", "按 eduplan status 所列催报；收到后自动收取并解除。", critical=False),
    RELEASE_AGEING: Kind("已收取的数据迟未发布", "执行 eduplan status 查看有无运行被拒、失败或卡住。", critical=True),
    SENSOR_SILENT: Kind("来源检查停顿", "在 Dagster 页面查看该传感器是否被关闭或一直出错。", critical=True),
    DAEMON_SILENT: Kind("守护进程无声", "检查守护进程与机器，重新启动；等待的报送件不会丢失。", critical=True),
    SOURCE_AWAY: Kind("来源无法访问", "检查网络、对方服务与凭据；恢复后自动补收并解除。", critical=False),
    LEDGER_AWAY: Kind("台账数据库无法访问", "检查数据库服务、网络与磁盘；恢复后自动继续并解除。", critical=True),
    BACKUP_FAILED: Kind("备份失败", "查看备份任务的日志，排除原因后重新执行 eduplan backup。", critical=False),
    BACKUP_OLD: Kind("备份过旧", "检查备份定时任务是否启用，并立即执行一次 eduplan backup。", critical=False),
}


def runbook(kind: str) -> str:
    """The page on this kind, below the project's folder."""
    return f"docs/runbook/{kind}.md"
