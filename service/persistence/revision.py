"""Which schema this release needs, and which a database has: asked at every start, so without loading Alembic."""

import time

from sqlalchemy import inspect, text

import migrations
from service.persistence.database import Database

TABLE = "alembic_version"


class SchemaOutdated(Exception):
    """The database is not at this release's schema."""


def current(database: Database) -> str | None:
    """The revision the database is at; None when it is empty.

    OperationalError when it does not answer, ProgrammingError when it does not let us look.
    """
    with database.read() as session:
        # Asked, and not taken from the error of a query: a connection that breaks is no empty database.
        if not inspect(session.connection()).has_table(TABLE):
            return None
        found: str | None = session.scalar(text(f"SELECT version_num FROM {TABLE}"))
        return found


def wait_until_current(database: Database, timeout_s: float) -> None:
    """Return once the database is at this release's revision; SchemaOutdated when it is not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while (found := current(database)) != migrations.HEAD:
        if time.monotonic() >= deadline:
            raise SchemaOutdated(
                f"the database is at schema {found or 'none'} and this release needs {migrations.HEAD}; run `counterweight migrate` "
                "with the same COUNTERWEIGHT_DATABASE_URL, then start again"
            )
        time.sleep(0.05)
