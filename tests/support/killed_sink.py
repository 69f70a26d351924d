"""A BI sink that dies, or freezes, at a given moment of its n-th store. A program, to be run as a process.

Usage: python killed_sink.py BOOTSTRAP_SERVERS TOPIC WAREHOUSE MOMENT SIGNAL STORES

WAREHOUSE: a URL of PostgreSQL or ClickHouse, or the path of a DuckDB file.
MOMENT: before_insert, before_commit, after_commit. SIGNAL: KILL or STOP. STORES: at which store.
"""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa

from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import DeadLetterWriter
from streams.kafka_broker import KafkaBroker
from warehouse import clickhouse_hits, duckdb_hits, postgres_hits
from warehouse.hits import HitWarehouse, OffsetRange


class Doom:
    """Sends this process a signal at the right moment."""

    def __init__(self, moment: str, number: signal.Signals, stores: int) -> None:
        self._moment = moment
        self._number = number
        self._stores_left = stores

    def count_a_store(self) -> None:
        self._stores_left -= 1

    def at(self, moment: str) -> None:
        if moment == self._moment and self._stores_left == 0:
            os.kill(os.getpid(), self._number)


def open_broker(bootstrap_servers: str) -> KafkaBroker:
    return KafkaBroker(bootstrap_servers, source_extra={"session.timeout.ms": 2000, "heartbeat.interval.ms": 300})


def open_warehouse(place: str) -> HitWarehouse:
    if place.startswith(("clickhouse:", "chdb:")):
        return clickhouse_hits.ClickHouseHits(place)
    return postgres_hits.PostgresHits(place) if "://" in place else duckdb_hits.DuckDbHits(Path(place))


class DoomedWarehouse:
    """Passes everything on, with the moments around and within a store."""

    def __init__(self, warehouse: HitWarehouse, doom: Doom) -> None:
        self._warehouse = warehouse
        self._doom = doom
        for module in (clickhouse_hits, duckdb_hits, postgres_hits):
            self._doom_between_insert_and_commit(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        self._doom.count_a_store()
        self._doom.at("before_insert")
        stored = self._warehouse.store(hits, ranges)
        self._doom.at("after_commit")
        return stored

    def _doom_between_insert_and_commit(self, module: Any) -> None:
        insert = module._insert

        def insert_and_die(*arguments: Any) -> int:
            inserted: int = insert(*arguments)
            self._doom.at("before_commit")
            return inserted

        module._insert = insert_and_die


def main() -> None:
    """Run the sink until its doom."""
    bootstrap_servers, topic, place, moment, number, stores = sys.argv[1:]
    broker = open_broker(bootstrap_servers)
    doomed: Any = DoomedWarehouse(open_warehouse(place), Doom(moment, signal.Signals[f"SIG{number}"], int(stores)))
    sink = BiSink(
        source=broker.source(f"sinks of {topic}"),
        warehouse=doomed,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC), topic=f"{topic}.dead"),
        batches=BatchLimits(max_messages=500, freshness_seconds=0.1),
        topic=topic,
    )
    doomed.prepare()
    sink.run(Event())


if __name__ == "__main__":
    main()
