"""Connections to the record: one way to read, one way to write, on SQLite and on PostgreSQL."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import InterfaceError, InternalError, InvalidatePoolError, OperationalError, TimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from service.persistence.commits import Commits, FileCommits, ServerCommits

BUSY_TIMEOUT_S = 30

SILENT_TRANSACTION_S = 10
"""So long PostgreSQL waits for the next word of a transaction. A process that was stopped or cut off in the middle of one would
otherwise keep its locks for ever, and nobody could take over its work."""

FORGOTTEN_S = 1.0
"""A connection to PostgreSQL that was not used for longer is tried first: a network may have dropped it without a word."""

DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, TimeoutError)
"""What says that the database cannot serve now, and may again later: a restart, a failover, a pool that is all in use."""


class Database:
    """Sessions that read, and sessions that write and commit; `close` gives the connections back.

    On SQLite a writer takes its lock at BEGIN: a transaction that reads first and writes later fails at once with
    "database is locked" whatever the timeout. Writers of one process share one connection, since SQLite's wait is unfair.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._reader = _sqlite_engine(url, writes=False) if self.is_sqlite else _postgres_engine(url)
        self._writer = _sqlite_engine(url, writes=True) if self.is_sqlite else self._reader
        # On PostgreSQL each query of a read is a transaction of its own. It sees no less, and BEGIN and ROLLBACK are saved.
        reads = self._reader if self.is_sqlite else self._reader.execution_options(isolation_level="AUTOCOMMIT")
        self.commits: Commits = FileCommits(str(self.url.database)) if self.is_sqlite else ServerCommits(reads)
        self._reads = sessionmaker(reads)
        self._writes = sessionmaker(self._writer, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Nothing is written in it: SQLite refuses that. There all its queries see one moment, and on PostgreSQL each its own."""
        with self._reads() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed, durably, when the block ends; rolled back when it raises."""
        with self._writes.begin() as session:
            yield session

    @property
    def writer(self) -> Engine:
        return self._writer

    def close(self) -> None:
        self.commits.close()
        self._reader.dispose()
        self._writer.dispose()


def _postgres_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=10, max_overflow=10, pool_timeout=BUSY_TIMEOUT_S)

    def configure(connection: Any, _record: object) -> None:
        # Not in a transaction, which would be two more round trips.
        connection.autocommit = True
        connection.execute(f"SET idle_in_transaction_session_timeout = '{SILENT_TRANSACTION_S}s'")
        connection.autocommit = False
        connection.cursor_factory = _row_by_row(connection.cursor_factory)

    def leave(_connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["left_at"] = time.monotonic()

    def take(connection: Any, entry: ConnectionPoolEntry, _user: object) -> None:
        """Have the pool connect anew where the connection is gone. To ask each time (`pool_pre_ping`) would be one more round trip."""
        left_at = entry.info.get("left_at")
        if left_at is None or (time.monotonic() - left_at < FORGOTTEN_S and not _has_news(connection)):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    for name, listener in (("connect", configure), ("checkin", leave), ("checkout", take)):
        event.listen(engine, name, listener)
    return engine


def _has_news(connection: Any) -> bool:
    """Whether a connection that nobody uses has something to be read: a server that goes away says so, or closes it."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _row_by_row(cursor_class: Any) -> Any:
    """Return a class of psycopg's cursors that sends many rows one by one and not as a pipeline.

    A transaction that falls silent in the middle of a pipeline, or right after one, is not ended for its silence.
    """

    class RowByRow(cursor_class):  # type: ignore[misc]  # Known once a connection is there: psycopg need not be installed.
        def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
            self._conn.wait(self._executemany_gen_no_pipeline(query, params_seq, returning))

    return RowByRow


def _sqlite_engine(url: str, *, writes: bool) -> Engine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError(f"{url!r} names no file; Counterweight keeps its record in one, such as sqlite:////srv/counterweight.db")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    size = {"pool_size": 1, "max_overflow": 0} if writes else {"pool_size": 20, "max_overflow": 20}
    engine = create_engine(url, pool_timeout=BUSY_TIMEOUT_S, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, **size)

    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # The driver must not begin transactions by itself.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if not writes:
            connection.execute("PRAGMA query_only=ON")

    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", begin)
    return engine
