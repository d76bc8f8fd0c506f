from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from sources.connectors import remote, rest
from sources.connectors.arrival import Arrival
from sources.connectors.config import RestSource
from sources.connectors.credentials import SecretRef
from sources.connectors.problems import Unreachable
from tests.service.services import PageSet, PopulationService, running
from warehouse.errors import Fault
from warehouse.paths import Home

FIRST, SECOND, THIRD = ("2024-03-01T00:00:00+08:00", "2024-03-05T00:00:00+08:00", "2024-03-09T00:00:00+08:00")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def service() -> Iterator[PopulationService]:
    with running(PopulationService()) as started:
        yield started


@pytest.fixture
def settings(service: PopulationService, monkeypatch: pytest.MonkeyPatch) -> RestSource:
    monkeypatch.setenv("REST_TOKEN", service.token)
    return RestSource(
        kind="rest",
        name="statistics",
        feed="population",
        url=service.url,
        token=SecretRef(env="REST_TOKEN"),
        attempts=4,
        backoff_seconds=0.02,
        longest_wait_seconds=2,
        timeout_seconds=30,
    )


def page_set(area: str | None = "500103", year: int = 2023, at: str = FIRST, **changes: Any) -> PageSet:
    items = changes.pop("items", [{"age": age, "residents": 1000 + age} for age in range(5)])
    return PageSet(year, changes.pop("version", "final"), area, items, at, **changes)


def seen(*arrivals: Arrival) -> set[tuple[str, str]]:
    return {(one.source, one.version) for one in arrivals}


def test_pages_become_one_canonical_document(service: PopulationService, settings: RestSource, home: Home) -> None:
    service.sets = [
        page_set(items=[{"b": 1.5, "a": "忠县"}, {"a": None}, {"c": [True]}]),
        page_set(area=None, at=SECOND),
    ]
    arrivals = rest.list_arrivals(settings, set())
    assert [(one.source, one.file_name) for one in arrivals] == [
        ("statistics/2023/500103/final", "population_2023_500103_final.json"),
        ("statistics/2023/-/final", "population_2023_-_final.json"),
    ]
    document = rest.fetch(home, settings, arrivals[0]).path.read_bytes()
    assert document.decode() == (
        '{"area":"500103","items":[{"a":"忠县","b":1.5},{"a":null},{"c":[true]}],"version":"final","year":2023}\n'
    )
    whole = json.loads(rest.fetch(home, settings, arrivals[1]).path.read_bytes())
    assert whole == {"area": None, "items": service.sets[1].items, "version": "final", "year": 2023}


def test_a_page_set_is_never_taken_twice(service: PopulationService, settings: RestSource, home: Home) -> None:
    service.sets = [page_set(), page_set(area="500105", at=SECOND)]
    arrivals = rest.list_arrivals(settings, set())
    for one in arrivals:
        rest.fetch(home, settings, one)
    service.asked.clear()
    assert rest.list_arrivals(settings, seen(*arrivals)) == []
    assert service.requests("population") == []


def test_a_set_touched_but_unchanged_is_answered_304(service: PopulationService, settings: RestSource) -> None:
    service.sets = [page_set(), page_set(area="500105", at=SECOND)]
    arrivals = rest.list_arrivals(settings, set())
    service.sets[0].updated_at = THIRD
    service.asked.clear()
    assert rest.list_arrivals(settings, seen(*arrivals)) == []
    [(_, query, conditions)] = [one for one in service.asked if one[0] == "population"]
    assert (query["area"], conditions) == ("500103", service.sets[0].etag)


def test_a_revised_set_is_a_new_version(service: PopulationService, settings: RestSource, home: Home) -> None:
    service.sets = [page_set(), page_set(area="500105")]
    first = rest.list_arrivals(settings, set())
    service.sets[1].state, service.sets[1].updated_at = 2, SECOND
    service.sets[1].items = [{"age": 0, "residents": 7}]
    [revised] = rest.list_arrivals(settings, seen(*first))
    assert revised.source == first[1].source
    assert json.loads(rest.fetch(home, settings, revised).path.read_bytes())["items"] == service.sets[1].items


