"""Ports that count and time what goes through them, and otherwise are what they stand around."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Event
from time import monotonic, perf_counter
from typing import Final

import pyarrow as pa
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine

from entrypoints.metrics import Metrics
from events.errors import VersionConflict
from events.registry import FactRegistry
from events.sql_store import SqlEventStore
from events.store import Appended, Command, Provenance
from streams.message_runs import in_runs
from streams.messages import Message, MessageRun, OutgoingMessage, Topic, TopicPartition
from streams.ports import AssignedListener, Broker, DeliveryFailed, LogReader, PartitionsListener, Producer, Source
from warehouse.hits import HitsPerVariant, HitWarehouse, OffsetRange

_LOOK_SECONDS: Final = 0.5


class MeteredEventStore(SqlEventStore):
    """An event store that counts its appends."""

    def __init__(self, engine: Engine, registry: FactRegistry, metrics: Metrics) -> None:
        super().__init__(engine, registry)
        self._seconds = metrics.seconds("usersplit_append_seconds")
        self._facts = metrics.counter("usersplit_appended_facts_total")
        self._conflicts = metrics.counter("usersplit_append_conflicts_total")

    def append(
        self,
        stream: str,
        facts: Sequence[object],
        *,
        expected_version: int,
        provenance: Provenance,
        command: Command | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        with self._seconds.time(), self._conflicts.count_exceptions(VersionConflict):
            appended = super().append(
                stream, facts, expected_version=expected_version, provenance=provenance, command=command
            )
        if not appended.replayed:
            self._facts.inc(len(facts))
        return appended


class MeteredBroker:
    """A broker whose producers count what they send."""

    def __init__(self, broker: Broker, metrics: Metrics) -> None:
        self._broker = broker
        self._seconds = metrics.seconds("usersplit_send_seconds")
        self._records = metrics.counter("usersplit_sent_records_total", "topic")
        self._failures = metrics.counter("usersplit_send_failures_total")

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """See `Broker.ensure_topics`."""
        self._broker.ensure_topics(topics)

    def producer(self) -> Producer:
        """See `Broker.producer`."""
        return _MeteredProducer(self._broker.producer(), self._seconds, self._records, self._failures)

    def source(self, group: str, *, member: str = "") -> Source:
        """See `Broker.source`."""
        return self._broker.source(group, member=member)

    def log_reader(self, topic: str) -> LogReader:
        """See `Broker.log_reader`."""
        return self._broker.log_reader(topic)


class _MeteredProducer:
    def __init__(self, producer: Producer, seconds: Histogram, records: Counter, failures: Counter) -> None:
        self._producer = producer
        self._seconds = seconds
        self._records = records
        self._failures = failures

    def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
        """See `Producer.send`."""
        with self._seconds.time(), self._failures.count_exceptions(DeliveryFailed):
            self._producer.send(messages, give_up=give_up)
        for message in messages:
            self._records.labels(message.topic).inc()

    def close(self) -> None:
        """See `Producer.close`."""
        self._producer.close()


class MeteredSource:
    """A member of a group that knows how old the newest message of its last read was, and how many are left."""

    def __init__(self, source: Source, metrics: Metrics, *, now: Callable[[], datetime]) -> None:
        self._source = source
        self._runs = in_runs(source)
        self._now = now
        self._newest_ms = 0
        self._paused: set[TopicPartition] = set()
        self._unread = 0
        self._looked_at = float("-inf")
        metrics.ask(
            lambda: [
                ("usersplit_hits_behind_seconds", {}, self._behind_seconds()),
                ("usersplit_hits_unread", {}, self._unread),
            ]
        )

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: AssignedListener,
        revoked: PartitionsListener,
        lost: PartitionsListener,
    ) -> None:
        """See `Source.subscribe`."""
        self._source.subscribe(topics, assigned=assigned, revoked=revoked, lost=lost)

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """See `Source.poll`."""
        messages = self._source.poll(max_messages=max_messages, timeout_seconds=timeout_seconds)
        self._note_the_newest(max((message.timestamp_ms for message in messages), default=0))
        return messages

    def poll_runs(self, *, max_messages: int, timeout_seconds: float) -> list[MessageRun]:
        """See `RunSource.poll_runs`."""
        runs = self._runs.poll_runs(max_messages=max_messages, timeout_seconds=timeout_seconds)
        self._note_the_newest(max((run.last_timestamp_ms for run in runs), default=0))
        return runs

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.pause`."""
        self._source.pause(partitions)
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.resume`."""
        self._source.resume(partitions)
        self._paused.difference_update(partitions)

    def unread(self) -> int:
        """See `Source.unread`."""
        return self._source.unread()

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `Source.commit`."""
        self._source.commit(offsets)

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()

    def _note_the_newest(self, timestamp_ms: int) -> None:
        # Who is paused is given nothing, which is not the end of the topic.
        if timestamp_ms or not self._paused:
            self._newest_ms = timestamp_ms
        # Asked here, for a source is for one thread; and not at every read, for a busy one reads often.
        if (moment := monotonic()) - self._looked_at >= _LOOK_SECONDS:
            self._looked_at, self._unread = moment, self._source.unread()

    def _behind_seconds(self) -> float:
        return max(0.0, self._now().timestamp() - self._newest_ms / 1000) if self._newest_ms else 0.0


class MeteredWarehouse:
    """A warehouse that counts the hits it is given."""

    def __init__(self, warehouse: HitWarehouse, metrics: Metrics) -> None:
        self._warehouse = warehouse
        self._seconds = metrics.seconds("usersplit_store_hits_seconds")
        self._batches = metrics.sizes("usersplit_batch_hits")
        self._stored = metrics.counter("usersplit_stored_hits_total")
        self._duplicates = metrics.counter("usersplit_duplicate_hits_total")

    def prepare(self) -> None:
        """See `HitWarehouse.prepare`."""
        self._warehouse.prepare()

    def ping(self) -> None:
        """See `HitWarehouse.ping`."""
        self._warehouse.ping()

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `HitWarehouse.offsets`."""
        return self._warehouse.offsets(topic)

    def forget_offsets(self, topic: str) -> None:
        """See `HitWarehouse.forget_offsets`."""
        self._warehouse.forget_offsets(topic)

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """See `HitWarehouse.store`."""
        started = perf_counter()
        new = self._warehouse.store(hits, ranges)
        self._seconds.observe(perf_counter() - started)
        self._batches.observe(hits.num_rows)
        self._stored.inc(new)
        self._duplicates.inc(hits.num_rows - new)
        return new

    def hits_per_variant(self, key: str | None = None) -> list[HitsPerVariant]:
        """See `HitWarehouse.hits_per_variant`."""
        return self._warehouse.hits_per_variant(key)

    def close(self) -> None:
        """See `HitWarehouse.close`."""
        self._warehouse.close()
