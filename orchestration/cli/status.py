"""`eduplan status`: how everything stands, on one screen, and the same for machines; `--check` for a timer.

What belongs here: showing. What does not: gathering facts (`orchestration.situation`) and deciding what needs a person
(`orchestration.alerting`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any, Final

from orchestration import instance_settings
from orchestration.cli.console import out, print_json, table
from orchestration.cli.main import OK, REFUSED
from warehouse.clock import to_the_minute
from warehouse.errors import EduplanError, Refused
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home

_SHOWN: Final = 5
_RUN_ZH: Final = {
    "released": "已发布",
    "unchanged": "无变化，未构建",
    "gate_refused": "质量检查未通过，未发布",
    "publication_refused": "重大变化无人确认，未发布",
    "failed": "失败",
    "cancelled": "被中止",
}


def status(*, as_json: bool) -> int:
    """What is published, how old it is, what waits, runs, was refused and why, is held or late, and who was told.

    Raises Refused when there is no home, Fault, UsageError.
    """
    from orchestration.situation import situation
    from sources import contract, intake

    home = _home()
    with closing(Ledger(home.ledger_url)) as ledger:
        arrivals = intake.scan(home, ledger)
        active = ledger.active_set(intake.contract_versions())
        facts = situation(home, ledger)
    counts = Counter((row.feed, row.status) for row in active if row.status != "refused")
    counts.update((row["feed"], "refused") for row in facts["refused"])
    titles = {feed: contract.load(feed).info.title_zh for feed in contract.feeds()}
    feeds = [
        {"feed": feed, "title_zh": title, **{name: counts[feed, name] for name in ("accepted", "partly", "refused")}}
        for feed, title in titles.items()
    ]
    standing = current(home)
    content = {
        "home": str(home.root),
        "release_id": standing.release_id if standing else None,
        "published_at": standing.manifest["published_at"] if standing else None,
        "waiting": sum(not arrival.problem for arrival in arrivals),
        "problems": [arrival.problem for arrival in arrivals if arrival.problem],
        "feeds": feeds,
        "settings_lacking": instance_settings.lacking(home.root / "dagster"),
        **facts,
    }
    if as_json:
        print_json(content)
    else:
        _print(content)
    return OK


def check(*, as_json: bool) -> int:
    """For a timer beside the daemon: make a round of alerts, so that its silence is told too, and return 1 when
    something critical is open or an alert cannot be delivered. Raises as `status`, and UsageError for bad settings."""
    from orchestration.alerting.settings import load
    from orchestration.alerting.telling import entry, tell
    from warehouse import alerts

    home = _home()
    told = load(home).end_names
    done = tell(home)
    try:
        with closing(Ledger(home.ledger_url)) as ledger:
            found = [entry(news) for news in alerts.standing(ledger)]
            failing = [end.name for end in alerts.ends(ledger) if end.attempts and end.name in told]
    except EduplanError as error:
        found, failing, problems = [], [], [*done.problems, str(error)]
    else:
        problems = done.problems
    good = not problems and not failing and not any(one["severity"] == "critical" for one in found)
    if as_json:
        print_json({"ok": good, "alerts": found, "ends_failing": failing, "problems": problems})
    else:
        _print_check(found, failing, problems, good=good)
    return OK if good else REFUSED


def _home() -> Home:
    home = Home.from_env()
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 还不存在。", "请先执行 eduplan run 或 eduplan demo。")
    return home


def _print_check(found: list[dict[str, Any]], failing: list[str], problems: list[str], *, good: bool) -> None:
    _print_alerts(found, shown=len(found))
    for name in failing:
        _say(f"告警端 {name} 送不出，稍后重试。")
    for problem in dict.fromkeys(problems):
        _say(problem)
    _say(f"定时检查：{'没有需要立即处理的事项。' if good else '有事项需要处理，见上。'}")


# -- one screen -------------------------------------------------------------------------------------------------------


def _say(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)


def _print(content: Mapping[str, Any]) -> None:
    _say(f"状态目录：{content['home']}")
    _print_release(content)
    _print_runs(content)
    _print_waiting(content)
    _print_daemon(content)
    _print_backup(content["backup"])
    _print_settings(content)
    _print_alerts(content["alerts"], shown=3)
    _print_refusals(content)
    _print_ends(content["ends"])
    out.print(_feeds_table(content))


def _print_release(content: Mapping[str, Any]) -> None:
    release = content["release"]
    if release is None:
        _say("当前发布：尚无")
        return
    _say(f"当前发布：{release['release_id']}（{_long(release['age_seconds'])}前）")
    if release["behind_since"]:
        _say(f"尚未发布：{to_the_minute(release['behind_since'])} 起收取的报送件还不在当前发布中")


def _print_runs(content: Mapping[str, Any]) -> None:
    running, last = content["running"], content["last_run"]
    if running:
        _say(f"正在运行：{running['host']} 进程 {running['pid']}，自 {to_the_minute(running['since'])}")
    else:
        _say("正在运行：无")
    if last is not None:
        by = "手工发起" if last["asked_by"] == "manual" else f"由 {last['asked_by']} 发起"
        _say(f"上次运行：{to_the_minute(last['at'])} {_RUN_ZH[last['outcome']]}（{by}，用时 {last['seconds']:.0f} 秒）")


def _print_waiting(content: Mapping[str, Any]) -> None:
    _say(f"等待收取：{content['waiting']} 件")
    for problem in content["problems"][:_SHOWN]:
        _say(f"  未能查看：{problem}")


def _print_daemon(content: Mapping[str, Any]) -> None:
    beat = content["heartbeat"]
    if beat is None:
        _say("守护进程：从未运行（eduplan dev 启动）")
    else:
        silent = [name for name, age in beat["sensors"].items() if age is None or age > beat["age_seconds"] + 300]
        more = f"；无声的传感器：{'、'.join(silent)}" if silent else ""
        _say(f"守护进程：心跳在 {_long(beat['age_seconds'])}前{more}")
    for source, why in list(content["away"].items())[:_SHOWN]:
        _say(f"来源无法访问：{source}，自 {to_the_minute(why['since'])}")


def _print_backup(known: Mapping[str, Any] | None) -> None:
    """Where no regular back-up was set up there is nothing to say: a laptop needs none."""
    if known is None:
        return
    last = f"最近一次完整的在 {_long(known['age_seconds'])}前" if known["at"] else "尚无完整的一次"
    failed = f"；{to_the_minute(known['failed_at'])} 的没有成功" if known["failed_at"] else ""
    _say(f"备份：{last}{failed}")


def _print_settings(content: Mapping[str, Any]) -> None:
    lacking = content["settings_lacking"]
    if not lacking:
        return
    path = Home(content["home"]).root / "dagster" / instance_settings.FILE
    _say(f"Dagster 设置：{path} 经人修改，缺少本版本的默认设置 {'、'.join(lacking)}；请加入下列各行并重启守护进程：")
    for lines in lacking.values():
        _say(lines)


def _print_alerts(found: Sequence[Mapping[str, Any]], *, shown: int) -> None:
    """The gravest first; the rest is counted."""
    if not found:
        _say("告警：无")
        return
    critical = sum(one["severity"] == "critical" for one in found)
    _say(f"告警：{len(found)} 条未解除，其中严重 {critical} 条")
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for one in sorted(found, key=lambda each: each["severity"]):
        kinds.setdefault(one["kind"], []).append(one)
    for of_kind in kinds.values():
        _print_kind(of_kind, shown)


def _print_kind(found: Sequence[Mapping[str, Any]], shown: int) -> None:
    """All alerts of one kind: what to do stands there once."""
    first = found[0]
    mark = "✗" if first["severity"] == "critical" else "!"
    _say(f"  {mark} {first['title_zh']}（{len(found)} 条，手册 {first['runbook']}）：{first['remedy_zh']}")
    for one in found[-shown:]:
        _say(f"    {to_the_minute(one['at'])} {one['detail_zh']}")
    if len(found) > shown:
        _say(f"    其余 {len(found) - shown} 条用 eduplan alerts 查看。")


def _print_refusals(content: Mapping[str, Any]) -> None:
    gate = content["gate"]
    if gate is not None:
        _say(f"门禁拒绝候选 {gate['candidate_id']}（{len(gate['reasons'])} 项）：")
        for reason in gate["reasons"][:_SHOWN]:
            _say(f"  {reason}")
    told = {one["kind"] for one in content["alerts"]}
    if content["publication"] is not None and "publication_refused" not in told:
        _say(f"拒绝发布（{to_the_minute(content['publication']['at'])}）：{content['publication']['reason']}")
    for hold in content["held"][:_SHOWN]:
        _say(f"暂缓采用：{hold['feed']} {hold['delivery_id']}：{hold['reason']}")
    for row in content["refused"][:_SHOWN]:
        place = f"{row['area_code']} {row['period']}" if row["area_code"] else "（区域未能识别）"
        receipt = f"receipts/{row['feed']}/{row['delivery_id']}.md"
        _say(f"退回：{row['feed']} {place}，原因与改法见回执 {receipt}")
    if len(content["refused"]) > _SHOWN:
        _say(f"  其余 {len(content['refused']) - _SHOWN} 件用 --json 查看。")


def _print_ends(found: Sequence[Mapping[str, Any]]) -> None:
    for end in found:
        if end["attempts"]:
            again = f"，{to_the_minute(end['next_at'])} 后重试" if end["next_at"] else ""
            _say(f"告警端 {end['name']}：{end['untold']} 条未送达（{end['error_zh']}）{again}")


def _feeds_table(content: Mapping[str, Any]) -> Any:
    """What each feed brought, and how much of what was due last is here."""
    late: dict[str, list[Mapping[str, Any]]] = {}
    for one in content["late"]:
        late.setdefault(one["feed"], []).append(one)
    columns = [("类别", "left"), ("接收", "right"), ("部分接收", "right"), ("退回", "right")]
    columns += [("逾期未齐（年度 已报/应报）", "left")]
    rows = [
        (
            f"{feed['title_zh']} {feed['feed']}",
            *(feed[name] for name in ("accepted", "partly", "refused")),
            _coverage(late.get(feed["feed"], [])),
        )
        for feed in content["feeds"]
    ]
    return table("各类报送", columns, rows)


def _coverage(late: Sequence[Mapping[str, Any]]) -> str:
    """The newest years that are overdue and not whole."""
    newest = sorted(late, key=lambda one: -one["period"])[:2]
    told = "，".join(f"{one['period']} {one['expected'] - one['missing']}/{one['expected']}" for one in newest)
    return (f"{told} 等 {len(late)} 年" if len(late) > 2 else told) or "齐"


def _long(seconds: int) -> str:
    """A length of time in its two largest units."""
    span = timedelta(seconds=max(seconds, 0))
    hours, minutes = divmod(span.seconds // 60, 60)
    if span.days:
        return f"{span.days} 天 {hours} 小时"
    if hours:
        return f"{hours} 小时 {minutes} 分"
    return f"{minutes} 分 {span.seconds % 60} 秒" if minutes else f"{span.seconds} 秒"
