"""Money of one district: reporting units, their students, income and spending by year, in whole cents (分).

Belongs here: which schools report as one unit, what a unit spends, and its lines in jz_1, jz_2 and jz_3.
Does not belong here: the database (``finance_db``) and the truth (``indicators``, which adds up the unit totals).
Money is kept as int64 cents throughout; nothing is ever a float once a unit's total is fixed.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from sources.sample import finance_items as items
from sources.sample.arrow_text import TextArray, integers, join, objects, repeat, take, text
from sources.sample.damage import choose, pick
from sources.sample.frame import NEVER, Floats, Frame, Ints, Texts
from sources.sample.geography import Area
from sources.sample.vocab import words

FORMS = ("jz_1", "jz_2", "jz_3")
PRIMARY_KIND, JUNIOR_KIND = "61", "413"
NO_AMOUNT = np.iinfo(np.int64).min
AMOUNTS = 8
TABLE_COLUMNS = words(
    "年度 单位代码 单位名称 学校标识码 地区代码 学校类别代码 表号 行次 项目 金额1 金额2 金额3 金额4 金额5 金额6 "
    "金额7 金额8 updated_at"
)
_KINDS = {
    "111": "8",
    "211": PRIMARY_KIND,
    "218": PRIMARY_KIND,
    "311": JUNIOR_KIND,
    "312": JUNIOR_KIND,
    "341": "342",
    "342": "411",
    "345": "411",
    "361": "421",
    "362": "421",
    "365": "421",
    "366": "422",
}
# Yuan of the general public budget for a student of a public school, 2020 and 2025, by school kind (assumptions in the
# range of the national averages of those years).
_BUDGET = {
    "8": (8_600, 11_000),
    "61": (12_100, 14_600),
    "413": (16_200, 19_400),
    "342": (15_300, 18_000),
    "411": (14_800, 17_600),
    "421": (14_200, 16_600),
    "422": (13_900, 16_200),
    "7": (52_000, 61_000),
}
_SUBSIDY, _TUITION = 1_500, {"8": 12_500}
_OTHER_TUITION = 19_000
_GROUP_LEVEL = {"G1": 1.02, "G2": 0.97, "G3": 1.03}
_HEAD_SHARE = {"8": 0.58, PRIMARY_KIND: 0.75}
_WORDS = ("待核", "见附表", "—元")


@dataclass(frozen=True)
class Units:
    """Reporting units of a district over all years; ``unit_of`` maps every school of the city to a unit or -1."""

    head: Ints
    code: Texts
    kind: Texts
    unit_of: Ints
    generosity: Floats


@dataclass(frozen=True)
class FinanceYear:
    """Totals of the units that report for a year. Students and staff are heads, money is cents."""

    area: Area
    year: int
    unit: Ints
    kind: Texts
    students_before: Ints
    students_after: Ints
    staff_before: Ints
    staff_after: Ints
    spending: Ints
    public_funds: Ints
    budget: Ints
    education: Ints


@dataclass(frozen=True)
class FinanceLines:
    """All lines of a district and year in database order, damaged ones included; ``damaged`` maps row -> rule."""

    table: pa.Table
    damaged: dict[int, str]
    lost: set[tuple[int, str, int]]


def build_units(frame: Frame, area: Area) -> Units:
    """Which schools report together: teaching points and many small schools through a centre unit."""
    schools = frame.schools
    own = np.flatnonzero(schools.area == area.index)
    kinds = np.array([_KINDS.get(kind, "7") for kind in schools.type_code[own]], dtype=object)
    unit_of = np.full(len(schools), -1)
    head_of = own.copy()
    lasting = (schools.opened[own] == 0) & (schools.closed[own] == NEVER) & (schools.type_code[own] != "218")
    for kind, share in _HEAD_SHARE.items():
        for public in (True, False):
            group = (kinds == kind) & (schools.public[own] == public)
            heads = np.flatnonzero(group & lasting & (schools.luck[own] < share))
            others = np.flatnonzero(group & ~(lasting & (schools.luck[own] < share)))
            if len(heads):
                head_of[others] = own[heads[(schools.town[own[others]] * 7 + others) % len(heads)]]
    head, number = np.unique(head_of, return_inverse=True)
    unit_of[own] = number
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 7, area.index]))
    return Units(
        head=head,
        code=np.array([f"{area.code}{position:04d}" for position in range(1, len(head) + 1)], dtype=object),
        kind=kinds[np.searchsorted(own, head)],
        unit_of=unit_of,
        generosity=np.exp(rng.normal(0, 0.06, len(head))) * _GROUP_LEVEL.get(area.group, 1.05),
    )


def finance_year(frame: Frame, units: Units, area: Area, year: int) -> FinanceYear:
    """Totals of a district's units in a calendar year, which straddles the school years beginning year-1 and year."""
    before, after = (_by_unit(frame, units, frame.slots.enrolment, frame.column(y)) for y in (year - 1, year))
    staff_before, staff_after = (
        _by_unit(frame, units, frame.slots.teachers, frame.column(y)) for y in (year - 1, year)
    )
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 8, area.index, year]))
    wobble = np.exp(rng.normal(0, 0.015, len(units.head)))
    active = np.flatnonzero((before + after > 0) & (after > 0))
    average = ((before * 2 + after) / 3)[active]
    public = frame.schools.public[units.head[active]]
    rates = np.array([_BUDGET[kind] for kind in units.kind[active]], dtype=np.float64).reshape(-1, 2)
    level = rates[:, 0] + (rates[:, 1] - rates[:, 0]) * (year - 2020) / 5
    tuition = np.array([_TUITION.get(kind, _OTHER_TUITION) for kind in units.kind[active]])
    factor = units.generosity[active] * wobble[active]
    budget = _cents(average * np.where(public, level, _SUBSIDY) * factor)
    other = _cents(average * np.where(public, level * 0.13, tuition) * factor)
    funds = budget // 90
    return FinanceYear(
        area=area,
        year=year,
        unit=active,
        kind=units.kind[active],
        students_before=before[active],
        students_after=after[active],
        staff_before=_staff(staff_before[active]),
        staff_after=_staff(staff_after[active]),
        spending=budget + funds + other,
        public_funds=budget + funds,
        budget=budget,
        education=budget - budget // 70,
    )


