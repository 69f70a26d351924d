"""The producer of the app's own topics: idempotent, patient, and done only when every message is acknowledged."""

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.kafka_errors import logs_errors, made
from streams.messages import OutgoingMessage
from streams.ports import DeliveryFailed, MessageTooLarge, StreamError
from streams.topics import LARGEST_MESSAGE_BYTES

_SETTINGS: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    # A message never times out here: giving up on one and delivering the next would break the order of its key.
    "message.timeout.ms": 0,
    "compression.type": "lz4",
    "message.max.bytes": LARGEST_MESSAGE_BYTES,
    # As Java's client does it: another producer's equal keys go to the same partition.
    "partitioner": "murmur2_random",
}
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


class KafkaProducer:
    """A `streams.ports.Producer` over Kafka. After a `DeliveryFailed` it sends nothing more."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._producer: Producer | None = made(Producer, {**_SETTINGS, "error_cb": logs_errors("producer"), **settings})
        self._unacknowledged = 0
        self._refusal: DeliveryFailed | None = None

    def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
        """See `Producer.send`."""
        if self._producer is None:
            raise StreamError("the producer is closed; ask the broker for a new one")
        try:
            for message in messages:
                self._enqueue(self._producer, message, give_up)
            while self._unacknowledged:
                self._wait(self._producer, give_up)
        except DeliveryFailed:
            self.close()
            raise

    def close(self) -> None:
        """See `Producer.close`. What was not acknowledged is dropped: whoever waited for it was told that it failed."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1)

    def _enqueue(self, producer: Producer, message: OutgoingMessage, give_up: Event | None) -> None:
        while True:
            try:
                producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=self._when_delivered(message),
                )
            except BufferError:
                self._wait(producer, give_up)
            except KafkaException as error:
                raise _refusal(message, error.args[0]) from error
            else:
                self._unacknowledged += 1
                return

    def _wait(self, producer: Producer, give_up: Event | None) -> None:
        producer.poll(0.1)
        if self._refusal is not None:
            raise self._refusal
        if give_up is not None and give_up.is_set():
            raise DeliveryFailed("told to give up before every message was acknowledged")

    def _when_delivered(self, outgoing: OutgoingMessage) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            del message
            self._unacknowledged -= 1
            if error is not None and self._refusal is None:
                self._refusal = _refusal(outgoing, error)

        return delivered


def _refusal(message: OutgoingMessage, error: KafkaError) -> DeliveryFailed:
    if error.code() in _TOO_LARGE:
        return MessageTooLarge(message)
    return DeliveryFailed(f"Kafka did not take a message for {message.topic}: {error.str()}")
