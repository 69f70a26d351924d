"""Where preparations of settings groups are, for whoever waits for them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "preparation_steps",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("settings_group", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("preparation_steps")
