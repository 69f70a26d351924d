"""Hits to Kafka, by confluent_kafka's producer."""

import ctypes
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, libversion

from usersplit._errors import InvalidSetting
from usersplit._hit_transport import Record, Refusal
from usersplit._kafka_log import kafka_logger
from usersplit._kafka_reports import KafkaReports
from usersplit._kafka_waiting import flush, poll

_logger = logging.getLogger("usersplit.kafka")

HITS_TOPIC: Final = "usersplit.hits"
_REPORTS_SUFFIX: Final = ".reports"

_SETTINGS: Final[dict[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    # A broker that is away is waited for: the buffer in front is bounded and says what it drops. With a timeout here,
    # hits would be given up although there was room for them.
    "message.timeout.ms": 0,
    # A topic that is not there yet is waited for as well, as long as the client knows how: an hour.
    "topic.metadata.propagation.max.ms": 3_600_000,
    "queue.buffering.max.messages": 50_000,
    "queue.buffering.max.kbytes": 32_768,
    # Acknowledged is what is neither refused nor outstanding: to be told of each would cost as much as sending it.
    "delivery.report.only.error": True,
    # As the Java clients do it, so that others can find a unit's partition.
    "partitioner": "murmur2_random",
}

ASKED_FROM_LIBRDKAFKA: Final = 0x020B0000
"""Version 2.11. Older ones take a second to let go of a producer, which a service shall not wait for at its start."""

_PURGE_SECONDS: Final = 1.0

# Of these records the broker will never take one, however often it is sent.
_PERMANENT: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
    }
)


class KafkaHitTransport:
    """Produces hits, the unit's id as key: the hits of one unit stay in one partition, and in order.

    The producer is made with the first hit, so that a process which only forks others never has one.
    """

    def __init__(self, bootstrap_servers: str, *, topic: str = HITS_TOPIC, **settings: Any) -> None:
        """Connect to nothing yet.

        Args:
            bootstrap_servers: "host:port,host:port".
            topic: where hits go; reports of what became of them go to the same name with ".reports" behind it.
            settings: further settings of librdkafka, with underscores in place of dots, e.g.
                `security_protocol="SASL_SSL"`; they win over the SDK's own.

        Raises:
            InvalidSetting: the client refuses its settings: a name it does not know, a certificate that is not there.
                (Before librdkafka 2.11 every hit is refused then.)
        """
        self._topic = topic
        self._settings = {
            "bootstrap.servers": bootstrap_servers,
            **_SETTINGS,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
        _require_acceptable(self._settings)
        self._producer: Producer | None = None
        self._reports = KafkaReports(self._settings, topic + _REPORTS_SUFFIX)
        self._unreported = 0
        self._refused: Callable[[Refusal], None] | None = None

    def __repr__(self) -> str:  # the settings may hold a password
        return f"KafkaHitTransport({self._settings['bootstrap.servers']!r}, topic={self._topic!r})"

    def bind(self, refused: Callable[[Refusal], None]) -> None:
        """See `HitTransport`."""
        self._refused = refused

    def send(self, records: Sequence[Record]) -> int:
        """See `HitTransport`."""
        taken = 0
        while taken < len(records):
            try:
                produce = self._connected().produce
                topic = self._topic
                for key, value in records[taken:] if taken else records:
                    produce(topic, value, key)
                    taken += 1
            except BufferError:
                break
            except KafkaException as error:
                kafka_error = error.args[0]
                if kafka_error.fatal():
                    # An idempotent producer that lost its place is of no use any more; a new one goes on.
                    _logger.warning("The producer failed for good (%s); a new one takes over.", error)
                    self.close(0)
                    break
                self._refuse(records[taken], str(kafka_error), permanent=kafka_error.code() in _PERMANENT)
                taken += 1
            except Exception as error:  # noqa: BLE001 - settings that the client does not know, and the like
                self._refuse(records[taken], f"{type(error).__name__}: {error}", permanent=True)
                taken += 1
        return taken

    def poll(self, timeout_seconds: float) -> None:
        """See `HitTransport`."""
        if self._producer is not None:
            poll(self._producer, timeout_seconds)
        self._reports.poll()

    def outstanding(self) -> int:
        """See `HitTransport`. The client's own events are counted too until they are polled; hence never too few."""
        return self._unreported + (0 if self._producer is None else len(self._producer))

    def close(self, timeout_seconds: float) -> None:
        """See `HitTransport`."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if flush(producer, timeout_seconds):
            # What is left is reported as refused. It may still have arrived: dropped means not known to be delivered.
            producer.purge()
            self._unreported += flush(producer, _PURGE_SECONDS)

    def send_report(self, report: Record, told: Callable[[bool], None]) -> None:
        """See `HitTransport`."""
        self._reports.send(report, told)

    def close_reports(self, timeout_seconds: float) -> None:
        """See `HitTransport`."""
        self._reports.close(timeout_seconds)

    def abandon(self) -> None:
        """See `HitTransport`.

        An inherited producer accepts messages and never delivers them, for its threads stayed in the parent; and
        freeing it waits for those threads, a second or more in every child. So it is neither used nor freed: one
        reference is given away for good.
        """
        if self._producer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
            self._producer = None
        self._reports.abandon()
        self._unreported = 0

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer({**self._settings, "on_delivery": self._reported}, logger=kafka_logger())
        return self._producer

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            key, value = message.key(), message.value()
            record = (key if isinstance(key, bytes) else b"", value or b"")
            self._refuse(record, str(error), permanent=error.code() in _PERMANENT)

    def _refuse(self, record: Record, error: str, *, permanent: bool) -> None:
        if self._refused is not None:
            self._refused(Refusal(record, error, permanent))


def _require_acceptable(settings: Mapping[str, Any]) -> None:
    """Let the client look at its settings, in a producer that knows no broker and is gone again at once.

    Without it, a misspelt setting would be met by the background thread, and cost every hit.

    Raises:
        InvalidSetting: it refuses them.
    """
    if libversion()[1] < ASKED_FROM_LIBRDKAFKA:
        return
    if any(map(callable, settings.values())):
        return  # a callback, say for a token, is not to be called for nothing
    try:
        Producer({**settings, "bootstrap.servers": "", "log_level": 0})
    except KafkaException as error:
        raise InvalidSetting(f"Kafka's client refuses a setting: {error.args[0].str()}.") from error
    except (TypeError, ValueError) as error:
        raise InvalidSetting(f"Kafka's client refuses a setting: {error}.") from error
