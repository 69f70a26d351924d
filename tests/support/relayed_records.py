"""What a relay sent to a broker in memory, how far it came, and what it is asked to send again."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any

from sqlalchemy import Engine, update

from consumers import republish_requests
from consumers.relay import CHECKPOINT
from consumers.relay_records import HEARTBEAT_KEY
from events.checkpoints import position_of
from events.database import write_transaction
from projections.registry import projections_table
from streams.memory import MemoryBroker, MemoryProducer
from streams.messages import Message, OutgoingMessage
from streams.ports import DeliveryFailed
from streams.topics import CONFIGS, all_topics

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)


def a_clock() -> datetime:
    return NOW


def a_broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    return broker


def everything(broker: MemoryBroker, topic: str) -> list[Message]:
    return broker.log_reader(topic).poll(max_messages=10_000, timeout_seconds=0)


def documents(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [json.loads(m.value or b"") for m in everything(broker, CONFIGS) if m.key != HEARTBEAT_KEY]


class FailingBroker(MemoryBroker):
    """Its producers do what `fault` does before they send; then they send the first `arrives` messages and fail."""

    def __init__(self) -> None:
        super().__init__()
        self.ensure_topics(all_topics(hit_partitions=1))
        self.faults: list[int] = []
        self.producers: list[MemoryProducer] = []

    def producer(self) -> MemoryProducer:
        good = super().producer()
        faults = self.faults

        class Producer(MemoryProducer):
            def __init__(self) -> None:
                pass

            def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
                if faults:
                    good.send(messages[: faults.pop(0)])
                    raise DeliveryFailed("planted")
                good.send(messages, give_up=give_up)

            def close(self) -> None:
                good.close()

        self.producers.append(Producer())
        return self.producers[-1]


def checkpoint(engine: Engine) -> int:
    with engine.connect() as connection:
        return position_of(connection, CHECKPOINT)


def set_config_state(engine: Engine, state: str) -> None:
    with write_transaction(engine) as connection:
        connection.execute(update(projections_table).where(projections_table.c.name == "config").values(state=state))


def ask_again(engine: Engine, *keys: str, at: datetime = NOW) -> None:
    with write_transaction(engine) as connection:
        republish_requests.request(connection, keys, at=at)
