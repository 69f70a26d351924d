"""The processes of UserSplit: which settings each reads, and how it is put together. Each runs until `stop` is set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from types import MappingProxyType
from typing import Final

from consumers.agent import Agent
from consumers.bi_sink import GROUP as BI_SINK_GROUP
from consumers.bi_sink import BiSink
from consumers.code_deployed import GROUP as CODE_DEPLOYED_GROUP
from consumers.code_deployed import CodeDeployedWatcher
from consumers.dead_letters import DeadLetterWriter
from consumers.notifier import NotifierFollower
from consumers.projector import follow
from consumers.relay import Relay
from entrypoints.backbone import Backbone, now, open_backbone
from entrypoints.parts import open_broker, open_warehouse
from entrypoints.settings import (
    AgentSettings,
    BiSinkSettings,
    CodeDeployedSettings,
    DatabaseSettings,
    MigrateSettings,
    NotifierSettings,
    RelaySettings,
    Settings,
    TerminalSettings,
)
from events.facts import REGISTRY
from notifications.log_notifier import LogNotifier
from notifications.notifier import Notifier
from notifications.webhook_notifier import WebhookNotifier

SETTINGS_OF: Final[Mapping[str, type[Settings]]] = MappingProxyType(
    {
        "migrate": MigrateSettings,
        "projector": DatabaseSettings,
        "preparer": TerminalSettings,
        "relay": RelaySettings,
        "agent": AgentSettings,
        "bi-sink": BiSinkSettings,
        "code-deployed": CodeDeployedSettings,
        "notifier": NotifierSettings,
    }
)
"""What each process reads; docker-compose.yml is held against it."""


def run_projector(settings: DatabaseSettings, stop: Event) -> None:
    """Keep the read models up with the log."""
    with _backbone(settings) as backbone:
        follow(backbone.projector, stop)


def run_preparer(settings: TerminalSettings, stop: Event) -> None:
    """Prepare the settings groups that wait."""
    with _backbone(settings) as backbone:
        backbone.preparer.run(stop)


def run_relay(settings: RelaySettings, stop: Event) -> None:
    """Publish facts and config documents to Kafka."""
    with _backbone(settings) as backbone:
        Relay(
            engine=backbone.engine,
            store=backbone.store,
            broker=open_broker(settings),
            catch_up=backbone.projector.catch_up,
            now=now,
            heartbeat_every=timedelta(seconds=settings.heartbeat_seconds),
        ).run(stop)


def run_agent(settings: AgentSettings, stop: Event) -> None:
    """Keep a directory of config files."""
    settings.config_directory.mkdir(parents=True, exist_ok=True)
    Agent(open_broker(settings), settings.config_directory).run(stop)


def run_bi_sink(settings: BiSinkSettings, stop: Event) -> None:
    """Drain the hits into the warehouse."""
    broker = open_broker(settings)
    warehouse = open_warehouse(settings.warehouse_url.get_secret_value())
    try:
        BiSink(
            source=broker.source(BI_SINK_GROUP),
            warehouse=warehouse,
            dead_letters=DeadLetterWriter(broker.producer, now=now),
        ).run(stop)
    finally:
        warehouse.close()


def run_code_deployed(settings: CodeDeployedSettings, stop: Event) -> None:
    """Record the first production hit of each test In Dev."""
    with _backbone(settings) as backbone:
        CodeDeployedWatcher(
            source=open_broker(settings).source(CODE_DEPLOYED_GROUP),
            engine=backbone.engine,
            commands=backbone.split_tests,
        ).run(stop)


def run_notifier(settings: NotifierSettings, stop: Event) -> None:
    """Tell people what they wait for."""
    notifier: Notifier = WebhookNotifier(settings.webhook_url) if settings.webhook_url else LogNotifier()
    try:
        with _backbone(settings) as backbone:
            NotifierFollower(engine=backbone.engine, store=backbone.store, registry=REGISTRY, notifier=notifier).run(
                stop
            )
    finally:
        notifier.close()


@contextmanager
def _backbone(settings: DatabaseSettings) -> Iterator[Backbone]:
    catalog = settings.catalog if isinstance(settings, TerminalSettings) else None
    backbone = open_backbone(settings.database_url.get_secret_value(), catalog_path=catalog)
    try:
        yield backbone
    finally:
        backbone.close()
