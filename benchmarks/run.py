"""`make bench`: eduplan against the bare engine, in one session, on one generated city. One table of ratios.

Belongs here: the order of rounds and the table. What does not: running and sampling memory (`measuring.py`), the floor
(`floor.py`), the analyst (`analyst.py`), what happens inside eduplan's process (`child.py`). Rows are explained in
`docs/performance.md`. Rounds of what is compared alternate, so that a noisy minute harms both sides.

    python benchmarks/run.py [--profile city|small] [--years 2020-2025] [--rounds 3] [--only a,b,d] [--events 20]
                             [--growth city|small] [--times 1,2,4,8] [--analyst city|small] [--analyst-years 2025]
                             [--work DIR]

With --work, what is measured lies in DIR/bench.json after every round, and samples and homes there are used again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analyst_agreement import LEFT_OUT, DifferenceError, compare, compare_rules
from compare import differing_rows
from measuring import ROOT, SAMPLE_EVERY, SELDOM, Series, machine, run
from sqltext import plan_of

from orchestration.cli.demo import hand_over, years_of
from sources.sample import write_sample
from warehouse.paths import Home

HERE = Path(__file__).resolve().parent
SEED = 20250901
EVERYTHING = "abcdefg"
TITLES = {
    "eduplan cold": "a  eduplan, landing → release, fresh process",
    "eduplan warm": "a  eduplan, landing → release, second run in one process",
    "floor": "b  the floor: bare pyarrow + calamine + DuckDB",
    "analyst": "c  pandas + openpyxl",
    "eduplan beside analyst": "c  eduplan cold on the same city as pandas",
    "correction": "d  one district's correction under the daemon, event → release",
    "correction, long history": "d  the same with ten times the deliveries in ledger and archive",
    "gate": "e  the gate on the sealed candidate, warm",
    "bare rules": "e  the same rules as plain SQL",
    "rules on pandas": "e  the same rules by Great Expectations on pandas",
}
TIMES = 10
LATENCY = "latency.py"
WAYS = "ways.py"
GROWTH = "1,2,4,8"


@dataclass
class Session:
    """One bench: where it works, what it has measured, what it concluded."""

    work: Path
    rounds: int
    years: tuple[int, ...]
    profile: str
    analyst_profile: str = "city"
    analyst_years: tuple[int, ...] = ()
    events: int = 20
    growth_profile: str = "city"
    growth: tuple[int, ...] = ()
    conditions: list[str] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    stations: dict[str, dict[str, float]] = field(default_factory=dict)
    verdicts: list[str] = field(default_factory=list)

    @property
    def sample(self) -> Path:
        """The city everything but row c is measured on."""
        return self.work / f"sample-{self.profile}-{self.years[0]}-{self.years[-1]}"

    @property
    def standing(self) -> Home:
        """A home that has published this city."""
        return Home(self.work / "standing")

    @property
    def plan(self) -> Path:
        """The SQL for the floor."""
        return self.work / "plan.json"

    def of(self, name: str) -> Series:
        """The series of that name, made on first use."""
        return self.series.setdefault(name, Series())

    def save(self) -> None:
        """Everything measured so far, on disk."""
        record = {"conditions": self.conditions, "verdicts": self.verdicts, "stations": self.stations}
        record["series"] = {name: asdict(series) for name, series in self.series.items()}
        path = self.work / "bench.json"
        path.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")


def estimate(what: str, rounds: int, seconds: float) -> None:
    """How long what was begun will still take."""
    if rounds > 0:
        say(f"  {what}: {rounds} more, about {rounds * seconds / 60:.1f} minutes")


def say(text: str) -> None:
    """Progress goes to standard error; the table is all that standard output holds."""
    print(text, file=sys.stderr, flush=True)


def city(folder: Path, profile: str, years: Sequence[int]) -> Path:
    """A tidy sample (dirt 0), written once for each folder."""
    if not (folder / "README.md").is_file():
        say(f"writing the sample {folder.name} …")
        write_sample(profile, years, SEED, 0.0, folder)
    return folder


def eduplan_cold(session: Session, name: str, sample: Path, home: Home) -> dict[str, Any]:
    """`eduplan run` in a fresh process and an empty home; what it printed."""
    shutil.rmtree(home.root, ignore_errors=True)
    home.ensure()
    hand_over(sample, home)
    command = "import sys; from orchestration.cli import main; sys.exit(main(['run', '--json']))"
    ran = run(["-c", command], env=environment(home), log=session.work / "eduplan.log")
    session.of(name).add_run(ran)
    result: dict[str, Any] = json.loads(ran.stdout)
    say(f"  {name}: {ran.seconds:.2f} s, {ran.peak_mib:.0f} MiB")
    session.save()
    return result


def environment(home: Home) -> dict[str, str]:
    """The checkout's code, this home; files count as complete at once."""
    return {**as_it_comes(home), "EDUPLAN_SETTLE_SECONDS": "0"}


