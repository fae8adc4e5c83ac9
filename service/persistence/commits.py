"""Noticing at hardly any cost whether anything was committed since one last looked."""

import sqlite3


class Commits:
    """What `mark` says changes with every commit to the SQLite file at `path`, whichever process made it; without a file, nothing."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def mark(self) -> int | None:
        """Return a number that is the same as before only while nothing was committed; None where it cannot be had."""
        if self._path is None:
            return None
        try:
            if self._connection is None:
                # Of its own: the number tells of other connections' commits, and only one connection's numbers can be compared.
                self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None  # Whatever ails the database, reading it will tell.

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
