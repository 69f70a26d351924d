"""Who is in a test, in one of its variants, or in a user group: their conditions and split groups, to be walked.

A test is walked as its settings in force say, whatever its status: who is drawn into it, not who was shown something
(that is in BI). QA's overrides play no part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from audience.conditions_sql import assumed_filters, require_columns
from audience.counts import parsed
from audience.errors import UsersTableWrong
from audience.iterator import UserId, how_many, users_of
from audience.users_table import UsersTable
from domain.allocation.audience_counts import Audience
from domain.errors import NoConditions, NoCurrentSettings, SplitTestNotFound, UnknownVariant, UserGroupNotFound
from projections import current_settings, user_groups
from usersplit.conditions import Conditions
from warehouse.users import UsersDatabase


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """Some users: those who meet the conditions and carry one of the split groups; None: any split group."""

    conditions: Conditions
    split_groups: tuple[int, ...] | None = None


def of_test(connection: Connection, key: str, variant: str | None = None) -> Circle:
    """Return the users of the test `key`, or of one of its variants.

    Raises:
        SplitTestNotFound: there is no such test. Whether somebody may know of it is for the caller to ask.
        NoCurrentSettings: no settings are in force.
        UnknownVariant: it has no such variant.
    """
    settings = current_settings.get(connection, key)
    if settings is None:
        raise SplitTestNotFound(key)
    if not settings.settings_group:
        raise NoCurrentSettings(key, "wait until they are prepared")
    owned = {each.name: each.split_groups for each in settings.variants}
    if variant is not None and variant not in owned:
        raise UnknownVariant(key, variant, tuple(owned), otherwise="walk the whole test")
    wanted = owned if variant is None else {variant: owned[variant]}
    return Circle(
        conditions=parsed(Audience(key=key, conditions=settings.conditions, filters=settings.filters)),
        split_groups=tuple(sorted(number for numbers in wanted.values() for number in numbers)),
    )


def of_user_group(connection: Connection, key: str) -> Circle:
    """Return the users who meet the conditions of the user group `key`, whether or not it is active.

    Raises:
        UserGroupNotFound: there is no such group. Whether somebody may know of it is for the caller to ask.
        NoConditions: it has no conditions yet.
    """
    group = user_groups.get(connection, key)
    if group is None:
        raise UserGroupNotFound(key)
    if not group.settings_group:
        raise NoConditions(key)
    return Circle(conditions=parsed(Audience(key=key, conditions=group.conditions, filters=group.filters)))


class UsersWalk:
    """Walks circles of users over a users table.

    Args:
        database: holds the users.
        users: maps filters to its columns.
        circle: whom to walk.

    Raises:
        FilterWithoutColumn: a filter of the profile has no column.
        UsersTableWrong: the table, or a column that the conditions ask, is not there or of another type.
        WarehouseError: the database does not answer.
    """

    def __init__(self, database: UsersDatabase, users: UsersTable, circle: Circle) -> None:
        require_columns(circle.conditions, users)
        if misfits := users.misfits(database, circle.conditions.filters_used):
            raise UsersTableWrong(list(misfits.values()))
        self._database = database
        self._users = users
        self._circle = circle

    @property
    def assumed_filters(self) -> tuple[str, ...]:
        """Filters of the visit that no column holds: with any of them more users are walked than will be let in."""
        return assumed_filters(self._circle.conditions, self._users)

    def how_many(self, *, after: UserId | None = None) -> int:
        """Return how many users are ahead now."""
        circle = self._circle
        return how_many(self._database, self._users, circle.conditions, split_groups=circle.split_groups, after=after)

    def batches(self, *, after: UserId | None = None, batch_users: int = 10_000) -> Iterator[Sequence[UserId]]:
        """Yield the users' identifiers, see `audience.iterator.users_of`."""
        circle = self._circle
        return users_of(
            self._database,
            self._users,
            circle.conditions,
            split_groups=circle.split_groups,
            after=after,
            batch_users=batch_users,
        )
