"""librdkafka's refusal of a setting is one of our errors, whichever client is asked for."""

from collections.abc import Callable

import pytest

from entrypoints.kafka import open_broker
from entrypoints.settings import KafkaSettings
from streams.ports import Broker, StreamError

CLIENTS: dict[str, Callable[[Broker], object]] = {
    "topics": lambda broker: broker.ensure_topics([]),
    "producer": lambda broker: broker.producer(),
    "source": lambda broker: broker.source("group"),
    "log reader": lambda broker: broker.log_reader("topic"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_option_that_librdkafka_does_not_know_is_named(client: str) -> None:
    broker = open_broker(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:9", kafka_options={"no.such.option": "1"}))
    with pytest.raises(StreamError, match=r'refuses its settings: .*"no\.such\.option"; correct them'):
        CLIENTS[client](broker)
