"""The wiring of the write side and the read models: one object that the terminal, the demo and processes share."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TypeAlias

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

import projections.models
from audience.catalog import DEFAULT_CATALOG, load_catalog
from audience.counts import SqlAudienceCounts
from audience.estimate import BASE_RATE
from audience.live import LiveNumbers
from audience.users_table import required_users_table
from commands.overrides import OverrideCommands
from commands.preparation import PreparationCommands
from commands.split_tests import SplitTestCommands
from commands.user_group_estimates import UserGroupEstimateCommands
from commands.user_groups import UserGroupCommands
from consumers.audience_service import AudienceOfUsers
from consumers.estimator import Estimator
from consumers.preparation_draw import PreparationDraw
from consumers.preparation_inputs import PreparationInputs
from consumers.preparation_progress import PreparationProgressWriter
from consumers.preparer import Preparer
from consumers.user_group_counting import UserGroupCounting
from domain.allocation.audience_counts import NobodyCounted
from domain.allocation.balanced import allocate
from entrypoints.clock import now
from events.database import named_errors, open_database
from events.facts import REGISTRY
from events.registry import FactRegistry
from events.sql_store import SqlEventStore
from events.store import EventStore
from migrations.run import current, newest, upgrade
from projections.projector import Projector
from projections.reading import Reading
from usersplit.conditions import Catalog
from warehouse.users import UsersDatabase


class NotMigrated(Exception):
    """The database has no schema yet."""

    def __init__(self) -> None:
        super().__init__("The database has no schema yet. Run: python -m entrypoints migrate")


class OtherSchema(Exception):
    """The database has the schema of another release."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database is at revision {revision}, this release wants {newest()}. After an upgrade run: "
            "python -m entrypoints migrate; a database that is newer wants a newer release"
        )


class NotADatabase(Exception):
    """The file is something else, or it is damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"The database cannot be read: {detail}. Check USERSPLIT_DATABASE_URL, or restore a backup")


class NoPlaceForDatabase(Exception):
    """The directory of the database's file cannot be made."""

    def __init__(self, directory: Path, detail: str) -> None:
        super().__init__(f"{directory} cannot be made: {detail}. Check USERSPLIT_DATABASE_URL")


def draw_seed() -> int:
    """Return the seed of an allocation's draw: 63 random bits, so that it fits every database's integer."""
    return secrets.randbits(63)


OpenStore: TypeAlias = Callable[[Engine, FactRegistry], EventStore]
"""What makes the event store, where it is not the bare one."""


