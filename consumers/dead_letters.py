"""Dead letters: messages of the hits topic that are no hits, kept with the reason until somebody has looked at them.

A letter is the raw message, byte for byte, on its own topic; where it came from and why it is there stand in headers.
After a crash one message may have two letters, never none. Replaying one twice is harmless: BI counts a hit_id once.

Kafka deletes no single message: a letter that is dropped stays on the topic until its retention ends, and a note behind
it says that nobody wants to see it any more.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Final

from streams.messages import Message, OutgoingMessage
from streams.ports import Broker, DeliveryFailed, Producer, StreamError
from streams.read_out import messages_until_now
from streams.topics import DEAD_HITS, HITS

# The header of a note: the id of the letter that was dropped.
_DROPPED: Final = "dropped"


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
    """Yield the dead letters that are there now and were not dropped, in order within each partition.

    Raises:
        BrokerAway: nobody answered.
        UnknownTopic: the topic was never created.
    """
    # Notes come after their letters: the topic is read twice, rather than all letters held.
    dropped = {name for message in messages_until_now(broker, topic) if (name := _dropped_by(message))}
    for message in messages_until_now(broker, topic):
        if not _dropped_by(message) and _letter_id(message) not in dropped:
            yield _read(message)


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

    The letters stay, until they are dropped or the topic forgets them.

    Raises:
        UnknownDeadLetter: one of the ids is not there; none was sent then.
        DeliveryFailed: not all were acknowledged; replaying again is right.
    """
    found = _chosen(broker, letter_ids, topic)
    return _send(broker, [OutgoingMessage(topic=to, key=letter.key, value=letter.value) for letter in found])


def drop(broker: Broker, letter_ids: Collection[str] | None = None, *, topic: str = DEAD_HITS) -> int:
    """See to it that the letters with these ids (None: all of them) are not listed any more; return how many they were.

    Raises:
        UnknownDeadLetter: one of the ids is not there (any more); none was dropped then.
        DeliveryFailed: not all notes were acknowledged; dropping those that are still listed is right.
    """
    found = _chosen(broker, letter_ids, topic)
    notes = [
        OutgoingMessage(topic=topic, key=None, value=None, headers=((_DROPPED, letter.letter_id.encode()),))
        for letter in found
    ]
    return _send(broker, notes)


def _chosen(broker: Broker, letter_ids: Collection[str] | None, topic: str) -> list[DeadLetter]:
    found = [
        letter for letter in dead_letters(broker, topic=topic) if letter_ids is None or letter.letter_id in letter_ids
    ]
    if missing := set(letter_ids or ()) - {letter.letter_id for letter in found}:
        raise UnknownDeadLetter(min(missing))
    return found


def _send(broker: Broker, messages: Sequence[OutgoingMessage]) -> int:
    producer = broker.producer()
    try:
        producer.send(messages)
    finally:
        producer.close()
    return len(messages)


def _letter_id(message: Message) -> str:
    return f"{message.partition}:{message.offset}"


def _dropped_by(note: Message) -> str:
    """Return the id of the letter that `note` drops; "" for a letter."""
    return next((value.decode(errors="replace") for name, value in note.headers if name == _DROPPED), "")


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
        letter_id=_letter_id(message),
        topic=headers.get("topic", ""),
        partition=partition,
        offset=offset,
        reason=headers.get("reason", ""),
        at=headers.get("at", ""),
        key=message.key,
        value=message.value,
    )
