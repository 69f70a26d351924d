"""The processes that fill BI. Each runs until `stop` is set, and needs no log, only Kafka and the warehouse."""

from threading import Event
from typing import Final

from consumers.bi_sink import GROUP as BI_SINK_GROUP
from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits, PoisonLimits
from consumers.dead_letters import DeadLetterWriter
from consumers.dimensions import DimensionsFollower
from consumers.hit_report_export import HitReportsFollower
from consumers.topic_export import run_together
from entrypoints.clock import now
from entrypoints.databases import dimensions_of, open_warehouse
from entrypoints.kafka import open_broker
from entrypoints.metered import MeteredBroker, MeteredSource, MeteredWarehouse
from entrypoints.metrics import Metrics
from entrypoints.settings import BiSinkSettings
from events.facts import REGISTRY
from streams.topics import LIFECYCLE

_THE_ONLY_SINK: Final = "the-only-sink"


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
