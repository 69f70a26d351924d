"""What travels through Kafka, as bytes: messages, offsets, and the names of the topics."""

from dataclasses import dataclass, field
from typing import TypeAlias

TopicPartition: TypeAlias = tuple[str, int]
"""A topic's name and the number of one of its partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it was read. `timestamp_ms` is Unix time in milliseconds, 0 where the broker gave none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message to be produced. Equal keys go to one partition and keep their order."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as UserSplit wants it to exist. `config` holds Kafka's own topic settings, by their names."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)
