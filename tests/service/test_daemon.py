"""Nobody types anything: a real daemon, real services, and a release that holds what was handed in.

One daemon serves the whole file: starting it and the services costs more than the events do.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from orchestration import heartbeat, warm, warm_launcher
from orchestration.instance import open_instance
from orchestration.logs import FILE, logs_dir
from orchestration.steps import RUN_LOCK
from sources.intake import delivery_id
from tests.pipeline.conftest import released
from tests.service.daemon import Daemon, running
from tests.service.services import NatsServer, PageSet, PopulationService, S3Server, SftpServer
from tests.service.services import running as serving
from tests.support import finance_table, flat_deliveries, lists
from tests.support.command import eduplan
from tests.support.homes import copied
from warehouse.clock import now
from warehouse.files import sha256_bytes
from warehouse.lease import standing
from warehouse.ledger import Ledger
from warehouse.paths import Home

__all__ = ["released"]

DEADLINE_SECONDS = 420.0
DISTRICT, CODE, YEAR = "万州区", "500101", 2024
# What caches of a fresh daemon may take; a burst that stayed in memory would take more with every file.
MOST_GROWTH = 150 << 20
SOAK = bool(os.environ.get("EDUPLAN_SOAK"))
BURST, FEW = 1000, 20
AWAY_SECONDS = float(os.environ.get("EDUPLAN_SOAK_AWAY_SECONDS") or 600)


@dataclass
class City:
    """A released home under a daemon, and the offices around it."""

    home: Home
    daemon: Daemon
    sftp: SftpServer
    s3: S3Server
    rest: PopulationService
    nats: NatsServer
    finance_url: str

    def put(self, feed: str, name: str, data: bytes) -> str:
        """Hand in a file as an office does: whole, under its final name. Returns its delivery id."""
        partial = self.home.inbox / feed / f"{name}.part"
        partial.write_bytes(data)
        partial.replace(partial.with_name(name))
        return delivery_id(feed, sha256_bytes(data))

    def used(self) -> set[str]:
        """Ids of the deliveries in the release readers see."""
        manifest = json.loads((self.home.current / "manifest.json").read_bytes())
        return {item["delivery_id"] for item in manifest["inputs"]["deliveries"]}

    def outcomes(self) -> dict[str, list[str]]:
        """connector -> outcomes of its arrivals."""
        ledger = Ledger(self.home.ledger_url)
        found: dict[str, list[str]] = {}
        for event in ledger.events():
            found.setdefault(event.connector, []).append(event.outcome)
        ledger.close()
        return found

    def quiet(self) -> bool:
        """Nobody works on the home, and every sensor has looked."""
        ledger = Ledger(self.home.ledger_url)
        lease = standing(ledger, RUN_LOCK)
        ledger.close()
        looked = set(heartbeat.expected()) <= set(heartbeat.beats(self.home))
        return looked and (lease is None or lease.is_free(now()))

    def releases(self) -> int:
        return sum(1 for path in self.home.releases.iterdir() if not path.name.startswith("."))

    def wait(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not done():
            assert self.daemon.alive(), self.daemon.log.read_text(errors="replace")[-3000:]
            if time.monotonic() > end:
                raise TimeoutError(f"{what}\n{self.daemon.log.read_text(errors='replace')[-6000:]}")
            time.sleep(0.2)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    """This daemon has a warm process, and the tests ask it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(warm.SWITCH, raising=False)
        yield


