"""After a crash: finish or remove what a dead process left under way, so that a rerun starts from whole things.

What belongs here: deciding the fate of leftovers in releases/ and candidates/. What does not: leftovers of intake
(`sources.intake` sweeps its own work) and judging old releases (`warehouse.verify`).
"""

from __future__ import annotations

import shutil
from typing import Final

from warehouse import candidate as candidates
from warehouse.attestation import HEAD_TEMP_PREFIX, sign_head
from warehouse.errors import Fault
from warehouse.files import TEMP_PREFIX
from warehouse.lease import held
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.manifest import BUILDING, Release, current, file_findings, read_release, release_folders
from warehouse.paths import Home
from warehouse.signing import load_or_create

_LOCK_WAIT: Final = 60.0


def reconcile(home: Home, ledger: Ledger) -> list[str]:
    """Put releases, candidates and ledger in agreement; returns what was done, in Chinese. Raises Refused when another
    process publishes for longer than a minute, Fault when `current` names a damaged release."""
    with held(home, ledger, "publish", wait=_LOCK_WAIT):
        done = settle_releases(home, ledger)
    with exclusive(home, candidates.LOCK, wait=_LOCK_WAIT):
        swept = candidates.sweep(home)
    return done + [f"已清除未完成的候选构建 {name}。" for name in swept]


def settle_releases(home: Home, ledger: Ledger) -> list[str]:
    """The part about releases; the caller holds the lock `publish`, so nothing found here is still being built."""
    done = _remove_half_built(home)
    standing = current(home)
    known = {row.release_id for row in ledger.releases()}
    for path in release_folders(home):
        if path.name not in known:
            done.append(_settle(home, ledger, read_release(path), standing))
    return done


def _remove_half_built(home: Home) -> list[str]:
    if not home.releases.is_dir():
        return []
    for leftover in home.root.glob(f"{TEMP_PREFIX}*"):
        # Of `current` and of the chain's head, which are written under this lock; other files here are not.
        if leftover.is_symlink() or leftover.name.startswith(HEAD_TEMP_PREFIX):
            leftover.unlink()
    removed = []
    for unfinished in sorted(home.releases.glob(f"{BUILDING}*")):
        shutil.rmtree(unfinished)
        removed.append(f"已清除未完成的发布 {unfinished.name}。")
    return removed


def _settle(home: Home, ledger: Ledger, release: Release, standing: Release | None) -> str:
    """A whole folder the ledger does not know: killed between flip and ledger, or between rename and flip."""
    if standing is not None and standing.release_id == release.release_id:
        if problems := file_findings(release):
            raise Fault(
                f"当前发布 {release.release_id} 未登记且不完整：{problems[0]}", "请执行 eduplan verify，并从备份恢复。"
            )
        ledger.record_release(release.row())
        sign_head(home, ledger, load_or_create(home))
        return f"发布 {release.release_id} 已切换但未登记，现已补登。"
    if release.previous_id == (standing.release_id if standing else ""):
        # It was to follow the standing release and never became visible; the rerun builds it again.
        shutil.rmtree(release.path)
        return f"发布 {release.release_id} 建成但未切换，已清除，将重新发布。"
    # A ledger that was lost or replaced must not cost the published history.
    return f"发布目录 {release.release_id} 不在台账中，未作改动，请执行 eduplan verify 核对。"
