"""A service's log hears of Kafka's outage once a minute, and of everything else at once."""

import logging

from usersplit._kafka_log import SeldomOutages, kafka_logger


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("usersplit.kafka", logging.ERROR, "", 0, "%s", (text,), None)


def test_a_lost_connection_is_told_once_a_minute() -> None:
    moments = iter([0.0, 1.0, 59.0, 60.0, 61.0])
    seldom = SeldomOutages(clock=lambda: next(moments))
    told = [seldom.filter(record("FAIL [thrd:b1]: Connect failed")) for _ in range(5)]
    assert told == [True, False, False, True, False]


def test_everything_else_is_told_at_once() -> None:
    seldom = SeldomOutages()
    assert all(seldom.filter(record("CONFWARN: a setting is deprecated")) for _ in range(3))


def test_the_logger_is_filtered_once() -> None:
    kafka_logger()
    assert sum(isinstance(found, SeldomOutages) for found in kafka_logger().filters) == 1
