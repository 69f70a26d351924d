"""What servers have laid out, and wishes that config documents be sent again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "laid_out_servers",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("silent_seconds", sa.Float, nullable=False),
        sa.Column("is_live", sa.Boolean, nullable=False),
        sa.Column("record_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "laid_out_tests",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "republish_requests",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    for table in ("republish_requests", "laid_out_tests", "laid_out_servers"):
        op.drop_table(table)
