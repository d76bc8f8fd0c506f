"""`eduplan status`, `releases` and `diff`: looking, never changing.

What belongs here: reading ledger and releases for people. What does not: repairing what is found.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK
from warehouse.changes import compare
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current, read_release, releases
from warehouse.paths import Home
from warehouse.pruned import marts_of
from warehouse.retention import gone_from

_SHOWN: Final = 30
_CAUSES: Final = 3
_REASONS: Final = 5


def status(*, as_json: bool) -> int:
    """What is published, how old it is, what waits, and what each feed delivered."""
    from orchestration.situation import situation
    from sources import contract, intake

    home = Home.from_env()
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 还不存在。", "请先执行 eduplan run 或 eduplan demo。")
    with _ledger(home) as ledger:
        arrivals = intake.scan(home, ledger)
        active = ledger.active_set(intake.contract_versions())
        counts = Counter((row.feed, row.status) for row in active)
        facts = situation(home, ledger)
    standing = current(home)
    titles = {feed: contract.load(feed).info.title_zh for feed in contract.feeds()}
    feeds = [
        {"feed": feed, "title_zh": title, **{name: counts[feed, name] for name in ("accepted", "partly", "refused")}}
        for feed, title in titles.items()
    ]
    content = {
        "home": str(home.root),
        "release_id": standing.release_id if standing else None,
        "published_at": standing.manifest["published_at"] if standing else None,
        "waiting": len(arrivals),
        "feeds": feeds,
        **facts,
    }
    if as_json:
        print_json(content)
    else:
        _print_status(content, feeds)
    return OK


def _print_status(content: Mapping[str, Any], feeds: list[dict[str, Any]]) -> None:
    out.print(f"状态目录：{content['home']}", soft_wrap=True, markup=False)
    if content["release_id"]:
        out.print(f"当前发布：{content['release_id']}（{content['published_at']}）")
    else:
        out.print("当前发布：尚无")
    out.print(f"等待收取：{content['waiting']} 件")
    _print_situation(content)
    columns = [("类别", "left"), ("名称", "left"), ("接收", "right"), ("部分接收", "right"), ("退回", "right")]
    out.print(table("采用的报送件", columns, [tuple(feed.values()) for feed in feeds]))


def _print_situation(content: Mapping[str, Any]) -> None:
    """What an engineer on call asks next; lists are cut, `--json` has them whole."""
    running, gate, release = content["running"], content["gate"], content["release"]
    out.print(
        f"正在运行：{running['host']} 进程 {running['pid']}，自 {running['since']}" if running else "正在运行：无"
    )
    if release is not None and release["behind_since"]:
        out.print(f"尚未发布：{release['behind_since']} 起收取的报送件还不在当前发布中")
    if gate is not None:
        out.print(f"门禁拒绝候选 {gate['candidate_id']}（{len(gate['reasons'])} 项）：", markup=False)
        for reason in gate["reasons"][:_REASONS]:
            out.print(f"  {reason}", markup=False)
    for hold in content["held"][:_REASONS]:
        out.print(f"暂缓采用：{hold['feed']} {hold['delivery_id']}：{hold['reason']}", markup=False)
    for late in content["late"][-_REASONS:]:
        due = f"{late['title_zh']} {late['period']}（截止 {late['due']}）"
        out.print(f"逾期：{due}应报 {late['expected']}，缺 {late['missing']}")
    if len(content["late"]) > _REASONS:
        out.print(f"共 {len(content['late'])} 项逾期，其余用 --json 查看。")


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
    with _ledger(home) as ledger:
        marts = [marts_of(ledger, release) for release in (before, after)]
    changes = {"from": old, "to": new, **compare(*marts)}
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


@contextlib.contextmanager
def _ledger(home: Home) -> Iterator[Ledger]:
    ledger = Ledger(home.ledger_url)
    try:
        yield ledger
    finally:
        ledger.close()
