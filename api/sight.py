"""What a person may see of split tests: somebody else's Draft looks like no test at all."""

from sqlalchemy import Connection

from accounts.identity import Identity
from domain.errors import SplitTestNotFound, UserGroupNotFound
from domain.people import can_see
from projections import list_pages, test_list, user_groups
from projections.list_pages import Onlooker
from projections.test_list import ListedSplitTest
from projections.user_groups import ListedUserGroup


def onlooker(identity: Identity) -> Onlooker:
    """Return the person as the list of tests knows people."""
    return Onlooker(name=identity.name, sees_everything=identity.actor.is_superuser)


def is_seen(identity: Identity, row: ListedSplitTest) -> bool:
    """Return whether the person may know of the test."""
    return can_see(identity.actor, row.status, row.author, row.managers)


def seen_test(connection: Connection, identity: Identity, key: str) -> ListedSplitTest:
    """Return the line of a test.

    Raises:
        SplitTestNotFound: there is none, or it is somebody else's Draft.
    """
    row = test_list.get(connection, key)
    if row is None or not is_seen(identity, row):
        raise SplitTestNotFound(key)
    return row


def seen_user_group(connection: Connection, identity: Identity, key: str) -> ListedUserGroup:
    """Return the line of a user group.

    Raises:
        UserGroupNotFound: there is none, or it is somebody else's Draft.
    """
    group = user_groups.get(connection, key)
    if group is None or not can_see(identity.actor, group.status, group.author, group.managers):
        raise UserGroupNotFound(key)
    return group


class VisibleKeys:
    """The keys of the tests that a person may know of; looked up when one is asked for, which is seldom.

    To be asked while the connection is open.
    """

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._identity = identity
        self._found: frozenset[str] | None = None

    def __contains__(self, key: object) -> bool:
        """Return whether the person may know of this test."""
        if self._found is None:
            self._found = list_pages.visible_keys(self._connection, onlooker(self._identity))
        return key in self._found
