"""Hit reports to Kafka: beside the hits, in a topic and with a producer of their own.

The hits' producer waits for a broker, or for a topic that is not there yet, as long as it takes, and what it has not
had acknowledged is counted as not delivered. A report in its queue would be counted as a hit, and one for a topic that
nobody made would hold up the end of the service. So a report has its own producer, which is there only while a report
is on its way, gives up after some seconds, and says which way it went.
"""

import ctypes
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from usersplit._hit_transport import Record
from usersplit._kafka_log import kafka_logger
from usersplit._kafka_waiting import flush

_logger = logging.getLogger("usersplit.kafka")

_GIVE_UP_MS: Final = 10_000
_PURGE_SECONDS: Final = 0.5


class KafkaReports:
    """Produces reports, one at a time. For one thread at a time."""

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        self._topic = topic
        self._settings = {
            **settings,
            "linger.ms": 0,
            "message.timeout.ms": _GIVE_UP_MS,
            "topic.metadata.propagation.max.ms": _GIVE_UP_MS,
            "delivery.report.only.error": False,
        }
        self._producer: Producer | None = None

    def send(self, report: Record, told: Callable[[bool], None]) -> None:
        """Send it, and tell whether it was acknowledged from within `poll` or `close`. Raises what the client does."""

        def reported(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                _logger.warning(
                    "What became of the hits could not be reported to %s (%s); the next report says it again.",
                    self._topic,
                    error,
                )
            told(error is None)

        if self._producer is None:
            self._producer = Producer(self._settings, logger=kafka_logger())
        key, value = report
        self._producer.produce(self._topic, value, key, on_delivery=reported)

    def poll(self) -> None:
        """Learn what became of the report; let go of the connection when that is known."""
        if self._producer is not None:
            self._producer.poll(0)
            if not len(self._producer):
                self._producer = None

    def close(self, timeout_seconds: float) -> None:
        """Wait at most so long for the acknowledgement, and let go of the connection. Idempotent."""
        producer, self._producer = self._producer, None
        if producer is not None and flush(producer, timeout_seconds):
            producer.purge()
            flush(producer, _PURGE_SECONDS)

    def abandon(self) -> None:
        """Forget a producer inherited from a parent process, without freeing it: see `KafkaHitTransport.abandon`."""
        if self._producer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
            self._producer = None
