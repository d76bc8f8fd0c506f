"""The home's key: its file, and what is sealed with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from warehouse.errors import Fault
from warehouse.home_key import load_or_create_key, read_sealed, write_sealed


def test_key_is_made_once_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path) == key
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]


def test_a_damaged_or_open_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    load_or_create_key(path)
    path.chmod(0o644)
    with pytest.raises(Fault, match="权限"):
        load_or_create_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(Fault, match="损坏"):
        load_or_create_key(path)


def test_what_was_sealed_is_private_and_believed_only_as_it_was_written(tmp_path: Path) -> None:
    path, key, other = tmp_path / "gate" / "memo", b"k" * 32, b"j" * 32
    write_sealed(path, key, "trial", b"content")
    assert read_sealed(path, key, "trial") == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_sealed(path, other, "trial") is None
    assert read_sealed(path, key, "another purpose") is None

    sealed = path.read_bytes()
    for damaged in (sealed + b"!", sealed[:-1], b"\0" + sealed[1:], sealed[:10], b""):
        path.write_bytes(damaged)
        assert read_sealed(path, key, "trial") is None
