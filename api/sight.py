"""What a person may see of split tests: somebody else's Draft looks like no test at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from accounts.identity import Identity
from domain.errors import SplitTestNotFound
from domain.people import can_see
from projections import laid_out, test_list
from projections.errors import ProjectionsError
from projections.test_list import ListedSplitTest, Onlooker


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingServers:
    """Which live servers have not laid out the newest config of which test; `live` is how many there are."""

    live: int
    by_key: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, connection: Connection, keys: Sequence[str]) -> "MissingServers":
        """Return how it is now; nothing while the configs to compare with are being rebuilt for a new release."""
        try:
            by_key = laid_out.not_laid_out(connection, keys)
        except ProjectionsError:
            by_key = {}
        return cls(live=len(laid_out.live_servers(connection)), by_key=by_key)
