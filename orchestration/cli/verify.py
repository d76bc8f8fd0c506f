"""`eduplan verify`: is everything still what it was, here or in a copied folder, without a network.

What belongs here: telling a release id from a folder, and showing the findings. What does not: the checks
(`warehouse.verify`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestration.cli.console import out, print_error, print_json
from orchestration.cli.main import OK, REFUSED
from warehouse.errors import Refused, UsageError
from warehouse.manifest import MANIFEST_NAME, release_folders
from warehouse.paths import Home
from warehouse.signing import PUBLIC_KEY, read_public_key
from warehouse.verify import Trust, notes, verify_copy, verify_folder
from warehouse.verify import verify as findings_of


@dataclass(frozen=True)
class _Checked:
    """What was looked at, in words, and what is wrong with it."""

    what: str
    findings: list[str]
    notes: tuple[str, ...] = ()


def verify(what: str | None, *, public_key: Path | None, head: Path | None, as_json: bool) -> int:
    """Exit code 1 when anything is not what it was. `what`: a release id, a release folder, a copied home, or None for
    the whole home. Raises Refused, UsageError, Fault."""
    if head is not None and not head.is_file():
        raise UsageError(f"没有文件 {head}。", "请给出另行保存的 chain-head.dsse.json。")
    trust = Trust(read_public_key(public_key) if public_key else None, head)
    checked = _check(what, trust)
    if as_json:
        # The id alone when one was asked for: what a machine compares.
        print_json(
            {"release_id": what, "whole": not checked.findings, "findings": checked.findings, "notes": checked.notes}
        )
    elif checked.findings:
        for line in checked.findings:
            print_error(line)
    else:
        out.print(f"[green]✓[/] 核对完毕：{checked.what}。", soft_wrap=True)
        for note in checked.notes:
            out.print(note, soft_wrap=True, markup=False)
        if trust.public_key is None:
            out.print(f"签名按随附的 {PUBLIC_KEY} 核对；要证明出自何人，请用 --public-key 给出自己保存的公钥。")
    return REFUSED if checked.findings else OK


def _check(what: str | None, trust: Trust) -> _Checked:
    home = Home.from_env()
    if what is not None and not (home.releases / what).is_dir() and Path(what).is_dir():
        return _check_folder(Path(what).resolve(), trust)
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 不存在，无可核对。", "请检查环境变量 EDUPLAN_HOME。")
    found = findings_of(home, what, trust)
    count = len(release_folders(home))
    named = f"发布 {what}、" if what else f"{count} 次发布、" if count else "尚无发布；"
    return _Checked(f"{named}原件与台账完整", found, tuple(notes(home, what)))


def _check_folder(path: Path, trust: Trust) -> _Checked:
    if (path / MANIFEST_NAME).is_file():
        return _Checked(f"发布目录 {path.name} 完整，签名成立", verify_folder(path, trust.public_key))
    if (path / "releases").is_dir():
        return _Checked(f"状态目录副本 {path} 完整", verify_copy(path, trust))
    raise UsageError(
        f"{path} 既不是发布目录，也不是状态目录。", f"发布目录含 {MANIFEST_NAME}，状态目录含 releases/ 和台账。"
    )
