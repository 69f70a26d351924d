"""The ports to Kafka. `streams.memory` and `streams.kafka_*` implement them under one contract suite."""

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Protocol, TypeAlias, runtime_checkable

from streams.messages import Message, MessageRun, OutgoingMessage, Topic, TopicPartition

AssignedListener: TypeAlias = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]
"""Told which partitions were assigned; answers the offset to start each of them from.

A partition it does not mention starts at its beginning, never at a silent reset.
"""

PartitionsListener: TypeAlias = Callable[[Sequence[TopicPartition]], None]


class StreamError(Exception):
    """The root of this room's errors; confluent_kafka's own are translated where they enter.

    StreamError
    ├── BrokerAway           nobody answered in time: try again later
    ├── UnknownTopic         the topic does not exist (yet)
    ├── DeliveryFailed       a message was not acknowledged
    │   └── MessageTooLarge  and never will be: it exceeds what the topic, or the producer, takes
    └── OffsetOutOfRange     the offset to read from is not in the log
    """


class BrokerAway(StreamError):
    """No broker answered in the time given. It may be restarting: try again later."""


class UnknownTopic(StreamError):
    """The topic does not exist, or not yet: `Broker.ensure_topics` creates it."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}; create the topics first")
        self.topic = topic


class DeliveryFailed(StreamError):
    """At least one message of a `send` was not acknowledged. Some of them may have arrived all the same."""


class MessageTooLarge(DeliveryFailed):
    """A message exceeds what the topic, or the producer, takes: sending it again does not help, nor does waiting."""

    def __init__(self, message: OutgoingMessage) -> None:
        key = (message.key or b"").decode(errors="replace")
        super().__init__(
            f"the message for {message.topic} with the key {key} is too large: {len(message.value or b''):,} bytes; "
            "raise max.message.bytes of the topic"
        )
        self.message = message


class OffsetOutOfRange(StreamError):
    """The offset to read from is not in the log any more (or not yet): data may be lost, a person must decide."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"{topic}, partition {partition}: there is no offset {offset} in the log (retention took it, or the topic "
            "was made anew); decide where to go on, nothing is skipped silently"
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class Producer(Protocol):
    """Sends batches and waits for every acknowledgement. For the app's own topics; hits are the SDK's business."""

    def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
        """Send `messages` in order and return once all of them are acknowledged. Blocks while the broker is away.

        Args:
            messages: what to send.
            give_up: set by whoever wants the call to end although the broker is away.

        Raises:
            DeliveryFailed: an acknowledgement said no, or `give_up` was set first. Make a new producer and start again
                from the checkpoint.
            MessageTooLarge: likewise, and that message must not be among those that are sent again.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        ...


class Source(Protocol):
    """Reads the partitions it is given, as a member of a consumer group. One thread only."""

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: AssignedListener,
        revoked: PartitionsListener,
        lost: PartitionsListener,
    ) -> None:
        """Join the group. The listeners are called from within `poll`, on its thread.

        `revoked`: the partitions are still ours until the listener returns: finish what is in hand, or drop it.
        `lost`: they belong to somebody else already: drop what is in hand.
        Only the partitions that move are named: those that stay are read on without a word.
        """
        ...

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return what is there, after at most `timeout_seconds`; in order within a partition.

        Raises:
            OffsetOutOfRange: see there.
            StreamError: anything else that retrying does not cure. A broker that is away is not an error: it waits.
        """
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching from `partitions`; `poll` keeps the membership alive. An assignment starts unpaused."""
        ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch from `partitions` again."""
        ...

    def unread(self) -> int:
        """Return how many messages of its partitions, as far as it has heard, it has yet to give. Costs no question."""
        ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell Kafka the next offsets to read. It serves to show lag; exactness lives in the sink's own database."""
        ...

    def close(self) -> None:
        """Call `revoked` for what is still assigned and leave the group. Idempotent."""
        ...


@runtime_checkable
class RunSource(Source, Protocol):
    """A source that can give messages as runs. `streams.message_runs.in_runs` makes one of any source."""

    def poll_runs(self, *, max_messages: int, timeout_seconds: float) -> list[MessageRun]:
        """As `Source.poll`, in runs; perhaps fewer messages than there are, so that the caller's turn comes soon."""
        ...


class LogReader(Protocol):
    """Reads a whole topic, all partitions from their beginning, outside of any group: for compacted state."""

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition, as it is now.

        Raises:
            BrokerAway: nobody answered.
            UnknownTopic: the topic is not there (yet).
        """
        ...

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """As `Source.poll`. A topic that does not exist yet is waited for."""
        ...

    def position(self) -> Mapping[TopicPartition, int]:
        """Return the next offset to be read of each partition.

        It counts what compaction and markers took away, so that it reaches `end_offsets` even where no message stands
        at the end.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        ...


class Broker(Protocol):
    """A Kafka cluster, as far as the application needs one. `entrypoints` chooses which."""

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """Create the topics that are missing. An existing one is left as it is.

        Raises:
            BrokerAway: nobody answered.
        """
        ...

    def producer(self) -> Producer:
        """Return a new idempotent producer."""
        ...

    def source(self, group: str, *, member: str = "") -> Source:
        """Return a new member of the consumer group `group`.

        Args:
            group: …
            member: a name that outlives the process, of which the group has only one. Who comes back under it after a
                crash is given its partitions at once, and the one before it, should it still live, fails. Without a
                name, the group first waits until the dead one's session is over; but who closes is gone at once, where
                one with a name keeps its partitions until then.
        """
        ...

    def log_reader(self, topic: str) -> LogReader:
        """Return a reader of the whole of `topic`."""
        ...
