"""The databases that a server is measured or tried on: SQLite, and an empty database of its own on PostgreSQL where one answers."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from service.persistence import schema
from service.persistence.database import Database

POSTGRES_URL = make_url(os.environ.get("COUNTERWEIGHT_TEST_POSTGRES_URL", "postgresql+psycopg:///postgres"))


def available() -> list[str]:
    """Return the kinds of databases that can be had here."""
    try:
        _administer("SELECT 1")
    except psycopg.OperationalError:
        return ["sqlite"]
    return ["sqlite", "postgresql"]


@contextmanager
def fresh(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty, migrated database of this kind."""
    if kind == "sqlite":
        yield _migrated(f"sqlite:///{folder / 'counterweight.db'}")
        return
    name = f"cw_own_{secrets.token_hex(6)}"
    _administer(f'CREATE DATABASE "{name}"')
    try:
        yield _migrated(POSTGRES_URL.set(database=name).render_as_string(hide_password=False))
    finally:
        _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _migrated(url: str) -> str:
    database = Database(url)
    schema.upgrade(database)
    database.close()
    return url


def _administer(statement: str) -> None:
    conninfo = POSTGRES_URL.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=3) as connection:
        connection.execute(statement)  # Only names made above are put into it.
