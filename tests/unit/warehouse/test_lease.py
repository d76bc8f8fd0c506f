"""One writer, one publisher: the lease in the ledger, seen from several processes and several machines."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.candidate_kit import REPORT, judged, make_candidate
from warehouse import lease
from warehouse import ledger_tables as t
from warehouse.errors import Refused, UsageError
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.release import publish

AT = "2025-09-30T10:00:00+08:00"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("EDUPLAN_NOW", AT)
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = Ledger(home.ledger_url)
    yield opened
    opened.close()


def standing(ledger: Ledger, name: str = "run") -> lease.Standing:
    with ledger.writing() as connection:
        found = lease.read(connection, name)
    assert found is not None
    return found


def as_if(ledger: Ledger, **changes: object) -> None:
    with ledger.writing() as connection:
        connection.execute(t.lease.update().values(**changes))


def test_a_lease_names_its_owner_and_each_taking_has_a_higher_token(home: Home, ledger: Ledger) -> None:
    tokens = []
    for _ in range(3):
        with lease.held(home, ledger, "run") as fence:
            tokens.append(fence.token)
            found = standing(ledger)
            assert found.owner == lease.Owner.of_this_process()
            assert not found.is_free(found.taken_at)
            assert (found.expires_at - found.taken_at).total_seconds() == lease.DEFAULT_SECONDS
        assert standing(ledger).is_free(found.taken_at)
    assert tokens == [1, 2, 3]


def test_a_lease_of_another_machine_holds_until_its_end(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease.held(home, ledger, "run"):
        # The lock of this machine says nothing of another one.
        as_if(ledger, host="elsewhere/boot/pid:[1]")
        taken = {"pid": standing(ledger).owner.pid}
    # Freed by its own token, so the entry is written anew as another machine would have it.
    as_if(ledger, host="elsewhere/boot/pid:[1]", expires_at="2025-09-30T10:01:00+08:00", **taken)
    with pytest.raises(Refused, match=r"elsewhere.*10:01:00"), lease.held(home, ledger, "run"):
        pass
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:01:00+08:00")
    with lease.held(home, ledger, "run") as fence:
        assert fence.token == 2


def test_the_lease_of_a_killed_process_is_free_at_once(home: Home, ledger: Ledger) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from warehouse import lease;"
        "from warehouse.ledger import Ledger; from warehouse.paths import Home;"
        "home = Home(Path(sys.argv[1])); lease.held(home, Ledger(home.ledger_url), 'run').__enter__();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home.root)], check=False)
    assert done.returncode < 0
    found = standing(ledger)
    assert found.owner.pid != os.getpid()
    assert found.owner.is_dead()
    with lease.held(home, ledger, "run") as fence:
        assert fence.token == found.token + 1


def test_a_pid_used_again_by_another_process_is_not_the_owner() -> None:
    own = lease.Owner.of_this_process()
    assert not own.is_dead()
    assert lease.Owner(own.host, own.pid, own.started - 1).is_dead()
    assert not lease.Owner("elsewhere", own.pid, own.started - 1).is_dead()


def test_a_lease_is_renewed_while_it_is_held(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lease.VARIABLE, "0.3")
    with lease.held(home, ledger, "run"):
        before = standing(ledger).expires_at
        monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T11:00:00+08:00")
        end = time.monotonic() + 20
        while standing(ledger).expires_at == before:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert standing(ledger).expires_at.hour == 11


def test_who_was_taken_over_can_make_nothing_final(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    verdict = judged(ledger, candidate)
    with lease.held(home, ledger, "run") as fence:
        fence.check_now()
        as_if(ledger, token=fence.token + 1)
        with pytest.raises(Refused, match="接管"):
            fence.check_now()
        with pytest.raises(Refused, match="接管"):
            publish(home, ledger, candidate, verdict, artefacts=REPORT, fences=[fence])
    assert current(home) is None
    assert ledger.releases() == []
    # The one who took over publishes, and what the loser built is gone.
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT)
    assert [path.name for path in home.releases.iterdir()] == [release.release_id]


def test_freeing_does_not_free_what_somebody_else_took(home: Home, ledger: Ledger) -> None:
    with lease.held(home, ledger, "run") as fence:
        as_if(ledger, token=fence.token + 1, host="elsewhere", pid=7)
    assert standing(ledger).owner.pid == 7


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "sixty"])
def test_a_senseless_length_is_wrong_usage(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lease.VARIABLE, text)
    with pytest.raises(UsageError):
        lease.lease_seconds()
