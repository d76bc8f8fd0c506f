"""Back-up and restore of a home: all that cannot be made again, by content, so that later only what is new is copied.

What belongs here: what a back-up holds, copying and checking it, putting it into an empty home. What does not: when it
is made (`deploy/`), how the ledger is written down (`warehouse.ledger_copy`), the terminal.

A back-up folder holds `objects/ab/<sha256>` (bytes under their hash) and `backups/<time>-<hash>.json`, one a back-up:
path in the home -> hash, the ledger's object, and the release readers saw. It may be taken while a run is under way:
the signed head is read first, then the ledger in one transaction, then the files this ledger names, which never change.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from warehouse import ledger_copy
from warehouse.archive import snapshot_path
from warehouse.attestation import HEAD_FILE
from warehouse.clock import now
from warehouse.errors import Fault, Refused, UsageError
from warehouse.files import (
    TEMP_PREFIX,
    SyncLater,
    fsync_dir,
    fsync_file,
    pretty_json,
    replace_symlink,
    sha256_bytes,
    sha256_file,
    unique_suffix,
    write_atomic,
)
from warehouse.ledger import Ledger, ReleaseRow
from warehouse.lock import exclusive
from warehouse.manifest import MANIFEST_NAME, SIGNATURE_NAME, read_release
from warehouse.paths import Home
from warehouse.pruned import ORIGINAL, RECORDS, RELEASE, is_data, reading_name
from warehouse.retention import BACKUP_LOCK
from warehouse.signing import PRIVATE_KEY

FORMAT: Final = 1
OBJECTS: Final = "objects"
BACKUPS: Final = "backups"
MARKER: Final = ".restoring"
# How the last back-ups went (`warehouse.backup_notes`): of this machine, and of a moment.
NOTES: Final = "backups.json"
# Made again, or of one moment only, or handled by itself below.
_LEFT_OUT: Final = {
    *("archive", "records", "quarantine", "releases"),
    *(
        "candidates",
        "current",
        "locks",
        "logs",
        "heartbeat",
        "dagster",
        "dbt",
        "kept",
        "looks",
        "names",
        "gate",
        "config",
    ),
    *("ledger.db", "ledger.db-wal", "ledger.db-shm", HEAD_FILE, NOTES),
}
_DAGSTER_SETTINGS: Final = "dagster/dagster.yaml"
_SHOWN: Final = 5

Progress = Callable[[int, int], None]


def _no_progress(_done: int, _total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Entry:
    """One file: hash, bytes, permission bits, and when it was last changed (only where somebody asks for that)."""

    sha256: str
    size: int
    mode: int
    mtime_ns: int | None = None


@dataclass
class Backup:
    """A back-up as its manifest tells it. `keys`: name -> SHA-256 of the keys this home has, which are kept apart;
    `problems`: what should be in it and is not, in Chinese."""

    created_at: str
    ledger: str
    journal: tuple[int, str]
    release_id: str
    keys: dict[str, str]
    files: dict[str, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    name: str = ""

    @property
    def objects(self) -> dict[str, str]:
        """hash -> a path it stands for, each once."""
        found = {entry.sha256: path for path, entry in self.files.items()}
        return {**found, self.ledger: "ledger"}


@dataclass(frozen=True)
class Made:
    """What came of a back-up: it, and how much of it was new."""

    backup: Backup
    copied: int
    copied_bytes: int


# -- making -----------------------------------------------------------------------------------------------------------


def make(
    home: Home, dest: Path, *, keys: Path | None = None, settings: Path | None = None, progress: Progress = _no_progress
) -> Made:
    """Back the home up into `dest`, and its keys into `keys` (another place) when given; `settings` is a file of
    sources outside the home. What is missing or not what the ledger says is a problem of the back-up, never copied.

    Raises UsageError for a `dest` inside the home, Refused while another back-up or a clearing is under way, OSError.
    """
    _check_places(home, dest, keys)
    with exclusive(home, BACKUP_LOCK), closing(Ledger(home.ledger_url)) as ledger:
        store = _Store(dest)
        head = _read(home.root / HEAD_FILE)
        text, told = ledger_copy.export(ledger)
        backup = Backup(
            created_at=now().isoformat(timespec="seconds"),
            ledger=store.put_bytes(text),
            journal=told.head,
            release_id=told.releases[-1].release_id if told.releases else "",
            keys=_save_keys(home, keys),
        )
        if head is not None:
            backup.files[HEAD_FILE] = Entry(store.put_bytes(head), len(head), 0o644)
        wanted = [*_wanted(home, ledger, told, backup.problems), *_others(home, settings)]
        for number, (name, path, sha256) in enumerate(wanted, 1):
            _add(backup, store, name, path, sha256)
            progress(number, len(wanted))
        store.sync()
        _write_manifest(dest, backup)
        return Made(backup, store.copied, store.copied_bytes)


def _check_places(home: Home, dest: Path, keys: Path | None) -> None:
    if not home.root.is_dir():
        raise Refused(f"状态目录 {home.root} 不存在，无可备份。", "请检查环境变量 EDUPLAN_HOME。")
    root = home.root.resolve()
    for what, place in (("备份目录", dest), ("密钥目录", keys)):
        if place is not None and place.resolve().is_relative_to(root):
            raise UsageError(f"{what} {place} 在状态目录之内。", "请换到另一磁盘或另一台机器的目录。")
    if keys is not None and keys.resolve().is_relative_to(dest.resolve()):
        raise UsageError(f"密钥目录 {keys} 在备份目录之内。", "密钥须与数据分开保管，请换一个目录。")


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _save_keys(home: Home, keys: Path | None) -> dict[str, str]:
    """Name -> hash of each key of the home; copied to `keys` with mode 0600 when that is given."""
    found = {}
    for name in (home.key_file.name, PRIVATE_KEY):
        content = _read(home.root / name)
        if content is None:
            continue
        found[name] = sha256_bytes(content)
        if keys is not None:
            keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(keys / name, content, mode=0o600)
    return found


class _Store:
    """The objects of a back-up folder; counts what is new."""

    def __init__(self, dest: Path) -> None:
        self._root = dest / OBJECTS
        self._root.mkdir(parents=True, exist_ok=True)
        for leftover in self._root.glob(f"{TEMP_PREFIX}*"):
            leftover.unlink(missing_ok=True)
        self._later = SyncLater()
        self.copied = 0
        self.copied_bytes = 0

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes; returns their hash."""
        sha256 = sha256_bytes(data)
        target = self._place(sha256)
        if not target.is_file() or target.stat().st_size != len(data):
            temporary = self._root / f"{TEMP_PREFIX}{unique_suffix()}"
            temporary.write_bytes(data)
            self._settle(temporary, target, len(data))
        return sha256

    def put_file(self, path: Path, sha256: str) -> bool:
        """Keep a file that has this hash; False when it has another one by now. Raises OSError."""
        target, size = self._place(sha256), path.stat().st_size
        if target.is_file() and target.stat().st_size == size:
            return True
        temporary = self._root / f"{TEMP_PREFIX}{unique_suffix()}"
        try:
            shutil.copyfile(path, temporary)
            # Of the copy and not of the source: what is kept is what was checked.
            if sha256_file(temporary) != sha256:
                return False
            self._settle(temporary, target, size)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _place(self, sha256: str) -> Path:
        return object_path(self._root.parent, sha256)

    def _settle(self, temporary: Path, target: Path, size: int) -> None:
        target.parent.mkdir(exist_ok=True)
        temporary.chmod(0o444)
        temporary.replace(target)
        with self._later.noting():
            fsync_file(target)
            fsync_dir(target.parent)
        self.copied += 1
        self.copied_bytes += size

    def sync(self) -> None:
        """Force everything new to disk, before a manifest speaks of it. Raises OSError."""
        self._later.sync()
        fsync_dir(self._root)


