"""A Kafka broker inside this process, for trials without any service: the one that librdkafka brings for its own tests.

Its limits are real; say them wherever it is offered:

- It is in memory. When the process that holds it ends, all topics, messages and groups are gone.
- A partition keeps at most 5 MiB or 100,000 messages and silently drops the oldest: a feeder must wait for its readers.
- Topics come into being when a client first asks for them, always with 4 partitions and never compacted; what
  `streams.topics` asks for is not heeded. Order per key holds all the same.
"""

import logging
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer

from streams.ports import BrokerAway, StreamError

EMBEDDED_PARTITIONS = 4
"""How many partitions every topic gets there; librdkafka has no setting for it."""

_log = logging.getLogger(__name__)


class EmbeddedBroker:
    """The broker of librdkafka (`test.mock.num.brokers`). Any client on this machine can connect to it."""

    def __init__(self) -> None:
        # Its own word on being a mock cluster is a warning on standard error; this module's docstring says it better.
        self._holder: Producer | None = Producer(
            {"test.mock.num.brokers": 1, "bootstrap.servers": "ignored", "log_level": 3}
        )
        try:
            brokers = self._holder.list_topics(timeout=10).brokers.values()
        except KafkaException as error:
            raise BrokerAway(f"the embedded broker did not start: {error}") from error
        self._bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        _log.info("an embedded, in-memory Kafka broker listens on %s", self._bootstrap_servers)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect.

        Raises:
            StreamError: it was closed.
        """
        if self._holder is None:
            raise StreamError("the embedded broker is closed; start a new one")
        return self._bootstrap_servers

    def close(self) -> None:
        """End the broker and forget what it held. Idempotent. Its clients keep trying to reach it: close them first."""
        # librdkafka ends the broker with the client that holds it, and the client ends when nothing refers to it.
        self._holder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
