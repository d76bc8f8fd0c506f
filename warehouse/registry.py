"""The plan registry: every measurable statement of a plan as data, and the proof that it agrees with the plan's text.

What belongs here: reading the registry (a dbt seed) and verifying it against a text. What does not: formulas and
progress (dbt), the rules for a single statement (`warehouse.registry_rules`), sums of printed numbers
(`warehouse.registry_sums`), headings and offsets (`warehouse.plan_text`).

"Every quotation stands in the plan exactly once where it says" means:
- with offsets: the characters at the offsets, line breaks removed, are the quotation; the named section holds the
  quotation exactly once; and the quotation does not cut a number in two. The same words in another section are another
  sentence: section and offsets tell them apart.
- without offsets: the whole text holds the quotation exactly once, in the named section.
- two statements may quote one place only if they measure different indicators.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from warehouse.errors import UsageError
from warehouse.paths import project_root
from warehouse.plan_text import PlanText, Span
from warehouse.registry_rules import check_statement, increment_words, qualifier_words
from warehouse.registry_sums import load_sums, parts_make_the_whole
from warehouse.statement import COLUMNS, Problem, Statement

__all__ = [
    "COLUMNS",
    "DEFAULT_PLAN",
    "SEED",
    "Problem",
    "Statement",
    "check",
    "load",
    "of_plan",
    "plan_ids",
    "verify",
    "verify_file",
]

DEFAULT_PLAN = "cq-145-education"
SEED = Path("dbt_project") / "seeds" / "plan_registry.csv"


def load(path: Path | None = None) -> list[Statement]:
    """Read a registry file (default: the project's seed), in file order; it may hold several plans.

    Raises UsageError naming file, row and column if the file is missing, has other columns, or holds an unknown word.
    """
    source = project_root() / SEED if path is None else path
    try:
        content = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"规划登记表 {source} 无法读取：{error}。", "请检查路径；文件须为 UTF-8 编码。") from error
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        header = tuple(reader.fieldnames or ())
        _require_columns(source, header)
        return [_statement(source, reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UsageError(
            f"规划登记表 {source} 第 {reader.line_num} 行不是有效的 CSV：{error}。", "请检查引号。"
        ) from error


def plan_ids(statements: Iterable[Statement]) -> list[str]:
    """The plans a registry holds, in order of first appearance."""
    return list(dict.fromkeys(statement.plan_id for statement in statements))


def of_plan(statements: Iterable[Statement], plan_id: str) -> list[Statement]:
    """The statements of one plan, in registry order. Raises UsageError if the registry does not hold the plan."""
    registered = list(statements)
    chosen = [statement for statement in registered if statement.plan_id == plan_id]
    if not chosen:
        known = "、".join(plan_ids(registered)) or "（空）"
        raise UsageError(f"登记表中没有规划“{plan_id}”。", f"已登记的规划：{known}。")
    return chosen


def check(statements: Sequence[Statement]) -> list[Problem]:
    """What can be checked without a text: each statement on its own, unique ids, duplicates that lead somewhere, wholes
    beside their parts."""
    alone = [problem for statement in statements for problem in check_statement(statement)]
    together = parts_make_the_whole(statements, load_sums())
    return [*_unique_ids(statements), *_duplicates(statements), *alone, *together]


def verify(text: str, statements: Sequence[Statement] | None = None) -> list[Problem]:
    """Every problem of one plan's statements, on their own and against the plan's text; [] if all is well.

    `statements` defaults to the project's own plan. Raises UsageError if they belong to more than one plan. No
    statement at all is a problem, never a pass.
    """
    chosen = of_plan(load(), DEFAULT_PLAN) if statements is None else list(statements)
    if len(plan_ids(chosen)) > 1:
        raise UsageError("一份原文只能核对一个规划。", f"给出的条目属于：{'、'.join(plan_ids(chosen))}。")
    if not chosen:
        return [Problem("-", "empty", "没有任何条目可核对。", "请检查登记表和规划编号。")]
    plan = PlanText(text)
    in_text = [problem for statement in chosen for problem in _against_text(plan, statement)]
    return [*check(chosen), *in_text, *_shared_places(chosen)]


def verify_file(path: Path, plan_id: str = DEFAULT_PLAN, registry: Path | None = None) -> list[Problem]:
    """`verify` for a text file in UTF-8. Raises UsageError if the file cannot be read or the plan is not registered."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"规划原文 {path} 无法读取：{error}。", "请检查路径；文件须为 UTF-8 编码。") from error
    return verify(text, of_plan(load(registry), plan_id))


def _require_columns(source: Path, header: tuple[str, ...]) -> None:
    if header == COLUMNS:
        return
    missing = "、".join(name for name in COLUMNS if name not in header) or "无"
    extra = "、".join(name for name in header if name not in COLUMNS) or "无"
    raise UsageError(
        f"规划登记表 {source} 的列不对：缺 {missing}；多 {extra}。", f"列及顺序应为：{','.join(COLUMNS)}。"
    )


def _statement(source: Path, row_no: int, row: dict[str, str]) -> Statement:
    try:
        return Statement.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        column = str(first["loc"][0]) if first["loc"] and first["loc"][0] in COLUMNS else "列数"
        expected = first.get("ctx", {}).get("expected", "")
        raise UsageError(
            f"规划登记表 {source} 第 {row_no} 行“{column}”列的值不能用：{row.get(column, '')!r}。",
            f"允许的值：{expected}。" if expected else "请按 docs/plan-registry.md 的列说明改正。",
        ) from error


def _unique_ids(statements: Sequence[Statement]) -> Iterator[Problem]:
    seen: set[str] = set()
    for statement in statements:
        if statement.id in seen:
            yield Problem(statement.id, "unique_id", "编号重复。", "每条一个编号；不同规划也不得重复。")
        seen.add(statement.id)


def _duplicates(statements: Sequence[Statement]) -> Iterator[Problem]:
    by_id = {statement.id: statement for statement in statements}
    for statement in statements:
        target = by_id.get(statement.duplicate_of)
        if not statement.duplicate_of:
            continue
        if target is None or target.plan_id != statement.plan_id:
            message = f"重复指向的“{statement.duplicate_of}”不在同一规划的登记表中。"
        elif target is statement:
            message = "重复指向自己。"
        elif target.duplicate_of:
            message = f"重复指向的“{target.id}”自己又指向“{target.duplicate_of}”。"
        else:
            continue
        yield Problem(statement.id, "duplicate", message, "duplicate_of 应直接指向计数的那一条。")


def _against_text(plan: PlanText, statement: Statement) -> Iterator[Problem]:
    places = plan.occurrences(statement.quote_zh)
    if not places:
        yield Problem(statement.id, "quote", "原文中找不到引文。", f"请对照原文改正：“{statement.quote_zh}”。")
        return
    if statement.span is None:
        yield from _once_in_text(plan, statement, places)
        return
    if statement.span not in places or plan.slice(statement.span) != statement.quote_zh:
        found = "、".join(f"{place.start}–{place.end}" for place in places)
        yield Problem(
            statement.id,
            "offset",
            f"登记位置 {statement.quote_start}–{statement.quote_end} 上不是引文。",
            f"引文实在 {found}。",
        )
        return
    yield from _once_in_section(plan, statement, places)
    yield from _whole_numbers(plan, statement, statement.span)
    yield from _justified_words(plan, statement, statement.span)


def _once_in_text(plan: PlanText, statement: Statement, places: list[Span]) -> Iterator[Problem]:
    if len(places) > 1:
        at = "、".join(str(place.start) for place in places)
        yield Problem(
            statement.id, "repeated", f"引文在原文出现 {len(places)} 次（{at}）。", "请填写 quote_start、quote_end。"
        )
    yield from _in_section(plan, statement, places[0])


def _once_in_section(plan: PlanText, statement: Statement, places: list[Span]) -> Iterator[Problem]:
    here = [place for place in places if plan.section_at(place.start) == statement.section]
    if len(here) > 1:
        yield Problem(
            statement.id,
            "repeated",
            f"引文在条款“{statement.section}”内出现 {len(here)} 次。",
            "请把引文加长，使其在本条款内只出现一次。",
        )
    if statement.span is not None:
        yield from _in_section(plan, statement, statement.span)


def _in_section(plan: PlanText, statement: Statement, place: Span) -> Iterator[Problem]:
    section = plan.section_at(place.start)
    if section != statement.section:
        yield Problem(
            statement.id,
            "section",
            f"登记条款为“{statement.section}”，引文在“{section}”。",
            "请改正 section。",
        )


def _whole_numbers(plan: PlanText, statement: Statement, place: Span) -> Iterator[Problem]:
    before, after = plan.neighbours(place)
    cut_left = (before.isdigit() or before == ".") and statement.quote_zh[0].isdigit()
    cut_right = (after.isdigit() or after == ".") and statement.quote_zh[-1].isdigit()
    if cut_left or cut_right:
        yield Problem(statement.id, "cut_number", "引文把一个数截成两段。", "请把引文扩展到整个数。")


def _justified_words(plan: PlanText, statement: Statement, place: Span) -> Iterator[Problem]:
    """力争, 逐步 or 新增 may stand anywhere in the sentence around the quotation, but must stand there."""
    sentence = plan.sentence_around(place)
    for name in statement.qualifier:
        words = qualifier_words(name)
        if words is not None and not words.search(sentence):
            yield Problem(
                statement.id, "qualifier", f"登记了 {name}，本句却没有相应的字词。", "请删去或改正 qualifier。"
            )
    if statement.operator == "increase_by" and not increment_words().search(sentence):
        yield Problem(statement.id, "operator", "登记为新增，本句却没有“新增”“引进”。", "请改正算子。")


def _shared_places(statements: Sequence[Statement]) -> Iterator[Problem]:
    seen: dict[tuple[Span, str], str] = {}
    for statement in statements:
        if statement.span is None:
            continue
        key = (statement.span, statement.indicator_zh)
        if key in seen:
            yield Problem(statement.id, "shared", f"与“{seen[key]}”同一引文、同一指标。", "删去其中一条。")
        seen.setdefault(key, statement.id)
