"""The databases that a server is tried or measured on: SQLite, and one of its own on PostgreSQL where one answers."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from service.persistence import schema
from service.persistence.database import Database

KINDS = ("sqlite", "postgresql")
POSTGRES_URL = make_url(os.environ.get("COUNTERWEIGHT_TEST_POSTGRES_URL", "postgresql+psycopg:///postgres"))


def available() -> list[str]:
    """Return the kinds of databases that can be had here."""
    try:
        _administer("SELECT 1")
    except psycopg.OperationalError:
        return ["sqlite"]
    return list(KINDS)


@contextmanager
def fresh(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty, migrated database of this kind."""
    if kind == "sqlite":
        yield _migrated(f"sqlite:///{folder / 'counterweight.db'}")
        return
    with _own("") as url:
        yield _migrated(url)


@contextmanager
def copied(template: str, folder: Path) -> Iterator[str]:
    """Give the URL of a copy of a database that nobody is connected to, in a fraction of the time that migrating takes."""
    if template.startswith("sqlite"):
        path = folder / "counterweight.db"
        shutil.copy(str(make_url(template).database), path)
        yield f"sqlite:///{path}"
        return
    with _own(f'TEMPLATE "{make_url(template).database}"') as url:
        yield url


@contextmanager
def _own(like: str) -> Iterator[str]:
    name = f"cw_own_{secrets.token_hex(6)}"
    _administer(f'CREATE DATABASE "{name}" {like}')
    try:
        yield POSTGRES_URL.set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _migrated(url: str) -> str:
    with closing(Database(url)) as database:
        schema.upgrade(database)
    return url


def _administer(statement: str) -> None:
    conninfo = POSTGRES_URL.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=3) as connection:
        connection.execute(statement)  # Only names made above are put into it.
