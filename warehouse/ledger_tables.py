"""The ledger's tables, and how its database is opened (SQLite in the home, or PostgreSQL by URL).

What belongs here: columns, constraints, append-only triggers, connection settings. What does not: any statement that
reads or writes a row (`warehouse.ledger`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

# Marks a transaction that will write: SQLite then takes its lock at once instead of failing half-way on upgrade.
WRITE_OPTION: Final = "eduplan_write"
BUSY_MILLISECONDS: Final = 30_000

metadata = sa.MetaData()

snapshot = sa.Table(
    "snapshot",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("first_seen", sa.String(40), nullable=False),
)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("delivery_id", sa.String(32), primary_key=True),
    sa.Column("contract_version", sa.String(80), primary_key=True),
    sa.Column("arrival", sa.BigInteger, nullable=False),
    sa.Column("journal_seq", sa.BigInteger, nullable=False),
    sa.Column("feed", sa.String(64), nullable=False),
    sa.Column("area_code", sa.String(32), nullable=False),
    sa.Column("period", sa.Integer, nullable=False),
    sa.Column("part", sa.String(32), nullable=False),
    sa.Column("sha256", sa.String(64), sa.ForeignKey("snapshot.sha256"), nullable=False),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("submitter", sa.Text, nullable=False),
    sa.Column("reported_on", sa.String(10)),
    sa.Column("received_at", sa.String(40), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("rows_in", sa.BigInteger, nullable=False),
    sa.Column("rows_accepted", sa.BigInteger, nullable=False),
    sa.Column("rows_quarantined", sa.BigInteger, nullable=False),
    sa.Column("tables", sa.Text, nullable=False),
    sa.CheckConstraint("rows_in = rows_accepted + rows_quarantined", name="delivery_rows_add_up"),
    sa.CheckConstraint("status IN ('accepted', 'partly', 'refused')", name="delivery_status_known"),
)

# What a reading left on disk: path below the home -> SHA-256, as JSON.
record_file = sa.Table(
    "record_file",
    metadata,
    sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("delivery_id", sa.String(32), nullable=False, index=True),
    sa.Column("contract_version", sa.String(80), nullable=False),
    sa.Column("files", sa.Text, nullable=False),
)

# Who took a delivery back and why, and who let it count again: the last entry of a delivery holds.
withdrawal = sa.Table(
    "withdrawal",
    metadata,
    sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("delivery_id", sa.String(32), nullable=False, index=True),
    sa.Column("withdrawn", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("event_key", sa.String(64), primary_key=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("connector", sa.String(32), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("feed", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("delivery_id", sa.String(32), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("submitter", sa.Text, nullable=False),
)

candidate = sa.Table(
    "candidate",
    metadata,
    sa.Column("candidate_id", sa.String(32), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("recorded_at", sa.String(40), nullable=False),
)

verdict = sa.Table(
    "verdict",
    metadata,
    sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("candidate_id", sa.String(32), nullable=False, index=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("rules_version", sa.Text, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("judged_at", sa.String(40), nullable=False),
)

# A delivery set aside ('held') or taken up again ('lifted'); the last row of a delivery counts.
hold = sa.Table(
    "hold",
    metadata,
    sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("delivery_id", sa.String(32), nullable=False, index=True),
    sa.Column("feed", sa.String(64), nullable=False),
    sa.Column("area_code", sa.String(32), nullable=False),
    sa.Column("period", sa.Integer, nullable=False),
    sa.Column("part", sa.String(32), nullable=False),
    sa.Column("candidate_id", sa.String(32), nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("context", sa.String(64), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("reason_zh", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.CheckConstraint("action IN ('held', 'lifted')", name="hold_action_known"),
)

release = sa.Table(
    "release",
    metadata,
    sa.Column("release_id", sa.String(64), primary_key=True),
    sa.Column("journal_seq", sa.BigInteger, nullable=False, unique=True),
    sa.Column("candidate_id", sa.String(32), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("verdict_digest", sa.String(64), nullable=False),
    sa.Column("rules_version", sa.Text, nullable=False),
    sa.Column("data_version", sa.String(32), nullable=False),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
    sa.Column("previous_release_id", sa.String(64), nullable=False),
    sa.Column("published_at", sa.String(40), nullable=False),
)

# What was cleared away under the retention policy, why, by whom and when.
pruned = sa.Table(
    "pruned",
    metadata,
    sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False),
)

# Who may write now; changed in place, and therefore in no journal.
lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("started", sa.BigInteger, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("taken_at", sa.String(40), nullable=False),
    sa.Column("expires_at", sa.String(40), nullable=False),
)

# What a person was or is to be told: an alert is opened, later resolved; the last row of (kind, subject) counts.
alert = sa.Table(
    "alert",
    metadata,
    sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(128), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("detail_zh", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.CheckConstraint("action IN ('opened', 'resolved')", name="alert_action_known"),
)

# Who was told of which alert; and how it stands with an end that cannot be reached. Operation, not evidence: changed in
# place and in no journal, like the lease.
alert_told = sa.Table(
    "alert_told",
    metadata,
    sa.Column("end_name", sa.String(64), primary_key=True),
    sa.Column("alert_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
)
# Everything up to this number counts as told to the end: what stands for the marks that were cleared away.
alert_told_until = sa.Table(
    "alert_told_until",
    metadata,
    sa.Column("end_name", sa.String(64), primary_key=True),
    sa.Column("alert_seq", sa.BigInteger, nullable=False),
)
alert_end = sa.Table(
    "alert_end",
    metadata,
    sa.Column("end_name", sa.String(64), primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.String(40), nullable=False),
    sa.Column("error_zh", sa.Text, nullable=False),
)

# How each run ended. Operation, not evidence: in no journal.
run_outcome = sa.Table(
    "run_outcome",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.String(64), nullable=False, unique=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("asked_by", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("detail_zh", sa.Text, nullable=False),
    sa.Column("release_id", sa.String(64), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)

# How many of the runs whose rows were cleared away ended so: a counter must never go back.
run_outcome_cleared = sa.Table(
    "run_outcome_cleared",
    metadata,
    sa.Column("outcome", sa.String(32), primary_key=True),
    sa.Column("runs", sa.BigInteger, nullable=False),
)

# What says how work goes and is rewritten or prunable: no evidence of anything, so in no journal.
OPERATION: Final = (lease, alert_told, alert_told_until, alert_end, run_outcome, run_outcome_cleared)

# The chain detects tampering; the triggers keep an honest mistake from becoming one.
_SQLITE_TRIGGERS: Final = tuple(
    f"CREATE TRIGGER IF NOT EXISTS journal_no_{what} BEFORE {what.upper()} ON journal "
    "BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END"
    for what in ("update", "delete")
)
_POSTGRES_TRIGGERS: Final = (
    "CREATE OR REPLACE FUNCTION journal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'journal is append-only'; END $$",
    "CREATE OR REPLACE TRIGGER journal_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
    "FOR EACH STATEMENT EXECUTE FUNCTION journal_append_only()",
)
# Any fixed number: it names the one lock under which PostgreSQL appends to the journal.
_ADVISORY_LOCK: Final = 7_233_017


def open_engine(url: str) -> sa.Engine:
    """An engine for the ledger: SQLite with WAL, or PostgreSQL through psycopg. Opens no connection yet."""
    address = with_driver(url)
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address, pool_pre_ping=True, hide_parameters=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(address, hide_parameters=True)
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def with_driver(url: str) -> URL:
    """The URL with psycopg named as the PostgreSQL driver when none is."""
    address = make_url(url)
    return address.set(drivername="postgresql+psycopg") if address.drivername == "postgresql" else address


def _set_pragmas(connection: Any, _record: object) -> None:
    # The driver's own transaction handling would start deferred transactions behind our back.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", f"busy_timeout={BUSY_MILLISECONDS}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITE_OPTION, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def serialise_writers(connection: sa.Connection) -> None:
    """Let one writer at a time append; SQLite already does so by its lock."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def create_schema(connection: sa.Connection) -> None:
    """Create what is missing of tables and triggers, inside a writing transaction."""
    metadata.create_all(connection)
    triggers = _SQLITE_TRIGGERS if connection.dialect.name == "sqlite" else _POSTGRES_TRIGGERS
    for statement in triggers:
        connection.exec_driver_sql(statement)
