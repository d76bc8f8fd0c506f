from __future__ import annotations

import os
from pathlib import Path

import pytest

from sources.connectors import bus, folder, remote, rest, s3, sftp, sql
from sources.connectors.config import FolderSource, SourceSettings, SqlSource
from sources.connectors.credentials import SecretRef
from tests.support.finance_table import line, run, write
from warehouse.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


def folder_source(path: Path) -> FolderSource:
    return FolderSource(kind="folder", name="share", feed="teacher_register", path=path, settle_seconds=0)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlSource:
    url = f"sqlite:///{tmp_path}/finance.db"
    write(url, [line(area, 2023, "A", n) for area in ("500103", "500105") for n in (1, 2)])
    monkeypatch.setenv("FINANCE", url)
    return SqlSource(kind="sql", name="finance", feed="education_finance", url=SecretRef(env="FINANCE"))


def nothing_seen(_connector: str) -> set[tuple[str, str]]:
    return set()


def test_a_kind_is_the_name_of_its_connector() -> None:
    kinds = {
        "folder": folder.CONNECTOR,
        "sftp": sftp.CONNECTOR,
        "s3": s3.CONNECTOR,
        "rest": rest.CONNECTOR,
        "sql": sql.CONNECTOR,
        "nats": bus.CONNECTOR,
    }
    assert {kind: name for kind, name in kinds.items() if kind != name} == {}


def test_all_sources_are_listed_and_fetched_and_failures_hold_up_nobody(
    home: Home, database: SqlSource, tmp_path: Path
) -> None:
    share = tmp_path / "share"
    (share / "渝中区").mkdir(parents=True)
    (share / "渝中区" / "a.csv").write_bytes(b"rows")
    os.utime(share / "渝中区" / "a.csv", (1_700_000_000, 1_700_000_000))
    absent = folder_source(tmp_path / "absent").model_copy(update={"name": "absent"})
    sources: list[SourceSettings] = [absent, folder_source(share), database]
    found = remote.list_arrivals(sources, nothing_seen)
    assert [(one.connector, one.source, bool(one.problem)) for one in found] == [
        ("folder", "absent", True),
        ("folder", "share/渝中区/a.csv", False),
        ("sql", "finance/education_finance_line/500103/2023", False),
        ("sql", "finance/education_finance_line/500105/2023", False),
    ]
    assert (found[1].feed, found[1].submitter) == ("teacher_register", "渝中区")
    fetched = [one for one in remote.fetch(home, sources, found[1:]) if isinstance(one, remote.Fetched)]
    assert [one.arrival for one in fetched] == found[1:]
    assert fetched[0].snapshot.path.read_bytes() == b"rows"
    seen = {(one.connector, one.source, one.version) for one in found}
    again = remote.list_arrivals(sources, lambda name: {(s, v) for connector, s, v in seen if connector == name})
    assert [one.source for one in again if not one.problem] == []


def test_what_went_away_before_it_was_fetched_is_told(home: Home, database: SqlSource, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (share / "a.csv").write_bytes(b"rows")
    sources: list[SourceSettings] = [folder_source(share), database]
    found = remote.list_arrivals(sources, nothing_seen)
    (share / "a.csv").unlink()
    run(f"sqlite:///{tmp_path}/finance.db", "DELETE FROM education_finance_line WHERE 地区代码 = '500105'")
    results = list(remote.fetch(home, sources, found))
    failed = [one for one in results if isinstance(one, remote.Failed)]
    assert [one.arrival.source for one in failed] == ["share/a.csv", "finance/education_finance_line/500105/2023"]
    assert len(results) == 3
    assert all(one.error.message_zh and one.error.remedy_zh for one in failed)


def test_an_arrival_of_a_source_no_longer_configured_is_told(home: Home, database: SqlSource) -> None:
    found = remote.list_arrivals([database], nothing_seen)
    assert [str(one.error) for one in remote.fetch(home, [], found) if isinstance(one, remote.Failed)] == [
        "来源“finance”已不在配置中，未收取。 请检查来源配置文件。"
    ] * 2