def test_the_cursor_asks_only_for_what_is_not_known_to_be_complete(
    service: PopulationService, settings: RestSource
) -> None:
    service.sets = [page_set("500101", at=FIRST), page_set("500102", at=SECOND), page_set("500103", at=THIRD)]
    exact = settings.model_copy(update={"overlap_hours": 0.0})
    a, b, c = rest.list_arrivals(exact, set())
    assert service.requests("datasets")[0] == {}

    def cursor_after(*taken: Arrival) -> tuple[str, list[Arrival]]:
        service.asked.clear()
        found = rest.list_arrivals(exact, seen(*taken))
        return service.requests("datasets")[0]["updated_since"], found

    assert cursor_after(a, b, c) == (THIRD, [])
    # Later ones were taken in and the first was not: it must be offered again.
    since, found = cursor_after(b, c)
    assert (since, [one.source for one in found]) == (FIRST, [a.source])
    # Once it is taken in as well, and something newer too, the cursor moves on.
    service.sets.append(page_set("500104", at="2024-03-11T00:00:00+08:00"))
    _, [again, d] = cursor_after(b, c)
    assert cursor_after(b, c, again, d) == ("2024-03-11T00:00:00+08:00", [])


def test_batches_of_equal_size_and_span_are_told_apart(service: PopulationService, settings: RestSource) -> None:
    service.sets = [page_set("500101", at=FIRST), page_set("500102", at=SECOND), page_set("500103", at=THIRD)]
    exact = settings.model_copy(update={"overlap_hours": 0.0})
    _, b, c = rest.list_arrivals(exact, set())
    # The second look finds another one in b's place: again three between FIRST and THIRD.
    service.sets.append(page_set("500104", at=SECOND))
    a, d, _ = rest.list_arrivals(exact, seen(b))
    assert [one.source for one in rest.list_arrivals(exact, seen(b, c, d))] == [a.source]


def test_the_cursor_reaches_back_by_the_overlap(service: PopulationService, settings: RestSource) -> None:
    service.sets = [page_set(at=SECOND)]
    arrivals = rest.list_arrivals(settings, set())
    # Made visible late, with a stamp from before.
    service.sets.append(page_set("500105", at="2024-03-04T12:00:00+08:00"))
    service.asked.clear()
    [late] = rest.list_arrivals(settings, seen(*arrivals))
    assert late.source == "statistics/2023/500105/final"
    assert service.requests("datasets")[0]["updated_since"] == "2024-03-04T00:00:00+08:00"


def test_a_set_that_changes_while_it_is_read_is_read_again(
    service: PopulationService, settings: RestSource, home: Home
) -> None:
    service.sets = [page_set()]
    [arrival] = rest.list_arrivals(settings, set())
    revised = [{"age": age, "residents": 2000 + age} for age in range(5)]

    def change_once(one: PageSet, offset: int) -> None:
        if one.state == 1 and offset == 2:
            one.state, one.items, one.updated_at = 2, revised, SECOND

    service.after_page = change_once
    assert json.loads(rest.fetch(home, settings, arrival).path.read_bytes())["items"] == revised
    # The newer state is announced in its own name too, and brings the same bytes.
    [newer] = rest.list_arrivals(settings, seen(arrival))
    assert rest.fetch(home, settings, newer).sha256 == rest.fetch(home, settings, arrival).sha256


def test_a_change_behind_the_last_page_is_noticed(service: PopulationService, settings: RestSource, home: Home) -> None:
    service.sets = [page_set(items=[{"age": 0}])]
    [arrival] = rest.list_arrivals(settings, set())

    def change_once(one: PageSet, offset: int) -> None:
        if one.state == 1:
            one.state, one.items = 2, [{"age": 1}]

    service.after_page = change_once
    assert json.loads(rest.fetch(home, settings, arrival).path.read_bytes())["items"] == [{"age": 1}]


