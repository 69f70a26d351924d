"""librdkafka's refusal of a setting is one of our errors, whichever client is asked for."""

import re
from collections.abc import Callable

import pytest

from entrypoints.kafka import open_broker
from entrypoints.settings import KafkaSettings
from streams import kafka_producer, kafka_source
from streams.ports import Broker, StreamError

PROMISED = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": 0, "partitioner": "murmur2_random"}
OFFSETS = {"enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "error"}

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


@pytest.mark.parametrize("name", [*PROMISED, *OFFSETS, "delivery.timeout.ms", "request.required.acks"])
def test_an_option_that_would_break_a_promise_is_refused(name: str) -> None:
    with pytest.raises(StreamError, match=f"rest on {re.escape(name)}; take it out"):
        open_broker(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:9", kafka_options={name: "1"}))


def test_clients_are_made_with_what_the_promises_rest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost acknowledgement, or a broker that is away for hours, cannot be waited for in a test."""
    made: dict[str, dict[str, object]] = {}

    class Made(Exception):
        pass

    for module in (kafka_producer, kafka_source):

        def make(client: object, settings: dict[str, object], name: str = module.__name__) -> None:
            del client
            made[name] = settings
            raise Made

        monkeypatch.setattr(module, "made", make)
    broker = open_broker(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:9"))
    for client in ("producer", "source"):
        with pytest.raises(Made):
            CLIENTS[client](broker)
    assert PROMISED.items() <= made["streams.kafka_producer"].items()
    assert OFFSETS.items() <= made["streams.kafka_source"].items()
