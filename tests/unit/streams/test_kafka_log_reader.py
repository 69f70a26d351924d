"""What a reader of a whole topic does while the broker elects who leads a partition."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams import kafka_log_reader
from streams.kafka_log_reader import KafkaLogReader
from streams.ports import BrokerAway


class Electing:
    """A consumer of a topic of one partition, whose end is told after so many refusals."""

    refusals = 0
    code = KafkaError.NOT_LEADER_FOR_PARTITION

    def __init__(self, settings: dict[str, Any]) -> None:
        del settings

    def list_topics(self, topic: str, *, timeout: float) -> Any:
        del timeout
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def assign(self, partitions: list[Any]) -> None:
        assert len(partitions) == 1

    def get_watermark_offsets(self, partition: Any, *, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        if Electing.refusals:
            Electing.refusals -= 1
            raise KafkaException(KafkaError(Electing.code, f"not now, {partition}"))
        return 0, 7


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> KafkaLogReader:
    monkeypatch.setattr(kafka_log_reader, "Consumer", Electing)
    monkeypatch.setattr(kafka_log_reader, "_ELECTION_PAUSE_SECONDS", 0)
    monkeypatch.setattr(Electing, "refusals", 0)
    return KafkaLogReader({}, "hits")


def test_the_end_is_asked_for_until_somebody_leads_the_partition(reader: KafkaLogReader) -> None:
    Electing.refusals = 3
    assert reader.end_offsets() == {("hits", 0): 7}


def test_where_nobody_leads_it_in_time_the_broker_is_away(
    reader: KafkaLogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_log_reader, "_ANSWER_TIMEOUT_SECONDS", 0)
    Electing.refusals = 10
    with pytest.raises(BrokerAway, match="asking for the end of hits"):
        reader.end_offsets()


def test_no_other_refusal_is_waited_for(reader: KafkaLogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Electing, "code", KafkaError._TRANSPORT)
    Electing.refusals = 1
    with pytest.raises(BrokerAway):
        reader.end_offsets()
    assert reader.end_offsets() == {("hits", 0): 7}
