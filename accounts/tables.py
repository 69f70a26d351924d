"""The tables of accounts, as the code sees them; `migrations` makes them.

They are no events: a password's hash does not belong into a log that is kept for ever and exported.
"""

from sqlalchemy import Boolean, Column, Integer, MetaData, Table, Text, UniqueConstraint

from events.database import UtcDateTime

metadata = MetaData()

accounts_table = Table(
    "accounts",
    metadata,
    # The name in lower case: Ann and ann are one person.
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    # Empty: the person signs in with the company's identity provider only.
    Column("password_hash", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    # Sessions carry the number they were made under; a new password or a closed account raises it.
    Column("session_epoch", Integer, nullable=False),
    # Issuer and subject of the identity provider, which never change, as names and mail addresses do.
    Column("issuer", Text, nullable=False, server_default=""),
    Column("subject", Text),
    Column("created_at", UtcDateTime, nullable=False),
    # What a change may expect.
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("issuer", "subject", name="uq_accounts_issuer_subject"),
)

tokens_table = Table(
    "api_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("account", Text, nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # To the hour; written by `token_uses`.
    Column("last_used_at", UtcDateTime),
    # Of tokens that are older than the column above: whether they were used until then, nobody knows.
    Column("uses_unknown_before", UtcDateTime),
)

secrets_table = Table(
    "installation_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

provider_sessions_table = Table(
    "provider_sessions",
    metadata,
    # A session here that began with one at the identity provider, by the hash of what the provider calls its own.
    Column("session_id", Text, primary_key=True),
    Column("provider_session", Text, nullable=False, index=True),
    Column("account", Text, nullable=False),
    # When the cookie is too old anyway, and this line can go.
    Column("until", UtcDateTime, nullable=False, index=True),
)

used_logout_tokens_table = Table(
    "used_logout_tokens",
    metadata,
    # The provider's word that a session is over, by a hash: it counts once.
    Column("token", Text, primary_key=True),
    # When it is too old anyway, and this line can go.
    Column("until", UtcDateTime, nullable=False, index=True),
)

ended_sessions_table = Table(
    "ended_sessions",
    metadata,
    # A session that its owner ended before its time. Its cookie may live on in another tab, or in somebody's hands.
    Column("session_id", Text, primary_key=True),
    # When the cookie is too old anyway, and this line can go.
    Column("until", UtcDateTime, nullable=False, index=True),
)
