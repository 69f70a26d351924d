"""What the pages are made of: the commands and queries they call, handed in by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from accounts.desk import Desk
from accounts.identity import Identity
from audience.preview import AudienceService
from commands.overrides import OverrideCommands
from commands.split_tests import SplitTestCommands
from commands.user_groups import UserGroupCommands
from events.registry import FactRegistry
from events.store import EventStore
from projections.overview import GenerationOverview
from projections.progress import ReportProgress
from usersplit.conditions import Catalog
from warehouse.traffic import HitTraffic
from web.consumer_standings import ConsumerStanding

_COUNTED_AT_ONCE = 4


def _pool_for_counting() -> Executor:
    # Counting may take seconds. In a pool of its own it holds up itself, and not the pages that wait for a database.
    return ThreadPoolExecutor(max_workers=_COUNTED_AT_ONCE, thread_name_prefix="counting")


class Operations(Protocol):
    """What operators look at, and do with projections."""

    def consumers(self) -> Sequence[ConsumerStanding]:
        """Return where every consumer stands. It waits for Kafka."""
        ...

    def overview(self) -> Sequence[GenerationOverview]:
        """Return where every projection stands."""
        ...

    def pause(self, name: str) -> None:
        """Keep a projection where it stands. Raises `projections.errors.NothingToPause`."""
        ...

    def resume(self, name: str) -> None:
        """Let it go on. Raises `projections.errors.NothingToResume`."""
        ...

    def rebuild(self, name: str, progress: ReportProgress) -> None:
        """Build it anew beside the live one, and switch. Raises `projections.errors.ProjectionsError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rest of UserSplit, as the pages see it.

    Attributes:
        reading: a connection to the read models, which show everything that was committed before the call.
        store: the log; for answers as of a moment.
        registry: of its facts.
        split_tests: the commands on tests.
        user_groups: the commands on user groups.
        overrides: the commands of QA.
        catalog: the filters of conditions.
        operations: projections and consumers, for operators.
        now: the clock.
        desk: accounts and API tokens.
        person_of: from the cookies of a request to who is signed in, None for a stranger.
        traffic: counts hits for charts, None where no warehouse is connected.
        audience: counts users, None where no users table is connected.
        counting: the threads in which users are counted.
        public_url: the address under which browsers see the pages, where a proxy changes `Host`; may be empty.
        environment: a word that is shown beside the name of the product: `production`, `demo`; may be empty.
        company: the address of the sign-in with the company's identity provider, empty if there is none.
        company_label: how that account is called on the button: "Sign in with …".
    """

    reading: Callable[[], AbstractContextManager[Connection]]
    store: EventStore
    registry: FactRegistry
    split_tests: SplitTestCommands
    user_groups: UserGroupCommands
    overrides: OverrideCommands
    catalog: Catalog
    operations: Operations
    now: Callable[[], datetime]
    desk: Desk
    person_of: Callable[[Mapping[str, str]], Identity | None]
    traffic: HitTraffic | None = None
    audience: AudienceService | None = None
    counting: Executor = field(default_factory=_pool_for_counting)
    public_url: str = ""
    environment: str = ""
    company: str = ""
    company_label: str = ""
