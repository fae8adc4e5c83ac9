"""Say which queued jobs can be trained together, and which were: jobs of before have no key and train alone."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("cohort_key", sa.String()))
    op.add_column("jobs", sa.Column("cohort_limit", sa.Integer()))
    op.add_column("jobs", sa.Column("cohort_id", sa.String()))
    op.create_index("ix_jobs_cohort_id", "jobs", ["cohort_id"])
    op.create_index("ix_jobs_cohorts", "jobs", ["cohort_key", "priority", "id"], postgresql_where=QUEUED, sqlite_where=QUEUED)


def downgrade() -> None:
    op.drop_index("ix_jobs_cohorts", "jobs")
    op.drop_index("ix_jobs_cohort_id", "jobs")
    for column in ("cohort_id", "cohort_limit", "cohort_key"):
        op.drop_column("jobs", column)
