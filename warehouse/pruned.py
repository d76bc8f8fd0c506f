"""What was cleared away under the retention policy: its entry in the ledger, and what readers of it are told.

What belongs here: the shape of an entry, which files of a release are data, and the refusal that names the way back.
What does not: deciding and deleting (`warehouse.retention`).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warehouse.errors import Fault, Refused
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home

if TYPE_CHECKING:
    from warehouse.manifest import Release

RELEASE: Final = "release"
CANDIDATE: Final = "candidate"
RECORDS: Final = "records"
ORIGINAL: Final = "original"
RUNS: Final = "runs"
OUTCOMES: Final = "outcomes"
TOLD: Final = "told"

# Files and folders of a release that hold its data. Manifest, signature, report, verdict and dictionary stay.
DATA_FILES: Final = (MARTS_FILE, "changes.json")
DATA_FOLDERS: Final = ("parquet", "csv")


@dataclass(frozen=True)
class Pruned:
    """One thing cleared away: `kind` and `name` say what, `rule` why (Chinese), `person` and `at` who and when;
    `files` and `bytes` how much. The name of records is `<delivery>@<contract version>`."""

    kind: str
    name: str
    rule: str
    person: str
    at: str
    files: int
    bytes: int


def reading_name(delivery_id: str, contract_version: str) -> str:
    """How the record files of one reading of a delivery are named."""
    return f"{delivery_id}@{contract_version}"


def is_data(name: str) -> bool:
    """Whether a file of a release (path below its folder) is cleared away with its data."""
    return name in DATA_FILES or name.partition("/")[0] in DATA_FOLDERS


def marts_of(home: Home, release: Release) -> Path:
    """The marts of a release. Raises Refused when they were cleared away, saying when, why and how to get them again;
    Fault when they are missing and nobody cleared them away."""
    path = release.path / MARTS_FILE
    if path.is_file():
        # Whoever only reads need not be able to open the ledger.
        return path
    from warehouse.ledger import Ledger

    with closing(Ledger(home.ledger_url)) as ledger:
        told = {item.name: item for item in ledger.pruned() if item.kind == RELEASE}
    entry = told.get(release.release_id)
    if entry is None:
        raise Fault(
            f"发布 {release.release_id} 缺少 {MARTS_FILE}，而台账中没有清理记录。",
            "请执行 eduplan verify，并从备份恢复该目录。",
        )
    raise Refused(
        f"发布 {release.release_id} 的数据已按留存规则清理（{entry.at[:10]}，{entry.rule}）；清单、签名与报告仍在。",
        f"执行 eduplan rebuild {release.release_id} 可从存档重建，结果在 candidates/{release.candidate_id}/ 下；"
        "或从备份取回该目录。",
    )
