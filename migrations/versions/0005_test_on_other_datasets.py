"""Let a job name another dataset as its test rows, which must then stay as long as the job."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = "fk_jobs_test_dataset_id_datasets"


def upgrade() -> None:
    # In plain SQL: Alembic makes a table anew for a foreign key on SQLite, and dropping the old one would empty all that refer to it.
    op.execute(f"ALTER TABLE jobs ADD COLUMN test_dataset_id VARCHAR CONSTRAINT {KEY} REFERENCES datasets (id)")
    op.create_index("ix_jobs_test_dataset_id", "jobs", ["test_dataset_id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_test_dataset_id", "jobs")
    op.drop_column("jobs", "test_dataset_id")
