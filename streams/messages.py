"""What travels through Kafka, as bytes: messages, offsets, and the names of the topics."""

from collections.abc import Sequence
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
class MessageRun:
    """Messages that came one after the other from one partition, as columns of equal length, headers left out.

    For readers of hundreds of thousands a second: there, making a `Message` of each costs more than all the rest.
    `last_timestamp_ms` is the last one's, as `Message.timestamp_ms`.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    last_timestamp_ms: int = 0


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
