"""A value that moves though no delivery behind it did needs somebody's name before it is published."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.candidate_kit import FEEDS, REPORT, copied_home, dbt_manifest, delivery, fill_marts, judged
from warehouse import candidate as candidates
from warehouse import materiality
from warehouse.candidate import Candidate
from warehouse.errors import Refused, UsageError
from warehouse.evidence import Lineage, responsible
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.release import current, publish
from warehouse.verify import verify

KEY = {"indicator_id": "i", "area_code": "500101", "period": 2023}


def changed(
    old: float | None, new: float | None, deliveries: list[str] | None, column: str = "value"
) -> dict[str, Any]:
    item = {"key": KEY, "column": column, "old": old, "new": new, "deliveries": deliveries}
    return {"tables": {"fct_indicator_value": {"added": [], "removed": [], "changed": [item]}}}


@pytest.mark.parametrize(
    ("old", "new", "deliveries", "column", "named"),
    [
        (100.0, 101.0, [], "value", False),
        (100.0, 101.1, [], "value", True),
        (100.0, 98.0, [], "value", True),
        (100.0, 150.0, ["d1"], "value", False),
        (100.0, 150.0, [], "note", False),
        (100.0, None, [], "value", True),
        (None, 1.0, [], "value", True),
        (0.0, 0.5, [], "value", True),
    ],
)
def test_what_counts_as_material(
    old: float | None, new: float | None, deliveries: list[str], column: str, named: bool
) -> None:
    assert bool(materiality.unexplained(changed(old, new, deliveries, column), 1.0)) is named


def test_a_value_that_is_gone_without_a_delivery_is_material() -> None:
    row = {**KEY, "value": 1.0, "deliveries": []}
    content = {"tables": {"fct_indicator_value": {"added": [], "removed": [row], "changed": []}}}
    assert materiality.unexplained(content, 1.0) == ["i 500101 2023 不再发布"]


@pytest.mark.parametrize("text", ["-1", "nan", "viel"])
def test_a_limit_that_is_no_percentage_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EDUPLAN_MATERIALITY", text)
    with pytest.raises(UsageError, match="百分数"):
        materiality.limit_percent()


def test_the_deliveries_responsible_are_those_that_came_or_went() -> None:
    key, other = ("i", "A", 2023), ("i", "B", 2023)
    kinds = {"a1": ("census", 2023), "a2": ("census", 2023), "b1": ("census", 2023), "b2": ("census", 2023)}
    old = Lineage({key: frozenset({"a1"}), other: frozenset({"b1"})}, {"a1": kinds["a1"], "b1": kinds["b1"]})
    own = Lineage({key: frozenset({"a2"}), other: frozenset({"b1"})}, {"a2": kinds["a2"], "b1": kinds["b1"]})
    assert responsible(old, own, key) == ["a1", "a2"]
    assert responsible(old, old, key) == []
    # Another district's correction can move a person who is counted once.
    elsewhere = Lineage({key: frozenset({"a1"}), other: frozenset({"b2"})}, {"a1": kinds["a1"], "b2": kinds["b2"]})
    assert responsible(old, elsewhere, key) == ["b1", "b2"]
    later = Lineage(
        {key: frozenset({"a1"}), other: frozenset({"b1"}), ("i", "B", 2024): frozenset({"b9"})},
        {"a1": kinds["a1"], "b1": kinds["b1"], "b9": ("census", 2024)},
    )
    assert responsible(old, later, key) == []


# -- publication ------------------------------------------------------------------------------------------------------


def made_by(home: Home, ledger: Ledger, value: float, code: str, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    """A candidate from the same delivery by other code."""
    monkeypatch.setattr(candidates, "code_digest", lambda: code)
    build = candidates.begin(home, ledger.active_set({"official_figures": "v1"}), FEEDS)
    fill_marts(build.database, value)
    (build.work_dir / "manifest.json").write_bytes(dbt_manifest())
    return candidates.seal(home, build)


@pytest.fixture(scope="module")
def once_moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A release, and the id of a candidate that says half as much again from the very same delivery."""
    home = Home(tmp_path_factory.mktemp("moved") / "home").ensure()
    with closing(Ledger(home.ledger_url)) as ledger, pytest.MonkeyPatch.context() as patch:
        delivery(home, ledger, "the only one")
        first = made_by(home, ledger, 1.0, "a" * 64, patch)
        publish(home, ledger, first, judged(ledger, first), artefacts=REPORT)
        return home, made_by(home, ledger, 1.5, "b" * 64, patch).candidate_id


@pytest.fixture
def home(once_moved: tuple[Home, str], tmp_path: Path) -> Home:
    return copied_home(once_moved[0], tmp_path)


@pytest.fixture
def moved(once_moved: tuple[Home, str], home: Home) -> Candidate:
    return candidates.load(home, once_moved[1])


def acknowledged(home: Home, candidate: Candidate, **other: str) -> None:
    standing = current(home)
    assert standing is not None
    fields = {"candidate_id": candidate.candidate_id, "fingerprint": candidate.fingerprint} | {
        "previous_release_id": standing.release_id,
        **other,
    }
    given = materiality.draft(by="王主任", reason="口径调整", **fields)
    materiality.acknowledge(home, given)


def test_an_unexplained_material_change_is_refused_and_named(home: Home, ledger: Ledger, moved: Candidate) -> None:
    before = home.current.readlink()
    with pytest.raises(Refused, match=r"20 个数的变化超过 1%.*pre_enrolment 5000 2023 1\.0 → 1\.5"):
        publish(home, ledger, moved, judged(ledger, moved), artefacts=REPORT)
    assert home.current.readlink() == before


def test_acknowledged_it_is_published_and_the_manifest_says_by_whom(
    home: Home, ledger: Ledger, moved: Candidate
) -> None:
    acknowledged(home, moved)
    release = publish(home, ledger, moved, judged(ledger, moved), artefacts=REPORT)
    assert release.manifest["acknowledgement"]["acknowledged_by"] == "王主任"
    assert verify(home) == []


@pytest.mark.parametrize("other", [{"fingerprint": "0" * 64}, {"previous_release_id": "another"}])
def test_an_acknowledgement_of_something_else_cannot_be_reused(
    home: Home, ledger: Ledger, moved: Candidate, other: dict[str, str]
) -> None:
    acknowledged(home, moved, **other)
    with pytest.raises(Refused, match="不能沿用"):
        publish(home, ledger, moved, judged(ledger, moved), artefacts=REPORT)


def test_a_damaged_acknowledgement_is_refused(home: Home, ledger: Ledger, moved: Candidate) -> None:
    acknowledged(home, moved)
    path = home.root / "acknowledgements" / f"{moved.candidate_id}.json"
    for content in (b"{", json.dumps({"candidate_id": "x"}).encode(), b"[]"):
        path.write_bytes(content)
        with pytest.raises(Refused, match="确认文件"):
            publish(home, ledger, moved, judged(ledger, moved), artefacts=REPORT)


def test_a_higher_limit_lets_it_pass(
    home: Home, ledger: Ledger, moved: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUPLAN_MATERIALITY", "60")
    assert publish(home, ledger, moved, judged(ledger, moved), artefacts=REPORT).manifest["acknowledgement"] is None


def test_nobody_and_nothing_cannot_acknowledge(home: Home) -> None:
    with pytest.raises(UsageError, match="由谁"):
        materiality.acknowledge(home, materiality.draft("c1", "f", "r", " ", "理由"))
