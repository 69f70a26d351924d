"""Dead letters: messages of the hits topic that are no hits, kept with the reason until somebody has looked at them.

A letter is the raw message, byte for byte, on its own topic; where it came from and why it is there stand in headers.
After a crash one message may have two letters, never none. Replaying one twice is harmless: BI counts a hit_id once.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event

from streams.messages import Message, OutgoingMessage
from streams.ports import Broker, DeliveryFailed, Producer, StreamError
from streams.topics import DEAD_HITS, HITS


class UnknownDeadLetter(Exception):
    """There is no dead letter of that id (any more)."""

    def __init__(self, letter_id: str) -> None:
        super().__init__(f"there is no dead letter {letter_id}; list them to see those that are there")
        self.letter_id = letter_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not become a hit.

    Attributes:
        letter_id: `partition:offset` in the topic of dead letters, by which people name it.
        topic: where it was found; `partition` and `offset` likewise.
        reason: why it is here, a sentence.
        at: when it was put here, RFC 3339.
        key: the message's key as it was; `value` likewise.
    """

    letter_id: str
    topic: str
    partition: int
    offset: int
    reason: str
    at: str
    key: bytes | None
    value: bytes | None


class DeadLetterWriter:
    """Puts messages on the topic of dead letters."""

    def __init__(
        self, make_producer: Callable[[], Producer], *, now: Callable[[], datetime], topic: str = DEAD_HITS
    ) -> None:
        self._make_producer = make_producer
        self._now = now
        self._topic = topic
        self._producer: Producer | None = None

    def write(self, letters: Sequence[tuple[Message, str]], *, give_up: Event | None = None) -> None:
        """Write a letter for every (message, reason) and return once all are acknowledged. Blocks meanwhile.

        Raises:
            DeliveryFailed: not all of them were; writing them all again is right.
        """
        if not letters:
            return
        if self._producer is None:
            self._producer = self._make_producer()
        at = self._now().isoformat()
        try:
            self._producer.send([self._letter(message, reason, at) for message, reason in letters], give_up=give_up)
        except DeliveryFailed:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the producer. Idempotent."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _letter(self, message: Message, reason: str, at: str) -> OutgoingMessage:
        headers = {
            "topic": message.topic,
            "partition": str(message.partition),
            "offset": str(message.offset),
            "reason": reason,
            "at": at,
        }
        return OutgoingMessage(
            topic=self._topic,
            key=message.key,
            value=message.value,
            headers=tuple((name, text.encode()) for name, text in headers.items()),
        )


def dead_letters(broker: Broker, *, topic: str = DEAD_HITS) -> Iterator[DeadLetter]:
    """Yield the dead letters that are there now, in order within each partition.

    Raises:
        BrokerAway: nobody answered.
        UnknownTopic: the topic was never created.
    """
    reader = broker.log_reader(topic)
    try:
        ends = reader.end_offsets()
        seen = dict.fromkeys(ends, 0)
        while any(seen[partition] < end for partition, end in ends.items()):
            for message in reader.poll(max_messages=1000, timeout_seconds=0.5):
                yield _read(message)
            seen.update(reader.position())
    finally:
        reader.close()


def dead_letter(broker: Broker, letter_id: str, *, topic: str = DEAD_HITS) -> DeadLetter:
    """Return the dead letter `letter_id`.

    Raises:
        UnknownDeadLetter: there is none.
    """
    for letter in dead_letters(broker, topic=topic):
        if letter.letter_id == letter_id:
            return letter
    raise UnknownDeadLetter(letter_id)


def replay(broker: Broker, letter_ids: Collection[str] | None = None, *, topic: str = DEAD_HITS, to: str = HITS) -> int:
    """Send the letters with these ids (None: all of them) to the hits topic again and return how many they were.

    The letters stay: the topic forgets them after its retention.

    Raises:
        UnknownDeadLetter: one of the ids is not there; none was sent then.
        DeliveryFailed: not all were acknowledged; replaying again is right.
    """
    found = [
        letter for letter in dead_letters(broker, topic=topic) if letter_ids is None or letter.letter_id in letter_ids
    ]
    if missing := set(letter_ids or ()) - {letter.letter_id for letter in found}:
        raise UnknownDeadLetter(min(missing))
    producer = broker.producer()
    try:
        producer.send([OutgoingMessage(topic=to, key=letter.key, value=letter.value) for letter in found])
    finally:
        producer.close()
    return len(found)


def _read(message: Message) -> DeadLetter:
    headers = {name: value.decode(errors="replace") for name, value in message.headers}
    try:
        partition, offset = int(headers.get("partition", "-1")), int(headers.get("offset", "-1"))
    except ValueError as error:
        raise StreamError(
            f"{message.topic}, offset {message.offset}: the headers are not those of a dead letter; something else "
            "writes to this topic, stop it"
        ) from error
    return DeadLetter(
        letter_id=f"{message.partition}:{message.offset}",
        topic=headers.get("topic", ""),
        partition=partition,
        offset=offset,
        reason=headers.get("reason", ""),
        at=headers.get("at", ""),
        key=message.key,
        value=message.value,
    )