def _by_unit(frame: Frame, units: Units, matrix: Ints, column: int) -> Ints:
    unit = units.unit_of[frame.slots.school]
    own = unit >= 0
    return np.bincount(unit[own], weights=matrix[own, column], minlength=len(units.head)).astype(np.int64)


def _staff(teachers: Ints) -> Ints:
    return teachers + teachers // 8 + 1


def _cents(yuan: Floats) -> Ints:
    return np.rint(yuan * 100).astype(np.int64)


@cache
def _line_names() -> tuple[tuple[str, int, str], ...]:
    """(form, line, item) of every line of a unit, in database order."""
    people = [item for item, _ in items.STUDENT_ITEMS + items.STAFF_ITEMS]
    spending = [items.SPENDING_TOTAL]
    for name, _, leaves in items.SPENDING_GROUPS:
        spending += [name, *leaves]
    spending += items.SPENDING_TAIL
    lists = zip(FORMS, (people, list(items.INCOME_ITEMS), spending), strict=True)
    return tuple((form, line, item) for form, names in lists for line, item in enumerate(names, start=1))


def _first_line(form: str) -> int:
    return next(place for place, (name, line, _) in enumerate(_line_names()) if name == form and line == 1)


def finance_lines(
    frame: Frame, units: Units, totals: FinanceYear, rng: np.random.Generator, dirt: float
) -> FinanceLines:
    """The lines of a district and year in the database's column order (all text but 年度 and 行次)."""
    names = _line_names()
    count = len(totals.unit)
    amounts = np.full((count, len(names), AMOUNTS), NO_AMOUNT)
    _people_lines(totals, amounts[:, : _first_line("jz_2")])
    _income_lines(totals, amounts[:, _first_line("jz_2") : _first_line("jz_3")])
    _spending_lines(totals, amounts[:, _first_line("jz_3") :])
    flat = amounts.reshape(count * len(names), AMOUNTS)
    texts = [_money_text(flat[:, column]) for column in range(AMOUNTS)]
    kinds = np.repeat(totals.kind, len(names))
    damaged: dict[int, str] = {}
    lost: set[tuple[int, str, int]] = set()
    first = objects(texts[0])
    for row in pick(rng, len(flat), dirt):
        damaged[row] = _damage(rng, row, first, kinds)
        form, line, _ = names[row % len(names)]
        lost.add((int(totals.unit[row // len(names)]), form, line))
    texts[0] = text(first)
    return FinanceLines(_as_table(frame, units, totals, kinds, texts), damaged, lost)


def _damage(rng: np.random.Generator, row: int, first: Texts, kinds: Texts) -> str:
    """Spoil the first amount or the school kind of a line; returns the rule."""
    rule = choose(rng, ("finance.unknown_code", "finance.not_a_number"))
    if rule == "finance.unknown_code":
        kinds[row] = "999"
    else:
        first[row] = choose(rng, _WORDS)
    return rule


def _people_lines(totals: FinanceYear, out: Ints) -> None:
    students, staff = len(items.STUDENT_ITEMS), len(items.STAFF_ITEMS)
    pairs = ((totals.students_before, totals.staff_before), (totals.students_after, totals.staff_after))
    for column, (learners, people) in enumerate(pairs):
        shares = np.array([share for _, share in items.STUDENT_ITEMS])
        out[:, :students, column] = learners[:, None] * shares // 1000 * 100
        shares = np.array([share for _, share in items.STAFF_ITEMS])
        out[:, students : students + staff, column] = people[:, None] * shares // 1000 * 100


def _income_lines(totals: FinanceYear, out: Ints) -> None:
    """Income follows spending: public funds, fees, and a little interest, which no unit spends to the cent; every
    other line is nought."""
    out[:, :, 0] = 0
    fees = totals.spending - totals.public_funds
    surcharge = totals.budget // 20
    interest = totals.spending % 9_973 + 1
    further, earned = items.INCOME_ITEMS.index("五、其他教育经费") + 1, items.INCOME_ITEMS.index("2.利息收入") + 1
    lines = {
        1: totals.spending + interest,
        2: totals.public_funds,
        3: totals.budget,
        4: totals.budget,
        5: totals.budget - surcharge,
        7: surcharge,
        11: totals.public_funds - totals.budget,
        13: totals.public_funds - totals.budget,
        27: fees,
        28: fees - fees // 4,
        30: fees // 4,
        further: interest,
        earned: interest,
    }
    for line, cents in lines.items():
        out[:, line - 1, 0] = cents


def _spending_lines(totals: FinanceYear, out: Ints) -> None:
    """Line 1 in all eight columns; groups and items for the total, the public funds and the general budget."""
    construction = totals.education // 25
    columns = [totals.spending, totals.public_funds, totals.budget, totals.education]
    columns += [totals.education - construction, construction, totals.public_funds - totals.budget, totals.budget * 0]
    for number, cents in enumerate(columns):
        out[:, 0, number] = cents
    for number in range(3):
        _split(columns[number], out[:, :, number])
    out[:, -2, 0], out[:, -1, 0] = totals.spending // 60, totals.spending // 5


def _split(total: Ints, out: Ints) -> None:
    """Split a unit total over groups and their items so that both levels add up exactly."""
    shares = np.cumsum([share for _, share, _ in items.SPENDING_GROUPS])
    ends = total[:, None] * shares // shares[-1]
    groups = np.diff(ends, prepend=0, axis=1)
    line = 1
    for number, (_, _, leaves) in enumerate(items.SPENDING_GROUPS):
        out[:, line] = groups[:, number]
        weights = np.cumsum(np.arange(len(leaves), 0, -1) ** 2)
        parts = np.diff(groups[:, number, None] * weights // weights[-1], prepend=0, axis=1)
        out[:, line + 1 : line + 1 + len(leaves)] = parts
        line += 1 + len(leaves)


def _money_text(cents: Ints) -> TextArray:
    """Exact text with two decimals; null where there is no amount."""
    missing = cents == NO_AMOUNT
    safe = np.where(missing, 0, cents)
    whole: TextArray = pa.array(safe // 100, pa.int64(), mask=missing).cast(pa.string())
    return join([whole, take([f"{number:02d}" for number in range(100)], safe % 100)], ".")


def _as_table(frame: Frame, units: Units, totals: FinanceYear, kinds: Texts, texts: list[TextArray]) -> pa.Table:
    names = _line_names()
    count = len(totals.unit)
    unit = np.repeat(np.arange(count), len(names))
    line = np.tile(np.arange(len(names)), count)
    head = units.head[totals.unit]
    school_names = frame.schools.names(totals.year)[head]
    merged = np.bincount(units.unit_of[units.unit_of >= 0], minlength=len(units.head))[totals.unit] > 1
    unit_names = [f"{name}{'（汇总单位）' if many else ''}" for name, many in zip(school_names, merged, strict=True)]
    rows = count * len(names)
    stamp = f"{totals.year + 1}-07-{10 + totals.area.index % 15:02d} 17:30:00"
    columns = [
        integers(np.full(rows, totals.year)),
        take(units.code[totals.unit].tolist(), unit),
        take(unit_names, unit),
        take(frame.schools.code[head].tolist(), unit),
        repeat(totals.area.code, rows),
        text(kinds),
        take([form for form, _, _ in names], line),
        integers(np.array([number for _, number, _ in names])[line]),
        take([item for _, _, item in names], line),
        *texts,
        repeat(stamp, rows),
    ]
    return pa.table(columns, names=list(TABLE_COLUMNS))
