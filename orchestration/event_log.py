"""Dagster's event log and its sensors' ticks on SQLite with connections that stay open.

What belongs here: how these files are opened. What does not: what is written. The stock storages make a new engine and
a new connection for each of a run's thousand events and for each line of a tick; each close writes the journal back
and waits for the disk, and each new engine compiles every statement anew. Neither is evidence (the ledger is): with
`synchronous=NORMAL` a power cut may lose the last lines and never damages them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import sqlalchemy as sa
from dagster import EventLogEntry, Field, StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from warehouse.errors import UsageError

_BUSY_SECONDS: Final = 60.0
# The index and the runs somebody writes or looks at; a daemon sees thousands of runs, each a file of its own.
_MOST_OPEN: Final = 4
_BATCH_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"
_LARGEST_BATCH: Final = 1000


@dataclass
class _Batch:
    """The connections, by file, that stay in their transaction until all events of a batch are written."""

    stack: ExitStack
    open: dict[str, sa.Connection] = field(default_factory=dict)

    def connection(self, shard: str, begun: Callable[[str], AbstractContextManager[sa.Connection]]) -> sa.Connection:
        """The one of this file, begun when it is first asked for."""
        if shard not in self.open:
            self.open[shard] = self.stack.enter_context(begun(shard))
        return self.open[shard]


class OpenEventLogStorage(SqliteEventLogStorage):
    """The stock storage, files and tables, but one connection a file, kept open for those used last."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Before the stock constructor, which may open the index already.
        self._engines: dict[str, sa.Engine] = {}
        self._lock = threading.RLock()
        self._batch: _Batch | None = None
        self._tables: set[str] = set()
        self._columns: set[str] = set()
        super().__init__(base_dir, inst_data)
        # Dagster hands over events in batches only where it is told how many make one.
        os.environ.setdefault(_BATCH_VARIABLE, str(_LARGEST_BATCH))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenEventLogStorage:
        """Made by Dagster from the instance's settings. Without `base_dir`: where the stock storage keeps its files, so
        that settings hold no path and a home can be moved. Raises UsageError when nothing tells where that is."""
        return cls(str(config_value.get("base_dir") or _stock_dir() / "history" / "runs"), inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """One setting, which may be left out."""
        return {"base_dir": Field(StringSource, is_required=False)}

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table. One that is there stays, and is not asked for with every event."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        # Likewise: a column that is there stays, and the stock storage lists them all with every event of an asset.
        if column_name not in self._columns and super()._has_asset_key_col_on_connection(conn, column_name):
            self._columns.add(column_name)
        return column_name in self._columns

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events in one transaction a file, where the stock storage asks for two or three of each event: a run
        that is planned has one for each of its assets and checks."""
        with self._lock, ExitStack() as stack:
            self._batch = _Batch(stack)
            try:
                super().store_event_batch(events)
            finally:
                self._batch = None

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        # A lock of our own: whoever writes a batch connects while holding it.
        with self._lock:
            if self._batch is not None:
                yield self._batch.connection(shard, self._begun)
            else:
                with self._begun(shard) as connection:
                    yield connection

    @contextmanager
    def _begun(self, shard: str) -> Iterator[sa.Connection]:
        with self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> sa.Engine:
        if shard in self._engines:
            # Last in the order: used last.
            self._engines[shard] = self._engines.pop(shard)
        else:
            while len(self._engines) >= _MOST_OPEN:
                # Nobody is in it: the lock is held, and whoever uses a connection holds it.
                self._engines.pop(next(iter(self._engines))).dispose()
            address = self.conn_string_for_shard(shard)
            first = sa.create_engine(address, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})
            self._initdb(first)
            settings = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
            engine = sa.create_engine(address, poolclass=StaticPool, connect_args=settings)
            sa.event.listen(engine, "connect", _relax)
            self._engines[shard] = engine
        return self._engines[shard]

    def dispose(self) -> None:
        """Close every file."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()


class OpenScheduleStorage(SqliteScheduleStorage):
    """The stock storage of ticks and cursors, file and tables, with one engine for all its statements.

    A sensor looks every five seconds, and each look is a dozen statements of the daemon's. An instance that ends does
    not tell this storage so; its connections, made when first asked for, go with the object.
    """

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Before the stock constructor, which may look already. A connection goes to whichever thread asks next.
        settings = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
        self._open = sa.create_engine(conn_string, poolclass=QueuePool, connect_args=settings)
        sa.event.listen(self._open, "connect", _relax)
        super().__init__(conn_string, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenScheduleStorage:
        """As the event log's, likewise without `base_dir`. Raises UsageError when nothing tells where that is."""
        # Made by whichever class was asked.
        return cast(
            "OpenScheduleStorage",
            cls.from_local(str(config_value.get("base_dir") or _stock_dir() / "schedules"), inst_data),
        )

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """One setting, which may be left out."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection in a transaction, given back open."""
        with self._open.connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close every connection."""
        super().dispose()
        self._open.dispose()


def _stock_dir() -> Path:
    """Where the stock storages keep their files: the UI and the daemon read the same. Raises UsageError."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise UsageError("没有设置 DAGSTER_HOME，不知道事件日志在哪里。", "请用 eduplan dev 或 deploy/ 下的单元启动。")
    return Path(home)


def _relax(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
