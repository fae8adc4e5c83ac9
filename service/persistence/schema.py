"""Migrations, run by Alembic: bringing a database to a revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from service.persistence.database import Database


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to `revision`. Several processes may do so at once: one works, the others find it done."""
    with database.writer.connect() as connection:
        command.upgrade(config_on(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the database back to `revision`; `base` removes everything."""
    with database.writer.connect() as connection:
        command.downgrade(config_on(connection), revision)


def config_on(connection: object) -> Config:
    """Alembic's configuration for our migrations, to be run on this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config
