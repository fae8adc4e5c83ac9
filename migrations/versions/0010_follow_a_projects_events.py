"""Read the event log of one project without passing over those of all others."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_project", "events", ["project_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_events_project", "events")
