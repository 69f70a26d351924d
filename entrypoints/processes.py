"""The processes of UserSplit: which settings each reads, and how it is put together. Each runs until `stop` is set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from types import MappingProxyType
from typing import Final

from sqlalchemy import Engine

from audience.estimate import BASE_RATE
from consumers.agent import Agent
from consumers.bi_sink import GROUP as BI_SINK_GROUP
from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits, PoisonLimits
from consumers.code_deployed import GROUP as CODE_DEPLOYED_GROUP
from consumers.code_deployed import CodeDeployedWatcher
from consumers.dead_letters import DeadLetterWriter
from consumers.dimensions import DimensionsFollower
from consumers.hit_report_export import HitReportsFollower
from consumers.laid_out import LaidOutFollower
from consumers.laid_out_reports import LaidOutReporter
from consumers.notifier import NotifierFollower
from consumers.override_expiry import OverrideExpiry
from consumers.projector import follow
from consumers.relay import Relay
from consumers.topic_export import run_together
from entrypoints.backbone import Backbone, now, open_backbone
from entrypoints.charts_warehouse import ChartsWarehouse
from entrypoints.metered import MeteredBroker, MeteredEventStore, MeteredSource, MeteredWarehouse
from entrypoints.metrics import Metrics, of_agent, of_projections, of_relay, of_servers
from entrypoints.parts import dimensions_of, open_broker, open_groups, open_users, open_warehouse
from entrypoints.registry_server import serve_registry
from entrypoints.serve import serve
from entrypoints.settings import (
    AgentSettings,
    BiSinkSettings,
    CodeDeployedSettings,
    DatabaseSettings,
    LaidOutSettings,
    MigrateSettings,
    NotifierSettings,
    RegistrySettings,
    RelaySettings,
    ServeSettings,
    Settings,
    TerminalSettings,
    UsersSettings,
)
from events.facts import REGISTRY
from events.registry import FactRegistry
from notifications.log_notifier import LogNotifier
from notifications.notifier import Notifier
from notifications.webhook_notifier import WebhookNotifier
from streams.topics import LIFECYCLE

SETTINGS_OF: Final[Mapping[str, type[Settings]]] = MappingProxyType(
    {
        "migrate": MigrateSettings,
        "projector": DatabaseSettings,
        "preparer": TerminalSettings,
        "relay": RelaySettings,
        "agent": AgentSettings,
        "laid-out": LaidOutSettings,
        "bi-sink": BiSinkSettings,
        "dimensions": BiSinkSettings,
        "code-deployed": CodeDeployedSettings,
        "override-expiry": DatabaseSettings,
        "notifier": NotifierSettings,
        "serve": ServeSettings,
        "registry": RegistrySettings,
    }
)
"""What each process reads; docker-compose.yml is held against it."""


_THE_ONLY_SINK: Final = "the-only-sink"


def run_projector(settings: DatabaseSettings, stop: Event, metrics: Metrics) -> None:
    """Keep the read models up with the log."""
    with _backbone(settings, metrics) as backbone:
        metrics.ask_database(backbone.engine, of_projections(backbone.store))
        follow(backbone.projector, stop)


def run_preparer(settings: TerminalSettings, stop: Event, metrics: Metrics) -> None:
    """Prepare the settings groups that wait, and count the user groups that do."""
    with _backbone(settings, metrics) as backbone:
        backbone.prepare(stop)


def run_relay(settings: RelaySettings, stop: Event, metrics: Metrics) -> None:
    """Publish facts and config documents to Kafka."""
    with _backbone(settings, metrics) as backbone:
        relay = Relay(
            engine=backbone.engine,
            store=backbone.store,
            broker=MeteredBroker(open_broker(settings), metrics),
            catch_up=backbone.projector.catch_up,
            now=now,
            heartbeat_every=timedelta(seconds=settings.heartbeat_seconds),
        )
        metrics.ask_database(backbone.engine, of_relay(relay, backbone.store))
        relay.run(stop)


def run_agent(settings: AgentSettings, stop: Event, metrics: Metrics) -> None:
    """Keep a directory of config files, and say what is laid out there."""
    settings.config_directory.mkdir(parents=True, exist_ok=True)
    broker = MeteredBroker(open_broker(settings), metrics)
    reporter = LaidOutReporter(broker, environment=settings.environment_name, host=settings.host, now=now)
    agent = Agent(broker, settings.config_directory, tell=reporter.tell)
    metrics.ask(of_agent(agent, now))
    with reporter.running():
        agent.run(stop)


def run_laid_out(settings: LaidOutSettings, stop: Event, metrics: Metrics) -> None:
    """Keep what the servers have laid out."""
    with _backbone(settings, metrics) as backbone:
        metrics.ask_database(backbone.engine, of_servers)
        LaidOutFollower(
            engine=backbone.engine,
            broker=open_broker(settings),
            now=now,
            silent_after=settings.silent_after_seconds,
        ).run(stop)


def run_bi_sink(settings: BiSinkSettings, stop: Event, metrics: Metrics) -> None:
    """Drain the hits into the warehouse."""
    broker = MeteredBroker(open_broker(settings), metrics)
    warehouse = open_warehouse(settings.warehouse_url.get_secret_value())
    try:
        BiSink(
            source=MeteredSource(broker.source(BI_SINK_GROUP, member=_sink_name(settings)), metrics, now=now),
            warehouse=MeteredWarehouse(warehouse, metrics),
            dead_letters=DeadLetterWriter(broker.producer, now=now),
            batches=BatchLimits(budget_bytes=settings.sink_memory_mb * 2**20),
            poison=PoisonLimits(max_run=settings.dead_letters_in_a_row, max_in_window=settings.dead_letters_in_window),
        ).run(stop)
    finally:
        warehouse.close()


def _sink_name(settings: BiSinkSettings) -> str:
    """Return what the sink is called in its group. A DuckDB file has one sink, whichever process it is."""
    on_duckdb = settings.warehouse_url.get_secret_value().startswith("duckdb:")
    return settings.sink_name or (_THE_ONLY_SINK if on_duckdb else "")


def run_dimensions(settings: BiSinkSettings, stop: Event, metrics: Metrics) -> None:
    """Export tests, settings groups, variants, the changelog and the services' hit reports to BI."""
    warehouse = open_warehouse(settings.warehouse_url.get_secret_value())
    try:
        dimensions = dimensions_of(warehouse)
        dimensions.prepare(LIFECYCLE)
        broker = MeteredBroker(open_broker(settings), metrics)
        lifecycle = DimensionsFollower(broker=broker, warehouse=dimensions, registry=REGISTRY)
        run_together([lifecycle, HitReportsFollower(broker=broker, warehouse=dimensions)], stop)
    finally:
        warehouse.close()


