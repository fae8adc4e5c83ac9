"""Noticing at little cost whether anything was committed since one last looked."""

import sqlite3
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError


class Commits(Protocol):
    """What was committed to a database, whichever process did it. `are_near` where a mark takes no longer than to look at it."""

    are_near: bool

    def mark(self) -> str | None:
        """Return what is the same as before only while nothing was committed; None where it cannot be had."""

    def close(self) -> None: ...


class FileCommits:
    """Those to the SQLite file at `path`."""

    are_near = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def mark(self) -> str | None:
        try:
            if self._connection is None:
                # Of its own: the number tells of other connections' commits, and only one connection's numbers can be compared.
                self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
            return str(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None  # Whatever ails the database, reading it will tell.

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ServerCommits:
    """Those to all databases of a PostgreSQL server.

    The mark is what a statement would see now: which transactions are over, and which are not. One that writes nothing changes nothing of
    it; one that commits takes itself off the list of those under way, or moves the list's end.
    """

    are_near = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark(self) -> str | None:
        try:
            with self._engine.connect() as connection:
                return str(connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one())
        except SQLAlchemyError:
            return None  # As above.

    def close(self) -> None:
        """The engine is its owner's."""
