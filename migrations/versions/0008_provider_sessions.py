"""Sessions that began with one at the identity provider, and the logout tokens that it sent."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_sessions",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("provider_session", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_provider_sessions_provider_session", "provider_sessions", ["provider_session"])
    op.create_index("ix_provider_sessions_until", "provider_sessions", ["until"])
    op.create_table(
        "used_logout_tokens",
        sa.Column("token", sa.Text, primary_key=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_used_logout_tokens_until", "used_logout_tokens", ["until"])


def downgrade() -> None:
    op.drop_table("used_logout_tokens")
    op.drop_table("provider_sessions")