def as_it_comes(home: Home) -> dict[str, str]:
    """The checkout's code and this home, with the settings nobody has to make: a daemon lets files rest."""
    return {"PYTHONPATH": str(ROOT), "EDUPLAN_PROJECT": str(ROOT), "EDUPLAN_HOME": str(home.root)}


def child(session: Session, home: Home, *arguments: str, script: str = "child.py") -> list[dict[str, Any]]:
    """Rounds of `child.py`; a warming round 0 is left out of the list and its peak belongs to all. Its lines also come
    to rounds.jsonl as it prints them."""
    under_a_daemon = script in {LATENCY, WAYS}
    found_here = as_it_comes(home) if under_a_daemon else environment(home)
    env = {**found_here, "BENCH_LOG": str(session.work / "rounds.jsonl")}
    every = SELDOM if under_a_daemon else SAMPLE_EVERY
    ran = run([*started(script), *arguments], env=env, log=session.work / "child.log", every=every)
    found = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    for entry in found:
        entry["peak_mib"] = ran.peak_mib
        say(f"  {entry.get('way', arguments[0])} {entry['round']}: {entry['seconds']:.2f} s")
    return [entry for entry in found if entry["round"]]


def started(script: str) -> list[str]:
    """How a script of this room is started. Not by its name where worker processes follow: each of them would import it
    first, with all it imports."""
    if script in {LATENCY, WAYS}:
        return [str(HERE / script)]
    name = script.removesuffix(".py")
    return ["-c", f"import sys; sys.path.insert(0, {str(HERE)!r}); from {name} import main; main(sys.argv[1:])"]


def remember(session: Session, name: str, rounds: Sequence[dict[str, float]]) -> None:
    """Median seconds of each station over rounds."""
    names = dict.fromkeys(station for entry in rounds for station in entry)
    session.stations[name] = {
        station: statistics.median(entry.get(station, 0.0) for entry in rounds) for station in names
    }


def with_rest(stations: dict[str, float], total: float) -> dict[str, float]:
    """The stations and what lies outside them: start, imports, what Dagster does around its steps."""
    return {**stations, "elsewhere": total - sum(stations.values())}


def measure_end_to_end(session: Session, only: str) -> None:
    """Rows a (cold) and b, alternating. The first cold run always happens: it gives the SQL and the standing home."""
    stations: list[dict[str, float]] = []
    floors: list[dict[str, float]] = []
    rounds = session.rounds if "a" in only or "b" in only else 1
    if rounds == 1 and (found := standing_result(session)):
        say(f"  the home in {session.standing.root} is used again: {found}")
        return
    for number in range(rounds):
        home = session.standing if number == 0 else Home(session.work / "cold")
        result = eduplan_cold(session, "eduplan cold", session.sample, home)
        stations.append(with_rest(result["seconds"], session.of("eduplan cold").seconds[-1]))
        if number == 0:
            plan = plan_of(home.candidates / result["candidate_id"])
            session.plan.write_text(json.dumps(plan), encoding="utf-8")
        if "b" in only:
            floors.append(measure_floor(session, Path(result["release"]), number))
        if number == 0:
            taken = sum(series.seconds[0] for series in session.series.values())
            estimate("rounds of a and b", rounds - 1, taken)
    remember(session, "eduplan cold", stations)
    if floors:
        remember(session, "floor", floors)
    shutil.rmtree(session.work / "cold", ignore_errors=True)


def standing_result(session: Session) -> str:
    """The release of the standing home of an earlier session in the same folder; '' when there is none."""
    if not session.plan.is_file() or not session.standing.current.is_symlink():
        return ""
    return session.standing.current.resolve().name


