"""The feeds that do not follow from single schools: population, higher education, programmes, fiscal accounts.

Belongs here: calling each feed's writer, and the truth files of these feeds (`further_*.csv`). Does not belong here:
what a feed's figures are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sources.sample.damage import DamagedRow
from sources.sample.fiscal import AMOUNTS, Account
from sources.sample.fiscal_files import write_fiscal
from sources.sample.geography import CITY_CODE
from sources.sample.higher_files import HigherWritten, write_higher
from sources.sample.indicators import AreaTruth, roll_up
from sources.sample.population import LEVELS
from sources.sample.population_files import Key, write_population
from sources.sample.programme_files import ProgrammesWritten, write_programmes
from sources.sample.programmes import tally
from sources.sample.truth_files import INDICATOR_HEADER, damaged_rows, write_table

FURTHER_FEEDS = ("population", "higher_education", "programme_register", "fiscal_accounts")
_AGES = {"pre_gross_enrolment": (3, 5), "senior_gross_enrolment": (15, 17)}
_LEARNERS = {"pre_gross_enrolment": "pre_enrolment", "senior_gross_enrolment": "senior_enrolment"}
_FISCAL_HEADER = ("area_code", "fiscal_year", "status", *AMOUNTS, "civil_servant_pay", "teacher_pay")
_PROGRAMME_HEADER = ("target", "year", "recognised", "standing", "since_2016", "since_2021", "objects")
_STAFF_HEADER = ("year", "institution_kind", "full_time_teachers", "professional_teachers", "dual_qualified")
_SCALE = {
    "he_total_scale": ("doctor", "master", "bachelor", "college", "adult", "online", "self_study"),
    "he_postgraduate": ("doctor", "master"),
    "he_undergraduate": ("bachelor", "college"),
}
_SCHOOLING = {"avg_years_schooling": 15, "avg_years_schooling_working_age": 16}


@dataclass(frozen=True)
class Wish:
    """What is asked for: profile, years, seed, share of damaged rows, and the inbox to write into."""

    profile: str
    years: tuple[int, ...]
    seed: int
    dirt: float
    inbox: Path


@dataclass
class Further:
    """What the further feeds came to: rows by feed, damaged rows, and the indicators of the city (year, name ->
    numerator, denominator) and further truth tables (header and lines by name) counted over undamaged rows."""

    rows: dict[str, int] = field(default_factory=dict)
    damaged: list[DamagedRow] = field(default_factory=list)
    indicators: dict[tuple[int, str], tuple[int, int | None]] = field(default_factory=dict)
    tables: dict[str, tuple[Sequence[str], list[list[str]]]] = field(default_factory=dict)


def write_further(wish: Wish, truths: Sequence[AreaTruth]) -> Further:
    """Write the further feeds into the inbox; ``truths`` are the areas' truth over undamaged rows."""
    further = Further()
    _population(further, wish, truths)
    _higher(further, wish)
    _programmes(further, wish)
    _fiscal(further, wish)
    return further


def write_further_truth(folder: Path, further: Further) -> None:
    """`further_indicators.csv` (the city's) and `further_damaged.csv`, laid out as the files without `further_`."""
    rows = (
        [name, CITY_CODE, "city", str(year), str(top), "" if bottom is None else str(bottom)]
        for (year, name), (top, bottom) in sorted(further.indicators.items())
    )
    write_table(folder / "further_indicators.csv", INDICATOR_HEADER, rows)
    for name, (header, lines) in further.tables.items():
        write_table(folder / f"{name}.csv", header, lines)
    damaged_rows(folder / "further_damaged.csv", sorted(further.damaged, key=lambda row: tuple(vars(row).values())))


def _population(further: Further, wish: Wish, truths: Sequence[AreaTruth]) -> None:
    written = write_population(wish.profile, wish.years, wish.seed, wish.dirt, wish.inbox / "population")
    further.rows["population"] = written.rows
    further.damaged += written.damaged
    city = {year: truth.indicators for _, level, year, truth in roll_up(truths) if level == "city"}
    for year in wish.years:
        for name, (first, last) in _AGES.items():
            people = _people(written.counts, year, first, last)
            further.indicators[year, name] = (int(city[year][_LEARNERS[name]][0]), people)
        for name, first in _SCHOOLING.items():
            further.indicators[year, name] = _schooling(written.counts, year, first)


def _people(counts: dict[Key, int], year: int, first: int, last: int) -> int:
    return sum(
        count for key, count in counts.items() if key.year == year and not key.level and first <= key.first <= last
    )


def _schooling(counts: dict[Key, int], year: int, first: int) -> tuple[int, int]:
    """Years of schooling of everybody, and everybody."""
    years = {level[0]: level[1] for level in LEVELS}
    found = {key.level: n for key, n in counts.items() if key.year == year and key.level and key.first == first}
    return sum(n * years[level] for level, n in found.items()), sum(found.values())


def _higher(further: Further, wish: Wish) -> None:
    written = write_higher(wish.profile, wish.years, wish.seed, wish.dirt, wish.inbox / "higher_education")
    further.rows["higher_education"] = written.rows
    further.damaged += written.damaged
    for year in wish.years:
        for name, levels in _SCALE.items():
            further.indicators[year, name] = (_learners(written, year, levels), None)
    further.tables["further_higher_staff"] = (_STAFF_HEADER, _staff(written))


def _learners(written: HigherWritten, year: int, levels: Sequence[str]) -> int:
    return sum(row.enrolled for at, row in written.students if at == year and row.level in levels)


def _staff(written: HigherWritten) -> list[list[str]]:
    """Teachers by year and kind of institution."""
    sums: dict[tuple[int, str], list[int]] = {}
    for year, place, row in written.teachers:
        total = sums.setdefault((year, place.kind), [0, 0, 0])
        for at, count in enumerate((row.full_time, row.professional or 0, row.dual or 0)):
            total[at] += count
    return [[str(year), kind, *map(str, total)] for (year, kind), total in sorted(sums.items())]


def _programmes(further: Further, wish: Wish) -> None:
    written = write_programmes(wish.years, wish.seed, wish.dirt, wish.inbox / "programme_register")
    further.rows["programme_register"] = written.rows
    further.damaged += written.damaged
    further.tables["further_programmes"] = (_PROGRAMME_HEADER, _recognised(written, wish.years))


def _recognised(written: ProgrammesWritten, years: Sequence[int]) -> list[list[str]]:
    """Granted less withdrawn by the end of each year, of all decisions handed in, and what stands then."""
    found: list[list[str]] = []
    for target in sorted({event.target for event in written.events}):
        for year in years:
            net = sum(event.net for event in written.events if event.target == target and event.year <= year)
            counts = vars(tally(written.events, target, year)).values()
            found.append([target, str(year), str(net), *map(str, counts)])
    return found


def _fiscal(further: Further, wish: Wish) -> None:
    """The accounts that count, in yuan."""
    written = write_fiscal(wish.profile, wish.years, wish.seed, wish.dirt, wish.inbox / "fiscal_accounts")
    further.rows["fiscal_accounts"] = written.rows
    further.damaged += written.damaged
    lines = [
        [code, str(year), status, *map(str, _yuan(account))]
        for (code, year), (status, account) in sorted(written.accounts.items())
    ]
    further.tables["further_fiscal"] = (_FISCAL_HEADER, lines)


def _yuan(account: Account) -> list[int]:
    return [*(amount * 100 for amount in account.amounts), account.civil_servant_pay, account.teacher_pay]
