"""Let the index over held jobs be found also where PostgreSQL has no statistics yet: by their states, of which it takes each to be rare."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

HELD = sa.text("state IN ('cancelling', 'pausing', 'running')")
HELD_BEFORE = sa.text("agent_id IS NOT NULL")


def upgrade() -> None:
    _index_instead(HELD)


def downgrade() -> None:
    _index_instead(HELD_BEFORE)


def _index_instead(which: sa.TextClause) -> None:
    op.drop_index("ix_jobs_held", "jobs")
    op.create_index("ix_jobs_held", "jobs", ["project_id"], postgresql_where=which, sqlite_where=which)
