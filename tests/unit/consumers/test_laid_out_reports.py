"""Agents report what they have laid out, and the consumer of the reports knows who is live."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from consumers.config_files import UnusableDocument
from consumers.laid_out import LaidOutFollower
from consumers.laid_out_reports import LaidOutReporter, read_report, report_record
from projections import laid_out
from projections.laid_out import Report, Server
from streams.memory import MemoryBroker, MemoryLogReader, MemoryProducer
from streams.messages import Message, OutgoingMessage, TopicPartition
from streams.ports import BrokerAway, DeliveryFailed
from streams.topics import LAID_OUT, LARGEST_MESSAGE_BYTES, all_topics

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)


class Broker(MemoryBroker):
    """A broker that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.ensure_topics(all_topics(hit_partitions=1))
        self.is_away = False
        self.sends = 0

    def producer(self) -> MemoryProducer:
        return _Producer(self, super().producer())

    def log_reader(self, topic: str) -> MemoryLogReader:
        return _Reader(self, topic)


class _Producer(MemoryProducer):
    def __init__(self, broker: Broker, good: MemoryProducer) -> None:
        self._broker, self._good = broker, good

    def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
        self._broker.sends += 1
        if self._broker.is_away:
            raise DeliveryFailed("planted")
        self._good.send(messages, give_up=give_up)

    def close(self) -> None:
        self._good.close()


class _Reader(MemoryLogReader):
    def __init__(self, broker: Broker, topic: str) -> None:
        super().__init__(broker._topics, topic)
        self._broker = broker

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        if self._broker.is_away:
            raise BrokerAway("planted")
        return super().end_offsets()

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        return [] if self._broker.is_away else super().poll(max_messages=max_messages, timeout_seconds=timeout_seconds)


class Seconds:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def report(host: str = "web-1", **tests: int) -> Report:
    return Report(environment="production", host=host, position=max(tests.values(), default=0), tests=tests)


def send(broker: MemoryBroker, *reports: Report) -> None:
    broker.producer().send([report_record(each, at=NOW) for each in reports])


def reports_in(broker: MemoryBroker) -> list[Report]:
    messages = MemoryLogReader(broker._topics, LAID_OUT).poll(max_messages=1000, timeout_seconds=0)
    return [read_report(message.value) for message in messages]


def follower_of(engine: Engine, broker: MemoryBroker, clock: Seconds) -> LaidOutFollower:
    return LaidOutFollower(engine=engine, broker=broker, now=lambda: NOW, clock=clock)


def servers(engine: Engine) -> list[Server]:
    with engine.connect() as connection:
        return laid_out.servers(connection)


def wait_until_reported(broker: MemoryBroker, expected: Report) -> None:
    deadline = time.monotonic() + 10
    while expected not in reports_in(broker):
        assert time.monotonic() < deadline, reports_in(broker)
        time.sleep(0.01)


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", fullmatch=True), st.integers(0, 2**62)),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
)
def test_a_report_is_read_as_it_was_told(tests: dict[str, int], host: str) -> None:
    told = Report(environment="devel", host=host, position=3, tests=tests)
    assert read_report(report_record(told, at=NOW).value) == told


def test_the_report_of_a_thousand_tests_is_small() -> None:
    tests = {f"a_test_with_quite_a_long_name_{number:04}": 10_000_000 + number for number in range(1000)}
    large = Report(environment="production", host="web-1", position=1, tests=tests)
    value = report_record(large, at=NOW).value or b""
    assert len(value) < 60_000 < LARGEST_MESSAGE_BYTES


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"[]",
        b'{"format":1,"kind":"split_test","key":"a","position":1,"status":"running"}',
        b'{"format":2,"kind":"laid_out","environment":"production","host":"a","position":1,"tests":{}}',
        b'{"format":1,"kind":"laid_out","environment":"","host":"a","position":1,"tests":{}}',
        b'{"format":1,"kind":"laid_out","environment":"production","position":1,"tests":{}}',
        b'{"format":1,"kind":"laid_out","environment":"production","host":"a","tests":{}}',
        b'{"format":1,"kind":"laid_out","environment":"production","host":"a","position":1,"tests":{"a":"1"}}',
        b'{"format":1,"kind":"laid_out","environment":"production","host":"a","position":1,"tests":[]}',
    ],
)
def test_what_is_no_report_is_refused(content: bytes | None) -> None:
    with pytest.raises(UnusableDocument):
        read_report(content)