def object_path(dest: Path, sha256: str) -> Path:
    """Where the bytes of this hash lie in a back-up folder."""
    return dest / OBJECTS / sha256[:2] / sha256


def _wanted(home: Home, ledger: Ledger, told: ledger_copy.Told, problems: list[str]) -> Iterator[tuple[str, Path, str]]:
    """(path in the home, file, hash) of everything the exported ledger speaks of and that need be there."""
    gone = {(item.kind, item.name) for item in ledger.pruned()}
    for sha256 in told.snapshots:
        path = snapshot_path(home, sha256)
        if path.is_file() or (ORIGINAL, sha256) not in gone:
            yield home.relative(path), path, sha256
    last = {
        path
        for reading, files in told.last_readings.items()
        for path in files
        if (RECORDS, reading_name(*reading)) not in gone
    }
    for name, sha256 in sorted(told.record_files.items()):
        if name in last or (home.root / name).is_file():
            yield name, home.root / name, sha256
    for row in told.releases:
        yield from _release_files(home, row, (RELEASE, row.release_id) in gone, problems)


def _release_files(home: Home, row: ReleaseRow, cleared: bool, problems: list[str]) -> Iterator[tuple[str, Path, str]]:
    folder = home.releases / row.release_id
    try:
        release = read_release(folder)
    except Fault as error:
        problems.append(str(error))
        return
    if release.manifest_sha256 != row.manifest_sha256:
        problems.append(f"发布 {row.release_id} 的清单与台账登记的不一致，没有备份。")
        return
    yield home.relative(folder / MANIFEST_NAME), folder / MANIFEST_NAME, row.manifest_sha256
    signature = folder / SIGNATURE_NAME
    if signature.is_file():
        yield home.relative(signature), signature, sha256_file(signature)
    for name, about in release.manifest["files"].items():
        path = folder / name
        if path.is_file() or not (cleared and is_data(name)):
            yield home.relative(path), path, about["sha256"]


