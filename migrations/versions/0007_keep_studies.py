"""Keep studies: which jobs are compared with each other, and what the comparison found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
COMPARING = sa.text("state = 'running' AND trained_at IS NOT NULL")
COLUMNS = ("study_id", "study_arm", "study_place")


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("arms", JSON, nullable=False),
        sa.Column("arm_count", sa.Integer(), nullable=False),
        sa.Column("job_count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_reason", sa.String(), nullable=True),
        sa.Column("counts", JSON, nullable=True),
        sa.Column("results", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        sa.Column("trained_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('running', 'paused', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_studies_state")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_studies_agent_id_agents")),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_studies_dataset_id_datasets")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_studies_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
    )
    op.create_index(op.f("ix_studies_agent_id"), "studies", ["agent_id"])
    op.create_index(op.f("ix_studies_dataset_id"), "studies", ["dataset_id"])
    op.create_index("ix_studies_project_newest", "studies", ["project_id", "id"])
    op.create_index("ix_studies_comparing", "studies", ["id"], postgresql_where=COMPARING, sqlite_where=COMPARING)
    # In plain SQL, as for test_dataset_id: on SQLite Alembic would make the table anew for a foreign key.
    op.execute("ALTER TABLE jobs ADD COLUMN study_id VARCHAR CONSTRAINT fk_jobs_study_id_studies REFERENCES studies (id)")
    op.add_column("jobs", sa.Column("study_arm", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("study_place", sa.Integer(), nullable=True))
    op.create_index("ix_jobs_study", "jobs", ["study_id", "state", "id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_study", "jobs")
    for name in reversed(COLUMNS):
        op.drop_column("jobs", name)
    op.drop_table("studies")
