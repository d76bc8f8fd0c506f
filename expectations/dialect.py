"""The SQLAlchemy dialect through which Great Expectations reads a candidate: the gate's own read-only connection.

GX opens engines of its own; lending them all one connection keeps one set of settings, lets them see the gate's
temporary tables, and makes a stuck query interruptible. GX fetches after its connection went back to the pool, and
DuckDB drops a result on rollback: where nothing can be written there is nothing to begin, commit or roll back, so these
do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import duckdb
from duckdb_engine import ConnectionWrapper, Dialect

_lent: dict[str, duckdb.DuckDBPyConnection] = {}
_tokens = count()


@contextmanager
def lent(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Lend a connection to engines of this dialect; the token is the database name in their URL."""
    token = f"gate-{next(_tokens)}"
    _lent[token] = connection
    try:
        yield token
    finally:
        del _lent[token]


class _Borrowed(ConnectionWrapper):
    """A wrapper that does not close what it does not own."""

    def close(self) -> None:
        """Nothing: the lender closes."""


class GateDialect(Dialect):
    """duckdb_engine's dialect over a lent connection, without transactions."""

    supports_statement_cache = False

    def connect(self, *_: Any, **parameters: Any) -> Any:
        """Hand out the lent connection. Raises KeyError once it is no longer lent."""
        return _Borrowed(_lent[parameters["database"]])

    def do_begin(self, connection: object) -> None:
        """Nothing: reads need no transaction."""

    def do_commit(self, connection: object) -> None:
        """Nothing: there is nothing to commit."""

    def do_rollback(self, connection: object) -> None:
        """Nothing: a rollback would drop the result GX has yet to fetch."""