def measure_floor(session: Session, release: Path, number: int) -> dict[str, float]:
    """One round of the floor; its marts are compared with the release of the same round."""
    out = session.work / "floor"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["--sample", session.sample, "--plan", session.plan, "--out", out]
    ran = run([str(HERE / "floor.py"), *map(str, arguments)], env={}, log=session.work / "floor.log")
    session.of("floor").add_run(ran)
    say(f"  floor: {ran.seconds:.2f} s, {ran.peak_mib:.0f} MiB")
    session.save()
    compared = differing_rows(release, out)
    if differing := {name: count for name, count in compared.items() if count}:
        raise SystemExit(f"the floor's marts are not eduplan's: rows that differ {differing}")
    printed = json.loads(ran.stdout)
    rules = same_rules(printed["counts"], release)
    if number == 0:
        session.verdicts.append(
            f"floor: every mart equals ours, row for row ({len(compared)} marts); {rules} rules count the same rows, "
            f"{len(printed['counts']) - rules} tests find none; {printed['rows']['in']:,} source rows"
        )
    seconds: dict[str, float] = printed["seconds"]
    return seconds


def same_rules(counts: dict[str, list[int]], release: Path) -> int:
    """How many rules the gate judged. Raises SystemExit unless the floor examined and failed as many rows by each of
    them, and none by dbt's tests, which let no release come about when they fail."""
    judged = json.loads((release / "quality" / "verdict.json").read_bytes())["results"]
    expected = {result["rule_id"]: [result["rows_checked"], result["rows_failed"]] for result in judged}
    expected |= {name: [1, 0] for name in counts.keys() - expected.keys()}
    differing = {name: (counts.get(name), count) for name, count in expected.items() if counts.get(name) != count}
    if differing:
        raise SystemExit(f"rules and tests the floor counts differently (floor, eduplan): {differing}")
    return len(judged)


def measure_warm(session: Session) -> None:
    """Row a, warm."""
    home = Home(session.work / "warm")
    found = child(session, home, "warm", str(home.root), str(session.sample), str(session.rounds))
    for entry in found:
        session.of("eduplan warm").add(entry["seconds"], entry["peak_mib"])
    remember(session, "eduplan warm", [with_rest(entry["stations"], entry["seconds"]) for entry in found])
    shutil.rmtree(home.root, ignore_errors=True)


def measure_analyst(session: Session) -> None:
    """Row c: both on a city of the analyst's years; the whole one unless asked otherwise."""
    profile, years = session.analyst_profile, session.analyst_years
    sample = city(session.work / f"sample-{profile}-{years[0]}-{years[-1]}", profile, years)
    stations: list[dict[str, float]] = []
    home, workbook = Home(session.work / "cold"), session.work / "analyst.xlsx"
    for number in range(session.rounds):
        result = eduplan_cold(session, "eduplan beside analyst", sample, home)
        arguments = ["--sample", str(sample), "--out", str(workbook)]
        ran = run([str(HERE / "analyst.py"), *arguments], env={}, log=session.work / "analyst.log")
        session.of("analyst").add_run(ran)
        session.save()
        say(f"  analyst: {ran.seconds:.2f} s, {ran.peak_mib:.0f} MiB")
        stations.append(with_rest(json.loads(ran.stdout)["seconds"], ran.seconds))
        told = agreement(workbook, json.loads(ran.stdout)["rules"], Path(result["release"]))
        if number == 0:
            taken = ran.seconds + session.of("eduplan beside analyst").seconds[0]
            estimate("rounds of c", session.rounds - 1, taken)
    remember(session, "analyst", stations)
    rows = json.loads(ran.stdout)["rows"]["in"]
    session.verdicts.append(f"{told}; {rows:,} source rows, on the {profile} city, {years[0]}–{years[-1]}")
    shutil.rmtree(home.root, ignore_errors=True)


