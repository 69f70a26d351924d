"""What the API is built of: the write side and the read models of one database, as the composition root wires them."""

from contextlib import AbstractContextManager
from typing import Annotated, Protocol, TypeAlias

from fastapi import Depends, Request
from sqlalchemy import Connection, Engine

from audience.preview import AudienceService
from commands.overrides import OverrideCommands
from commands.split_tests import SplitTestCommands
from commands.user_group_estimates import UserGroupEstimateCommands
from commands.user_groups import UserGroupCommands
from events.store import EventStore
from usersplit.conditions import Catalog


class Parts(Protocol):
    """The parts, shared by all requests; each is safe to share between threads."""

    @property
    def engine(self) -> Engine:
        """The database of the read models and the accounts."""
        ...

    @property
    def store(self) -> EventStore:
        """The event log."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The filters that conditions can use."""
        ...

    @property
    def split_tests(self) -> SplitTestCommands:
        """The commands on split tests."""
        ...

    @property
    def user_groups(self) -> UserGroupCommands:
        """The commands on user groups."""
        ...

    @property
    def user_group_estimates(self) -> UserGroupEstimateCommands:
        """The commands on what is counted of user groups."""
        ...

    @property
    def overrides(self) -> OverrideCommands:
        """The commands of QA."""
        ...

    @property
    def audience(self) -> AudienceService | None:
        """Numbers about users, None where no users table is connected."""
        ...

    def catch_up(self, position: int) -> None:
        """Return once the read models show `position`."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a connection to the read models, which show everything that was committed before this call."""
        ...


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Here: TypeAlias = Annotated[Parts, Depends(_parts)]
"""The parts, as an argument of an endpoint."""
