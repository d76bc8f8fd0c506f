"""Tables of a release that are written before anybody judged them: used, passed over, removed."""

from __future__ import annotations

import errno
from pathlib import Path

import duckdb
import pytest

from tests.support.candidate_kit import REPORT, copied_home, judged, make_candidate
from warehouse import candidate as candidates
from warehouse.candidate import Candidate
from warehouse.draft import Draft, write_draft
from warehouse.errors import Fault
from warehouse.ledger import Ledger
from warehouse.lock import drop_lease
from warehouse.manifest import current
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home
from warehouse.release import publish, staying
from warehouse.unchanged import NOTHING
from warehouse.verify import verify


@pytest.fixture
def home(once_released: Home, tmp_path: Path) -> Home:
    return copied_home(once_released, tmp_path)


@pytest.fixture
def candidate(home: Home, ledger: Ledger) -> Candidate:
    """The candidate that would follow the standing release."""
    return make_candidate(home, ledger, 2.0)


def drafts(home: Home) -> list[Path]:
    return list(home.candidates.glob(f"{candidates.BUILDING}*"))


def drafted(home: Home, ledger: Ledger, candidate: Candidate) -> Draft:
    return write_draft(home, candidate, staying(home, ledger, candidate))


def test_a_draft_becomes_the_release_it_was_written_for(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    draft = drafted(home, ledger, candidate)
    database = draft.folder / MARTS_FILE
    written = (database.stat().st_ino, {path.name for path in (draft.folder / "parquet").iterdir()})
    verdict = judged(ledger, candidate)
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT, draft=lambda _: draft)
    assert (release.path / MARTS_FILE).stat().st_ino == written[0]
    assert {path.name for path in (release.path / "parquet").iterdir()} == written[1]
    assert current(home) == release
    assert drafts(home) == []
    assert verify(home) == []


def test_a_release_says_the_same_with_and_without_a_draft(
    home: Home, ledger: Ledger, candidate: Candidate, tmp_path: Path
) -> None:
    verdict = judged(ledger, candidate)
    other = copied_home(home, tmp_path / "other")
    with_draft = publish(
        home, ledger, candidate, verdict, artefacts=REPORT, draft=lambda _: drafted(home, ledger, candidate)
    )
    there = Ledger(other.ledger_url)
    without = publish(other, there, candidates.load(other, candidate.candidate_id), verdict, artefacts=REPORT)
    there.close()
    assert with_draft.fingerprint == without.fingerprint
    tables = [name for name in with_draft.manifest["files"] if name.startswith(("parquet/", "csv/", "contracts/"))]
    assert {name: with_draft.manifest["files"][name] for name in tables} == {
        name: without.manifest["files"][name] for name in tables
    }


def test_a_draft_of_another_candidate_or_another_standing_release_is_left_alone(
    home: Home, ledger: Ledger, candidate: Candidate
) -> None:
    verdict = judged(ledger, candidate)
    # Written when nothing stood: nothing of the standing release was linked.
    stale = write_draft(home, candidate, NOTHING)
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT, draft=lambda _: stale)
    assert stale.folder.is_dir()
    assert verify(home) == []
    three = make_candidate(home, ledger, 3.0)
    publish(home, ledger, three, judged(ledger, three), artefacts=REPORT, draft=lambda _: stale)
    assert stale.folder.is_dir()
    stale.discard()
    assert drafts(home) == []
    assert current(home) != release


def test_a_draft_that_was_altered_is_not_published(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    before = current(home)
    draft = drafted(home, ledger, candidate)
    with duckdb.connect(str(draft.folder / MARTS_FILE)) as connection:
        connection.execute("UPDATE marts.marts.mart_plan_progress SET status = 'x' WHERE area_code = '5003'")
    with pytest.raises(Fault, match="不一致"):
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT, draft=lambda _: draft)
    assert current(home) == before
    assert not list(home.releases.glob(".*"))


def test_a_draft_that_fails_leaves_nothing(
    home: Home, ledger: Ledger, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("warehouse.draft.copy_marts", full)
    with pytest.raises(OSError, match="No space"):
        drafted(home, ledger, candidate)
    assert drafts(home) == []


def test_a_draft_whose_writer_died_is_removed_by_the_next_run(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    draft = drafted(home, ledger, candidate)
    ledger.reconcile(home)
    assert draft.folder.is_dir(), "its writer lives"
    drop_lease(draft.folder)
    ledger.reconcile(home)
    assert drafts(home) == []


def test_on_another_volume_the_tables_are_written_anew(
    home: Home, ledger: Ledger, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = drafted(home, ledger, candidate)
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self == draft.folder:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT, draft=lambda _: draft)
    assert current(home) == release
    draft.discard()
    assert drafts(home) == []
    assert verify(home) == []
