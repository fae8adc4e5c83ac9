"""Tell archives of images from tables: what a dataset is, and how large its images are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("kind", sa.String(), nullable=True))
    op.add_column("datasets", sa.Column("image_size", sa.Integer(), nullable=True))
    # Whatever was read before this release is a table.
    op.execute("UPDATE datasets SET kind = 'tabular' WHERE state = 'ready'")


def downgrade() -> None:
    op.drop_column("datasets", "image_size")
    op.drop_column("datasets", "kind")
