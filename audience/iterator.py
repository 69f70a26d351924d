"""Walks all users of a test, a variant or a user group: generated SQL, in batches, from wherever it stopped.

Batches go by the users' identifiers: each asks for those above the last one, so memory stays the same, a walk that was
interrupted goes on from the last identifier somebody has dealt with, and no transaction is held open between batches.
Users who appear meanwhile are met if their identifier lies ahead; nobody is met twice.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, column, false, func, select

from audience.conditions_sql import predicate
from audience.errors import IdentifierWrong
from audience.users_table import UsersTable
from usersplit.conditions import Conditions
from warehouse.users import Statement, UsersDatabase
from warehouse.users_sql import AsText

UserId: TypeAlias = int | str
_NUMBERS: Final = "int"


def users_of(
    database: UsersDatabase,
    users: UsersTable,
    conditions: Conditions,
    *,
    split_groups: Collection[int] | None = None,
    after: UserId | None = None,
    batch_users: int = 10_000,
) -> Iterator[Sequence[UserId]]:
    """Yield the identifiers of users who meet `conditions`, ascending, at most `batch_users` at a time.

    Numbers ascend as numbers; texts and UUIDs byte by byte, whatever the collation.

    Args:
        database: holds the users.
        users: maps filters to its columns.
        conditions: who is looked for. Filters of the visit without a column are taken to be met.
        split_groups: those of a variant or a test; None is everybody, as in a user group.
        after: go on behind this identifier, the last of the walk before.
        batch_users: how many at a time, at least 1.

    Raises:
        FilterWithoutColumn: a filter of the profile has no column.
        IdentifierWrong: `after` is no number, and identifiers are.
        WarehouseError: the database does not answer; go on from the last identifier.
    """
    key = _key(database, users)
    last = None if after is None else _readable(key, after)
    while True:
        found = (
            select(key.label("user_id")).select_from(users.sql()).where(*_wanted(key, users, conditions, split_groups))
        )
        if last is not None:
            found = found.where(key > last)
        statement: Statement = found.order_by(key).limit(batch_users)
        batch = [row[0] for row in database.rows(statement)]
        if batch:
            yield batch
        if len(batch) < batch_users:
            return
        last = batch[-1]


def how_many(
    database: UsersDatabase,
    users: UsersTable,
    conditions: Conditions,
    *,
    split_groups: Collection[int] | None = None,
    after: UserId | None = None,
) -> int:
    """Return how many users `users_of` would yield now; arguments and errors are the same."""
    key = _key(database, users)
    counted = select(func.count()).select_from(users.sql()).where(*_wanted(key, users, conditions, split_groups))
    if after is not None:
        counted = counted.where(key > _readable(key, after))
    return int(database.rows(counted)[0][0])


def _key(database: UsersDatabase, users: UsersTable) -> ColumnElement[UserId]:
    if _NUMBERS in database.column_types(users.name).get(users.id, ""):
        return column(users.id, BigInteger)
    return AsText(column(users.id))  # type: ignore[return-value] # byte by byte, or a collation decides what comes later


def _readable(key: ColumnElement[UserId], identifier: UserId) -> UserId:
    if not isinstance(key.type, BigInteger):
        return str(identifier)
    try:
        return int(identifier)
    except ValueError as error:
        raise IdentifierWrong(identifier) from error


def _wanted(
    key: ColumnElement[UserId], users: UsersTable, conditions: Conditions, split_groups: Collection[int] | None
) -> Iterator[ColumnElement[bool]]:
    yield predicate(conditions, users).met
    # A user without an identifier is nobody that a walk could go on behind.
    yield key.is_not(None)
    if split_groups is not None:
        # A variant of 0 % owns none.
        yield column(users.split_group).in_(sorted(split_groups)) if split_groups else false()
