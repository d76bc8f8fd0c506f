"""`eduplan check`: a rehearsal of one file, exactly as intake would read it, without a trace.

What belongs here: reading in a temporary directory and printing what was found. What does not: parsing, and the home,
which is neither read nor written.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.markup import escape

from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK, REFUSED
from sources import contract
from sources.findings import Finding
from sources.intake import delivery_id
from sources.reading import Job, Outcome, Readers
from sources.receipts import SEVERITY_ZH, STATUS_ZH
from warehouse.errors import UsageError
from warehouse.files import sha256_file, write_atomic
from warehouse.masking import mask_personal

_SHOWN: Final = 50
# Pseudonyms made here are thrown away with the directory; the home's key must not be made or used for a rehearsal.
_NO_KEY: Final = bytes(32)


def check(file: Path, feed: str, *, as_json: bool, marked: Path | None = None) -> int:
    """Exit code 1 when the file would be sent back as a whole or in part. `marked`: where to put the marked copy, if
    anything is to be marked. Raises UsageError."""
    known = contract.feeds()
    if feed not in known:
        raise UsageError(f"没有报送类别“{feed}”。", f"可选：{'、'.join(known)}。")
    if not file.is_file():
        raise UsageError(f"找不到文件 {file}。", "请检查路径。")
    _check_target(file, marked)
    outcome = _read(file.absolute(), feed, marked)
    if as_json:
        print_json(_content(file, feed, outcome) | ({"marked_copy": _written(outcome, marked)} if marked else {}))
    else:
        _print(file, outcome)
        _print_copy(outcome, marked)
    return OK if outcome.status == "accepted" else REFUSED


def _check_target(file: Path, marked: Path | None) -> None:
    if marked is None:
        return
    if marked.suffix.lower() != ".xlsx" or not marked.absolute().parent.is_dir():
        raise UsageError(f"标注副本不能写到 {marked}。", "请给出已有目录中的 .xlsx 文件名。")
    if marked.resolve() == file.resolve():
        raise UsageError("标注副本不能覆盖原文件。", "请换一个文件名。")


def _written(outcome: Outcome, marked: Path | None) -> str | None:
    return None if outcome.marked is None or marked is None else str(marked)


def _print_copy(outcome: Outcome, marked: Path | None) -> None:
    if marked is not None and outcome.marked is not None:
        extent = "" if outcome.marked.whole else "（文件较大，只列出表头和有问题的行）"
        out.print(f"标注副本：{escape(str(marked))}{extent}", soft_wrap=True)
    elif marked is not None:
        out.print("没有可以标注的单元格，未写标注副本。")


def _read(file: Path, feed: str, marked: Path | None) -> Outcome:
    with TemporaryDirectory(prefix="eduplan-check-") as folder:
        job = Job(
            feed=feed,
            snapshot=file,
            file_name=file.name,
            delivery_id=delivery_id(feed, sha256_file(file)),
            key=_NO_KEY,
            out_dir=Path(folder) / "records",
        )
        job.out_dir.mkdir()
        with Readers(workers=1) as readers:
            readers.submit(job)
            outcome = readers.result(job)
        if marked is not None and outcome.marked is not None:
            write_atomic(marked, outcome.marked.path.read_bytes())
        return outcome


def _content(file: Path, feed: str, outcome: Outcome) -> dict[str, object]:
    return {
        "file": str(file),
        "feed": feed,
        "status": outcome.status,
        "area_code": outcome.area_code,
        "period": outcome.period,
        "part": outcome.part,
        "rows_in": outcome.rows_in,
        "rows_accepted": outcome.rows_accepted,
        "rows_quarantined": outcome.rows_quarantined,
        "findings": [asdict(finding) for finding in outcome.findings],
    }


def _print(file: Path, outcome: Outcome) -> None:
    out.print(f"自查结果：[bold]{STATUS_ZH[outcome.status]}[/]（{escape(mask_personal(file.name))}）", soft_wrap=True)
    out.print(f"区域 {outcome.area_code or '未能识别'}，年度 {outcome.period or '—'}")
    out.print(f"行数：收到 {outcome.rows_in}，可接收 {outcome.rows_accepted}，将隔离 {outcome.rows_quarantined}")
    if outcome.findings:
        columns = [("程度", "left"), ("位置", "left"), ("问题与处理办法", "left"), ("规则", "code")]
        rows = [
            (SEVERITY_ZH[f.severity], _place(f.member, f.sheet, f.row_no, f.column_name), _advice(f), f.rule_id)
            for f in outcome.findings[:_SHOWN]
        ]
        out.print(table(f"发现 {len(outcome.findings)} 条", columns, rows))
    if len(outcome.findings) > _SHOWN:
        out.print(f"其余 {len(outcome.findings) - _SHOWN} 条用 --json 查看。")


def _place(member: str, sheet: str, row: int | None, column: str | None) -> str:
    parts = (member, sheet, f"第 {row} 行" if row else "", f"列“{column}”" if column else "")
    return " ".join(part for part in parts if part) or "整份文件"


def _advice(found: Finding) -> str:
    return f"{found.message_zh} {found.remedy_zh}".strip()
