"""Which schema this release needs, and which a database has: asked at every start, so without loading Alembic."""

import time

from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

import migrations
from service.persistence.database import Database


class SchemaOutdated(Exception):
    """The database is not at this release's schema."""


def current(database: Database) -> str | None:
    """The revision the database is at; None when it is empty. OperationalError when it does not answer."""
    try:
        with database.read() as session:
            found: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
            return found
    except (OperationalError, ProgrammingError):
        with database.read() as session:
            session.execute(text("SELECT 1"))
        return None


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
