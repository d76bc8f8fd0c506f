"""kill -9 in the middle of publishing, and readers while releases flip."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.candidate_kit import REPORT, copied_home, judged, make_candidate
from tests.support.dying_publisher import publish_and_die, steps_of
from warehouse.attestation import HEAD_FILE
from warehouse.candidate import load
from warehouse.ledger import Ledger
from warehouse.manifest import current, file_findings, release_folders
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.verdict import Verdict
from warehouse.verify import verify


def _copy(home: Home, target: Path) -> Home:
    shutil.copytree(home.root, target, symlinks=True)
    return Home(target)


def _points(steps: list[str]) -> list[int]:
    """Two random steps, and the four that matter most: before the folder's rename, before and after the flip, and
    before the signed head gets its name."""
    renames = [n for n, step in enumerate(steps, 1) if step.startswith("os.rename")]
    flip = next(n for n in renames if ".tmp-" in steps[n - 1] and "current" in steps[n - 1])
    settled = next(n for n in renames if ".building-" in steps[n - 1])
    head = next(n for n in renames if HEAD_FILE in steps[n - 1])
    chosen = {settled, flip, flip + 1, head}
    drawn = random.Random(20250930).sample([n for n in range(1, len(steps)) if n not in chosen], 2)
    return sorted({*drawn, *chosen})


def test_killed_at_any_point_current_is_whole_and_a_rerun_converges(once_released: Home, tmp_path: Path) -> None:
    home = copied_home(once_released, tmp_path)
    first = current(home)
    assert first is not None
    ledger = Ledger(home.ledger_url)
    two = make_candidate(home, ledger, 2.0)
    judged(ledger, two)
    ledger.close()
    points = _points(steps_of(_copy(home, tmp_path / "counted"), two.candidate_id, tmp_path / "told"))
    assert len(points) == 6
    for point in points:
        trial = _copy(home, tmp_path / f"round{point}")
        assert publish_and_die(trial, two.candidate_id, point) == -signal.SIGKILL, f"step {point}"
        _check_whole(trial, {first.candidate_id, two.candidate_id})
        _check_converges(trial, two.candidate_id)


def _check_whole(home: Home, allowed: set[str]) -> None:
    standing = current(home)
    assert standing is not None
    assert standing.candidate_id in allowed
    assert file_findings(standing) == []


def _check_converges(home: Home, candidate_id: str) -> None:
    ledger = Ledger(home.ledger_url)
    ledger.reconcile(home)
    candidate = load(home, candidate_id)
    verdict = Verdict.from_json((candidate.path / "verdict.json").read_bytes())
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT)
    assert current(home) == release
    assert [row.candidate_id for row in ledger.releases()].count(candidate_id) == 1
    assert len(release_folders(home)) == len(ledger.releases()) == 2
    assert not list(home.releases.glob(".*"))
    assert not list(home.root.glob(".tmp-*"))
    assert verify(home) == []
    ledger.close()


_READER = """
import sys, duckdb
path, seen = sys.argv[1], set()
print("ready", flush=True)
while True:
    with duckdb.connect(path, read_only=True) as connection:
        rows = connection.execute(
            "SELECT DISTINCT f.value, p.status FROM marts.marts.fct_indicator_value f, marts.marts.mart_plan_progress p"
        ).fetchall()
    assert len(rows) == 1 and float(rows[0][1]) == rows[0][0], rows
    seen.add(rows[0][0])
    if rows[0][0] == float(sys.argv[2]):
        break
print(sorted(seen))
"""


def test_readers_see_no_error_and_no_mix_while_releases_flip(home: Home, ledger: Ledger) -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    ready = [make_candidate(home, ledger, value) for value in values]
    publish(home, ledger, ready[0], judged(ledger, ready[0]), artefacts=REPORT)
    command = [sys.executable, "-c", _READER, str(home.current / "marts.duckdb"), str(values[-1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for candidate in ready[1:]:
            publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
        output, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    assert output.strip().endswith("4.0]")


def test_a_lost_ledger_costs_no_release(twice_released: Home, tmp_path: Path) -> None:
    home = copied_home(twice_released, tmp_path)
    before = release_folders(home)
    for path in home.root.glob("ledger.db*"):
        path.unlink()
    empty = Ledger(home.ledger_url)
    done = empty.reconcile(home)
    empty.close()
    assert release_folders(home) == before
    assert any("不在台账中" in line for line in done)


@pytest.mark.parametrize("folder", ["releases", "candidates"])
def test_what_a_dead_process_left_is_swept(home: Home, ledger: Ledger, folder: str) -> None:
    leftover = home.root / folder / ".building-x-1-0"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("x")
    (leftover / ".lease").write_text("")
    assert len(ledger.reconcile(home)) == 1
    assert not leftover.exists()
