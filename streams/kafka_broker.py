"""Kafka through confluent_kafka: where producers, sources and log readers come from, and the topics are made."""

from collections.abc import Mapping, Sequence
from time import monotonic, sleep
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.kafka_errors import librdkafka_logger, logs_errors, made, time_cures, translated
from streams.kafka_groups import KafkaGroups
from streams.kafka_log_reader import KafkaLogReader
from streams.kafka_producer import KafkaProducer
from streams.kafka_source import KafkaSource
from streams.messages import Topic
from streams.ports import BrokerAway, StreamError

_NONE: Mapping[str, Any] = {}
_EMBEDDED_SOURCE: Mapping[str, Any] = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}

# What the ports promise rests on these: order and delivery of what is sent, and offsets that are ours alone.
_PROMISED = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "message.timeout.ms",
        "partition.assignment.strategy",
        "partitioner",
        "request.required.acks",
    }
)


class KafkaBroker:
    """A `streams.ports.Broker` over Kafka.

    Args:
        bootstrap_servers: as Kafka writes them: `host:port,host:port`.
        client_id: how the broker's own logs and quotas call us.
        embedded: whether it is `streams.kafka_embedded`'s broker, which makes a topic when it is first asked for it,
            and lets every rebalance wait for nearly a whole session timeout.
        extra: settings of librdkafka for every client (TLS, SASL …).
        source_extra: settings of librdkafka for members of groups alone (session timeouts …).

    Raises:
        StreamError: one of the settings would break what the ports promise.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str = "usersplit",
        embedded: bool = False,
        extra: Mapping[str, Any] = _NONE,
        source_extra: Mapping[str, Any] = _NONE,
    ) -> None:
        if refused := sorted(_PROMISED & extra.keys()):
            raise StreamError(f"order, delivery and offsets rest on {', '.join(refused)}; take it out of the options")
        self._settings: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": client_id,
            "logger": librdkafka_logger(),
            # A broker that comes back is found again within a second, not within the default ten.
            "reconnect.backoff.max.ms": 1000,
            **extra,
        }
        self._source_extra = {**(_EMBEDDED_SOURCE if embedded else {}), **source_extra}
        self._embedded = embedded

    def ensure_topics(self, topics: Sequence[Topic], *, timeout_seconds: float = 30.0) -> None:
        """See `Broker.ensure_topics`. Returns when every partition has a leader: the topics can be used at once."""
        deadline = monotonic() + timeout_seconds
        settings: dict[str, Any] = {**self._settings, "error_cb": logs_errors("topics")}
        admin = made(AdminClient, settings)
        while True:
            try:
                if not self._embedded:
                    _create(admin, topics, deadline)
                if all(_has_leaders(admin, topic, deadline) for topic in topics):
                    return
            except KafkaException as error:
                if not time_cures(error.args[0]):
                    raise translated(error.args[0], "creating topics") from error
            if monotonic() > deadline:
                raise BrokerAway(f"the topics were not there after {timeout_seconds} seconds")
            sleep(0.05)

    def producer(self) -> KafkaProducer:
        """See `Broker.producer`."""
        return KafkaProducer(self._settings)

    def source(self, group: str, *, member: str = "") -> KafkaSource:
        """See `Broker.source`."""
        name = {"group.instance.id": member} if member else {}
        return KafkaSource({**self._settings, **self._source_extra, **name}, group)

    def groups(self) -> KafkaGroups:
        """Return what tells how consumer groups stand."""
        return KafkaGroups(self._settings)

    def log_reader(self, topic: str) -> KafkaLogReader:
        """See `Broker.log_reader`."""
        return KafkaLogReader(self._settings, topic)


def _create(admin: AdminClient, topics: Sequence[Topic], deadline: float) -> None:
    there = admin.list_topics(timeout=_time_left(deadline)).topics
    missing = [
        # The replication factor is the cluster's own: whoever runs it knows how many brokers there are.
        NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=-1, config=topic.config)
        for topic in topics
        if topic.name not in there
    ]
    if not missing:
        return
    for answer in admin.create_topics(missing, request_timeout=_time_left(deadline)).values():
        try:
            answer.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _has_leaders(admin: AdminClient, topic: Topic, deadline: float) -> bool:
    found = admin.list_topics(topic.name, timeout=_time_left(deadline)).topics[topic.name]
    return bool(found.partitions) and all(partition.leader >= 0 for partition in found.partitions.values())


def _time_left(deadline: float) -> float:
    return max(deadline - monotonic(), 0.1)