def _others(home: Home, settings: Path | None) -> Iterator[tuple[str, Path, str]]:
    """What no ledger knows: receipts, waivers, acknowledgements, settings, what waits in the inbox."""
    kept_apart = {home.key_file.name, PRIVATE_KEY}
    for top in sorted(home.root.iterdir()):
        if top.name.startswith(".") or top.name in _LEFT_OUT | kept_apart:
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            hidden = any(part.startswith(".") for part in path.relative_to(home.root).parts)
            if path.is_file() and not path.is_symlink() and not hidden:
                yield home.relative(path), path, ""
    dagster = home.root / _DAGSTER_SETTINGS
    if dagster.is_file():
        yield _DAGSTER_SETTINGS, dagster, ""
    if settings is not None and settings.is_file():
        yield f"config/{settings.name}", settings, ""


def _add(backup: Backup, store: _Store, name: str, path: Path, sha256: str) -> None:
    """Copy one file, or note why it is not in the back-up."""
    try:
        stat = path.stat()
        known = sha256 or sha256_file(path)
        kept = store.put_file(path, known)
    except FileNotFoundError:
        if sha256:
            backup.problems.append(f"缺少 {name}，没有备份；请执行 eduplan verify 查明原因。")
        return
    if not kept:
        why = "内容与登记的哈希不符" if sha256 else "在备份期间有变化"
        backup.problems.append(f"{name} {why}，没有备份。")
        return
    # What was taken in from the inbox is known by its time of change.
    mtime = stat.st_mtime_ns if name.startswith("inbox/") else None
    backup.files[name] = Entry(known, stat.st_size, stat.st_mode & 0o777, mtime)


def _write_manifest(dest: Path, backup: Backup) -> None:
    content = {"format": FORMAT, **{name: value for name, value in asdict(backup).items() if name != "name"}}
    data = pretty_json(content)
    stamp = backup.created_at.replace("-", "").replace(":", "")
    backup.name = f"{stamp}-{sha256_bytes(data)[:16]}"
    write_atomic(dest / BACKUPS / f"{backup.name}.json", data)


# -- reading and checking ---------------------------------------------------------------------------------------------


def names(dest: Path) -> list[str]:
    """The back-ups in a folder, oldest first."""
    return sorted(path.stem for path in (dest / BACKUPS).glob("*.json"))


def read(dest: Path, name: str = "") -> Backup:
    """One back-up, the newest when none is named. Raises UsageError when there is none, Refused when its manifest is
    damaged."""
    found = names(dest)
    if not found:
        raise UsageError(f"{dest} 中没有备份。", "请给出 eduplan backup 写入的目录。")
    chosen = name or found[-1]
    if chosen not in found:
        raise UsageError(f"{dest} 中没有备份 {chosen}。", f"现有：{'、'.join(found[-_SHOWN:])}。")
    data = (dest / BACKUPS / f"{chosen}.json").read_bytes()
    others = "、".join(other for other in found if other != chosen) or "无"
    damaged = Refused(
        f"备份清单 {BACKUPS}/{chosen}.json 已损坏。", f"请用 --backup 取另一次备份（现有：{others}），或另一份副本。"
    )
    if sha256_bytes(data)[:16] != chosen.rpartition("-")[2]:
        raise damaged
    try:
        return _parse(json.loads(data), chosen)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged from error


def _parse(content: Mapping[str, Any], name: str) -> Backup:
    if content["format"] != FORMAT:
        raise UsageError(f"备份 {name} 的格式 {content['format']} 不认识。", "请用当时或更新的程序恢复。")
    files = {path: Entry(**entry) for path, entry in content["files"].items()}
    for path in files:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts:
            raise ValueError(path)
    seq, head = content["journal"]
    plain = {name: content[name] for name in ("created_at", "ledger", "release_id", "keys", "problems")}
    return Backup(journal=(int(seq), str(head)), files=files, name=name, **plain)


