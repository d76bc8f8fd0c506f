"""How much of a plan can be measured, and how: the counts behind `docs/plan-coverage.md` and the page itself.

What belongs here: classing statements by the way they are answered, counting, rendering. Which statements are computed
stands in the dbt seeds that link a statement to its formula; the page can so be made, and checked, without a build.
What does not: writing the file.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from warehouse.errors import UsageError
from warehouse.paths import project_root
from warehouse.statement import Feed, Kind, Statement

Method = Literal["computed", "official", "counted_from_register", "pending", "no_source"]

METHODS: tuple[Method, ...] = get_args(Method)
KINDS: tuple[Kind, ...] = get_args(Kind)
FEEDS: tuple[Feed, ...] = get_args(Feed)
SEEDS: Final = "dbt_project/seeds"

METHOD_ZH: dict[Method, str] = {
    "computed": "由数据计算",
    "official": "用公布值",
    "counted_from_register": "从认定登记清点",
    "pending": "有数据源，尚未计算",
    "no_source": "没有数据源",
}
KIND_ZH: dict[Kind, str] = {
    "headline_indicator": "主要指标（专栏1）",
    "programme_target": "计划目标（专栏3—9）",
    "text_target": "正文目标",
    "standing_rule": "常设规则",
    "baseline_fact": "基数事实（一）",
    "horizon_2035": "2035年远景",
}


@dataclass(frozen=True)
class Coverage:
    """Statements in registry order, each with its method; all counts are derived from these pairs."""

    rows: tuple[tuple[Statement, Method], ...]

    def count(self, kind: Kind | None = None, method: Method | None = None) -> int:
        """Statements of the kind answered by the method; None stands for all."""
        return sum(1 for s, how in self.rows if kind in (None, s.kind) and method in (None, how))

    @property
    def measurable(self) -> int:
        """Statements for which at least one feed holds the records."""
        return self.count() - self.count(method="no_source")

    @property
    def answered(self) -> int:
        """Statements that the marts answer today."""
        return self.measurable - self.count(method="pending")

    @property
    def counted_once(self) -> int:
        """Statements left when those that repeat another one are taken out."""
        return sum(1 for statement, _ in self.rows if not statement.duplicate_of)

    def without_source(self) -> list[Statement]:
        """Statements no feed can answer, in registry order."""
        return [statement for statement, how in self.rows if how == "no_source"]

    def in_part(self) -> list[Statement]:
        """Statements the feeds answer in part or by a stand-in: a source and a missing record."""
        return [s for s, _ in self.rows if s.data_source and s.missing_record_zh]


@dataclass(frozen=True)
class Answers:
    """Statement ids that the marts answer from records, with published figures, and by counting recognitions."""

    computed: frozenset[str]
    official: frozenset[str]
    counted: frozenset[str]


def answers() -> Answers:
    """What the dbt seeds link to a formula: indicators, partial answers, standing rules and count rules.

    Raises UsageError when a seed cannot be read or links to an unknown indicator.
    """
    methods = {row["indicator_id"]: row["method_expected"] for row in _seed("indicator")}
    links = [(row["target_id"], row["indicator_id"]) for row in _seed("target_indicator")]
    links += [(row["target_id"], row["indicator_id"]) for row in _seed("target_partial_answer")]
    links += [(row["target_id"], row["indicator_id"]) for row in _seed("period_fact")]
    judged = {row["target_id"]: row["measure"] for row in _seed("standing_rule") if row["measure"]}
    links += [(target, measure) for target, measure in judged.items() if measure in methods]
    if unknown := sorted({indicator for _, indicator in links if indicator not in methods}):
        raise UsageError(f"对应的指标不在指标表中：{'、'.join(unknown)}。", "请改正 target_indicator 等种子表。")
    rules = {target for target, measure in judged.items() if measure not in methods}
    return Answers(
        computed=frozenset({target for target, indicator in links if methods[indicator] == "computed"} | rules),
        official=frozenset(target for target, indicator in links if methods[indicator] == "official"),
        counted=frozenset(row["target_id"] for row in _seed("register_rule")),
    )


def _seed(name: str) -> list[dict[str, str]]:
    path = project_root() / SEEDS / f"{name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"种子表 {path} 无法读取：{error}。", "请检查 dbt_project/seeds。") from error


def coverage(statements: Sequence[Statement], found: Answers) -> Coverage:
    """Class every statement by how it is answered.

    `found` holds the statement ids with a value in the marts; computed wins over counted, counted over official. A
    statement that repeats another takes that one's method unless it has its own. A statement with a source and no
    value is `pending`. Raises UsageError for an id the registry does not hold, or one whose registry row says that
    there is no source.
    """
    by_id = {statement.id: statement for statement in statements}
    _refuse_unknown(by_id, [*found.computed, *found.official, *found.counted])
    return Coverage(tuple((s, _method(s, by_id, found)) for s in statements))


def render(table: Coverage) -> str:
    """The page in Markdown; the same table gives the same bytes."""
    return "\n".join(
        [
            "# 规划覆盖情况",
            "",
            "由命令生成，不要手工修改。条目、数据源与所缺记录取自 `dbt_project/seeds/plan_registry.csv`。",
            "",
            *_counts(table),
            "",
            f"- 条目共 {table.count()} 条，去掉重复表述后 {table.counted_once} 条。",
            f"- 集市今天回答的 {table.answered} 条；数据源能够回答的 {table.measurable} 条，"
            f"其中只能回答一部分或用代替量的 {len(table.in_part())} 条。",
            "",
            "## 各数据源涉及的条目数",
            "",
            *_sources(table),
            "",
            "## 只能回答一部分的条目",
            "",
            *_listing(table.in_part()),
            "",
            "## 没有数据源的条目",
            "",
            *_listing(table.without_source()),
            "",
        ]
    )


def _refuse_unknown(by_id: dict[str, Statement], ids: Iterable[str]) -> None:
    given = sorted(set(ids))
    if unknown := [name for name in given if name not in by_id]:
        raise UsageError(f"登记表中没有这些条目：{'、'.join(unknown)}。", "请核对条目编号。")
    if sourceless := [name for name in given if not by_id[name].data_source]:
        raise UsageError(
            f"这些条目已有数值，登记表却写没有数据源：{'、'.join(sourceless)}。", "请改正登记表的 data_source。"
        )


def _method(statement: Statement, by_id: dict[str, Statement], found: Answers) -> Method:
    if not statement.data_source:
        return "no_source"
    for name in (statement.id, statement.duplicate_of):
        if name not in by_id:
            continue
        if name in found.computed:
            return "computed"
        if name in found.counted:
            return "counted_from_register"
        if name in found.official:
            return "official"
    return "pending"


def _row(cells: Iterable[object]) -> str:
    # A cell must not end its column: the pipe is the separator of lists in the registry, too.
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\t", " ") for cell in cells) + " |"


def _counts(table: Coverage) -> list[str]:
    lines = [_row(["类别", *(METHOD_ZH[m] for m in METHODS), "合计"]), _row(["---", *["---:"] * (len(METHODS) + 1)])]
    for kind in KINDS:
        lines.append(_row([KIND_ZH[kind], *(table.count(kind, m) for m in METHODS), table.count(kind)]))
    return [*lines, _row(["合计", *(table.count(method=m) for m in METHODS), table.count()])]


def _sources(table: Coverage) -> list[str]:
    counts = Counter(feed for statement, _ in table.rows for feed in statement.data_source)
    return [_row(["数据源", "条目数"]), _row(["---", "---:"]), *(_row([f"`{f}`", counts[f]]) for f in FEEDS)]


def _listing(statements: Sequence[Statement]) -> list[str]:
    if not statements:
        return ["无。"]
    head = [_row(["编号", "条款", "指标", "所缺记录"]), _row(["---"] * 4)]
    return head + [_row([f"`{s.id}`", s.section, s.indicator_zh, s.missing_record_zh]) for s in statements]