def run_code_deployed(settings: CodeDeployedSettings, stop: Event, metrics: Metrics) -> None:
    """Record the first production hit of each test In Dev."""
    with _backbone(settings, metrics) as backbone:
        CodeDeployedWatcher(
            source=MeteredSource(open_broker(settings).source(CODE_DEPLOYED_GROUP), metrics, now=now),
            engine=backbone.engine,
            commands=backbone.split_tests,
        ).run(stop)


def run_override_expiry(settings: DatabaseSettings, stop: Event, metrics: Metrics) -> None:
    """Take out the QA overrides whose time is over."""
    with _backbone(settings, metrics) as backbone:
        OverrideExpiry(engine=backbone.engine, commands=backbone.overrides, now=now).run(stop)


def run_notifier(settings: NotifierSettings, stop: Event, metrics: Metrics) -> None:
    """Tell people what they wait for."""
    webhook_url = settings.webhook_url.get_secret_value()
    notifier: Notifier = WebhookNotifier(webhook_url) if webhook_url else LogNotifier()
    try:
        with _backbone(settings, metrics) as backbone:
            NotifierFollower(engine=backbone.engine, store=backbone.store, registry=REGISTRY, notifier=notifier).run(
                stop
            )
    finally:
        notifier.close()


def run_serve(settings: ServeSettings, stop: Event, metrics: Metrics) -> None:
    """Serve the HTTP API and the managers' pages."""
    with _backbone(settings, metrics) as backbone:
        metrics.ask_database(backbone.engine, of_projections(backbone.store))
        warehouse = ChartsWarehouse(settings.warehouse_url.get_secret_value()) if settings.warehouse_url else None
        try:
            serve(
                backbone,
                settings,
                stop,
                metrics,
                traffic=warehouse,
                groups=open_groups(settings),
                stored=warehouse.offsets if warehouse is not None else None,
                is_alone=True,
            )
        finally:
            if warehouse is not None:
                warehouse.close()


def run_registry(settings: RegistrySettings, stop: Event, metrics: Metrics) -> None:
    """Serve the topics' schemas."""
    del metrics
    serve_registry(stop, address=settings.registry_address, port=settings.registry_port)


@contextmanager
def _backbone(settings: DatabaseSettings, metrics: Metrics) -> Iterator[Backbone]:
    def open_store(engine: Engine, registry: FactRegistry) -> MeteredEventStore:
        return MeteredEventStore(engine, registry, metrics)

    backbone = open_backbone(
        settings.database_url.get_secret_value(),
        catalog_path=settings.catalog if isinstance(settings, TerminalSettings | ServeSettings) else None,
        open_store=open_store,
        users=open_users(settings) if isinstance(settings, UsersSettings) else None,
        base_rate=settings.base_rate if isinstance(settings, UsersSettings) else BASE_RATE,
    )
    try:
        yield backbone
    finally:
        backbone.close()
