"""Find jobs by the focusing of their loss, and sort them by a metric without reading all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GAMMA = {"sqlite": "json_extract(spec, '$.loss.gamma')", "postgresql": "CAST(spec #>> '{loss,gamma}' AS DOUBLE PRECISION)"}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("loss_gamma", sa.Float(), nullable=True))
    op.execute(f"UPDATE jobs SET loss_gamma = {GAMMA[op.get_bind().dialect.name]}")
    op.create_index("ix_final_metrics_order", "final_metrics", ["name", "value", "job_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_final_metrics_order", "final_metrics")
    op.drop_column("jobs", "loss_gamma")
