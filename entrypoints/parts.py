"""Which implementation stands behind a port, by what the settings say."""

from pathlib import Path

from entrypoints.settings import KafkaSettings
from streams.kafka_broker import KafkaBroker
from streams.ports import Broker
from warehouse.dimensions import DimensionWarehouse
from warehouse.duckdb_dimensions import DuckDbDimensions
from warehouse.duckdb_hits import DuckDbHits
from warehouse.postgres_dimensions import PostgresDimensions
from warehouse.postgres_hits import PostgresHits


def open_broker(settings: KafkaSettings) -> Broker:
    """Return the Kafka cluster of the settings. Nothing is connected yet."""
    return KafkaBroker(settings.kafka_bootstrap_servers, extra=settings.kafka_options)


def open_warehouse(url: str) -> DuckDbHits | PostgresHits:
    """Return the warehouse at `url`, `duckdb:///file` or `postgresql://…`, with its tables prepared."""
    scheme, _, place = url.partition("://")
    warehouse = DuckDbHits(Path(place.removeprefix("/"))) if scheme == "duckdb" else PostgresHits(url)
    warehouse.prepare()
    return warehouse


def dimensions_of(hits: DuckDbHits | PostgresHits) -> DimensionWarehouse:
    """Return the tables of tests, settings groups and changes that stand beside `hits`, in the same database."""
    return DuckDbDimensions(hits) if isinstance(hits, DuckDbHits) else PostgresDimensions(hits)