def test_a_set_that_never_rests_is_given_up(service: PopulationService, settings: RestSource, home: Home) -> None:
    service.sets = [page_set()]
    [arrival] = rest.list_arrivals(settings, set())

    def change(one: PageSet, offset: int) -> None:
        one.state += 1

    service.after_page = change
    with pytest.raises(Fault, match="一直在变动"):
        rest.fetch(home, settings, arrival)
    assert [path for path in home.archive.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_trouble_is_waited_out_on_schedule(
    service: PopulationService, settings: RestSource, status: int
) -> None:
    service.sets, service.moods = [page_set()], [(status, {})] * 3
    assert len(rest.list_arrivals(settings, set())) == 1
    waits = [later - earlier for earlier, later in zip(service.times[:3], service.times[1:4], strict=True)]
    assert all(wait >= planned for wait, planned in zip(waits, (0.02, 0.04, 0.08), strict=True))


def test_trouble_that_stays_is_given_up_after_the_last_attempt(
    service: PopulationService, settings: RestSource
) -> None:
    service.moods = [(503, {})] * 10
    with pytest.raises(Unreachable, match=r"HTTP 503.*已重试 3 次"):
        rest.list_arrivals(settings, set())
    assert len(service.asked) == 4


def test_retry_after_is_obeyed(service: PopulationService, settings: RestSource) -> None:
    service.sets, service.moods = [page_set()], [(429, {"Retry-After": "1"})]
    rest.list_arrivals(settings, set())
    assert service.times[1] - service.times[0] >= 1


def test_retry_after_as_a_date_is_understood_and_too_long_a_wait_is_not_waited(
    service: PopulationService, settings: RestSource
) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for told in (at, "3600"):
        service.moods = [(503, {"Retry-After": told})]
        with pytest.raises(Unreachable, match=r"要求等待 3[56]"):
            rest.list_arrivals(settings, set())
    assert len(service.asked) == 2


@pytest.mark.parametrize("status", [301, 400, 404, 410])
def test_refusals_are_final(service: PopulationService, settings: RestSource, status: int) -> None:
    service.moods = [(status, {"Location": "http://127.0.0.1:1/"})]
    with pytest.raises(Fault, match=f"HTTP {status}"):
        rest.list_arrivals(settings, set())
    assert len(service.asked) == 1


def test_a_wrong_token_is_told_without_it(
    settings: RestSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("REST_TOKEN", "geheim-wrong")
    with pytest.raises(Unreachable, match="拒绝访问") as caught:
        rest.list_arrivals(settings, set())
    assert caught.value.__cause__ is None
    assert "geheim" not in str(caught.value) + repr(settings) + caplog.text


def test_a_service_that_goes_away_and_comes_back_loses_nothing(
    service: PopulationService, settings: RestSource, home: Home
) -> None:
    service.sets = [page_set(), page_set(area="500105")]
    arrivals = remote.list_arrivals([settings], lambda _: set())
    service.stop()
    [problem] = remote.list_arrivals([settings], lambda _: set())
    assert "暂时不可用（ConnectError）" in problem.problem
    assert [type(one) for one in remote.fetch(home, [settings], arrivals)] == [remote.Failed, remote.Failed]
    service.start()
    assert remote.list_arrivals([settings], lambda _: set()) == arrivals
    assert [type(one) for one in remote.fetch(home, [settings], arrivals)] == [remote.Fetched, remote.Fetched]


def test_a_service_that_does_not_answer_is_given_up() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        mute = RestSource(
            kind="rest", name="mute", feed="population", url=url, attempts=2, backoff_seconds=0.01, timeout_seconds=0.2
        )
        with pytest.raises(Unreachable, match="ReadTimeout"):
            rest.list_arrivals(mute, set())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"items": 1, "next": null}',
        b'{"items": []}',
        b'{"items": [NaN], "next": null}',
        b'{"items": [1e999], "next": null}',
        b'{"items": [0.12345678901234567890123], "next": null}',
        b'{"items": [{"a": 1, "a": 2}], "next": null}',
        b"\xff",
        b"[" * 200_000,
    ],
    ids=range(11),
)
def test_what_is_not_the_agreed_json_is_refused(
    service: PopulationService, settings: RestSource, home: Home, body: bytes
) -> None:
    service.sets = [page_set()]
    [arrival] = rest.list_arrivals(settings, set())
    service.body_override = body
    with pytest.raises(Fault, match="不是约定的 JSON"):
        rest.fetch(home, settings, arrival)


def test_a_page_that_unpacks_without_end_is_given_up(
    service: PopulationService, settings: RestSource, home: Home
) -> None:
    service.sets = [page_set()]
    [arrival] = rest.list_arrivals(settings, set())
    service.body_override = gzip.compress(b" " * (100 << 20), compresslevel=1)
    service.body_headers = {"Content-Encoding": "gzip"}
    with pytest.raises(Fault, match="超过 64 MB"):
        rest.fetch(home, settings, arrival)


def test_an_answer_without_etag_is_refused(service: PopulationService, settings: RestSource) -> None:
    service.sets, service.body_headers = [page_set()], {"ETag": ""}
    with pytest.raises(Fault, match="没有 ETag"):
        rest.list_arrivals(settings, set())


@pytest.mark.parametrize(
    ("target", "said"), [("http://127.0.0.1:1/steal", "别的主机"), ("//other.example/x", "别的主机"), ("", "没有尽头")]
)
def test_pages_lead_neither_away_nor_in_circles(
    service: PopulationService, settings: RestSource, home: Home, target: str, said: str
) -> None:
    service.sets = [page_set()]
    [arrival] = rest.list_arrivals(settings, set())
    service.next_override = target or f"{service.url}/population?year=2023&version=final&area=500103"
    with pytest.raises(Fault, match=said):
        rest.fetch(home, settings, arrival)
