"""Wishes that the config documents of some tests be sent again. The relay that leads fulfils them.

Only the relay may write to the config topic. A second writer could put an older document behind a newer one, and
compaction would keep the older one for ever.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Column, Connection, MetaData, Table, Text, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from events.database import UtcDateTime

metadata = MetaData()

requests_table = Table(
    "republish_requests",
    metadata,
    Column("key", Text, primary_key=True),
    Column("requested_at", UtcDateTime, nullable=False),
)


class NoSuchConfig(Exception):
    """There is no config document of that key to send again."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} has no config document: it was never published, or there is no such test")
        self.key = key


def request(connection: Connection, keys: Sequence[str], *, at: datetime) -> None:
    """Ask for the documents of `keys`; asking again before it is done renews the wish."""
    if not keys:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    wish = insert(requests_table)
    connection.execute(
        wish.on_conflict_do_update(index_elements=["key"], set_={"requested_at": wish.excluded.requested_at}),
        [{"key": key, "requested_at": at} for key in keys],
    )


def waiting(connection: Connection, *, limit: int) -> Mapping[str, datetime]:
    """Return at most `limit` keys that wait, each with the moment of its latest wish."""
    query = select(requests_table).order_by(requests_table.c.key).limit(limit)
    return {row.key: row.requested_at for row in connection.execute(query)}


def fulfilled(connection: Connection, requests: Mapping[str, datetime]) -> None:
    """Forget these wishes, but not one that was renewed since it was read: the document may have changed in between."""
    for key, at in requests.items():
        connection.execute(
            delete(requests_table).where(requests_table.c.key == key, requests_table.c.requested_at == at)
        )
