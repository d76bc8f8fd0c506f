"""Whether published releases show a person: the last look before publication, taken again at what lies there now.

What belongs here: bringing releases and the names of the registers behind each together. What does not: searching
(`warehouse.scan`), what a name is (`warehouse.names`, `sources.known_names`), telling people (`orchestration.cli`).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from sources.known_names import known_names
from warehouse.errors import EduplanError, Fault
from warehouse.ledger import Ledger
from warehouse.manifest import read_release, release_folders
from warehouse.names import NAMED_FEEDS, NameMarks
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.scan import exposures


@dataclass
class Looked:
    """`findings`: where somebody shows, or what cannot be read; `notes`: what could not be searched for. Chinese,
    without any number or name."""

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def in_home(home: Home, release_id: str | None = None) -> Looked:
    """All releases of a home, or one: numbers, and names of the registers each was made from. Raises Fault when the
    ledger cannot be read, OSError."""
    looked = Looked()
    with closing(Ledger(home.ledger_url)) as ledger:
        rows = ledger.deliveries()
    for folder in release_folders(home):
        if release_id in (None, folder.name):
            _look(looked, folder, _names_behind(home, folder, rows, looked))
    return looked


def in_folders(folders: Iterable[Path]) -> Looked:
    """Release folders somewhere else: numbers only, as the registers and the key to them are not there."""
    looked = Looked(notes=["此处没有名册原件与密钥，只核对了身份证号与电话号码，没有核对姓名。"])
    for folder in folders:
        _look(looked, folder, None)
    return looked


def _look(looked: Looked, folder: Path, names: NameMarks | None) -> None:
    try:
        found = [item.line() for item in exposures(folder, names)]
    except (EduplanError, duckdb.Error, OSError, ValueError) as error:
        # Damaged files: the other checks say which; here it must not pass for clean.
        found = [f"有文件读不出（{type(error).__name__}），无法核对其中有没有个人信息"]
    looked.findings += [f"发布 {folder.name}：{line}。" for line in found]


def _names_behind(home: Home, folder: Path, rows: Iterable[DeliveryRow], looked: Looked) -> NameMarks | None:
    try:
        used = {item["delivery_id"] for item in read_release(folder).manifest["inputs"]["deliveries"]}
    except (EduplanError, KeyError, TypeError):
        # Not as this program writes it: `verify` says so. Then names of all registers are searched for.
        used = {row.delivery_id for row in rows}
    wanted = [row for row in rows if row.delivery_id in used and row.feed in NAMED_FEEDS]
    if not home.key_file.is_file():
        looked.notes += [f"发布 {folder.name}：缺少密钥，没有核对姓名。"] if wanted else []
        return None
    found, missing = [], 0
    for row in wanted:
        try:
            found.append(known_names(home, [row]))
        except Fault:
            missing += 1
    if missing:
        looked.notes.append(f"发布 {folder.name}：{missing} 件名册的原件不在或读不出，没有核对其中的姓名。")
    if not found:
        return None
    marks = tuple(mark for one in found for mark in one.marks)
    return NameMarks(found[0].key, marks, frozenset().union(*(one.deliveries for one in found)))
