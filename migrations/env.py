"""Runs the revisions on the connection that `service.persistence.schema` hands over, all in one transaction."""

from alembic import context
from sqlalchemy import Connection, text

from counterweight.crashpoints import crashpoint
from service.persistence.tables import Table

_LOCK = 7_261_001
"""Any number that only our migrations use: on PostgreSQL the second of two migrating processes waits for the first."""


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        transactional_ddl=True,
        # SQLite alters a table by making it anew.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        on_version_apply=lambda **_: crashpoint("migration.step"),
    )
    # The revision is read inside the transaction that holds the lock: on SQLite, BEGIN IMMEDIATE takes it.
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.run_migrations()


run(context.config.attributes["connection"])