def agreement(workbook: Path, counts: dict[str, list[int]], release: Path) -> str:
    """The analyst's marts and checks against ours. Raises SystemExit when one differs, with mart, column and rows, or
    with the rule."""
    try:
        compared, agreeing = compare(workbook, release), compare_rules(counts, release)
    except DifferenceError as error:
        raise SystemExit(f"the analyst's marts or checks are not eduplan's: {error}") from error
    cells = sum(compared.values())
    return (
        f"analyst: all {len(compared)} marts have our rows, and {cells:,} cells are ours (numbers within a millionth; "
        f"left out: {', '.join(sorted(LEFT_OUT))}); {len(counts)} rules run, {agreeing} of them counted as the gate's "
        "(the others look at cells that the release lacks)"
    )


def measure_correction(session: Session) -> None:
    """Row d, on the standing home, before and after its history grew."""
    measure_events(session, "correction")
    grown = run(
        [str(HERE / LATENCY), "history", str(session.standing.root), str(TIMES)],
        env=environment(session.standing),
        log=session.work / "child.log",
    )
    told = json.loads(grown.stdout)
    session.verdicts.append(
        f"history: {told['deliveries']:,} deliveries in ledger and archive, {told['active']:,} count"
    )
    measure_events(session, "correction, long history")


def measure_events(session: Session, name: str) -> None:
    """Corrections one after the other under a daemon."""
    say(f"  {name}: {session.events + 1} events, under a minute each on an idle machine")
    arguments = ["events", str(session.standing.root), str(session.events)]
    found = child(session, session.standing, *arguments, script=LATENCY)
    for entry in found:
        session.of(name).add(entry["seconds"], entry["peak_mib"])
    session.verdicts.append(
        f"{name}: p50 {session.of(name).median:.1f} s, p95 {session.of(name).p95:.1f} s over {len(found)} events; "
        f"{found[0]['file']}, {found[0]['bytes']:,} bytes; from the rename into the inbox, the sensor's tick of up to "
        f"5 s and its window of 2 s included; warm {found[0]['ready']:.0f} s after the daemon's start"
    )
    session.save()


def measure_ways(session: Session) -> None:
    """Row g, on the standing home: events by every way in, the ways in turn."""
    say(f"  {session.events + 1} events of each way, under a minute each on an idle machine")
    arguments = [str(session.standing.root), str(session.events)]
    for entry in child(session, session.standing, *arguments, script=WAYS):
        name = f"event by {entry['way']}"
        TITLES[name] = f"g  an event by {entry['way']} under the daemon, event → release"
        session.of(name).add(entry["seconds"], entry["peak_mib"])
    for name, series in session.series.items():
        if name.startswith("event by "):
            told = f"p50 {series.median:.1f} s, p95 {series.p95:.1f} s over {len(series.seconds)} events"
            session.verdicts.append(f"{name}: {told}")
    session.save()


def measure_gate(session: Session) -> None:
    """Row e, on the standing home."""
    found = child(session, session.standing, "gate", str(session.standing.root), str(session.plan), str(session.rounds))
    for entry in found:
        session.of("gate").add(entry["seconds"], entry["peak_mib"])
        session.of("bare rules").add(entry["bare"])
        session.of("rules on pandas").add(entry["pandas"])
    session.verdicts.append(
        f"gate: {found[0]['rules']} rules, counts equal plain SQL's; importing Great Expectations took "
        f"{found[0]['imported']:.1f} s once; on pandas the columns that say which row passes are still made by SQL"
    )
    session.save()


def measure_growth(session: Session) -> None:
    """Row f: one year of a city with so many times the schools, the sizes in turn."""
    home = Home(session.work / "cold")
    last = session.years[-1]
    for number in range(session.rounds):
        for factor in session.growth:
            profile = session.growth_profile if factor == 1 else f"{session.growth_profile}-x{factor}"
            name = f"{factor} times the schools"
            TITLES[name] = f"f  eduplan cold, {name} of the {session.growth_profile} city, {last}"
            sample = city(session.work / f"sample-{profile}-{last}-{last}", profile, (last,))
            eduplan_cold(session, name, sample, home)
        if number == 0:
            taken = sum(session.of(f"{factor} times the schools").seconds[0] for factor in session.growth)
            estimate("rounds of f", session.rounds - 1, taken)
    shutil.rmtree(home.root, ignore_errors=True)


