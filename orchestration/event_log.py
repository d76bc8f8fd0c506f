"""Dagster's event log on SQLite with connections that stay open.

What belongs here: how the log's files are opened. What does not: what is logged. The stock storage makes a new engine
and a new connection for each of a run's thousand events, and each close writes the journal back and waits for the disk.
The log is no evidence (the ledger is): with `synchronous=NORMAL` a power cut may lose its last lines and never damages
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import NullPool, StaticPool

_BUSY_SECONDS: Final = 60.0


class OpenEventLogStorage(SqliteEventLogStorage):
    """The stock storage, files and tables, but one connection a file for as long as the instance lives."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Before the stock constructor, which may open the index already.
        self._engines: dict[str, sa.Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenEventLogStorage:
        """Made by Dagster from the instance's settings."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
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


def _relax(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
