"""Let the ledger of attempts tell where memory was too little for whole batches."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("micro_batch", sa.Integer()))


def downgrade() -> None:
    op.drop_column("attempts", "micro_batch")
