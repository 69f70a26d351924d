"""What the pages are made of: the commands and queries they call, handed in by the composition root."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from sqlalchemy import Connection

from commands.split_tests import SplitTestCommands
from domain.people import Actor
from events.registry import FactRegistry
from events.store import EventStore
from usersplit.conditions import Catalog

Permission: TypeAlias = Literal["read", "override", "create", "steer", "operate"]


class Person(Protocol):
    """Somebody who is signed in."""

    @property
    def name(self) -> str:
        """The name that managers of tests are known by."""

    @property
    def role(self) -> str:
        """One of superuser, manager, developer, qa, viewer."""

    @property
    def actor(self) -> Actor:
        """As whom the domain knows them."""

    def may(self, permission: Permission) -> bool:
        """Say whether the person's role includes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rest of UserSplit, as the pages see it.

    Attributes:
        reading: a connection to the read models, which show everything that was committed before the call.
        store: the log; for answers as of a moment.
        registry: of its facts.
        split_tests: the commands on tests.
        catalog: the filters of conditions.
        now: the clock.
        person_of: from the cookies of a request to who is signed in, None for a stranger.
        environment: a word that is shown beside the name of the product: `production`, `demo`; may be empty.
    """

    reading: Callable[[], AbstractContextManager[Connection]]
    store: EventStore
    registry: FactRegistry
    split_tests: SplitTestCommands
    catalog: Catalog
    now: Callable[[], datetime]
    person_of: Callable[[Mapping[str, str]], Person | None]
    environment: str = ""
