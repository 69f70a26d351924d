"""Hits to Kafka, by confluent_kafka's producer."""

import ctypes
import logging
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from usersplit._hit_transport import Report

_logger = logging.getLogger("usersplit.kafka")

HITS_TOPIC: Final = "usersplit.hits"

_SETTINGS: Final[dict[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    # A broker that is away is waited for: the buffer in front is bounded and says what it drops. With a timeout here,
    # hits would be given up although there was room for them.
    "message.timeout.ms": 0,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    # As the Java clients do it, so that others can find a unit's partition.
    "partitioner": "murmur2_random",
}


class KafkaHitTransport:
    """Produces hits, the unit's id as key: the hits of one unit stay in one partition, and in order.

    The producer is made with the first hit, so that a process which only forks others never has one.
    """

    def __init__(self, bootstrap_servers: str, *, topic: str = HITS_TOPIC, **settings: Any) -> None:
        """Connect to nothing yet.

        Args:
            bootstrap_servers: "host:port,host:port".
            topic: where hits go.
            settings: further settings of librdkafka, with underscores in place of dots, e.g.
                `security_protocol="SASL_SSL"`; they win over the SDK's own.
        """
        self._topic = topic
        self._settings = {
            "bootstrap.servers": bootstrap_servers,
            **_SETTINGS,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
        self._producer: Producer | None = None
        self._report: Report | None = None

    def __repr__(self) -> str:  # the settings may hold a password
        return f"KafkaHitTransport({self._settings['bootstrap.servers']!r}, topic={self._topic!r})"

    def bind(self, report: Report) -> None:
        """See `HitTransport`."""
        self._report = report

    def send(self, *, key: bytes, value: bytes) -> bool:
        """See `HitTransport`."""
        producer = self._producer
        if producer is None:
            producer = self._producer = Producer(self._settings, logger=_logger)
        try:
            producer.produce(self._topic, value, key, on_delivery=self._delivered)
        except BufferError:
            return False
        except KafkaException as error:
            if not error.args[0].fatal():
                raise
            # An idempotent producer that lost its place is of no use any more; a new one goes on.
            _logger.warning("The producer failed for good (%s); a new one takes over.", error)
            self.close(0)
            return False
        return True

    def poll(self, timeout_seconds: float) -> None:
        """See `HitTransport`."""
        if self._producer is not None:
            self._producer.poll(timeout_seconds)

    def close(self, timeout_seconds: float) -> None:
        """See `HitTransport`."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if producer.flush(timeout_seconds):
            # What is left is reported as refused. It may still have arrived: dropped means not known to be delivered.
            producer.purge()
            producer.flush(0)

    def abandon(self) -> None:
        """See `HitTransport`.

        An inherited producer accepts messages and never delivers them, for its threads stayed in the parent; and
        freeing it waits for those threads, a second or more in every child. So it is neither used nor freed: one
        reference is given away for good.
        """
        if self._producer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
            self._producer = None

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if self._report is not None:
            self._report("" if error is None else str(error))
