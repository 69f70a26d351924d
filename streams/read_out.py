"""Reading a topic out: from its beginning to the end that it has now."""

from collections.abc import Iterator

from streams.messages import Message
from streams.ports import Broker


def messages_until_now(broker: Broker, topic: str) -> Iterator[Message]:
    """Yield the messages that are there now, in order within each partition.

    Raises:
        BrokerAway: nobody answered.
        UnknownTopic: the topic was never created.
    """
    reader = broker.log_reader(topic)
    try:
        ends = reader.end_offsets()
        seen = dict.fromkeys(ends, 0)
        while any(seen[partition] < end for partition, end in ends.items()):
            yield from reader.poll(max_messages=1000, timeout_seconds=0.5)
            seen.update(reader.position())
    finally:
        reader.close()
