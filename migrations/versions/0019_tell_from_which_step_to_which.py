"""Keep between which steps each attempt at a job trained, and which of them is kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COLUMNS = ("began", "reached", "kept")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("attempts", sa.Column(name, JSON))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("attempts", name)
