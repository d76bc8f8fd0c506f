"""What a statement must satisfy on its own: values against operator, numbers and words against its quotation.

What belongs here: rules that need one statement and nothing else. What does not: rules that need the plan's text or
the other statements (`warehouse.registry`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from warehouse.plan_text import section_label
from warehouse.statement import Problem, Statement

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_YEAR = re.compile(r"(?:19|20)\d{2}\s*年")
_DIGITS = dict(zip("零一二三四五六七八九十", map(Decimal, range(11)), strict=True))
# A unit of at most one character may stand between the number and the word: 80%以上, 15 个以上, 2000名以上; so that the
# threshold of a scope (20万人口以上的区县) is not taken for the target.
_AFTER = r"\d\s*[%％\w]?"
_AT_LEAST = re.compile(rf"{_AFTER}以上|不少于\s*\d|不低于|水平以上")
_ABOUT = re.compile(rf"{_AFTER}\s*左右|近\s*\d|约\s*\d|{_AFTER}\s*规模|大体相当")
_OVER = re.compile(r"(?:超过|突破|>)\s*\d")
_RANGE = re.compile(r"\d\s*[—–~-]\s*\d")
_INCREASE = re.compile(r"^(?:力争)?(?:新增|引进)\D*\d")
_INCREMENT_WORDS = re.compile("新增|引进")
_PRINTED_WORDS = {
    "strive": re.compile("力争|争取"),
    "about": _ABOUT,
    "at_least": _AT_LEAST,
    "over": re.compile(r"(?:超过|突破)\s*\d"),
    "basically": re.compile("基本(?:实现|建成|消除)"),
    "gradual": re.compile("逐步"),
}
# Operators that need both values, one value (a lower bound), or none.
_POINT = {"=", "about", "increase_by", "coverage_all"}
_BOUND = {">", ">="}
_EMPTY = {"trend_up", "trend_down", "state"}

Rule = Callable[[Statement], Iterator[Problem]]


def _problem(statement: Statement, rule: str, message_zh: str, remedy_zh: str) -> Problem:
    return Problem(statement.id, rule, message_zh, remedy_zh)


def printed_numbers(quote: str) -> list[Decimal]:
    """The Arabic numbers of a quotation in order, years such as 2025 年 left out."""
    return [Decimal(found) for found in _NUMBER.findall(_YEAR.sub("", quote))]


def _values(statement: Statement) -> list[Decimal]:
    return [value for value in (statement.value_low, statement.value_high) if value is not None]


def values_fit_operator(statement: Statement) -> Iterator[Problem]:
    """A point has two equal values, a range two ordered ones, a bound one, a direction or state none."""
    low, high, operator = statement.value_low, statement.value_high, statement.operator
    wanted = ""
    if operator in _POINT and (low is None or low != high):
        wanted = "value_low 与 value_high 应都填写且相等"
    elif operator == "range" and (low is None or high is None or low >= high):
        wanted = "value_low 应小于 value_high，两者都填写"
    elif operator in _BOUND and (high is not None or (low is None and statement.kind != "standing_rule")):
        # A standing rule may compare with last year or with another quantity: then no number is printed.
        wanted = "只填 value_low（只有常设规则可以不填）"
    elif operator in _EMPTY and (low is not None or high is not None):
        wanted = "不应填写数值"
    elif operator == "coverage_all" and low != 100:
        wanted = "全覆盖应为 100"
    if wanted:
        yield _problem(statement, "values", f"算子“{operator}”的数值是 {low}、{high}。", f"{wanted}。")


def numbers_agree(statement: Statement) -> Iterator[Problem]:
    """Each value is printed in the quotation, unless marked inferred; each printed number has its place."""
    printed = printed_numbers(statement.quote_zh)
    # 零感染, 五大洲, 第一: read characters only where the quotation prints no Arabic number.
    in_characters = set() if printed else {_DIGITS[char] for char in statement.quote_zh if char in _DIGITS}
    inferred = "inferred" in statement.qualifier
    values = _values(statement)
    for value in dict.fromkeys(values):
        if inferred and value in printed:
            yield _problem(
                statement, "numbers", f"数值 {value} 标为推定，引文却印有。", "去掉 qualifier 中的 inferred。"
            )
        elif not inferred and value not in printed and value not in in_characters:
            yield _problem(
                statement,
                "numbers",
                f"数值 {value} 在引文中没有印出。",
                "改正数值；确属推定的，qualifier 加 inferred。",
            )
    known = [*values, *printed_numbers(f"{statement.scope} {statement.indicator_zh} {statement.baseline_2020}")]
    for number in printed:
        if number not in known:
            yield _problem(
                statement,
                "numbers",
                f"引文中的 {number} 没有登记。",
                "登记为数值、基数或适用范围；一句有两个量的，分成两条。",
            )


def operator_agrees(statement: Statement) -> Iterator[Problem]:
    """The words around the number decide the operator: 以上, 左右, 超过, 2—3, 新增."""
    quote, operator = statement.quote_zh, statement.operator
    for pattern, allowed in (
        (_AT_LEAST, {">="}),
        (_ABOUT, {"about"}),
        (_OVER, {">"}),
        (_RANGE, {"range"}),
        (_INCREASE, {"increase_by", ">=", "range"}),
    ):
        if (found := pattern.search(quote)) and operator not in allowed:
            wanted = "、".join(sorted(allowed))
            yield _problem(statement, "operator", f"引文有“{found[0]}”，算子却是“{operator}”。", f"算子应为 {wanted}。")


def operator_is_justified(statement: Statement) -> Iterator[Problem]:
    """An operator that loosens or tightens a number needs the word for it, recorded in `qualifier` or printed."""
    recorded = set(statement.qualifier)
    justified = {
        "about": bool(recorded & {"about", "basically"}),
        ">=": statement.value_low is None or bool(recorded & {"at_least", "inferred"}),
        ">": statement.value_low is None or bool(_OVER.search(statement.quote_zh)),
        "range": bool(_RANGE.search(statement.quote_zh)),
    }
    if not justified.get(statement.operator, True):
        yield _problem(
            statement, "operator", f"算子“{statement.operator}”在引文中没有依据。", "对照原文改正算子或 qualifier。"
        )


def qualifier_complete(statement: Statement) -> Iterator[Problem]:
    """A softening or bounding word of the quotation is recorded in `qualifier`."""
    for name, pattern in _PRINTED_WORDS.items():
        if (found := pattern.search(statement.quote_zh)) and name not in statement.qualifier:
            yield _problem(statement, "qualifier", f"引文有“{found[0]}”，没有登记。", f"qualifier 加 {name}。")


def qualifier_words(name: str) -> re.Pattern[str] | None:
    """The words that justify a qualifier, or None where no word can (`inferred`)."""
    return _PRINTED_WORDS.get(name)


def increment_words() -> re.Pattern[str]:
    """The words that make a number an increment; they may stand before the quotation, in the same sentence."""
    return _INCREMENT_WORDS


def table_row_agrees(statement: Statement) -> Iterator[Problem]:
    """A row of the indicator table prints baseline, target and 属性 in its last three cells."""
    cells = statement.quote_zh.split("\t")
    if statement.kind != "headline_indicator" or len(cells) < 3:
        return
    baseline, target, binding = cells[-3:]
    if baseline != statement.baseline_2020:
        yield _problem(
            statement, "table", f"表中基数为 {baseline}，登记为 {statement.baseline_2020}。", "按表改正 baseline_2020。"
        )
    operator = ">" if target.startswith(">") else "="
    if operator != statement.operator or [Decimal(target.lstrip(">"))] != list(dict.fromkeys(_values(statement))):
        yield _problem(
            statement,
            "table",
            f"表中目标为 {target}，登记为 {statement.operator}{statement.value_low}。",
            "按表改正算子和数值。",
        )
    if binding != statement.binding:
        yield _problem(
            statement, "table", f"表中属性为“{binding}”，登记为“{statement.binding}”。", "按表改正 binding。"
        )


def section_fits_box(statement: Statement) -> Iterator[Problem]:
    """The section of a box's statement ends with that box and item."""
    stem, mark, _ = statement.section.partition("专栏")
    expected = section_label(stem, statement.box, statement.box_item) if statement.box else stem
    if expected != statement.section or bool(mark) != bool(statement.box):
        yield _problem(
            statement,
            "box",
            f"条款“{statement.section}”与专栏 {statement.box or '（空）'}、项 {statement.box_item or '（空）'} 不符。",
            "改正 section、box 或 box_item。",
        )


