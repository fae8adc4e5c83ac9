"""Noticing that the record changed, without asking it again and again: one listener per process, for all its waiters."""

import sqlite3
import threading
import time
from collections.abc import Iterator

from sqlalchemy.exc import OperationalError

from service.persistence import event_log, logs
from service.persistence.database import DATABASE_AWAY, Database

POLL_S = 0.03
"""How often the embedded database is looked at. Reading `PRAGMA data_version` touches no table and costs microseconds."""

RECONNECT_S = 1.0

EVERYTHING: frozenset[str] = frozenset({"*"})
"""Said when changes may have been missed: whoever waits must look again."""


def watch(database: Database, stop: threading.Event) -> Iterator[frozenset[str]]:
    """Yield the ids of jobs and datasets as they change, until `stop` is set; an empty set when a second passed without any.

    While the database is away nothing can be seen: EVERYTHING is said when it is back.
    """
    watch_once = _watch_sqlite if database.is_sqlite else _watch_postgres
    while not stop.is_set():
        try:
            yield from watch_once(database, stop)
        except (*DATABASE_AWAY, sqlite3.OperationalError):
            stop.wait(RECONNECT_S)


def _watch_sqlite(database: Database, stop: threading.Event) -> Iterator[frozenset[str]]:
    connection = sqlite3.connect(f"file:{database.url.database}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    try:
        with database.read() as session:
            seen, heard = event_log.extent(session).settled, logs.last_id(session)
        yield EVERYTHING
        version, quiet_since = _data_version(connection), time.monotonic()
        while not stop.wait(POLL_S):
            latest = _data_version(connection)
            if latest == version:
                if time.monotonic() - quiet_since >= 1:
                    quiet_since = time.monotonic()
                    yield frozenset()
                continue
            version, quiet_since = latest, time.monotonic()
            with database.read() as session:
                fresh, said = event_log.between(session, seen, 2**63 - 1), logs.since(session, heard)
            seen = fresh[-1].id if fresh else seen
            heard = max(said, default=heard)
            yield frozenset({*(event.subject for event in fresh), *said.values()})
    finally:
        connection.close()


def _data_version(connection: sqlite3.Connection) -> int:
    """A number that moves when another connection has committed."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _watch_postgres(database: Database, stop: threading.Event) -> Iterator[frozenset[str]]:
    # Imported here and not above: an embedded service has no use for it, and its start should not wait for it.
    import psycopg  # noqa: PLC0415

    conninfo = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"LISTEN {event_log.CHANNEL}")
            yield EVERYTHING
            while not stop.is_set():
                yield frozenset(notice.payload for notice in connection.notifies(timeout=1, stop_after=1))
    except psycopg.Error as error:
        raise OperationalError("LISTEN", None, error) from error
