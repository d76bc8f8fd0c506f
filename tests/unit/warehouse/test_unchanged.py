"""Tables that say what they said: their files are linked, and looked at again only where there is a reason to."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.support.candidate_kit import REPORT, copied_home, delivery, judged, make_candidate
from warehouse import release as publication
from warehouse.candidate import Candidate
from warehouse.dictionary import contract, read_docs
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.manifest import Release, current
from warehouse.marts_file import Copied
from warehouse.names import NameMarks, marks_of
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.scan import Searched, exposures, read_texts, shown
from warehouse.unchanged import Made, since
from warehouse.verify import verify

CSV, PARQUET = "csv/mart_plan_progress.csv", "parquet/mart_plan_progress.parquet"
SAME = (CSV, PARQUET)
OTHER = ("csv/fct_indicator_value.csv", "parquet/fct_indicator_value.parquet", "marts.duckdb")
NAME = "欧阳测甲"
KEY = b"k" * 32
NAMES = NameMarks(KEY, (np.sort(marks_of(KEY, [NAME, "测试乙"])),), frozenset())


@pytest.fixture
def home(once_released: Home, tmp_path: Path) -> Home:
    return copied_home(once_released, tmp_path)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger(home.ledger_url)) as opened:
        yield opened


def candidate_with_a_note(home: Home, ledger: Ledger) -> Candidate:
    """The indicator values are others than in the standing release; plan progress is not."""
    return make_candidate(home, ledger, 1.5, note="更正")


def published(home: Home, ledger: Ledger, candidate: Candidate, names: NameMarks | None = None) -> Release:
    return publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT, names=names)


def standing(home: Home) -> Release:
    found = current(home)
    assert found is not None
    return found


def copied(folder: Path, home: Home) -> Path:
    """A release that may be written to; the same one when asked again."""
    target = home.root / "altered"
    if not target.is_dir():
        shutil.copytree(folder, target)
        (target / "marts.duckdb").chmod(0o644)
    return target


def is_shared(first: Release, second: Release, name: str) -> bool:
    return (first.path / name).samefile(second.path / name)


def test_files_of_tables_that_say_the_same_are_linked_and_others_are_not(home: Home, ledger: Ledger) -> None:
    first = standing(home)
    second = published(home, ledger, candidate_with_a_note(home, ledger))
    assert [is_shared(first, second, name) for name in SAME] == [True, True]
    assert [is_shared(first, second, name) for name in OTHER] == [False] * 3
    assert second.manifest["files"][CSV] == first.manifest["files"][CSV]
    assert verify(home) == []


def test_a_linked_file_is_the_one_that_would_have_been_written(
    home: Home, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = copied_home(home, tmp_path / "apart")
    candidate = candidate_with_a_note(home, ledger)
    linked = published(home, ledger, candidate)
    monkeypatch.setattr(publication, "program_digest", lambda: "another program")
    with closing(Ledger(apart.ledger_url)) as other:
        first = standing(apart)
        written = published(apart, other, candidate_with_a_note(apart, other))
    assert not any(is_shared(first, written, name) for name in SAME)
    assert [(linked.path / name).read_bytes() for name in SAME] == [(written.path / name).read_bytes() for name in SAME]


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_file_that_is_not_what_it_was_is_written_anew(home: Home, ledger: Ledger, damage: str) -> None:
    first = standing(home)
    path = first.path / CSV
    path.parent.chmod(0o755)
    path.chmod(0o644)
    before = path.read_bytes()
    if damage == "altered":
        path.write_bytes(before.replace(b"2023", b"2024"))
    else:
        path.unlink()
    second = published(home, ledger, candidate_with_a_note(home, ledger))
    assert (second.path / CSV).read_bytes() == before
    assert is_shared(first, second, PARQUET)
    assert verify(home, second.release_id) == []
    assert any(CSV in finding for finding in verify(home, first.release_id))


def test_whoever_alters_a_linked_file_is_found_in_every_release(home: Home, ledger: Ledger) -> None:
    first = standing(home)
    second = published(home, ledger, candidate_with_a_note(home, ledger))
    (second.path / CSV).chmod(0o644)
    (second.path / CSV).write_bytes(b"x")
    for release in (first, second):
        assert any(release.release_id in finding and CSV in finding for finding in verify(home)), release.release_id


@pytest.mark.parametrize("change", ["program", "record", "nothing told", "no release"])
def test_nothing_is_taken_from_a_release_that_cannot_be_relied_on(home: Home, ledger: Ledger, change: str) -> None:
    release, recorded = standing(home), ledger.releases()
    made = Made(**release.manifest["made"])
    assert since(release, made, recorded).tables == {"fct_indicator_value", "mart_plan_progress"}
    asked: Release | None = release
    if change == "program":
        made = dataclasses.replace(made, program="another")
    elif change == "record":
        recorded = [dataclasses.replace(row, manifest_sha256="0" * 64) for row in recorded]
    elif change == "nothing told":
        asked = dataclasses.replace(release, manifest={**release.manifest, "made": None})
    else:
        asked = None
    assert since(asked, made, recorded).tables == frozenset()
    assert since(asked, made, recorded).searched is False


def test_what_was_searched_for_other_names_is_searched_again(home: Home, ledger: Ledger) -> None:
    """It was published when nobody knew that this is a name; linking the file must not publish it once more."""
    named = make_candidate(home, ledger, 1.5, note=f"填报人：{NAME}")
    assert published(home, ledger, named).manifest["made"]["searched"] == ""
    delivery(home, ledger, "another delivery, the same marts", period=2031)
    again = make_candidate(home, ledger, 1.5, note=f"填报人：{NAME}")
    assert again.fingerprint == named.fingerprint
    assert again.candidate_id != named.candidate_id
    with pytest.raises(Refused, match=r"csv/fct_indicator_value\.csv（note）"):
        published(home, ledger, again, NAMES)


def test_what_was_searched_for_the_same_names_is_passed_over(home: Home, ledger: Ledger) -> None:
    named = make_candidate(home, ledger, 1.5, note=f"填报人：{NAME}")
    release = published(home, ledger, named)
    everywhere = {item.file for item in exposures(release.path, NAMES)}
    assert everywhere == {
        "csv/fct_indicator_value.csv",
        "parquet/fct_indicator_value.parquet",
        "marts.duckdb",
        "changes.json",
    }
    before = Searched(frozenset({"csv/fct_indicator_value.csv"}), frozenset({"fct_indicator_value"}))
    left = {item.file for item in shown(read_texts(release.path, before), NAMES)}
    assert left == {"parquet/fct_indicator_value.parquet", "changes.json"}


def test_texts_of_the_release_before_need_no_second_look_and_new_ones_do(home: Home, ledger: Ledger) -> None:
    named = published(home, ledger, make_candidate(home, ledger, 1.5, note=f"填报人：{NAME}"))
    before = Searched(database=named.path / "marts.duckdb")
    delivery(home, ledger, "another delivery", period=2031, file_name="另一件.xlsx")
    same = published(home, ledger, make_candidate(home, ledger, 1.5, note=f"填报人：{NAME}"))
    told = {place: texts for file, place, texts in read_texts(same.path, before) if file == "marts.duckdb"}
    assert told["marts.fct_indicator_value.note"] == []
    assert told["audit.deliveries.file_name"] == ["另一件.xlsx"]
    assert told["audit.releases.release_id"] == [same.release_id]
    changed = published(home, ledger, make_candidate(home, ledger, 1.5, note="填报人：测试乙"))
    assert "marts.duckdb" in {item.file for item in shown(read_texts(changed.path, before), NAMES)}
    # In another column the same text is looked at: there it may stand for somebody else.
    with duckdb.connect(str(copied(changed.path, home) / "marts.duckdb")) as connection:
        connection.execute(f"INSERT INTO audit.lineage (mart) VALUES ('填报人：{NAME}')")
    places = {item.place for item in shown(read_texts(copied(changed.path, home), before), NAMES)}
    assert places >= {"audit.lineage.mart", "marts.fct_indicator_value.note"}


def test_an_altered_release_spares_no_text_its_search(home: Home, ledger: Ledger) -> None:
    candidate = candidate_with_a_note(home, ledger)
    release = published(home, ledger, candidate)
    made = Made(**release.manifest["made"])
    copy = Copied({}, frozenset())
    same = since(release, made, ledger.releases())
    assert publication._searched(same, copy).database == release.path / "marts.duckdb"
    assert publication._searched(dataclasses.replace(same, searched=False), copy) == Searched()
    (release.path / "marts.duckdb").chmod(0o644)
    with duckdb.connect(str(release.path / "marts.duckdb")) as connection:
        connection.execute(f"UPDATE audit.deliveries SET file_name = '{NAME}'")
    assert publication._searched(same, copy).database is None


def test_the_same_names_in_another_order_are_the_same(home: Home) -> None:
    one, two = (np.sort(marks_of(KEY, [name])) for name in ("甲乙", "丙丁"))
    digests = {NameMarks(KEY, marks, frozenset()).digest() for marks in ((one, two), (two, one))}
    assert len(digests) == 1
    assert NameMarks(KEY, (one,), frozenset()).digest() not in digests


def test_a_contract_is_written_as_its_own_library_writes_it(home: Home) -> None:
    from open_data_contract_standard.model import OpenDataContractStandard

    [docs, _] = read_docs(
        next(home.candidates.glob("c*")) / "manifest.json",
        {"fct_indicator_value": [("value", "DOUBLE"), ("note", "VARCHAR")], "mart_plan_progress": []},
    )
    text = contract(docs, version="1.0.0")
    assert OpenDataContractStandard.from_string(text).to_yaml() == text
