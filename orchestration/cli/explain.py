"""`eduplan explain` and `eduplan trace`: from a published figure to the rows it was made from, and back.

What belongs here: how the answers are shown. What does not: finding them (`warehouse.explain`, `warehouse.evidence`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from orchestration.cli.console import cell, figure, out, print_json, table
from orchestration.cli.main import OK
from warehouse.errors import UsageError
from warehouse.evidence import RowRange, values_resting_on
from warehouse.explain import Explanation, Question, choose_release
from warehouse.explain import explain as find
from warehouse.ledger import Ledger
from warehouse.manifest import Release, read_release, releases
from warehouse.paths import Home
from warehouse.retention import gone_from

_SHOWN: Final = 15
_METHOD_ZH: Final = {"computed": "由报送数据计算", "official": "采用官方公布数"}
_STATUS_ZH: Final = {"final": "完整", "partial": "部分区域未报", "preliminary": "初步"}
_ROLE_ZH: Final = {"numerator": "分子", "denominator": "分母", "value": "公布数"}
_SEVERITY_ZH: Final = {"critical": "严重", "warning": "警告", "info": "提示"}


def explain(question: Question, *, as_of: str | None, release_id: str | None, as_json: bool) -> int:
    """Print where a figure comes from. Raises UsageError when the release holds no such figure."""
    from expectations.catalogue import rules
    from expectations.guards import guard_coverage

    home = Home.from_env()
    release = choose_release(home, release_id=release_id, as_of=as_of)
    guards = {item.name: item.rules for item in guard_coverage(rules()).indicators}
    found = find(home, release, question, guards)
    if as_json:
        print_json(found.content())
    else:
        _print(found)
    return OK


def _print(found: Explanation) -> None:
    _print_figure(found)
    _print_deliveries(found)
    _print_rows(found)
    _print_checks(found)
    manifest = found.release.manifest
    published = f"数据版本 {manifest['data_version']}，{manifest['published_at']}"
    out.print(f"发布：{found.release.release_id}（{published}）", soft_wrap=True)


def _print_figure(found: Explanation) -> None:
    value = found.value
    decimals = value["decimals"] if value["decimals"] is not None else 2
    where = f"{value['name_zh']}（{value['indicator_id']}）区域 {value['area_code']}，{value['ref_period']}"
    out.print(where, style="bold", markup=False)
    lines = {
        "数值": f"{figure(value['value'], decimals)} {value['unit']}",
        "公式": value["formula_zh"],
        f"分子（{value['numerator_zh']}）": figure(value["numerator"], 0),
        f"分母（{value['denominator_zh']}）": figure(value["denominator"], 0),
        "方法": _METHOD_ZH.get(value["method"], value["method"]),
        "来源": value["source_zh"],
        "完整性": _coverage(value),
        "截至": value["as_of"],
        "说明": value["note"],
    }
    for label, text in lines.items():
        if text not in {None, ""}:
            out.print(f"  {label}：{text}", markup=False)
    for row in found.mart_rows["mart_plan_progress"]:
        target = f"目标 {row['operator'] or ''}{figure(row['target'])}，进度比 {cell(row, 'pace_ratio') or '—'}"
        out.print(f"  规划进度（{row['target_id']}）：{row['status_zh']}；{target}", markup=False)


def _coverage(value: Mapping[str, Any]) -> str:
    state = _STATUS_ZH.get(value["publish_status"], value["publish_status"])
    if value["expected_units"] is None:
        return str(state)
    return f"{state}（应报 {value['expected_units']} 个单位，实报 {value['reported_units']} 个）"


def _print_deliveries(found: Explanation) -> None:
    columns = [("编号", "code"), ("类别", "left"), ("区域", "left"), ("文件", "left"), ("报送人", "left")]
    columns += [("SHA-256", "code"), ("接收行", "right"), ("隔离行", "right")]
    rows = [
        (
            item["delivery_id"],
            item["feed"],
            " ".join(filter(None, (item["area_code"], item["part"]))),
            item["file_name"],
            item["submitter"] or None,
            item["sha256"][:12],
            item["rows_accepted"],
            item["rows_quarantined"],
        )
        for item in found.deliveries[:_SHOWN]
    ]
    out.print(table(f"所依据的报送件（{len(found.deliveries)} 件）", columns, rows))
    _print_rest(len(found.deliveries))


def _print_rows(found: Explanation) -> None:
    if found.rows is None:
        out.print(found.rows_note, style="yellow", soft_wrap=True, markup=False)
        return
    files = {item["delivery_id"]: item["file_name"] for item in found.deliveries}
    columns = [
        ("文件", "left"),
        ("工作表", "left"),
        ("行", "left"),
        ("列", "left"),
        ("用途", "left"),
        ("合计", "right"),
    ]
    rows = [_row_cells(item, files) for item in found.rows[:_SHOWN]]
    out.print(table(f"计入的行（{sum(item.rows for item in found.rows)} 行）", columns, rows))
    _print_rest(len(found.rows))
    told = found.recomputed
    parts = f"{'公布数' if found.value['method'] == 'official' else '分子'} {figure(told['numerator'], 4)}"
    parts += "" if told["denominator"] is None else f"，分母 {figure(told['denominator'], 4)}"
    verdict = "[green]与发布的一致[/]" if told["agrees"] else "[bold red]与发布的不一致[/]"
    out.print(f"由所列各行复算：{parts}，{verdict}。")


def _row_cells(item: RowRange, files: Mapping[str, str]) -> tuple[object, ...]:
    place = files.get(item.delivery_id, item.delivery_id) + (f" › {item.member}" if item.member else "")
    span = "整份" if item.first_row is None else str(item.first_row)
    span += f"–{item.last_row}" if item.last_row != item.first_row else ""
    amount = f"{item.amount:,f}".rstrip("0").rstrip(".")
    shown = amount if item.divisor == 1 else f"{amount}÷{item.divisor}"
    return (place, item.sheet or None, span, "、".join(item.columns) or None, _ROLE_ZH[item.role], shown)


def _print_checks(found: Explanation) -> None:
    passed = sum(item["passed"] for item in found.checks)
    amounts = sum(item["guards_amount"] for item in found.checks)
    out.print(
        f"看护它的规则：{len(found.checks)} 条，通过 {passed} 条；其中 {amounts} 条核对数值本身（全部用 --json 查看）。"
    )
    for item in found.checks:
        if not item["passed"]:
            waived = f"，已豁免（{item['waived_by']}）" if item["waived_by"] else ""
            kind = _SEVERITY_ZH.get(item["severity"], item["severity"])
            out.print(f"  ✗ {kind} {item['rule_id']} {item['title_zh']}：{item['observed']}{waived}", markup=False)
    for item in found.waivers:
        people = f"{item['requested_by']} 申请，{item['approved_by']} 批准，至 {item['valid_to']}"
        out.print(f"  豁免 {item['waiver_id']}（{item['rule_id']}）：{item['reason_zh']}；{people}", markup=False)
    out.print("豁免：本数依据了被豁免的行。" if found.waivers else "豁免：无。")


def _print_rest(count: int) -> None:
    if count > _SHOWN:
        out.print(f"其余 {count - _SHOWN} 项用 --json 查看。")


# -- the other way ----------------------------------------------------------------------------------------------------


def trace(delivery_id: str, *, release_id: str | None, as_json: bool) -> int:
    """Print every published figure that rests on a delivery, by release. Raises UsageError for an unknown one."""
    home = Home.from_env()
    ledger = Ledger(home.ledger_url)
    try:
        known = ledger.deliveries_of([delivery_id])
    finally:
        ledger.close()
    if not known:
        raise UsageError(f"台账中没有报送件 {delivery_id}。", "编号见回执，或 eduplan explain … 的报送件表。")
    [row] = known
    wanted = releases(home) if release_id is None else [_release(home, release_id)]
    found = [
        {"release_id": item.release_id, "published_at": item.manifest["published_at"], **_resting(item, delivery_id)}
        for item in wanted
    ]
    about = {
        name: getattr(row, name) for name in ("feed", "area_code", "period", "part", "file_name", "submitter", "sha256")
    }
    if as_json:
        print_json({"delivery_id": delivery_id, **about, "status": row.status, "releases": found})
    else:
        _print_trace(delivery_id, about, found)
    return OK


def _release(home: Home, release_id: str) -> Release:
    if not release_id or not (home.releases / release_id).is_dir():
        raise UsageError(f"没有发布 {release_id}。", "请用 eduplan releases 查看现有发布。")
    return read_release(home.releases / release_id)


def _resting(release: Release, delivery_id: str) -> dict[str, Any]:
    used = any(item["delivery_id"] == delivery_id for item in release.manifest["inputs"]["deliveries"])
    if gone_from(release):
        # Cleared away under the retention policy: the manifest still says that it was used.
        return {"used": used, "pruned": True, "values": None if used else []}
    return {"used": used, "pruned": False, "values": values_resting_on(release, delivery_id) if used else []}


def _print_trace(delivery_id: str, about: Mapping[str, Any], found: list[dict[str, Any]]) -> None:
    place = f"{about['feed']}，区域 {about['area_code']}，{about['period'] or '各年'}"
    out.print(f"报送件 {delivery_id}：{about['file_name']}（{place}）", style="bold", markup=False)
    if not found:
        out.print("尚无发布。")
    for item in found:
        if not item["used"]:
            out.print(f"发布 {item['release_id']}：没有采用它。")
            continue
        if item["pruned"]:
            out.print(f"发布 {item['release_id']}：采用了它；该发布的数据已按留存规则清理，逐值的来源要重建后查看。")
            continue
        if item["values"] is None:
            out.print(f"发布 {item['release_id']}：采用了它，但由较早的程序生成，没有逐值的来源。")
            continue
        counts = Counter((value["indicator_id"], value["name_zh"]) for value in item["values"])
        columns = [("指标", "left"), ("名称", "left"), ("数值", "right")]
        rows = [(*indicator, number) for indicator, number in sorted(counts.items())]
        out.print(table(f"发布 {item['release_id']}：{len(item['values'])} 个数依据它", columns, rows))
    out.print("每个数的区域、年度和数值用 --json 查看。")
