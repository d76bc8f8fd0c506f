"""eduplan measured from inside one long-lived process: warm runs, corrections on a standing home, the gate.

Started by `run.py` in a process of its own, so that memory and warmth belong to nobody else. Prints one JSON object a
round. Round 0 warms up (imports, the first parse of dbt) and is not part of any median.

    python benchmarks/child.py warm    HOME SAMPLE ROUNDS
    python benchmarks/child.py correct HOME ROUNDS
    python benchmarks/child.py gate    HOME PLAN ROUNDS
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl

from orchestration.cli.demo import hand_over
from orchestration.instance import run_job
from orchestration.report import RunRecord
from warehouse import candidate as candidates
from warehouse import duck
from warehouse import release as releases
from warehouse.candidate import Candidate
from warehouse.paths import Home

# Pupils who left school have no check in the forms: any number is a correction that no rule contradicts.
GRADUATES = {"教基3112": 3, "基础基312": 3}


def emit(**values: Any) -> None:
    """One line for `run.py`; and into the file BENCH_LOG names, so that what was measured survives an interruption."""
    line = json.dumps(values)
    print(line, flush=True)
    if log := os.environ.get("BENCH_LOG"):
        with Path(log).open("a", encoding="utf-8") as sink:
            sink.write(f"{line}\n")


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def one_run(home: Home) -> RunRecord:
    """One job in this process. Raises EduplanError when anything was refused."""
    return one_run_of(home, RunRecord())


def one_run_of(home: Home, record: RunRecord) -> RunRecord:
    """The same with a record of the caller's."""
    run_job(home, record, settle=0.0)
    return record


def warm(home: Home, sample: Path, rounds: int) -> None:
    """Landing to release in one process, each time into an empty home; only dbt's parse cache is left standing."""
    for number in range(rounds + 1):
        for entry in home.root.iterdir() if home.root.is_dir() else ():
            if entry.name != "dbt":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        home.ensure()
        hand_over(sample, home)
        seconds, record = timed(lambda: one_run(home))
        if record.release is None:
            raise SystemExit("a warm run published nothing")
        emit(round=number, seconds=seconds, stations=record.seconds, fingerprint=record.release.fingerprint)


def correct(home: Home, rounds: int) -> None:
    """A corrected district list falls into the inbox of a home that has published: until `current` is flipped."""
    last_year = max(path.stem.split("学年初")[0][-4:] for path in lists(home))
    by_size = sorted((path for path in lists(home) if last_year in path.name), key=lambda path: path.stat().st_size)
    source = by_size[len(by_size) // 2]
    for number in range(rounds + 1):
        part = home.root / f"correction-{number}.part"
        mangle(source, part, number + 1)
        before = releases.current(home)
        target = home.inbox / "school_census" / f"更正{os.getpid()}-{number}.xlsx"

        def arrive(part: Path = part, target: Path = target) -> RunRecord:
            part.replace(target)
            return one_run(home)

        seconds, record = timed(arrive)
        after = releases.current(home)
        if before is None or after is None or after.fingerprint == before.fingerprint:
            raise SystemExit("a correction did not reach the published marts")
        emit(round=number, seconds=seconds, stations=record.seconds, file=source.name, bytes=source.stat().st_size)


def lists(home: Home) -> list[Path]:
    """Collated lists as the sample names them."""
    return sorted((home.inbox / "school_census").glob("*学年初一览表.xlsx"))


def mangle(source: Path, target: Path, more: int) -> None:
    """The same list with another number of primary graduates in its first school."""
    book = openpyxl.load_workbook(source)
    name = next(name for name in book.sheetnames if name.strip() in GRADUATES)
    sheet, column = book[name], GRADUATES[name.strip()]
    row = next(at for at in range(1, sheet.max_row + 1) if str(sheet.cell(at, 1).value)[:1].isdigit())
    sheet.cell(row, column).value = int(sheet.cell(row, column).value) + more
    book.save(target)


def gate(home: Home, plan: Path, rounds: int) -> None:
    """The gate's whole evaluation of the standing candidate, and the same rules as plain SQL on the same file."""
    imported, modules = timed(_gate_modules)
    standing = releases.current(home)
    if standing is None:
        raise SystemExit("nothing was published")
    candidate = candidates.load(home, standing.candidate_id)
    rules = json.loads(plan.read_bytes())["rules"]
    for number in range(rounds + 1):
        seconds, verdict = timed(lambda: modules.gate.evaluate(candidate, modules.catalogue.catalogue()))
        bare, counts = timed(lambda: bare_rules(candidate, rules))
        judged = {result.rule_id: [result.rows_checked, result.rows_failed] for result in verdict.results}
        if judged != counts:
            differ = sorted(rule for rule in judged | counts if judged.get(rule) != counts.get(rule))
            raise SystemExit(f"the gate and plain SQL disagree on {differ}")
        pandas, failing = timed(lambda: pandas_rules(candidate, rules))
        if failing != {name: count for name, (_, count) in counts.items() if name in failing}:
            raise SystemExit("the rules fail differently on pandas")
        emit(round=number, seconds=seconds, bare=bare, pandas=pandas, rules=len(counts), imported=imported)


def _gate_modules() -> Any:
    import expectations.catalogue
    import expectations.gate

    expectations.warm()
    return expectations


def pandas_rules(candidate: Candidate, rules: list[Any]) -> dict[str, int]:
    """rule -> rows failing, by Great Expectations on pandas; rules on row counts left out.

    SQL still makes the columns that say of each row whether it passes: pandas could not express their conditions.
    """
    import great_expectations as gx

    from expectations import gx_runner

    failing: dict[str, int] = {}
    # The gate's own settings: nothing kept, nothing printed.
    source = gx_runner._context().data_sources.add_pandas("frames")
    with duck.connect(candidate.database, read_only=True) as connection:
        for number, (relation, members) in enumerate(rules):
            asked = [rule for rule in members if rule["low"] is None]
            columns = [
                f"CASE WHEN {rule['scope']} THEN NOT coalesce({rule['fails']}, false) END AS c{at}"
                for at, rule in enumerate(asked)
            ]
            if not columns:
                continue
            frame = connection.execute(f"SELECT {', '.join(columns)} FROM {relation} AS examined").fetch_df()
            batch = source.add_dataframe_asset(f"f{number}").add_batch_definition_whole_dataframe("whole")
            wanted = [
                gx.expectations.ExpectColumnValuesToBeInSet(column=f"c{at}", value_set=[True], meta={"id": rule["id"]})
                for at, rule in enumerate(asked)
            ]
            suite = gx.ExpectationSuite(name=f"s{number}", expectations=wanted)
            found = batch.get_batch({"dataframe": frame}).validate(suite, result_format="BASIC")
            for result in found.results:
                failing[result.expectation_config.meta["id"]] = int(result.result.get("unexpected_count") or 0)
    return failing


def bare_rules(candidate: Candidate, rules: list[Any]) -> dict[str, list[int]]:
    """rule -> [examined, failing], one scan a relation."""
    from floor import check

    with duck.connect(candidate.database, read_only=True) as connection:
        return check(connection, {"tests": [], "rules": rules})


def main(arguments: list[str]) -> None:
    """Run one mode."""
    mode, home, *rest = arguments
    steps: dict[str, Callable[[], None]] = {
        "warm": lambda: warm(Home(Path(home)), Path(rest[0]), int(rest[1])),
        "correct": lambda: correct(Home(Path(home)), int(rest[0])),
        "gate": lambda: gate(Home(Path(home)), Path(rest[0]), int(rest[1])),
    }
    steps[mode]()


if __name__ == "__main__":
    main(sys.argv[1:])
