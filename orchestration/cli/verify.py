"""`eduplan verify`: is everything still what it was, here or in a copied folder, without a network.

What belongs here: telling a release id from a folder, and showing the findings. What does not: the checks
(`warehouse.verify`, `orchestration.persons_shown`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.cli.console import out, print_error, print_json
from orchestration.cli.main import OK, REFUSED
from warehouse.errors import Refused, UsageError
from warehouse.manifest import MANIFEST_NAME, release_folders
from warehouse.paths import Home
from warehouse.signing import PUBLIC_KEY, read_public_key
from warehouse.verify import Trust, notes, verify_copy, verify_folder
from warehouse.verify import verify as findings_of

if TYPE_CHECKING:
    from orchestration.persons_shown import Looked


@dataclass(frozen=True)
class _Checked:
    """What was looked at, in words, what is wrong with it, and where persons show (None: nobody asked)."""

    what: str
    findings: list[str]
    notes: tuple[str, ...] = ()
    persons: Looked | None = None

    @property
    def wrong(self) -> list[str]:
        return [*self.findings, *(self.persons.findings if self.persons else [])]


def verify(what: str | None, *, public_key: Path | None, head: Path | None, privacy: bool, as_json: bool) -> int:
    """Exit code 1 when anything is not what it was, or (`privacy`) when a release shows a person. `what`: a release id,
    a release folder, a copied home, or None for the whole home. Raises Refused, UsageError, Fault, OSError."""
    if head is not None and not head.is_file():
        raise UsageError(f"没有文件 {head}。", "请给出另行保存的 chain-head.dsse.json。")
    trust = Trust(read_public_key(public_key) if public_key else None, head)
    checked = _check(what, trust, privacy=privacy)
    if as_json:
        # The id alone when one was asked for: what a machine compares.
        content = {"release_id": what, "whole": not checked.findings, "findings": checked.findings}
        persons = {} if checked.persons is None else {"persons": checked.persons.findings}
        print_json({**content, **persons, "notes": _notes(checked)})
    else:
        _print(checked, named_key=trust.public_key is not None)
    return REFUSED if checked.wrong else OK


def _notes(checked: _Checked) -> list[str]:
    return [*checked.notes, *(checked.persons.notes if checked.persons else [])]


def _print(checked: _Checked, *, named_key: bool) -> None:
    for line in checked.wrong:
        print_error(line)
    if not checked.findings:
        out.print(f"[green]✓[/] 核对完毕：{checked.what}。", soft_wrap=True)
    if checked.persons is not None and not checked.persons.findings:
        out.print("[green]✓[/] 发布的各个文件中没有发现个人信息。")
    if checked.wrong:
        return
    for note in _notes(checked):
        out.print(note, soft_wrap=True, markup=False)
    if not named_key:
        out.print(f"签名按随附的 {PUBLIC_KEY} 核对；要证明出自何人，请用 --public-key 给出自己保存的公钥。")


def _check(what: str | None, trust: Trust, *, privacy: bool) -> _Checked:
    home = Home.from_env()
    if what is not None and not _is_release(home, what) and Path(what).is_dir():
        return _check_folder(Path(what).resolve(), trust, privacy=privacy)
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 不存在，无可核对。", "请检查环境变量 EDUPLAN_HOME。")
    found = findings_of(home, what, trust)
    count = len(release_folders(home))
    named = f"发布 {what}、" if what else f"{count} 次发布、" if count else "尚无发布；"
    persons = _persons_in_home(home, what) if privacy else None
    return _Checked(f"{named}原件与台账完整", found, tuple(notes(home, what)), persons)


def _is_release(home: Home, what: str) -> bool:
    """Whether this is the id of a release of this home. A path is none: an absolute one would stand for itself."""
    return Path(what).name == what and (home.releases / what).is_dir()


def _persons_in_home(home: Home, release_id: str | None) -> Looked:
    # Reading registers needs libraries that the other checks do without.
    from orchestration.persons_shown import in_home

    return in_home(home, release_id)


def _persons_in(folders: list[Path]) -> Looked:
    from orchestration.persons_shown import in_folders

    return in_folders(folders)


def _check_folder(path: Path, trust: Trust, *, privacy: bool) -> _Checked:
    if (path / MANIFEST_NAME).is_file():
        persons = _persons_in([path]) if privacy else None
        whole = f"发布目录 {path.name} 完整，签名成立"
        return _Checked(whole, verify_folder(path, trust.public_key), persons=persons)
    if (path / "releases").is_dir():
        persons = _persons_in(release_folders(Home(path))) if privacy else None
        return _Checked(f"状态目录副本 {path} 完整", verify_copy(path, trust), persons=persons)
    raise UsageError(
        f"{path} 既不是发布目录，也不是状态目录。", f"发布目录含 {MANIFEST_NAME}，状态目录含 releases/ 和台账。"
    )
