"""The way from a process to its database, which a test can hold up, cut, and cut at the worst moment."""

import contextlib
import socket
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Literal, Self

import psycopg
from sqlalchemy import URL, make_url

from service.persistence.database import Database

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""What libpq sends to commit."""

Cut = Literal["before", "after"]


class Proxy:
    """Passes on what is said between clients of `url` and the database that `url` names; open while the context is."""

    def __init__(self, database_url: str) -> None:
        theirs = make_url(database_url)
        self._target = _address_of(theirs)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        # Through a proxy each session would be told that it may speak TLS to a server that it has no certificate of.
        ours = theirs.set(host="127.0.0.1", port=port).update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
        self.url = ours.difference_update_query(["host"]).render_as_string(hide_password=False)
        self._is_open, self._is_there = threading.Event(), True
        self._is_open.set()
        self._lock = threading.Lock()
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self._cuts: list[Cut] = []
        self._last_words: bytes | None = None

    def hold(self) -> None:
        """From now on nothing arrives, and nobody is told; what is sent meanwhile arrives late."""
        self._is_open.clear()

    def cut(self) -> None:
        """End all connections, and accept no other."""
        self._is_there = False
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            _end(*link)

    def mend(self) -> None:
        """Be a network again."""
        self._is_there = True
        self._is_open.set()

    def cut_commits(self, cuts: list[Cut]) -> None:
        """End the connections of the next commits, one for each of `cuts`: before it arrives, or when it is done and not told yet."""
        self._cuts = list(cuts)

    def cut_at(self, words: bytes) -> None:
        """End the connection on which these words are said next, before they arrive."""
        self._last_words = words

    @property
    def is_cutting(self) -> bool:
        return bool(self._cuts)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # On Linux a mere close does not wake who waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mend()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            if not self._is_there:
                client.close()
                continue
            server = _connect(self._target)
            with self._lock:
                self._links.append((client, server))
            told = _Told()
            threading.Thread(target=self._pass_on, args=(client, server, told), daemon=True).start()
            threading.Thread(target=self._pass_back, args=(server, client, told), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket, told: "_Told") -> None:
        with contextlib.suppress(OSError):
            while said := client.recv(65536):
                self._is_open.wait()
                cut = self._next_cut() if COMMIT in said else None
                if cut == "before" or self._is_last(said):
                    break
                told.is_last = cut == "after"
                server.sendall(said)
        _end(client, server)

    def _pass_back(self, server: socket.socket, client: socket.socket, told: "_Told") -> None:
        with contextlib.suppress(OSError):
            while said := server.recv(65536):
                self._is_open.wait()
                if told.is_last:
                    break
                client.sendall(said)
        _end(client, server)

    def _is_last(self, said: bytes) -> bool:
        with self._lock:
            if self._last_words is None or self._last_words not in said:
                return False
            self._last_words = None
            return True

    def _next_cut(self) -> Cut | None:
        with self._lock:
            return self._cuts.pop(0) if self._cuts else None


@contextmanager
def outage(database: Database, ways: Sequence[Proxy]) -> Iterator[None]:
    """Let nobody reach PostgreSQL on these ways, or nobody write to SQLite."""
    if database.is_sqlite:
        with closing(sqlite3.connect(str(database.url.database), timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    for way in ways:
        way.cut()
    yield
    for way in ways:
        way.mend()


class _Told:
    """Whether the answer that a client waits for is not to reach it."""

    is_last = False


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def _address_of(url: URL) -> str | tuple[str, int]:
    """Return the database's socket in the file system, or its host and port."""
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo) as connection:
        host, port = connection.info.host, connection.info.port
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def _connect(target: str | tuple[str, int]) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(target)
    return connection
