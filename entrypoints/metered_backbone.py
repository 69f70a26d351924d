"""The backbone of a process of its own, watched by its metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from audience.estimate import BASE_RATE
from entrypoints.backbone import Backbone, open_backbone
from entrypoints.metered import MeteredEventStore
from entrypoints.metrics import Metrics
from entrypoints.settings import DatabaseSettings, ServeSettings, TerminalSettings, UsersSettings
from events.registry import FactRegistry
from warehouse.users import UsersDatabase


@contextmanager
def metered_backbone(
    settings: DatabaseSettings, metrics: Metrics, *, users: UsersDatabase | None = None
) -> Iterator[Backbone]:
    """Yield the write side and the read models that the settings name, with what they do counted."""

    def open_store(engine: Engine, registry: FactRegistry) -> MeteredEventStore:
        return MeteredEventStore(engine, registry, metrics)

    backbone = open_backbone(
        settings.database_url.get_secret_value(),
        catalog_path=settings.catalog if isinstance(settings, TerminalSettings | ServeSettings) else None,
        open_store=open_store,
        users=users,
        base_rate=settings.base_rate if isinstance(settings, UsersSettings) else BASE_RATE,
    )
    try:
        yield backbone
    finally:
        backbone.close()
