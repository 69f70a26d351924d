"""What servers report from outside: what no database takes is passed over, and stops nobody else's reports."""

import logging
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from consumers.laid_out import LaidOutFollower
from consumers.laid_out_reports import report_record
from projections import laid_out
from projections.laid_out import Report
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import LAID_OUT, all_topics

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
MADE_UP = 2**63


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    return broker


@pytest.mark.parametrize(
    "foreign",
    [
        Report(environment="production", host="bad", position=MADE_UP, tests={}),
        Report(environment="production", host="bad", position=1, tests={"a": MADE_UP}),
        Report(environment="production", host="bad\0", position=1, tests={}),
        Report(environment="pro\0duction", host="bad", position=1, tests={}),
        Report(environment="production", host="bad", position=1, tests={"a\0": 1}),
    ],
    ids=["position", "position of a test", "host", "environment", "key"],
)
def test_one_server_that_reports_what_no_database_takes_does_not_stop_the_others(
    database: Engine, broker: MemoryBroker, foreign: Report, caplog: pytest.LogCaptureFixture
) -> None:
    good = Report(environment="production", host="good", position=1, tests={"a": 1})
    broker.producer().send([report_record(each, at=NOW) for each in (foreign, good)])
    with caplog.at_level(logging.WARNING):
        LaidOutFollower(engine=database, broker=broker, now=lambda: NOW).step(timeout_seconds=0)
    assert f"the record at {LAID_OUT}, partition 0, offset 0 is ignored" in caplog.text
    with database.connect() as connection:
        assert [server.host for server in laid_out.servers(connection)] == ["good"]


def test_half_a_surrogate_pair_is_no_name_of_a_server(database: Engine, broker: MemoryBroker) -> None:
    good = report_record(Report(environment="production", host="good", position=1, tests={}), at=NOW)
    value = (good.value or b"").replace(b'"good"', b'"\\ud800"')
    broker.producer().send([OutgoingMessage(topic=LAID_OUT, key=b"production/bad", value=value), good])
    assert LaidOutFollower(engine=database, broker=broker, now=lambda: NOW).step(timeout_seconds=0) == 1
