"""`eduplan releases` and `diff`: looking, never changing.

What belongs here: reading releases for people. What does not: how the home stands (`orchestration.cli.status`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK
from warehouse.changes import compare
from warehouse.errors import Refused
from warehouse.manifest import Release, current, read_release, releases
from warehouse.paths import Home
from warehouse.pruned import marts_of
from warehouse.retention import gone_from

_SHOWN: Final = 30
_CAUSES: Final = 3


def list_releases(*, as_json: bool) -> int:
    """All releases, oldest first."""
    home = Home.from_env()
    standing = current(home)
    shown = standing.release_id if standing else None
    found = [{**_release_line(release), "current": release.release_id == shown} for release in releases(home)]
    if as_json:
        print_json(found)
    elif not found:
        out.print("尚无发布。")
    else:
        columns = [
            ("发布编号", "left"),
            ("数据版本", "left"),
            ("规则", "right"),
            ("未通过（警告）", "right"),
            ("", "left"),
        ]
        rows = [(r["release_id"], r["data_version"], r["rules"], r["rules_failed"], _standing(r)) for r in found]
        out.print(table("历次发布", columns, rows))
    return OK


def _standing(line: Mapping[str, Any]) -> str:
    return "← 当前" if line["current"] else "数据已清理" if line["pruned"] else ""


def _release_line(release: Release) -> dict[str, Any]:
    verdict = release.manifest["verdict"]
    return {
        "release_id": release.release_id,
        "published_at": release.manifest["published_at"],
        "data_version": release.manifest["data_version"],
        "candidate_id": release.candidate_id,
        "fingerprint": release.fingerprint,
        "rules": verdict["rules"],
        "rules_failed": len(verdict["failed"]),
        "deliveries": len(release.manifest["inputs"]["deliveries"]),
        "pruned": gone_from(release),
    }


def diff(old: str, new: str, *, as_json: bool) -> int:
    """Every value that differs."""
    home = Home.from_env()
    before, after = _release(home, old), _release(home, new)
    changes = {"from": old, "to": new, **compare(marts_of(home, before), marts_of(home, after))}
    if as_json:
        print_json(changes)
        return OK
    for name, count in changes["counts"].items():
        out.print(f"{name}：新增 {count['added']}，删除 {count['removed']}，改变 {count['changed']}")
    for name, found in changes["tables"].items():
        _print_changed(name, found["changed"])
    return OK


def _print_changed(name: str, changed: list[dict[str, Any]]) -> None:
    if not changed:
        return
    columns = [("键", "left"), ("列", "left"), ("原值", "right"), ("新值", "right"), ("由哪些报送件引起", "left")]
    rows = [
        (" ".join(map(str, c["key"].values())), c["column"], c["old"], c["new"], _causes(c["deliveries"]))
        for c in changed[:_SHOWN]
    ]
    out.print(table(name, columns, rows))
    if len(changed) > _SHOWN:
        out.print(f"其余 {len(changed) - _SHOWN} 处用 --json 查看。")


def _causes(deliveries: list[str] | None) -> str:
    if deliveries is None:
        return "不详（发布由较早的程序生成）"
    more = f" 等 {len(deliveries)} 件" if len(deliveries) > _CAUSES else ""
    return "、".join(deliveries[:_CAUSES]) + more if deliveries else "报送件未变（口径或代码改动）"


def _release(home: Home, release_id: str) -> Release:
    if not (home.releases / release_id).is_dir():
        raise Refused(f"没有发布 {release_id}。", "请用 eduplan releases 查看现有发布。")
    return read_release(home.releases / release_id)
