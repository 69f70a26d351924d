"""The tables of the event log, as the code sees them; `migrations` makes them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, MetaData, Table, Text, UniqueConstraint

from events.database import UtcDateTime

metadata = MetaData()

events_table = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("fact_version", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("command_id", Text, nullable=False, server_default=""),
    UniqueConstraint("stream", "version", name="uq_events_stream_version"),
)

event_counter_table = Table(
    "event_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="ck_event_counter_one_row"),
)

commands_table = Table(
    "commands",
    metadata,
    Column("command_id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("answer", Text, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)
