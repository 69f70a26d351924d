"""When API tokens were used last."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("last_used_at", sa.DateTime(timezone=True)))
    op.add_column("api_tokens", sa.Column("uses_unknown_before", sa.DateTime(timezone=True)))
    # Whoever sends one of these did so unnoticed until now: they must not look as if nobody ever had.
    tokens = sa.table("api_tokens", sa.column("uses_unknown_before"))
    op.execute(tokens.update().values(uses_unknown_before=sa.func.now()))


def downgrade() -> None:
    op.drop_column("api_tokens", "uses_unknown_before")
    op.drop_column("api_tokens", "last_used_at")
