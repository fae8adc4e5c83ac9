"""Migrations: both ways, the same as the tables, and safe when two processes migrate at once."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import migrations
from service.persistence import revision, schema
from service.persistence.database import Database
from service.persistence.tables import Table
from tests.factories import make_job


def test_migrations_go_up_down_and_up_again(database: Database) -> None:
    schema.downgrade(database, "base")
    emptied = set(inspect(database.writer).get_table_names())

    schema.upgrade(database)

    assert emptied == {"alembic_version"}
    assert revision.current(database) == migrations.HEAD


def test_migrated_schema_equals_the_tables(database: Database) -> None:
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})

        assert compare_metadata(context, Table.metadata) == []


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("study_id = 'stu_1' AND state = 'succeeded'", "ix_jobs_study"),
        ("agent_id = 'agt_1'", "ix_jobs_agent_id"),
        ("test_dataset_id = 'ds_1'", "ix_jobs_test_dataset_id"),
        ("cohort_id = 'coh_1'", "ix_jobs_cohort_id"),
        ("state = 'queued' AND pending_until <= '2026-01-01 00:00:00'", "ix_jobs_pending"),
        ("finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1", "ix_jobs_finished"),
        ("project_id = 'prj_1' AND started_at IS NOT NULL ORDER BY started_at DESC LIMIT 1", "ix_jobs_started"),
    ],
)
def test_indices_that_leave_out_what_is_not_there_still_answer_and_jobs_outlive_their_making(
    database: Database, condition: str, index: str
) -> None:
    with database.write() as session:
        jobs = [make_job(session).id for _ in range(3)]
    schema.downgrade(database, "0016")
    schema.upgrade(database)

    with database.write() as session:
        if not database.is_sqlite:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # So few rows are always read whole, where that is allowed.
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        plan = "\n".join(str(row) for row in session.execute(text(f"{explain} SELECT id FROM jobs WHERE {condition}")))
        kept = session.scalars(text("SELECT id FROM jobs ORDER BY id")).all()

    assert index in plan
    assert kept == sorted(jobs)


def test_two_processes_may_migrate_at_once(database: Database) -> None:
    schema.downgrade(database, "base")
    url = database.url.render_as_string(hide_password=False)
    imports = "import sys; from service.persistence import schema; from service.persistence.database import Database"
    script = f"{imports}; schema.upgrade(Database(sys.argv[1]))"

    both = [subprocess.Popen([sys.executable, "-c", script, url], stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate()[1].decode() for process in both]

    assert [process.returncode for process in both] == [0, 0], errors
    assert revision.current(database) == migrations.HEAD


def test_the_revision_asked_for_is_the_newest_migration(database: Database) -> None:
    with database.writer.connect() as connection:
        newest = ScriptDirectory.from_config(schema.config_on(connection)).get_current_head()

    assert newest == migrations.HEAD


def test_a_database_without_schema_is_told_how_to_get_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / secrets.token_hex(4)}.db")

    with pytest.raises(revision.SchemaOutdated, match="counterweight migrate"):
        revision.wait_until_current(database, timeout_s=0)

    database.close()
