"""A relay in a process of its own, to be killed.

`python -m tests.support.relay_process DATABASE_URL BOOTSTRAP_SERVERS MODE [KILL_AT]`

MODE is `embedded` or `kafka`. KILL_AT is where the process kills itself (SIGKILL), once: `read`, `produced` (the first
record alone has arrived), `acknowledged` (all have, the checkpoint has not moved) or `checkpointed`.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event

from events.database import open_database
from streams.kafka_broker import KafkaBroker
from streams.kafka_producer import KafkaProducer
from streams.messages import OutgoingMessage
from tests.support.relayed_facts import relay_of


class _DyingProducer:
    """A producer whose process ends at a chosen point of its first batch of events."""

    def __init__(self, producer: KafkaProducer, kill_at: str) -> None:
        self._producer = producer
        self._kill_at = kill_at
        self._batches = 0

    def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
        if self._batches == 1 and self._kill_at == "checkpointed":
            die()
        if self._kill_at == "read":
            die()
        if self._kill_at == "produced":
            self._producer.send(messages[:1], give_up=give_up)
            die()
        self._producer.send(messages, give_up=give_up)
        if self._kill_at == "acknowledged":
            die()
        self._batches += 1

    def close(self) -> None:
        self._producer.close()


class _DyingBroker(KafkaBroker):
    kill_at = ""

    def producer(self) -> KafkaProducer:
        return _DyingProducer(super().producer(), self.kill_at)  # type: ignore[return-value]  # the same shape


def die() -> None:
    """End as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(database_url: str, bootstrap_servers: str, mode: str, kill_at: str = "") -> None:
    """Relay until killed."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s", force=True)
    broker = _DyingBroker(bootstrap_servers, embedded=mode == "embedded")
    broker.kill_at = kill_at
    relay = relay_of(open_database(database_url), broker, batch_size=4, now=lambda: datetime.now(UTC))
    relay.run(Event(), idle_seconds=0.05, retry_seconds=0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
