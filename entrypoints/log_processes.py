"""The processes that stand on the log and its read models. Each runs until `stop` is set."""

from datetime import timedelta
from threading import Event

from consumers.code_deployed import GROUP as CODE_DEPLOYED_GROUP
from consumers.code_deployed import CodeDeployedWatcher
from consumers.laid_out import LaidOutFollower
from consumers.notifier import NotifierFollower
from consumers.override_expiry import OverrideExpiry
from consumers.projector import follow
from consumers.relay import Relay
from entrypoints.clock import now
from entrypoints.kafka import open_broker
from entrypoints.metered import MeteredBroker, MeteredSource
from entrypoints.metered_backbone import metered_backbone
from entrypoints.metrics import Metrics, of_projections, of_relay, of_servers
from entrypoints.settings import (
    CodeDeployedSettings,
    DatabaseSettings,
    LaidOutSettings,
    NotifierSettings,
    RelaySettings,
)
from events.facts import REGISTRY
from notifications.log_notifier import LogNotifier
from notifications.notifier import Notifier
from notifications.webhook_notifier import WebhookNotifier


def run_projector(settings: DatabaseSettings, stop: Event, metrics: Metrics) -> None:
    """Keep the read models up with the log."""
    with metered_backbone(settings, metrics) as backbone:
        metrics.ask_database(backbone.engine, of_projections(backbone.store))
        follow(backbone.projector, stop)


def run_relay(settings: RelaySettings, stop: Event, metrics: Metrics) -> None:
    """Publish facts and config documents to Kafka."""
    with metered_backbone(settings, metrics) as backbone:
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


def run_laid_out(settings: LaidOutSettings, stop: Event, metrics: Metrics) -> None:
    """Keep what the servers have laid out."""
    with metered_backbone(settings, metrics) as backbone:
        metrics.ask_database(backbone.engine, of_servers)
        LaidOutFollower(
            engine=backbone.engine,
            broker=open_broker(settings),
            now=now,
            silent_after=settings.silent_after_seconds,
        ).run(stop)


def run_code_deployed(settings: CodeDeployedSettings, stop: Event, metrics: Metrics) -> None:
    """Record the first production hit of each test In Dev."""
    with metered_backbone(settings, metrics) as backbone:
        CodeDeployedWatcher(
            source=MeteredSource(open_broker(settings).source(CODE_DEPLOYED_GROUP), metrics, now=now),
            engine=backbone.engine,
            commands=backbone.split_tests,
        ).run(stop)


def run_override_expiry(settings: DatabaseSettings, stop: Event, metrics: Metrics) -> None:
    """Take out the QA overrides whose time is over."""
    with metered_backbone(settings, metrics) as backbone:
        OverrideExpiry(engine=backbone.engine, commands=backbone.overrides, now=now).run(stop)


def run_notifier(settings: NotifierSettings, stop: Event, metrics: Metrics) -> None:
    """Tell people what they wait for."""
    webhook_url = settings.webhook_url.get_secret_value()
    notifier: Notifier = WebhookNotifier(webhook_url) if webhook_url else LogNotifier()
    try:
        with metered_backbone(settings, metrics) as backbone:
            NotifierFollower(engine=backbone.engine, store=backbone.store, registry=REGISTRY, notifier=notifier).run(
                stop
            )
    finally:
        notifier.close()