class Backbone:
    """The event store of one database with its projector, commands and preparer.

    Args:
        database_url: of the event store and the read models.
        catalog_path: the catalog of filters; None is the shipped one.
        open_store: makes the event store.
        users: holds the users table, which the catalog file maps; None: nobody is counted. Closed with this object.
        base_rate: for the smallest effects that estimates tell.

    Raises:
        audience.catalog.CatalogFileError: the catalog cannot be read.
        audience.errors.UsersMappingWrong: there are users, but the catalog does not say which columns they have.
    """

    def __init__(
        self,
        database_url: str,
        *,
        catalog_path: Path | None = None,
        open_store: OpenStore = SqlEventStore,
        users: UsersDatabase | None = None,
        base_rate: float = BASE_RATE,
    ) -> None:
        self.engine: Engine = open_database(database_url)
        self.store: EventStore = open_store(self.engine, REGISTRY)
        self._users = users
        self.catalog: Catalog = load_catalog(catalog_path or DEFAULT_CATALOG)
        self.projector = Projector(
            engine=self.engine, store=self.store, registry=REGISTRY, projections=projections.models.ALL
        )
        self._reading = Reading(self.engine, self.projector, projections.models.ALL)
        self.split_tests = SplitTestCommands(store=self.store, registry=REGISTRY, catalog=self.catalog, now=now)
        self.user_groups = UserGroupCommands(store=self.store, registry=REGISTRY, catalog=self.catalog, now=now)
        self.user_group_estimates = UserGroupEstimateCommands(store=self.store, registry=REGISTRY, now=now)
        self.overrides = OverrideCommands(store=self.store, registry=REGISTRY, now=now)
        table = None if users is None else required_users_table(self.catalog, catalog_path or DEFAULT_CATALOG)
        counts = NobodyCounted() if users is None or table is None else SqlAudienceCounts(users, table)
        inputs = PreparationInputs(engine=self.engine, catch_up=self.projector.catch_up, counts=counts)
        draw = PreparationDraw(inputs, allocate=allocate, seeds=draw_seed, base_rate=base_rate)
        self.preparer = Preparer(
            engine=self.engine,
            store=self.store,
            registry=REGISTRY,
            catch_up=self.projector.catch_up,
            now=now,
            draw=draw,
            progress=PreparationProgressWriter(self.engine, now=now),
        )
        self.audience: AudienceOfUsers | None = None
        self.estimator: Estimator | None = None
        if users is not None and table is not None:
            counting = UserGroupCounting(inputs, now=now)
            self.estimator = Estimator(
                engine=self.engine,
                store=self.store,
                registry=REGISTRY,
                catch_up=self.projector.catch_up,
                counting=counting,
                now=now,
            )
            self.audience = AudienceOfUsers(
                engine=self.engine,
                catch_up=self.projector.catch_up,
                catalog=self.catalog,
                users=table,
                tests=PreparationCommands(store=self.store, registry=REGISTRY, now=now),
                draw=draw,
                counting=counting,
                live=LiveNumbers(users, table, now=now),
                now=now,
                default_base_rate=base_rate,
            )

    def prepare(self, stop: Event) -> None:
        """Prepare settings groups, and count user groups where there are users, until `stop` is set.

        Raises:
            Exception: see `consumers.preparer.Preparer.run`.
        """
        if self.estimator is None:
            self.preparer.run(stop)
        else:
            self.preparer.run(stop, also=self.estimator.estimate_all)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection to the read models, which show everything that was committed before this call."""
        with self._reading.connection() as connection:
            yield connection

    def catch_up(self, position: int) -> None:
        """Return once the read models show `position`."""
        self._reading.catch_up(position)

    def close(self) -> None:
        """Let go of the databases."""
        self.engine.dispose()
        if self._users is not None:
            self._users.close()


def migrate(database_url: str) -> str:
    """Bring the database to the newest schema; return its revision.

    Raises:
        events.errors.DatabaseUnavailable: it cannot be reached, or opened.
        NotADatabase: it is a file of another kind.
        NoPlaceForDatabase: its directory cannot be made.
    """
    path = database_url.removeprefix("sqlite:///")
    if path != database_url:
        directory = Path(path).parent
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NoPlaceForDatabase(directory, error.strerror or str(error)) from error
    with _readable():
        upgrade(database_url)
        return current(database_url)


def open_backbone(
    database_url: str,
    *,
    catalog_path: Path | None = None,
    open_store: OpenStore = SqlEventStore,
    users: UsersDatabase | None = None,
    base_rate: float = BASE_RATE,
) -> Backbone:
    """Return the backbone of a migrated database.

    Raises:
        NotMigrated: there is no schema yet.
        OtherSchema: it is another release's.
        events.errors.DatabaseUnavailable: it cannot be reached, or opened.
        NotADatabase: it is a file of another kind.
    """
    path = database_url.removeprefix("sqlite:///")
    # Asking SQLite for the revision would make the file.
    with _readable():
        revision = current(database_url) if path == database_url or Path(path).exists() else ""
    if not revision:
        raise NotMigrated
    if revision != newest():
        raise OtherSchema(revision)
    return Backbone(database_url, catalog_path=catalog_path, open_store=open_store, users=users, base_rate=base_rate)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        with named_errors():
            yield
    except DBAPIError as error:
        raise NotADatabase(str(error.orig)) from error