@pytest.fixture(scope="module")
def finance_url(postgres_server: str) -> Iterator[str]:
    admin = sa.create_engine(
        sa.make_url(postgres_server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE daemon_finance")
    yield sa.make_url(postgres_server).set(database="daemon_finance").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE daemon_finance WITH (FORCE)")
    admin.dispose()


@pytest.fixture(scope="module")
def city(
    released: Path,
    tmp_path_factory: pytest.TempPathFactory,
    finance_url: str,
) -> Iterator[City]:
    base = tmp_path_factory.mktemp("daemon")
    home = Home(copied(released, base / "home"))
    (base / "nats").mkdir()
    (base / "s3").mkdir()
    finance_table.write(finance_url, finance_rows(home))
    with (
        serving(SftpServer(base / "sftp")) as sftp,
        serving(S3Server(base / "s3")) as s3,
        serving(PopulationService()) as rest,
        serving(NatsServer(base / "nats")) as nats,
    ):
        s3.client().create_bucket(Bucket="higher")
        asyncio.run(publish(nats, []))
        path = sources(base, finance_url, sftp=sftp, s3=s3, rest=rest, nats=nats)
        # What is handed in at all doors within seconds makes one release, on a slow machine too.
        daemon = Daemon(home.root, EDUPLAN_SOURCES=str(path), EDUPLAN_WINDOW_SECONDS="6")
        with running(daemon):
            yield City(home, daemon, sftp, s3, rest, nats, finance_url)


def sources(
    base: Path, finance_url: str, *, sftp: SftpServer, s3: S3Server, rest: PopulationService, nats: NatsServer
) -> Path:
    def secret(name: str, value: str) -> dict[str, str]:
        (base / name).write_text(value)
        return {"file": str(base / name)}

    found: list[dict[str, Any]] = [
        {
            "kind": "sftp", "name": "office", "feed": "teacher_register", "host": "127.0.0.1", "port": sftp.port,
            "user": "eduplan", "path": "/", "known_hosts": str(sftp.known_hosts), "settle_seconds": 0,
            "password": secret("sftp-password", sftp.password),
        },
        {
            "kind": "s3", "name": "bucket", "feed": "higher_education", "endpoint": s3.endpoint, "bucket": "higher",
            "access_key": secret("s3-access", s3.access_key), "secret_key": secret("s3-secret", s3.secret_key),
        },
        {
            "kind": "rest", "name": "bureau", "feed": "population", "url": rest.url,
            "token": secret("rest-token", rest.token),
        },
        {
            "kind": "nats", "name": "decisions", "feed": "programme_register", "servers": [nats.url],
            "stream": "decisions", "subject": "decisions.>", "wait_seconds": 2, "user": nats.user,
            "password": secret("nats-password", nats.password),
        },
        {"kind": "sql", "name": "treasury", "feed": "education_finance", "url": secret("finance-url", finance_url)},
    ]  # fmt: skip
    path = base / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": found}, allow_unicode=True), encoding="utf-8")
    return path


def finance_rows(home: Home) -> list[dict[str, Any]]:
    """The lines of one district and year as the embedded database holds them."""
    with sqlite3.connect(home.sources / "finance.db") as connection:
        connection.row_factory = sqlite3.Row
        query = "SELECT * FROM education_finance_line WHERE 地区代码 = ? AND 年度 = ?"
        found = [dict(row) for row in connection.execute(query, (CODE, YEAR - 1))]
    assert found
    amounts = [f"金额{number}" for number in range(1, 9)]
    return [row | {name: Decimal(row[name]) if row[name] else None for name in amounts} for row in found]


async def publish(nats: NatsServer, payloads: list[bytes]) -> None:
    import nats as client_library

    client = await client_library.connect(nats.url, user=nats.user, password=nats.password)
    try:
        await client.jetstream().add_stream(name="decisions", subjects=["decisions.>"])
        for payload in payloads:
            await client.jetstream().publish("decisions.granted", payload)
    finally:
        await client.close()


def correction(city: City, by: int) -> bytes:
    source = lists.list_of(city.home.inbox, DISTRICT, YEAR)
    path = city.home.root.with_name(f"更正{by}.xlsx")
    return lists.edited(source, path, lists.more_pupils(by)).read_bytes()


def misreports(city: City, count: int) -> set[str]:
    """Hand in so many files that are no register; their delivery ids."""
    return {
        city.put("teacher_register", f"误报{number}.csv", f"学校,人数\n一中,{number}\n".encode("gb18030"))
        for number in range(count)
    }


def recorded(city: City, given: set[str]) -> int:
    """Entries of these deliveries in the ledger: as many as there are when none is lost and none is doubled."""
    ledger = Ledger(city.home.ledger_url)
    rows = [row.delivery_id for row in ledger.deliveries() if row.delivery_id in given]
    ledger.close()
    assert len(set(rows)) == len(rows)
    return len(rows)


@pytest.mark.skipif(not SOAK, reason="EDUPLAN_SOAK=1 runs the long trials; below comes a small burst with all the rest")
def test_files_dropped_in_a_burst_are_taken_in_whole_and_lead_to_a_release(city: City) -> None:
    city.wait(lambda: warm.answers(city.home), "the daemon has no warm process")
    city.wait(city.quiet, "the daemon never came to rest")
    memory, before, known = city.daemon.memory(), city.releases(), len(city.outcomes()["folder"])
    given = misreports(city, BURST)
    right = city.put("school_census", "更正.xlsx", correction(city, 7))
    city.wait(lambda: right in city.used(), "no release holds the correction")
    city.wait(lambda: len(city.outcomes()["folder"]) >= known + BURST + 1, "not every file has its outcome")
    assert recorded(city, given) == BURST
    assert len(city.outcomes()["folder"]) == known + BURST + 1
    assert 1 <= city.releases() - before <= 5
    # A run gives up the home a moment before its process ends.
    city.wait(
        lambda: city.daemon.memory() - memory < MOST_GROWTH,
        f"{memory >> 20} MiB before the burst, and after it for good more than {MOST_GROWTH >> 20} MiB above that",
    )


def test_every_way_in_leads_to_a_release_and_together_to_few(city: City) -> None:
    before = city.releases()
    city.wait(lambda: warm.answers(city.home), "the daemon has no warm process")
    register = sorted(city.home.inbox.glob(f"teacher_register/**/{DISTRICT}*在编*{YEAR}.csv"))[0].read_bytes()
    fewer = b"\r\n".join(register.rstrip().split(b"\r\n")[:-1]) + b"\r\n"
    given = misreports(city, FEW)
    right = city.put("school_census", "再更正.xlsx", correction(city, 8))
    (city.sftp.root / "名册.csv").write_bytes(fewer)
    city.s3.client().put_object(Bucket="higher", Key="高校.jsonl", Body=flat_deliveries.higher()())
    people = PageSet(2023, "final", CODE, flat_deliveries.residents(), "2024-03-25T08:00:00+08:00")
    city.rest.sets.append(people)
    finance_table.run(
        city.finance_url, "UPDATE education_finance_line SET 金额1 = 金额1 + 1, updated_at = now() WHERE 行次 = 1"
    )
    event = flat_deliveries.events()[0] | {"event_id": "R900-0001-G", "object_code": "9990001"}
    asyncio.run(publish(city.nats, [json.dumps(event, ensure_ascii=False).encode()]))
    ways = {"sftp", "s3", "rest", "nats", "sql"}

    def arrived() -> set[str]:
        ledger = Ledger(city.home.ledger_url)
        used = city.used()
        found = {event.connector for event in ledger.events() if event.delivery_id in used}
        ledger.close()
        return found

    city.wait(lambda: ways <= arrived() and right in city.used(), f"folder and {ways} did not all reach a release")
    city.wait(lambda: recorded(city, given) == FEW, "not every file has its entry")
    # Many events close together: not as many releases.
    assert 1 <= city.releases() - before <= 3


def warm_runs(city: City) -> set[str]:
    """Ids of the runs that were forked from the warm process."""
    with open_instance(city.home) as instance:
        return {run.run_id for run in instance.get_runs() if warm_launcher.TAG in run.tags}


def test_runs_are_forked_from_the_warm_process(city: City) -> None:
    assert warm_runs(city)


def test_what_its_runs_say_lies_in_the_homes_log(city: City) -> None:
    entries = [json.loads(line) for line in (logs_dir(city.home) / FILE).read_text(encoding="utf-8").splitlines()]
    texts = [entry["message"] for entry in entries]
    first = next(n for n, text in enumerate(texts) if any(name in text for name in warm_runs(city)))
    # The station that is under way when dbt has ended, and all after it.
    stations = [text.partition(":")[0] for text in texts[first + 1 :]]
    assert stations[:5] == ["build", "disclose", "seal", "judge", "publish"]
    printed = city.daemon.log.read_text(errors="replace")
    assert "emitted no result" not in printed
    assert "INFO:orchestration" not in printed


@pytest.mark.skipif(not SOAK, reason="EDUPLAN_SOAK=1 runs the long trials; test_rebuild.py has one reader too")
def test_a_release_of_a_warm_run_is_what_a_fresh_one_makes(city: City) -> None:
    # Warm, after many events and with as many readers as there are processors; against cold, at once, with one reader.
    told = json.loads(
        eduplan(city.home.root, "rebuild", city.home.current.readlink().name, "--json", EDUPLAN_WORKERS="1").stdout
    )
    assert told["equal"] is True


@pytest.mark.skipif(not SOAK, reason="EDUPLAN_SOAK=1 runs the long trials; test_services_away.py has the short form")
def test_services_that_go_away_and_come_back_are_told_once_each_way(city: City) -> None:
    """The stream, the SFTP server and the object store are away for a while; nobody restarts anything."""
    told = city.home.root / "alerts" / "alerts.jsonl"
    services = {"nats/decisions": city.nats, "sftp/office": city.sftp, "s3/bucket": city.s3}

    def heard(action: str) -> set[str]:
        lines = [json.loads(line) for line in told.read_text().splitlines()] if told.is_file() else []
        return {line["subject"] for line in lines if line["kind"] == "source_away" and line["action"] == action}

    for service in services.values():
        service.stop()
    city.wait(lambda: services.keys() <= heard("opened"), "not every absence was told")
    time.sleep(AWAY_SECONDS)
    for service in services.values():
        service.start()
    city.wait(lambda: services.keys() <= heard("resolved"), "not every return was told")
    event = flat_deliveries.events()[0] | {"event_id": "R900-0002-G", "object_code": "9990002"}
    before = len(city.outcomes()["nats"])
    asyncio.run(publish(city.nats, [json.dumps(event, ensure_ascii=False).encode()]))
    city.wait(lambda: len(city.outcomes()["nats"]) > before, "what came after the return was not taken in")
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    away = [(line["subject"], line["action"]) for line in lines if line["kind"] == "source_away"]
    assert sorted(away) == sorted((name, action) for name in services for action in ("opened", "resolved"))
