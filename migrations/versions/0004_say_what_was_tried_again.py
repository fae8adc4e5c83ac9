"""Say of a job which other it tries again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("retry_of", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "retry_of")
