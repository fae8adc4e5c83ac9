"""The schema's version: bringing a database up to it, and waiting for whoever does."""

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError, ProgrammingError

import migrations
from service.persistence.database import Database


class SchemaOutdated(Exception):
    """The database is not at this release's schema."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to `revision`, if it is not there. Several processes may do so at once: one works, the others find it done."""
    with database.writer.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the database back to `revision`; `base` removes everything."""
    with database.writer.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def head() -> str:
    """The revision this release was written for."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current(database: Database) -> str | None:
    """The revision the database is at; None when it is empty."""
    with database.read() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def wait_until_current(database: Database, timeout_s: float) -> None:
    """Return once the database is at this release's revision; SchemaOutdated when it is not within `timeout_s`."""
    deadline, wanted = time.monotonic() + timeout_s, head()
    while True:
        try:
            found = current(database)
        except (OperationalError, ProgrammingError):
            found = None
        if found == wanted:
            return
        if time.monotonic() >= deadline:
            raise SchemaOutdated(
                f"the database is at schema {found or 'none'} and this release needs {wanted}; run `counterweight migrate` "
                "with the same COUNTERWEIGHT_DATABASE_URL, then start again"
            )
        time.sleep(0.05)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
