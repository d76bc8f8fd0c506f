"""Where things live: the state directory (`Home`) and the project's own files (`project_root`).

Only names and places belong here; reading and writing do not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from warehouse.errors import UsageError

PROJECT_MARKER = "dbt_project"


@dataclass(frozen=True)
class Home:
    """All state under one directory. `ledger_setting` and `finance_setting` override the two database addresses."""

    root: Path
    # URLs may hold a password: never part of repr, so never part of a log line.
    ledger_setting: str = field(default="", repr=False)
    finance_setting: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).absolute())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Home:
        """Read EDUPLAN_HOME, EDUPLAN_LEDGER_URL and EDUPLAN_FINANCE_URL."""
        env = os.environ if environ is None else environ
        return cls(
            root=Path(env.get("EDUPLAN_HOME") or "var"),
            ledger_setting=env.get("EDUPLAN_LEDGER_URL", ""),
            finance_setting=env.get("EDUPLAN_FINANCE_URL", ""),
        )

    def ensure(self) -> Home:
        """Create the directories that are missing and return self."""
        for folder in (
            self.inbox,
            self.archive,
            self.records,
            self.quarantine,
            self.receipts,
            self.candidates,
            self.releases,
            self.waivers,
            self.locks,
            self.sources,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    @property
    def inbox(self) -> Path:
        """`inbox/<feed>/…`: what offices hand in."""
        return self.root / "inbox"

    @property
    def archive(self) -> Path:
        """Snapshots under their SHA-256."""
        return self.root / "archive"

    @property
    def records(self) -> Path:
        """Typed Parquet, one folder a delivery."""
        return self.root / "records"

    @property
    def quarantine(self) -> Path:
        """Rows that broke the contract, one Parquet a delivery."""
        return self.root / "quarantine"

    @property
    def receipts(self) -> Path:
        """What a submitter is told, one JSON and one text a delivery."""
        return self.root / "receipts"

    @property
    def candidates(self) -> Path:
        """Sealed builds that may be judged and published."""
        return self.root / "candidates"

    @property
    def releases(self) -> Path:
        """Immutable published folders."""
        return self.root / "releases"

    @property
    def current(self) -> Path:
        """Symlink to the release readers see."""
        return self.root / "current"

    @property
    def waivers(self) -> Path:
        """Waivers in force and past, one YAML each."""
        return self.root / "waivers"

    @property
    def locks(self) -> Path:
        """Lock files; they hold nothing but their owner's name."""
        return self.root / "locks"

    @property
    def sources(self) -> Path:
        """Databases that stand in for other offices' systems (the demo's finance database)."""
        return self.root / "sources"

    @property
    def looks(self) -> Path:
        """What the last look at an embedded finance database found; it may go at any time."""
        return self.root / "looks" / "finance.json"

    @property
    def sightings(self) -> Path:
        """Since when files on servers are as they were last seen, a file a source; it may go at any time."""
        return self.root / "looks" / "sightings"

    @property
    def key_file(self) -> Path:
        """The pseudonymisation key (mode 0600)."""
        return self.root / "secret.key"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger; SQLite inside the home unless set."""
        return self.ledger_setting or f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def finance_url(self) -> str | None:
        """SQLAlchemy URL of the finance database, or None when there is none (the feed is absent then)."""
        if self.finance_setting:
            return self.finance_setting
        embedded = self.sources / "finance.db"
        return f"sqlite:///{embedded}" if embedded.is_file() else None

    def relative(self, path: Path) -> str:
        """The path below the home, with forward slashes, as the ledger stores it."""
        return path.relative_to(self.root).as_posix()


def project_root() -> Path:
    """The checkout that holds `dbt_project/`; EDUPLAN_PROJECT overrides. Raises UsageError when it is not one."""
    override = os.environ.get("EDUPLAN_PROJECT")
    root = Path(override).absolute() if override else package_root()
    if not (root / PROJECT_MARKER).is_dir():
        raise UsageError(
            f"找不到项目目录：{root} 下没有 {PROJECT_MARKER}/。", "请用环境变量 EDUPLAN_PROJECT 指明项目所在目录。"
        )
    return root


def package_root() -> Path:
    """The directory that holds the running Python packages."""
    return Path(__file__).absolute().parent.parent
