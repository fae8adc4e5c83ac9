"""Let a worker tell what keeps it from starting trainers."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("blocked_by", sa.String()))


def downgrade() -> None:
    op.drop_column("agents", "blocked_by")