def source_is_stated(statement: Statement) -> Iterator[Problem]:
    """A statement without a data source says which record would be needed."""
    if not statement.data_source and not statement.missing_record_zh:
        yield _problem(
            statement,
            "source",
            "没有数据源，也没有写明缺什么记录。",
            "填写 data_source，或在 missing_record_zh 写明所需记录。",
        )
    if len(set(statement.data_source)) != len(statement.data_source):
        yield _problem(statement, "source", "data_source 有重复。", "删去重复的数据源。")


def increment_has_no_baseline(statement: Statement) -> Iterator[Problem]:
    """An increment starts from nothing: the stock of 2020 is not its baseline."""
    if statement.operator == "increase_by" and statement.baseline_2020:
        yield _problem(
            statement,
            "baseline",
            f"新增目标不应有基数（登记为 {statement.baseline_2020}）。",
            "清空 baseline_2020，把存量写入 note。",
        )


RULES: tuple[Rule, ...] = (
    values_fit_operator,
    numbers_agree,
    operator_agrees,
    operator_is_justified,
    qualifier_complete,
    table_row_agrees,
    section_fits_box,
    source_is_stated,
    increment_has_no_baseline,
)


def check_statement(statement: Statement) -> list[Problem]:
    """Every problem of one statement, in the order of `RULES`."""
    return [problem for rule in RULES for problem in rule(statement)]
