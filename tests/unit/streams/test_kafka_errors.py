import logging

from confluent_kafka import KafkaError

from streams.kafka_errors import SeldomRefusals, offset_is_gone, time_cures, translated
from streams.ports import BrokerAway, StreamError


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("streams.librdkafka", logging.ERROR, "", 0, text, (), None)


def test_a_broker_that_is_away_is_cured_by_time() -> None:
    error = KafkaError(KafkaError._ALL_BROKERS_DOWN)
    assert time_cures(error)
    assert type(translated(error, "reading")) is BrokerAway


def test_a_refused_authorization_is_not() -> None:
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert not time_cures(error)
    assert type(translated(error, "reading")) is StreamError


def test_a_reset_that_would_skip_messages_is_an_offset_that_is_gone() -> None:
    assert offset_is_gone(KafkaError(KafkaError._AUTO_OFFSET_RESET))
    assert not time_cures(KafkaError(KafkaError._AUTO_OFFSET_RESET))


def test_refused_connections_are_logged_once_in_a_while_and_all_else_always() -> None:
    seldom = SeldomRefusals(every_seconds=1000)
    said = [seldom.filter(record(text)) for text in ("FAIL [a]: refused", "FAIL [a]: refused", "SESSTMOUT [a]: out")]
    assert said == [True, False, True]
    always = SeldomRefusals(every_seconds=0)
    assert all(always.filter(record("FAIL [a]: refused")) for _ in range(2))
