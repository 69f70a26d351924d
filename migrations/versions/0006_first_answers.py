"""The first answers to changes that are no facts, for whoever asks again; and versions of accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.create_table(
        "first_answers",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_first_answers_until", "first_answers", ["until"])


def downgrade() -> None:
    op.drop_table("first_answers")
    op.drop_column("accounts", "version")