def check(dest: Path, backup: Backup, progress: Progress = _no_progress) -> list[str]:
    """What is wrong with the objects of a back-up, in Chinese, naming each file; empty when all is whole."""
    found = [f"备份时已缺：{problem}" for problem in backup.problems]
    wanted = sorted(backup.objects.items(), key=lambda item: item[1])
    for number, (sha256, stands_for) in enumerate(wanted, 1):
        path = object_path(dest, sha256)
        where = path.relative_to(dest).as_posix()
        if not path.is_file():
            found.append(f"备份缺少 {where}（{stands_for}）。")
        elif sha256_file(path) != sha256:
            found.append(f"备份中的 {where}（{stands_for}）内容被改动或已损坏。")
        progress(number, len(wanted))
    return found


# -- restoring --------------------------------------------------------------------------------------------------------


def restore(dest: Path, backup: Backup, home: Home, *, keys: Path | None, progress: Progress = _no_progress) -> None:
    """Put a back-up (checked before) into an empty home. Killed half-way, the same call goes on.

    Raises Refused when the home or its ledger is not empty, UsageError when the keys are missing or others, OSError.
    """
    secret = _keys_for(backup, keys)
    _claim(home, backup)
    for number, (name, entry) in enumerate(sorted(backup.files.items()), 1):
        _put(object_path(dest, entry.sha256), home.root / name, entry)
        progress(number, len(backup.files))
    for name, content in secret.items():
        write_atomic(home.root / name, content, mode=0o600)
    home.ensure()
    with closing(Ledger(home.ledger_url)) as ledger:
        if ledger.journal_head() != backup.journal:
            ledger_copy.load(ledger, object_path(dest, backup.ledger).read_bytes())
    if backup.release_id:
        replace_symlink(home.current, f"{home.releases.name}/{backup.release_id}")
    (home.root / MARKER).unlink()
    fsync_dir(home.root)


def check_restored(home: Home) -> None:
    """Raise Refused when a restore of this home was begun and not ended."""
    if (home.root / MARKER).exists():
        raise Refused("状态目录的恢复没有完成，现在不能运行。", "请重新执行同一条 eduplan restore 命令，它会接着做完。")


def _keys_for(backup: Backup, keys: Path | None) -> dict[str, bytes]:
    found = {}
    for name, sha256 in backup.keys.items():
        content = _read(keys / name) if keys is not None else None
        if content is None:
            raise UsageError(
                f"缺少密钥 {name}：没有它，历年的人员无法衔接，发布无法签名。", "请用 --keys 指明另存密钥的目录。"
            )
        if sha256_bytes(content) != sha256:
            raise UsageError(f"{keys}/{name} 不是备份时的密钥。", "请找出与该备份同时另存的密钥。")
        found[name] = content
    return found


def _claim(home: Home, backup: Backup) -> None:
    marker = home.root / MARKER
    begun = _read(marker)
    there = [path.name for path in home.root.iterdir()] if home.root.is_dir() else []
    if begun is None and there:
        raise Refused(
            f"状态目录 {home.root} 不是空的（{'、'.join(sorted(there)[:_SHOWN])}），没有恢复。",
            "请用 EDUPLAN_HOME 指明一个空目录，或先把现有内容移走。",
        )
    if begun is not None and begun.decode() != backup.name:
        name = begun.decode()
        raise Refused(f"这里正在恢复的是备份 {name}。", f"请用 --backup {name} 接着做完，或清空该目录。")
    if begun is None and home.ledger_setting:
        with closing(Ledger(home.ledger_url)) as ledger:
            if ledger.journal_head()[0]:
                raise Refused("EDUPLAN_LEDGER_URL 所指的台账不是空的，没有恢复。", "请指明一个空的数据库。")
    write_atomic(marker, backup.name.encode())


def _put(source: Path, target: Path, entry: Entry) -> None:
    if target.is_file() and target.stat().st_size == entry.size and sha256_file(target) == entry.sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f"{TEMP_PREFIX}{unique_suffix()}"
    try:
        shutil.copyfile(source, temporary)
        temporary.chmod(entry.mode)
        if entry.mtime_ns is not None:
            os.utime(temporary, ns=(entry.mtime_ns, entry.mtime_ns))
        fsync_file(temporary)
        temporary.replace(target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    fsync_dir(target.parent)
