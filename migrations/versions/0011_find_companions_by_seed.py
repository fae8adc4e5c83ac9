"""Find those that train on the same batches in an index, however many could come along."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("seed", sa.BigInteger(), nullable=False, server_default="0"))
    is_postgres = op.get_bind().dialect.name == "postgresql"
    seed = "CAST(spec #>> '{training,seed}' AS bigint)" if is_postgres else "json_extract(spec, '$.training.seed')"
    op.execute(f"UPDATE jobs SET seed = {seed} WHERE state = 'queued'")
    op.drop_index("ix_jobs_cohorts", "jobs")
    op.create_index("ix_jobs_cohorts", "jobs", ["cohort_key", "priority", "seed", "id"], postgresql_where=QUEUED, sqlite_where=QUEUED)


def downgrade() -> None:
    op.drop_index("ix_jobs_cohorts", "jobs")
    op.create_index("ix_jobs_cohorts", "jobs", ["cohort_key", "priority", "id"], postgresql_where=QUEUED, sqlite_where=QUEUED)
    op.drop_column("jobs", "seed")
