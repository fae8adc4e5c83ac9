"""Carry mail between agents and trainers that run elsewhere, which show the token of their attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KNOWN = sa.text("channel IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "mail",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("to_trainer", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "to_trainer", "number", name=op.f("pk_mail")),
    )
    op.add_column("attempts", sa.Column("channel", sa.String()))
    op.create_index("ix_attempts_channel", "attempts", ["channel"], postgresql_where=KNOWN, sqlite_where=KNOWN)


def downgrade() -> None:
    op.drop_index("ix_attempts_channel", "attempts")
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_column("channel")
    op.drop_table("mail")
