"""The wiring of the write side and the read models: one object that the terminal, the demo and processes share."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

import projections.models
from audience.catalog import DEFAULT_CATALOG, load_catalog
from commands.split_tests import SplitTestCommands
from consumers.preparer import Preparer
from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from events.store import EventStore
from migrations.run import current, upgrade
from projections.projector import Projector
from usersplit.conditions import Catalog


class NotMigrated(Exception):
    """The database has no schema yet."""

    def __init__(self) -> None:
        super().__init__("The database has no schema yet. Run: python -m entrypoints migrate")


def now() -> datetime:
    """Return the present moment, aware, UTC: the only clock of the application."""
    return datetime.now(UTC)


def draw_seed() -> int:
    """Return the seed of an allocation's draw: 63 random bits, so that it fits every database's integer."""
    return secrets.randbits(63)


class Backbone:
    """The event store of one database with its projector, commands and preparer."""

    def __init__(self, database_url: str, *, catalog_path: Path | None = None) -> None:
        self.engine: Engine = open_database(database_url)
        self.store: EventStore = SqlEventStore(self.engine, REGISTRY)
        self.catalog: Catalog = load_catalog(catalog_path or DEFAULT_CATALOG)
        self.projector = Projector(
            engine=self.engine, store=self.store, registry=REGISTRY, projections=projections.models.ALL
        )
        self.split_tests = SplitTestCommands(store=self.store, registry=REGISTRY, catalog=self.catalog, now=now)
        self.preparer = Preparer(
            engine=self.engine,
            store=self.store,
            registry=REGISTRY,
            catch_up=self.projector.catch_up,
            now=now,
            seeds=draw_seed,
        )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection to the read models, which show everything that was committed before this call."""
        self.projector.catch_up(until=self.store.head())
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def migrate(database_url: str) -> str:
    """Bring the database to the newest schema; return its revision."""
    path = database_url.removeprefix("sqlite:///")
    if path != database_url:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    upgrade(database_url)
    return current(database_url)


def open_backbone(database_url: str, *, catalog_path: Path | None = None) -> Backbone:
    """Return the backbone of a migrated database.

    Raises:
        NotMigrated: there is no schema yet.
    """
    path = database_url.removeprefix("sqlite:///")
    if (path != database_url and not Path(path).exists()) or not current(database_url):
        raise NotMigrated
    return Backbone(database_url, catalog_path=catalog_path)
