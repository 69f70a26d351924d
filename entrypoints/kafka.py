"""The Kafka cluster that the settings name."""

from entrypoints.settings import KafkaSettings
from streams.groups import ConsumerGroups
from streams.kafka_broker import KafkaBroker
from streams.ports import Broker


def open_broker(settings: KafkaSettings) -> Broker:
    """Return the Kafka cluster of the settings. Nothing is connected yet."""
    return KafkaBroker(settings.kafka_bootstrap_servers, extra=settings.kafka_options)


def open_groups(settings: KafkaSettings) -> ConsumerGroups | None:
    """Return what tells how consumer groups stand, None where the settings do not say where Kafka is."""
    if not settings.kafka_bootstrap_servers:
        return None
    return KafkaBroker(settings.kafka_bootstrap_servers, extra=settings.kafka_options).groups()