def test_what_is_no_report_is_ignored_with_a_warning_and_the_others_count(
    sqlite_database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    broker.producer().send([OutgoingMessage(topic=LAID_OUT, key=b"production/web-0", value=b"{")])
    send(broker, report(a=1))
    with caplog.at_level(logging.WARNING):
        assert follower_of(sqlite_database, broker, Seconds()).step(timeout_seconds=0) == 1
    assert "partition 0, offset 0 is ignored" in caplog.text
    assert [server.name for server in servers(sqlite_database)] == ["production/web-1"]


def test_a_reporter_tells_its_first_state_and_each_change_but_nothing_twice() -> None:
    broker = Broker()
    reporter = LaidOutReporter(
        broker, environment="production", host="web-1", now=lambda: NOW, at_most_every_seconds=0.01
    )
    with reporter.running():
        reporter.tell(0, {})
        wait_until_reported(broker, report())
        for position in range(5, 10):
            reporter.tell(position, {"a": 5})
        wait_until_reported(broker, Report(environment="production", host="web-1", position=9, tests={"a": 5}))
        time.sleep(0.05)
        told = len(reports_in(broker))
        reporter.tell(99, {"a": 5})
        time.sleep(0.05)
        assert len(reports_in(broker)) == told


def test_a_reporter_rests_after_each_report_however_much_changes() -> None:
    broker, asked = Broker(), []

    class Rest(Event):
        def wait(self, timeout: float | None = None) -> bool:
            asked.append(timeout)
            return super().wait(timeout)

    reporter = LaidOutReporter(
        broker, environment="production", host="web-1", now=lambda: NOW, at_most_every_seconds=600.0
    )
    reporter._done = Rest()
    with reporter.running():
        reporter.tell(1, {"a": 1})
        wait_until_reported(broker, report(a=1))
        for position in range(2, 100):
            reporter.tell(position, {"a": position})
    assert asked == [600.0]
    assert reports_in(broker) == [report(a=1)]


def test_a_reporter_gives_signs_of_life() -> None:
    broker = Broker()
    reporter = LaidOutReporter(
        broker,
        environment="production",
        host="web-1",
        now=lambda: NOW,
        at_most_every_seconds=0.01,
        heartbeat_seconds=0.02,
    )
    with reporter.running():
        reporter.tell(7, {"a": 7})
        deadline = time.monotonic() + 10
        while len(reports_in(broker)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_while_kafka_is_away_the_newest_state_waits_and_nobody_else_does() -> None:
    broker = Broker()
    broker.is_away = True
    reporter = LaidOutReporter(
        broker,
        environment="production",
        host="web-1",
        now=lambda: NOW,
        at_most_every_seconds=0.01,
        retry_seconds=0.02,
    )
    with reporter.running():
        for position in range(1, 2000):
            reporter.tell(position, {"a": position})
        deadline = time.monotonic() + 10
        while broker.sends < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        broker.is_away = False
        wait_until_reported(broker, report(a=1999))
        assert reports_in(broker) == [report(a=1999)]


def test_a_server_is_silent_after_five_minutes_in_which_somebody_listened(sqlite_database: Engine) -> None:
    broker, clock = Broker(), Seconds()
    follower = follower_of(sqlite_database, broker, clock)
    send(broker, report("web-1"), report("web-2"))
    follower.step(timeout_seconds=0)
    for minute in range(6):
        for _ in range(12):
            clock.now += 5
            follower.step(timeout_seconds=0)
        if minute == 2:
            send(broker, report("web-2"))
    assert [(server.host, server.is_live) for server in servers(sqlite_database)] == [("web-1", False), ("web-2", True)]


def test_an_outage_of_kafka_or_a_frozen_process_makes_nobody_silent(sqlite_database: Engine) -> None:
    broker, clock = Broker(), Seconds()
    follower = follower_of(sqlite_database, broker, clock)
    send(broker, report("web-1"))
    follower.step(timeout_seconds=0)
    broker.is_away = True
    for _ in range(200):
        clock.now += 5
        follower.step(timeout_seconds=0)
    broker.is_away = False
    follower.step(timeout_seconds=0)
    clock.now += 3600  # frozen
    follower.step(timeout_seconds=0)
    [server] = servers(sqlite_database)
    assert server.is_live
    assert server.silent_seconds <= 20


def test_nobody_falls_silent_while_reports_are_yet_to_be_read(sqlite_database: Engine) -> None:
    broker, clock = Broker(), Seconds()
    follower = follower_of(sqlite_database, broker, clock)
    send(broker, report("web-1"))
    follower.step(timeout_seconds=0)
    for _ in range(59):
        clock.now += 5
        follower.step(timeout_seconds=0)
    send(broker, *(report("web-2", a=number) for number in range(1, 251)), report("web-1"))
    for _ in range(2):
        clock.now += 10
        follower.step(timeout_seconds=0)
        assert [(server.host, server.is_live) for server in servers(sqlite_database)] == [
            ("web-1", True),
            ("web-2", True),
        ]


def test_a_follower_that_starts_again_reads_everything_and_revives_nobody(sqlite_database: Engine) -> None:
    broker, clock = Broker(), Seconds()
    send(broker, report("web-1", a=1), report("web-1", a=2), report("web-2", a=1))
    first = follower_of(sqlite_database, broker, clock)
    assert first.step(timeout_seconds=0) == 2
    for _ in range(70):
        clock.now += 5
        first.step(timeout_seconds=0)
    first.close()
    send(broker, report("web-2", a=2))
    second = follower_of(sqlite_database, broker, clock)
    assert second.step(timeout_seconds=0) == 1
    assert [(server.host, server.is_live) for server in servers(sqlite_database)] == [("web-1", False), ("web-2", True)]


def test_a_topic_that_was_made_anew_is_noticed_at_the_next_start(sqlite_database: Engine) -> None:
    broker = Broker()
    send(broker, *[report(a=position) for position in range(20)])
    follower_of(sqlite_database, broker, Seconds()).step(timeout_seconds=0)
    anew = Broker()
    send(anew, report(a=30))
    assert follower_of(sqlite_database, anew, Seconds()).step(timeout_seconds=0) == 1
    assert servers(sqlite_database)[0].position == 30


def test_of_two_followers_one_follows_and_both_can_be_stopped(sqlite_database: Engine) -> None:
    broker, stop = Broker(), Event()
    followers = [follower_of(sqlite_database, broker, Seconds()) for _ in range(2)]
    threads = [Thread(target=follower.run, args=(stop,)) for follower in followers]
    for thread in threads:
        thread.start()
    send(broker, report(a=1))
    deadline = time.monotonic() + 10
    while not servers(sqlite_database):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sum(follower._leadership.leads for follower in followers) == 1
    stop.set()
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)


def test_records_are_json_of_the_documented_form() -> None:
    record = report_record(report(b=2, a=1), at=NOW)
    assert record.key == b"production/web-1"
    assert json.loads(record.value or b"") == {
        "format": 1,
        "kind": "laid_out",
        "environment": "production",
        "host": "web-1",
        "position": 2,
        "at": "2026-05-02T12:00:00Z",
        "tests": {"a": 1, "b": 2},
    }
