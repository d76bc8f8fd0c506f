from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from sources.connectors import folder
from sources.connectors.arrival import Arrival
from warehouse.clock import SHANGHAI

FEEDS = ["school_census", "teacher_register"]
OLD = 1_700_000_000


def put(inbox: Path, name: str, data: bytes = b"x", *, at: float = OLD) -> Path:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


def names(arrivals: list[Arrival]) -> list[str]:
    return [arrival.source for arrival in arrivals]


def test_files_are_listed_oldest_first_with_their_submitter(tmp_path: Path) -> None:
    put(tmp_path, "school_census/z.xlsx", at=OLD)
    put(tmp_path, "school_census/渝中区/deep/a.xlsx", at=OLD + 5)
    put(tmp_path, "teacher_register/b.csv", at=OLD + 1)
    found = folder.list_arrivals(tmp_path, FEEDS, set())
    assert names(found) == ["school_census/z.xlsx", "teacher_register/b.csv", "school_census/渝中区/deep/a.xlsx"]
    assert (found[2].submitter, found[2].file_name, found[2].feed) == ("渝中区/deep", "a.xlsx", "school_census")


def test_what_was_seen_unchanged_is_skipped_and_comes_back_when_changed(tmp_path: Path) -> None:
    path = put(tmp_path, "school_census/a.xlsx")
    [first] = folder.list_arrivals(tmp_path, FEEDS, set())
    seen = {(first.source, first.version)}
    assert folder.list_arrivals(tmp_path, FEEDS, seen) == []
    path.write_bytes(b"yy")
    assert len(folder.list_arrivals(tmp_path, FEEDS, seen, settle=0)) == 1


def test_a_growing_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "school_census/a.xlsx", at=OLD)
    monkeypatch.setenv("EDUPLAN_NOW", "2023-11-14T22:13:21+00:00")
    assert folder.list_arrivals(tmp_path, FEEDS, set()) == []
    assert len(folder.list_arrivals(tmp_path, FEEDS, set(), settle=0.5)) == 1
    monkeypatch.setenv("EDUPLAN_SETTLE_SECONDS", "0")
    assert len(folder.list_arrivals(tmp_path, FEEDS, set())) == 1


def test_a_time_stamp_in_the_future_does_not_hide_a_file(tmp_path: Path) -> None:
    put(tmp_path, "school_census/a.xlsx", at=4_000_000_000)
    assert len(folder.list_arrivals(tmp_path, FEEDS, set())) == 1


@pytest.mark.parametrize(
    "name", [".hidden.xlsx", "~$a.xlsx", "a.xlsx.part", "a.CRDOWNLOAD", "Thumbs.db", ".git/a.xlsx", "a.csv~"]
)
def test_temporary_and_hidden_names_are_ignored(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"school_census/{name}")
    assert folder.list_arrivals(tmp_path, FEEDS, set()) == []


def test_symlinks_and_pipes_are_not_followed(tmp_path: Path) -> None:
    secret = put(tmp_path, "elsewhere/secret.csv")
    (tmp_path / "school_census").mkdir()
    (tmp_path / "school_census" / "link.csv").symlink_to(secret)
    (tmp_path / "school_census" / "folder").symlink_to(secret.parent)
    os.mkfifo(tmp_path / "school_census" / "pipe.csv")
    assert folder.list_arrivals(tmp_path, FEEDS, set()) == []


def test_what_belongs_to_no_feed_is_named(tmp_path: Path) -> None:
    put(tmp_path, "unknown/a.csv")
    put(tmp_path, "loose.csv")
    put(tmp_path, "school_census/a.csv")
    assert folder.strays(tmp_path, FEEDS) == ["loose.csv", "unknown"]
    assert folder.strays(tmp_path / "none", FEEDS) == []


def test_names_in_gbk_and_with_control_characters_become_text(tmp_path: Path) -> None:
    (tmp_path / "school_census").mkdir()
    raw = os.fsencode(tmp_path) + b"/school_census/" + "年报\n.xlsx".encode("gb18030")
    with open(raw, "wb") as handle:  # noqa: PTH123 - pathlib takes no bytes
        handle.write(b"x")
    [arrival] = folder.list_arrivals(tmp_path, FEEDS, set(), settle=0)
    assert arrival.file_name == "年报\\x0a.xlsx"
    arrival.source.encode("utf-8")
    assert arrival.path is not None
    assert arrival.path.read_bytes() == b"x"


def test_a_run_waits_until_the_inbox_is_at_rest_and_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds
        if len(waits) == 1:
            # A second file follows the first.
            put(tmp_path, "teacher_register/b.csv", at=OLD + clock[0] - 1000.5)

    monkeypatch.setattr(folder.time, "sleep", sleep)
    monkeypatch.setattr(folder.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(folder, "now", lambda: datetime.fromtimestamp(OLD + clock[0] - 1000.0, SHANGHAI))
    put(tmp_path, "school_census/a.xlsx", at=OLD - 0.5)
    assert folder.await_rest(tmp_path, FEEDS, settle=2, longest=20) == pytest.approx(3.0)
    assert waits == pytest.approx([1.5, 1.5])
    assert folder.await_rest(tmp_path, FEEDS, settle=2, longest=20) == 0
    put(tmp_path, "school_census/a.xlsx", at=OLD + clock[0] - 1000.0)
    assert folder.await_rest(tmp_path, FEEDS, settle=30, longest=20) == 0, (
        "what would take too long is left to the next"
    )
