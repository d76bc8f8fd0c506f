"""The finance bureau's files: a preliminary account (快报) in 亿元 and a final one (决算) in 万元 a year.

Belongs here: files, with the lines above and below the table, and the damage done to them. Does not belong here: how
much is spent (``fiscal``).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from sources.sample.damage import DamagedRow, choose, pick
from sources.sample.fiscal import AMOUNTS, Account, accounts
from sources.sample.geography import CITY_CODE
from sources.sample.profiles import profile_of
from sources.sample.vocab import words

FEED = "fiscal_accounts"
_HEADER = words(
    "区县 年度 一般公共预算支出 一般公共预算教育支出 其中：教育事业费 基本建设 教育费附加 国家财政性教育经费 "
    "教育财政拨款 财政经常性收入 公务员年平均工资收入 义务教育教师年平均工资收入 数据状态"
)
_ABOVE = 3
_DAMAGE = ("fiscal.not_a_number", "fiscal.bad_area", "fiscal.parts_mismatch")
_EDUCATION, _OPERATING = 3, 4


@dataclass(frozen=True)
class Edition:
    """A file: year, status, its label, the unit it is in, how many hundreds of yuan make one, and its date."""

    year: int
    status: str
    label: str
    unit: str
    hundreds: int
    day: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.year}年区县教育财政收支（{self.label}）.csv"


@dataclass
class FiscalWritten:
    """What was written, and the accounts that count: (area code, year) -> (status, account)."""

    rows: int = 0
    damaged: list[DamagedRow] = field(default_factory=list)
    accounts: dict[tuple[str, int], tuple[str, Account]] = field(default_factory=dict)


def write_fiscal(profile: str, years: Sequence[int], seed: int, dirt: float, folder: Path) -> FiscalWritten:
    """Write the files of the years."""
    written = FiscalWritten()
    for year in years:
        final = accounts(profile_of(profile), seed, year)
        for place, edition in enumerate(_editions(year)):
            rng = np.random.default_rng(np.random.SeedSequence([seed, profile_of(profile).number, 53, year, place]))
            _write(written, folder, edition, [_as_known_then(account, edition) for account in final], rng, dirt)
    return written


def _editions(year: int) -> tuple[Edition, Edition]:
    return (
        Edition(year, "preliminary", "快报", "亿元", 1_000_000, f"{year + 1}年7月22日"),
        Edition(year, "final", "决算", "万元", 100, f"{year + 1}年11月28日"),
    )


def _as_known_then(account: Account, edition: Edition) -> Account:
    """In July a little is still missing; parts that add up go on adding up."""
    if edition.status == "final":
        return account
    amounts = [amount - amount // 70 for amount in account.amounts]
    amounts[AMOUNTS.index("education_operating")] = amounts[1] - amounts[3] - amounts[4]
    return Account(account.area, account.year, tuple(amounts), account.civil_servant_pay, account.teacher_pay)


def _write(  # noqa: PLR0917 - one file has these parts
    written: FiscalWritten,
    folder: Path,
    edition: Edition,
    own: Sequence[Account],
    rng: np.random.Generator,
    dirt: float,
) -> None:
    rows = [_row(account, edition) for account in own]
    total = ["合计", str(edition.year), *_sums(own, edition), "", "", edition.label]
    lost: dict[int, str] = {}
    for at in pick(rng, len(rows), dirt):
        lost[at] = choose(rng, _DAMAGE)
        _break(rows[at], lost[at])
    (folder / edition.name).write_bytes(_table(edition, [*rows, total]))
    written.rows += len(rows)
    written.damaged += [
        DamagedRow(FEED, edition.name, "", "", _ABOVE + at + 1, rule, "damage", CITY_CODE, edition.year)
        for at, rule in lost.items()
    ]
    # The final account is written last and replaces what was known before, row by row.
    kept = [account for at, account in enumerate(own) if at not in lost]
    written.accounts |= {(account.area.code, account.year): (edition.status, account) for account in kept}


def _row(account: Account, edition: Edition) -> list[str]:
    name = "市本级" if account.area.municipal else account.area.name
    shown = [_money(amount, edition) for amount in account.amounts]
    pay = [f"{account.civil_servant_pay}", f"{account.teacher_pay}"]
    return [name, str(account.year), *shown, *pay, edition.label]


def _money(hundreds: int, edition: Edition) -> str:
    """Exact, with thousands separators in the preliminary file."""
    value = Decimal(hundreds) / edition.hundreds
    return f"{value:,f}" if edition.status == "preliminary" else f"{value:.2f}"


def _sums(own: Sequence[Account], edition: Edition) -> list[str]:
    return [_money(sum(account.amounts[at] for account in own), edition) for at in range(len(AMOUNTS))]


def _break(row: list[str], rule: str) -> None:
    if rule == "fiscal.bad_area":
        row[0] = "某某区"
    elif rule == "fiscal.not_a_number":
        row[_EDUCATION] = "约一亿"
    else:
        row[_OPERATING] = row[_EDUCATION]


def _table(edition: Edition, rows: Sequence[Sequence[str]]) -> bytes:
    """UTF-8 with BOM, as the bureau's system exports it."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([f"重庆市{edition.year}年区县教育财政收支情况（合成样例数据）"])
    writer.writerow([f"单位：{edition.unit}（工资为元）"])
    writer.writerow(_HEADER)
    writer.writerows(rows)
    writer.writerow(["注：市本级不含对区县的转移支付。"])
    writer.writerow([f"填报日期：{edition.day}"])
    return buffer.getvalue().encode("utf-8-sig")
