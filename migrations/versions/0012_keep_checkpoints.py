"""Keep checkpoints to go on from, pause jobs, and let them wait only so long."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

QUEUED = sa.text("state = 'queued'")
STATES = "state IN ('queued', 'running', 'pausing', 'paused', 'cancelling', 'succeeded', 'failed', 'cancelled')"
HELD = "(agent_id IS NOT NULL) = (state IN ('running', 'pausing', 'cancelling'))"
STATES_BEFORE = "state IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')"
HELD_BEFORE = "(agent_id IS NOT NULL) = (state IN ('running', 'cancelling'))"


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("is_refit", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
    )
    op.add_column("jobs", sa.Column("checkpoint_id", sa.String()))
    op.add_column("jobs", sa.Column("fallback_id", sa.String()))
    op.add_column("jobs", sa.Column("checkpoint_fence", sa.BigInteger()))
    op.add_column("jobs", sa.Column("pending_until", sa.DateTime(timezone=True)))
    for column in ("checkpoint_id", "fallback_id"):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_jobs_{column}", "jobs", [column], postgresql_where=known, sqlite_where=known)
    op.create_index("ix_jobs_pending", "jobs", ["pending_until"], postgresql_where=QUEUED, sqlite_where=QUEUED)
    _check_instead(STATES_BEFORE, STATES, HELD_BEFORE, HELD)


def downgrade() -> None:
    op.execute("UPDATE jobs SET state = 'queued' WHERE state = 'paused'")
    op.execute("UPDATE jobs SET state = 'running' WHERE state = 'pausing'")
    op.execute("UPDATE studies SET state = 'running' WHERE state = 'paused'")
    _check_instead(STATES, STATES_BEFORE, HELD, HELD_BEFORE)
    for index in ("ix_jobs_pending", "ix_jobs_fallback_id", "ix_jobs_checkpoint_id"):
        op.drop_index(index, "jobs")
    for column in ("pending_until", "checkpoint_fence", "fallback_id", "checkpoint_id"):
        op.drop_column("jobs", column)
    op.drop_table("checkpoints")


def _check_instead(states: str, new_states: str, held: str, new_held: str) -> None:
    """Let other states of jobs be allowed."""
    if op.get_bind().dialect.name == "postgresql":
        for name, check in (("state", new_states), ("held", new_held)):
            op.drop_constraint(op.f(f"ck_jobs_{name}"), "jobs", type_="check")
            op.create_check_constraint(op.f(f"ck_jobs_{name}"), "jobs", check)
        return
    # In SQLite's words, as https://www.sqlite.org/lang_altertable.html tells (section 7): to make the table anew would delete, by
    # cascade, all that belongs to jobs.
    version = op.get_bind().exec_driver_sql("PRAGMA schema_version").scalar_one()
    op.get_bind().exec_driver_sql("PRAGMA writable_schema = ON")
    changed = "UPDATE sqlite_schema SET sql = replace(replace(sql, ?, ?), ?, ?) WHERE type = 'table' AND name = 'jobs'"
    op.get_bind().exec_driver_sql(changed, (states, new_states, held, new_held))
    op.get_bind().exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    op.get_bind().exec_driver_sql("PRAGMA writable_schema = OFF")
