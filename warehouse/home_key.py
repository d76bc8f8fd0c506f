"""The home's own key, and files that only whoever holds it can have written.

What belongs here: the key file, and the seal (HMAC-SHA256) before a file's content. What does not: what the key hashes
(`sources.pseudonym`, `warehouse.names`), signatures that others can check (`warehouse.signing`).
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from warehouse.errors import Fault
from warehouse.files import fsync_dir, write_atomic

KEY_BYTES: Final = 32
_SEAL_BYTES: Final = 32


def load_or_create_key(path: Path) -> bytes:
    """The key: 32 random bytes, created once with mode 0600. Raises Fault when it is damaged or open.

    Two processes that start at once end with the same key: the file appears whole or not at all (hard link).
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _create_key(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Fault(f"密钥文件 {path.name} 的权限为 {mode:04o}，其他人可读。", "请执行 chmod 600 后重试。")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Fault(
            f"密钥文件 {path.name} 已损坏（{len(key)} 字节）。", "请从备份恢复；换用新密钥会使历史假名无法衔接。"
        )
    return key


def _create_key(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(secrets.token_bytes(KEY_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        fsync_dir(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_sealed(path: Path, key: bytes, purpose: str, content: bytes) -> None:
    """Write `content` behind its seal, mode 0600, whole or not at all. Raises OSError.

    `purpose` keeps what was sealed for one use from being taken for another.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, _seal(key, purpose, content) + content, mode=0o600)


def read_sealed(path: Path, key: bytes, purpose: str) -> bytes | None:
    """What `write_sealed` wrote under this key for this purpose; None when it was altered. Raises OSError."""
    data = path.read_bytes()
    seal, content = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
    return content if hmac.compare_digest(seal, _seal(key, purpose, content)) else None


def _seal(key: bytes, purpose: str, content: bytes) -> bytes:
    # A key of its own for each purpose: the same key makes pseudonyms.
    return hmac.digest(hmac.digest(key, f"sealed file: {purpose}".encode(), "sha256"), content, "sha256")
