"""Signed releases: what a copied folder proves by itself, with a key and a chain head that were kept elsewhere."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.support.candidate_kit import REPORT, copied_home, judged, make_candidate
from warehouse import signing
from warehouse.attestation import HEAD_FILE
from warehouse.errors import Fault, UsageError
from warehouse.files import replace_symlink, sha256_file
from warehouse.ledger import Ledger
from warehouse.manifest import MANIFEST_NAME, SIGNATURE_NAME, Release
from warehouse.paths import Home, project_root
from warehouse.release import publish, releases
from warehouse.signing import PRIVATE_KEY, PUBLIC_KEY
from warehouse.verify import Trust, verify, verify_copy, verify_folder


def released(home: Home, ledger: Ledger, value: float) -> Release:
    candidate = make_candidate(home, ledger, value)
    return publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)


@pytest.fixture
def home(once_released: Home, tmp_path: Path) -> Home:
    return copied_home(once_released, tmp_path)


@pytest.fixture
def signed(home: Home) -> Release:
    (release,) = releases(home)
    return release


def copied(release: Release, tmp_path: Path) -> Path:
    target = tmp_path / "laptop" / release.release_id
    shutil.copytree(release.path, target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def test_the_key_is_made_once_private_and_exported(home: Home, ledger: Ledger, signed: Release) -> None:
    private = home.root / PRIVATE_KEY
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    second = released(home, ledger, 2.0)
    assert private.read_bytes() == before
    public = (home.root / PUBLIC_KEY).read_bytes()
    assert (signed.path / PUBLIC_KEY).read_bytes() == (second.path / PUBLIC_KEY).read_bytes() == public
    assert PRIVATE_KEY not in signed.manifest["files"]
    assert b"PRIVATE" not in public


def test_the_envelope_is_plain_dsse_around_an_in_toto_statement(signed: Release) -> None:
    """Checked here by the standards' own words and the bare cipher, none of our code or its libraries' envelopes."""
    envelope = json.loads((signed.path / SIGNATURE_NAME).read_bytes())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    told = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key = load_pem_public_key((signed.path / PUBLIC_KEY).read_bytes())
    [signature] = envelope["signatures"]
    key.verify(base64.b64decode(signature["sig"]), told)  # type: ignore[union-attr,call-arg]
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    subjects = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    names = [path for path in signed.path.rglob("*") if path.is_file() and path.name != SIGNATURE_NAME]
    assert subjects == {path.relative_to(signed.path).as_posix(): sha256_file(path) for path in names}


def _documented() -> str:
    page = (project_root() / "docs" / "evidence.md").read_text(encoding="utf-8")
    return page.split("```python\n")[1].split("```")[0]


def test_the_page_shows_how_others_check_a_release_without_this_program(
    signed: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(signed, tmp_path)
    monkeypatch.chdir(folder)
    program = compile(_documented(), "evidence.md", "exec")
    assert "warehouse" not in program.co_names
    exec(program, {})
    with (folder / "csv" / "mart_plan_progress.csv").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(AssertionError, match=r"mart_plan_progress\.csv"):
        exec(program, {})


def test_a_copied_release_is_whole_by_itself(signed: Release, home: Home, tmp_path: Path) -> None:
    folder = copied(signed, tmp_path)
    key = (home.root / PUBLIC_KEY).read_bytes()
    shutil.rmtree(home.root)
    assert verify_folder(folder) == []
    assert verify_folder(folder, key) == []


def test_any_file_of_a_copied_release_that_differs_is_named(signed: Release, tmp_path: Path) -> None:
    folder = copied(signed, tmp_path)
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        before = path.read_bytes()
        middle = len(before) // 2
        path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
        found = verify_folder(folder)
        path.write_bytes(before)
        named = "清单" if path.name == MANIFEST_NAME else path.relative_to(folder).as_posix()
        assert any(named in line for line in found), (path, found)
    assert verify_folder(folder) == []


def test_a_manifest_made_to_fit_a_forged_file_breaks_the_signature(signed: Release, tmp_path: Path) -> None:
    folder = copied(signed, tmp_path)
    report = folder / "quality" / "index.html"
    report.write_bytes(report.read_bytes() + b"<!-- forged -->")
    manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
    manifest["files"]["quality/index.html"] = {"sha256": sha256_file(report), "size": report.stat().st_size}
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    assert verify_folder(folder) == [f"发布 {signed.release_id} 的清单不是签名时的清单。"]


def test_signing_again_with_another_key_is_found_by_who_kept_the_key(
    signed: Release, home: Home, tmp_path: Path
) -> None:
    kept = (home.root / PUBLIC_KEY).read_bytes()
    forger = Home(tmp_path / "forger").ensure()
    ledger = Ledger(forger.ledger_url)
    forged = released(forger, ledger, 9.0)
    ledger.close()
    assert verify_folder(forged.path) == []
    assert any("签名" in line for line in verify_folder(forged.path, kept))
    assert any("签名" in line for line in verify(forger, trust=Trust(public_key=kept)))
    assert verify(home, trust=Trust(public_key=kept)) == []


def test_the_signature_of_another_release_is_named(signed: Release, home: Home, ledger: Ledger, tmp_path: Path) -> None:
    second = released(home, ledger, 2.0)
    folder = copied(second, tmp_path)
    shutil.copyfile(signed.path / SIGNATURE_NAME, folder / SIGNATURE_NAME)
    assert any(f"属于另一发布 {signed.release_id}" in line for line in verify_folder(folder))


@pytest.mark.parametrize("gone", [SIGNATURE_NAME, PUBLIC_KEY])
def test_a_signature_or_key_taken_away_is_named(signed: Release, tmp_path: Path, gone: str) -> None:
    folder = copied(signed, tmp_path)
    (folder / gone).unlink()
    assert any(gone in line for line in verify_folder(folder))


def test_a_release_that_claims_to_be_unsigned_is_found(signed: Release, tmp_path: Path) -> None:
    folder = copied(signed, tmp_path)
    manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
    del manifest["signing"]
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    (folder / SIGNATURE_NAME).unlink()
    assert f"发布 {signed.release_id} 没有签名。" in verify_folder(folder)


# -- the chain --------------------------------------------------------------------------------------------------------


def _roll_back(home: Home, old: Path) -> None:
    """Put a whole older state of ledger, current and head in place of the newer one."""
    for leftover in home.root.glob("ledger.db*"):
        leftover.unlink()
    shutil.copyfile(old / "ledger.db", home.root / "ledger.db")
    shutil.copyfile(old / HEAD_FILE, home.root / HEAD_FILE)


def test_an_older_ledger_with_its_own_head_is_found_by_who_kept_a_later_head(
    home: Home, ledger: Ledger, signed: Release, tmp_path: Path
) -> None:
    with sqlite3.connect(home.root / "ledger.db") as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = tmp_path / "old"
    old.mkdir()
    for name in ("ledger.db", HEAD_FILE):
        shutil.copyfile(home.root / name, old / name)
    second = released(home, ledger, 2.0)
    kept = tmp_path / "kept.json"
    shutil.copyfile(home.root / HEAD_FILE, kept)
    assert verify(home, trust=Trust(head=kept)) == []
    ledger.close()
    _roll_back(home, old)
    replace_symlink(home.current, f"releases/{signed.release_id}")
    shutil.rmtree(second.path)
    found = verify(home, trust=Trust(head=kept))
    assert any("截断、重写，或换成了旧的一份" in line for line in found)


def test_entries_cut_behind_the_signed_head_are_found(home: Home, ledger: Ledger, signed: Release) -> None:
    ledger.close()
    with sqlite3.connect(home.root / "ledger.db") as raw:
        raw.execute("DROP TRIGGER journal_no_delete")
        raw.execute("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)")
    assert any(HEAD_FILE in line for line in verify(home))


def test_a_copied_home_is_checked_without_writing_to_it(twice_released: Home, tmp_path: Path) -> None:
    copy = copied_home(twice_released, tmp_path).root
    before = {path: sha256_file(path) for path in copy.rglob("*") if path.is_file()}
    assert verify_copy(copy) == []
    assert {path: sha256_file(path) for path in copy.rglob("*") if path.is_file()} == before
    (copy / "ledger.db").unlink()
    with pytest.raises(Fault, match="没有台账"):
        verify_copy(copy)


def test_a_damaged_private_key_is_a_fault_and_nothing_is_published(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    ledger = Ledger(home.ledger_url)
    (home.root / PRIVATE_KEY).write_bytes(b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    candidate = make_candidate(home, ledger, 1.0)
    with pytest.raises(Fault, match="签名私钥"):
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    ledger.close()
    assert not home.current.exists()


def test_a_public_key_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text("x")
    with pytest.raises(UsageError, match="公钥文件"):
        signing.read_public_key(path)
