"""Leave out of a job's indices what it does not have yet, or never has: each was written again whenever the job changed hands."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

QUEUED = "state = 'queued'"
INDICES = {
    "ix_jobs_agent_id": (["agent_id"], None, "agent_id IS NOT NULL"),
    "ix_jobs_test_dataset_id": (["test_dataset_id"], None, "test_dataset_id IS NOT NULL"),
    "ix_jobs_cohort_id": (["cohort_id"], None, "cohort_id IS NOT NULL"),
    "ix_jobs_study": (["study_id", "state", "id"], None, "study_id IS NOT NULL"),
    "ix_jobs_started": (["project_id", "started_at"], None, "started_at IS NOT NULL"),
    "ix_jobs_finished": (["finished_at"], None, "finished_at IS NOT NULL"),
    "ix_jobs_pending": (["pending_until"], QUEUED, f"{QUEUED} AND pending_until IS NOT NULL"),
}
"""Over which columns each is, and over which jobs it was and will be; None stands for all."""


def upgrade() -> None:
    for name, (columns, _before, after) in INDICES.items():
        _index_instead(name, columns, after)


def downgrade() -> None:
    for name, (columns, before, _after) in INDICES.items():
        _index_instead(name, columns, before)


def _index_instead(name: str, columns: list[str], which: str | None) -> None:
    where = None if which is None else sa.text(which)
    op.drop_index(name, "jobs")
    op.create_index(name, "jobs", columns, postgresql_where=where, sqlite_where=where)