RATIOS = (
    ("a/b cold", "eduplan cold", "floor", "≤ 3.0"),
    ("a/b warm", "eduplan warm", "floor", "≤ 2.0"),
    ("c/a", "analyst", "eduplan beside analyst", "≥ 5"),
    ("d with ten times the history", "correction, long history", "correction", "≤ 1.3"),
    ("e gate / bare SQL", "gate", "bare rules", "≤ 1.5"),
    ("e on pandas / gate", "rules on pandas", "gate", ""),
    ("f 2 times the schools", "2 times the schools", "1 times the schools", ""),
    ("f 4 times the schools", "4 times the schools", "1 times the schools", ""),
    ("f 8 times the schools", "8 times the schools", "1 times the schools", "≤ 9"),
)


def table(session: Session) -> str:
    """The one table, in Markdown."""
    lines = ["| what | median s | min–max s | rounds | processor s | peak MiB |", "|---|--:|--:|--:|--:|--:|"]
    for name, series in session.series.items():
        peak = f"{series.peak:.0f}" if series.peak is not None else ""
        processor = f"{series.processor:.1f}" if series.processor is not None else ""
        spread = f"{min(series.seconds):.2f}–{max(series.seconds):.2f}"
        lines.append(
            f"| {TITLES[name]} | {series.median:.2f} | {spread} | {len(series.seconds)} | {processor} | {peak} |"
        )
    lines += ["", "| ratio of medians | | bar |", "|---|--:|--:|"]
    for title, above, below, bar in RATIOS:
        if above in session.series and below in session.series:
            lines.append(f"| {title} | {session.of(above).median / session.of(below).median:.2f} | {bar} |")
    if session.stations:
        lines += ["", "| seconds by station (medians) | |", "|---|---|"]
        for name, stations in session.stations.items():
            shown = ", ".join(f"{station} {seconds:.2f}" for station, seconds in stations.items())
            lines.append(f"| {name} | {shown} |")
    return "\n".join(lines)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="eduplan against the bare engine: one table of ratios.")
    parser.add_argument("--profile", choices=("city", "small"), default="city")
    parser.add_argument("--years", default="2020-2025")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(EVERYTHING), help="rows to measure, e.g. a,b,d")
    parser.add_argument("--analyst", choices=("city", "small"), default="city", help="the city of row c")
    parser.add_argument("--analyst-years", help="its years; those of --years unless told")
    parser.add_argument(
        "--events", type=int, default=20, help="of row d before and after history grew, of row g each way"
    )
    parser.add_argument("--growth", choices=("city", "small"), default="city", help="the city whose schools multiply")
    parser.add_argument("--times", default=GROWTH, help="how many times the schools, e.g. 1,2")
    parser.add_argument("--work", type=Path, help="folder to work in; kept, and its samples are used again")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and print the table. Exits 1 when floor, gate or analyst disagree with eduplan."""
    options = options_of(arguments)
    only = "".join(part.strip() for part in options.only.split(","))
    if not only or set(only) - set(EVERYTHING) or options.rounds < 1:
        raise SystemExit(f"--only takes letters of {','.join(EVERYTHING)}; --rounds is at least 1")
    conditions = machine()
    work = options.work or Path(tempfile.mkdtemp(prefix="eduplan-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    years = years_of(options.profile, options.years)
    session = Session(work.resolve(), options.rounds, years, options.profile, options.analyst)
    session.analyst_years = years_of(options.analyst, options.analyst_years or options.years)
    session.events, session.growth_profile, session.conditions = options.events, options.growth, conditions
    session.growth = tuple(sorted(int(factor) for factor in options.times.split(",")))
    try:
        measure(session, only)
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    print(f"eduplan bench: {options.profile} city, {years[0]}–{years[-1]}, {options.rounds} rounds\n")
    print("\n".join(f"- {line}" for line in (*conditions, *session.verdicts)) + "\n")
    print(table(session))
    return 0


def measure(session: Session, only: str) -> None:
    """The rows asked for, in order."""
    city(session.sample, session.profile, session.years)
    if set(only) - set("cf"):
        measure_end_to_end(session, only)
    steps = {
        "a": measure_warm,
        "c": measure_analyst,
        "e": measure_gate,
        "g": measure_ways,
        # Behind the others on that home: it grows its history.
        "d": measure_correction,
        "f": measure_growth,
    }
    for letter, step in steps.items():
        if letter in only:
            say(f"row {letter}")
            step(session)
            session.save()


if __name__ == "__main__":
    sys.exit(main())
