"""Admit jobs by fair share and turn, hold projects to limits, let jobs that failed wait, and drain workers."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

QUEUED, HELD = sa.text("state = 'queued'"), sa.text("agent_id IS NOT NULL")
SLOTS = sa.JSON().with_variant(sa.dialects.postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("projects", sa.Column("max_running_jobs", sa.Integer()))
    op.add_column("projects", sa.Column("max_running_gpus", sa.Integer()))
    op.add_column("agents", sa.Column("slots", SLOTS, nullable=False, server_default="[]"))
    op.add_column("agents", sa.Column("draining_at", sa.DateTime(timezone=True)))
    op.add_column("attempts", sa.Column("action", sa.String()))
    op.add_column("jobs", sa.Column("min_gpu_memory_gb", sa.Float()))
    # Jobs that the release before this one submits meanwhile go first.
    op.add_column("jobs", sa.Column("turn", sa.Float(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("not_before", sa.DateTime(timezone=True)))
    op.add_column("jobs", sa.Column("gpus_held", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("lost_workers", sa.Integer(), nullable=False, server_default="0"))
    epoch = "extract(epoch FROM created_at)" if op.get_bind().dialect.name == "postgresql" else "CAST(strftime('%s', created_at) AS REAL)"
    op.execute(f"UPDATE jobs SET turn = {epoch} - 900.0 * priority")
    op.drop_index("ix_jobs_queue", "jobs")
    line = ["project_id", "turn", "id", "device", "min_gpu_memory_gb", "not_before"]
    op.create_index("ix_jobs_line", "jobs", line, postgresql_where=QUEUED, sqlite_where=QUEUED)
    op.create_index("ix_jobs_held", "jobs", ["project_id"], postgresql_where=HELD, sqlite_where=HELD)
    op.create_index("ix_jobs_started", "jobs", ["project_id", "started_at"])
    op.create_index("ix_jobs_finished", "jobs", ["finished_at"])


def downgrade() -> None:
    for index in ("ix_jobs_finished", "ix_jobs_started", "ix_jobs_held", "ix_jobs_line"):
        op.drop_index(index, "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["priority", "id"], postgresql_where=QUEUED, sqlite_where=QUEUED)
    for column in ("lost_workers", "gpus_held", "not_before", "turn", "min_gpu_memory_gb"):
        op.drop_column("jobs", column)
    op.drop_column("attempts", "action")
    op.drop_column("agents", "draining_at")
    op.drop_column("agents", "slots")
    op.drop_column("projects", "max_running_gpus")
    op.drop_column("projects", "max_running_jobs")
