"""Where a follower of the log stands, by name: moved by compare-and-set, in the same transaction as what it did.

Two followers under one name cannot both move from the same place: the second one is told, and its transaction, with
all it wrote, is rolled back.
"""

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from events.errors import CheckpointMoved

metadata = MetaData()

checkpoints_table = Table(
    "checkpoints",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)


def position_of(connection: Connection, name: str) -> int:
    """Return the position up to which `name` has done its work, 0 if it never moved."""
    query = select(checkpoints_table.c.position).where(checkpoints_table.c.name == name)
    return connection.execute(query).scalar_one_or_none() or 0


def forget(connection: Connection, prefix: str) -> None:
    """Forget every checkpoint whose name starts with `prefix`: what they counted in is gone, and began anew."""
    connection.execute(delete(checkpoints_table).where(checkpoints_table.c.name.startswith(prefix, autoescape=True)))


def move(connection: Connection, name: str, *, expected: int, to: int) -> None:
    """Move `name` from `expected` (0 = it never moved) to `to`, in the caller's transaction.

    Raises:
        CheckpointMoved: it does not stand at `expected`. The caller must roll back: somebody else did the work.
    """
    # The row is made first, so that two followers that both start from nothing meet on it too.
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(checkpoints_table).values(name=name, position=0).on_conflict_do_nothing())
    moved = connection.execute(
        update(checkpoints_table)
        .where(checkpoints_table.c.name == name, checkpoints_table.c.position == expected)
        .values(position=to)
    )
    if moved.rowcount != 1:
        raise CheckpointMoved(name, expected, position_of(connection, name))
