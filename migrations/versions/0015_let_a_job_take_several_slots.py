"""Let a job take several slots of a host."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

LINE = ["project_id", "turn", "id", "device", "min_gpu_memory_gb", "not_before"]
QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("gpus", sa.Integer(), nullable=False, server_default="1"))
    _index_instead([*LINE, "gpus"])


def downgrade() -> None:
    _index_instead(LINE)
    op.drop_column("jobs", "gpus")


def _index_instead(columns: list[str]) -> None:
    op.drop_index("ix_jobs_line", "jobs")
    op.create_index("ix_jobs_line", "jobs", columns, postgresql_where=QUEUED, sqlite_where=QUEUED)
