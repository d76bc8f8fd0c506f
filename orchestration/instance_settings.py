"""`<home>/dagster/dagster.yaml`: what a new home gets, and an older one that nobody changed.

What belongs here: the text, knowing our own earlier texts again, and what a changed file lacks. What does not: opening
the instance (`orchestration.instance`). Nothing of Dagster is imported: `eduplan status` asks, and the units run this
module before a daemon reads the file.

A file that is byte for byte what an earlier version wrote (or had under `deploy/`) becomes what this version would
write. One that somebody changed is theirs: it is never touched, and `lacking` says which lines it could take over.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from warehouse.files import sha256_file, write_atomic
from warehouse.paths import Home, package_root

FILE: Final = "dagster.yaml"
SETTINGS: Final = """\
# Settings of this home's Dagster instance; yours to change, written once. For production: deploy/dagster.yaml.
telemetry:
  enabled: false
# No sign-up window before the first look.
nux:
  enabled: false
# A run is one process and holds the home's lock; no queue is needed in front of it.
run_coordinator:
  module: dagster.core.run_coordinator
  class: DefaultRunCoordinator
# Events and looks of sensors are many; their files are kept open instead of being opened and closed for each.
event_log_storage:
  module: orchestration.event_log
  class: OpenEventLogStorage
schedule_storage:
  module: orchestration.event_log
  class: OpenScheduleStorage
# A run is forked from a process that has imported everything already; without it runs start as ever.
run_launcher:
  module: orchestration.warm_launcher
  class: WarmRunLauncher
concurrency:
  pools:
    default_limit: 1
# Sensors ask services that may be slow or away: none waits for another.
sensors:
  use_threads: true
  num_workers: 8
schedules:
  use_threads: true
  num_workers: 4
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
# What sensors and schedules said; a sensor looks every five seconds. Runs themselves: `eduplan prune`.
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 2
      failure: 30
      success: 90
"""
# SHA-256 of every text a home was ever given, the present one last; a text that is changed gets a line here.
WRITTEN: Final = (
    "0c92ee7912b12853374e5b7c86445d2050e78e2494334a1b6cf98d370a02a576",
    "526d89da4dac2cbbabde9d0d2a8ee8bf235465869d7e99ee1819d71ab606d80e",
    "657a58bd95c615a411122f5043ae55db84b427bbc1ee79fbc7216fcbc8571f5e",
    "f8ca1122fe4a2cd7d47e8f1aed29fc5fdb3ffb588fb460f4a7837f01b10b6e96",
    "bb253883f962e54872181f1570f8739da3f2c46684ca25677d885195570db38c",
    "0a1e5e011df085b5b24628b367c8d2d6623a1154a7975dd388e4fd69434e2476",
    "c906ca0335a4ce2c3121e1e1ffd0735cf33ca2f9d6c3ebadb55481c75bbab1dd",
    "6ebbaad2a80b9b1dfbf1268676822aa638fdf8a6a2819deccf24ffe303d5711c",
)
# The same of deploy/dagster.yaml, which operators copy.
DEPLOYED: Final = (
    "3f0de9ef6e5c76bf1fb16f144c9aace6d9c8963b94fdd373c6d5ed5dba58a3e2",
    "ce85845a07dde3047926bf3d36a6c9d8e37b4eb22fe5eb4608967efcf0f1f90b",
    "b48a178758da0a68e9691d60e0f57d7d273b91e838243a97375a28373b3cb8c6",
)


def production() -> Path:
    """The file to copy where the history lies in PostgreSQL."""
    return package_root() / "deploy" / FILE


def bring_up_to_date(folder: Path) -> bool:
    """Write the settings where there are none or where an earlier version's stand unchanged, mode and owner's rights
    kept; True when that was done. Raises OSError."""
    path = folder / FILE
    if not path.is_file():
        write_atomic(path, SETTINGS.encode())
        return True
    known = sha256_file(path)
    if known in WRITTEN[:-1]:
        content = SETTINGS.encode()
    elif known in DEPLOYED[:-1] and production().is_file():
        content = production().read_bytes()
    else:
        return False
    write_atomic(path, content, mode=stat.S_IMODE(path.stat().st_mode))
    return True


def lacking(folder: Path) -> dict[str, str]:
    """Section -> the lines of this version's settings that a file somebody changed has nothing in place of. Empty where
    there is no file, and where it cannot be read as YAML: that Dagster says itself."""
    path = folder / FILE
    try:
        if sha256_file(path) in {*WRITTEN, *DEPLOYED}:
            return {}
        own: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    if not isinstance(own, dict):
        return {}
    # A storage of its own says where events and ticks lie, too.
    covered = {*own, *(["event_log_storage", "schedule_storage"] if "storage" in own else [])}
    return {name: lines for name, lines in _sections().items() if name not in covered}


def _sections() -> dict[str, str]:
    """The text of each section with its value, comments left out."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in SETTINGS.splitlines():
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            name = line.partition(":")[0]
        found.setdefault(name, []).append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def main() -> None:
    """Before a daemon or a web page starts: bring this home's file up to date, or say what it lacks."""
    folder = Home.from_env().root / "dagster"
    path = folder / FILE
    if path.is_file() and bring_up_to_date(folder):
        sys.stdout.write(f"{path} 是旧版本写入且未经修改的，已更新为本版本的默认设置。\n")
    for name, lines in lacking(folder).items():
        sys.stdout.write(f"{path} 缺少本版本的默认设置 {name}；需要时请加入：\n{lines}\n")


if __name__ == "__main__":
    main()
