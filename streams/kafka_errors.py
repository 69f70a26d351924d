"""confluent_kafka's errors, sorted: those that time cures are logged, the others become `streams.ports` errors."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from streams.ports import BrokerAway, StreamError

_log = logging.getLogger(__name__)

_Client = TypeVar("_Client")

# What a broker that is starting, stopping or electing a leader makes a client say. None of it is the end of anything.
_TIME_CURES = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes are spelt with an underscore
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001 - the membership is lost and the next poll joins again
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - it may be created yet
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as a broker that has just started says of those it will lead
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)
_OFFSET_GONE = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
        KafkaError._LOG_TRUNCATION,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)


def time_cures(error: KafkaError) -> bool:
    """Tell whether waiting, and nothing else, is the answer to `error`."""
    return not error.fatal() and (error.code() in _TIME_CURES or error.retriable())


def offset_is_gone(error: KafkaError) -> bool:
    """Tell whether `error` says that the offset to read from is not in the log."""
    return error.code() in _OFFSET_GONE


def translated(error: KafkaError, doing: str) -> StreamError:
    """Return `error` as one of ours; `doing` says what was tried."""
    kind = BrokerAway if time_cures(error) else StreamError
    return kind(f"{doing}: {error.str()}")


def made(client: Callable[[dict[str, Any]], _Client], settings: Mapping[str, Any]) -> _Client:
    """Return a client of confluent_kafka.

    Raises:
        StreamError: librdkafka does not know one of the settings, or does not take its value.
    """
    try:
        return client(dict(settings))
    except KafkaException as error:
        raise StreamError(f"Kafka's client refuses its settings: {error.args[0].str()}; correct them") from error


class SeldomRefusals(logging.Filter):
    """Lets a lost or refused connection be logged now and then: librdkafka says it several times a second."""

    def __init__(self, *, every_seconds: float = 30.0) -> None:
        super().__init__()
        self._every_seconds = every_seconds
        self._last: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether `record` is logged."""
        if not record.getMessage().startswith("FAIL "):
            return True
        now = monotonic()
        if self._last is not None and now - self._last < self._every_seconds:
            return False
        self._last = now
        return True


def librdkafka_logger() -> logging.Logger:
    """Return the logger that clients are given, `streams.librdkafka`."""
    logger = logging.getLogger("streams.librdkafka")
    if not any(isinstance(found, SeldomRefusals) for found in logger.filters):
        logger.addFilter(SeldomRefusals())
    return logger


def logs_errors(client: str) -> Callable[[KafkaError], None]:
    """Return a callback for a client's own errors (a lost connection and the like), which it cures by itself."""

    def log(error: KafkaError) -> None:
        _log.log(logging.ERROR if error.fatal() else logging.DEBUG, "%s: %s", client, error.str())

    return log
