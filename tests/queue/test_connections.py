"""Connections to PostgreSQL that break: while nobody uses them, and whoever takes one next does not notice; or at once."""

import math
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import migrations
from service.persistence import database as databases
from service.persistence import revision
from service.persistence.database import Database
from tests.faults.proxy import Proxy

POSTGRES = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def _process(database: Database) -> int:
    """Return which process of the server a transaction ran in."""
    with database.write() as session:
        return int(session.scalar(text("SELECT pg_backend_pid()")) or 0)


@POSTGRES
def test_a_connection_that_the_server_ended_is_made_anew(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "FORGOTTEN_S", math.inf)  # However slow the test is: the end is seen, and not found by trying.
    before = _process(database)
    other = Database(database.url.render_as_string(hide_password=False))
    with other.write() as session:
        # It returns once the process is gone.
        assert session.scalar(text("SELECT pg_terminate_backend(:process, 10000)"), {"process": before})
    other.close()

    after = _process(database)

    assert after != before


@POSTGRES
def test_only_a_connection_that_lay_idle_is_tried_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    dialect, tried = database.writer.dialect, []
    ping = dialect.do_ping

    def count(connection: Any) -> bool:
        tried.append(connection)
        return ping(connection)

    monkeypatch.setattr(dialect, "do_ping", count)
    monkeypatch.setattr(databases, "FORGOTTEN_S", math.inf)
    _process(database)
    _process(database)
    soon = len(tried)

    monkeypatch.setattr(databases, "FORGOTTEN_S", 0.0)
    _process(database)

    assert (soon, len(tried)) == (0, 1)


@POSTGRES
def test_a_connection_that_breaks_while_the_schema_is_looked_at_is_not_taken_for_an_empty_database(database_url: str) -> None:
    with Proxy(database_url) as way, closing(Database(way.url)) as database:
        for words in (b"idle_in_transaction_session_timeout", b"pg_catalog.pg_class", b"SELECT version_num"):
            way.cut_at(words)
            with pytest.raises(OperationalError):
                revision.current(database)

        assert revision.current(database) == migrations.HEAD
