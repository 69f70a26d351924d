"""A logger with a spool: what the broker does not take waits on the disk, and the account balances."""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hit_accounts import balanced
from usersplit import HitLogger, MemoryHitTransport, Refusal
from usersplit._hit_transport import Record
from usersplit._spool_segments import read_segment


class PatientTransport(MemoryHitTransport):
    """A broker that can be away: it takes up to ten records then, and gives them back when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Record] = []

    def send(self, records: Sequence[Record]) -> int:
        if self.available:
            return super().send(records)
        taken = list(records[: 10 - len(self._waiting)])
        self._waiting += taken
        return len(taken)

    def poll(self, timeout_seconds: float) -> None:  # noqa: ARG002 - it never waits
        if self.available:
            waiting, self._waiting = self._waiting, []
            super().send(waiting)

    def outstanding(self) -> int:
        return len(self._waiting)

    def close(self, timeout_seconds: float) -> None:  # noqa: ARG002
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self._refused(Refusal(record, "closed", permanent=False))


def records(count: int, start: int = 0) -> list[Record]:
    return [(str(number).encode(), b"value of %d" % number) for number in range(start, start + count)]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., HitLogger]]:
    made: list[HitLogger] = []

    def open_logger(transport: MemoryHitTransport, capacity: int = 100_000, *, write_ahead: bool = False) -> HitLogger:
        made.append(
            HitLogger(
                transport,
                app="a",
                environment_name="devel",
                spool_directory=tmp_path / "spool",
                interval_seconds=0.002,
                capacity=capacity,
                write_ahead=write_ahead,
            )
        )
        return made[-1]

    yield open_logger
    for logger in made:
        logger.close(0)
        balanced(logger)


Opened = Callable[..., HitLogger]


def log(logger: HitLogger, count: int, start: int = 0) -> int:
    """Log hits; return how many were taken."""
    return sum(
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=number)
        for number in range(start, start + count)
    )


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_while_the_broker_is_away_hits_go_to_the_disk_and_are_sent_when_it_is_back(opened: Opened) -> None:
    transport = PatientTransport()
    transport.available = False
    logger = opened(transport, capacity=1000)
    taken = 0
    for start in range(0, 5000, 100):
        taken += log(logger, 100, start)
        until(lambda: not logger._buffer.is_nearly_full)
        balanced(logger)
    stats = balanced(logger)
    assert taken == 5000
    assert stats.spooled > 3000
    transport.available = True
    assert logger.flush(20)
    stats = balanced(logger)
    assert (stats.delivered, stats.spooled, stats.buffered) == (5000, 0, 0)
    assert {hit.unit_id for hit in transport.hits} == {str(number) for number in range(5000)}
    assert len({hit.hit_id for hit in transport.hits}) == len(transport.hits) == 5000


def test_what_is_not_delivered_when_it_closes_is_delivered_by_the_next_one_with_the_same_id(opened: Opened) -> None:
    away = PatientTransport()
    away.available = False
    first = opened(away)
    assert log(first, 1200) == 1200
    first.close(0.01)
    stats = balanced(first)
    assert (stats.accepted, stats.spooled, stats.buffered, sum(stats.dropped.values())) == (1200, 1200, 0, 0)
    transport = MemoryHitTransport()
    second = opened(transport)
    log(second, 1, 1200)
    until(lambda: logger_is_done(second, 1201))
    stats = balanced(second)
    assert (stats.accepted, stats.delivered, stats.recovered) == (1201, 1201, 1200)
    assert sorted(int(hit.unit_id) for hit in transport.hits) == list(range(1201))
    assert len({hit.hit_id for hit in transport.hits}) == 1201


def logger_is_done(logger: HitLogger, delivered: int) -> bool:
    return balanced(logger).delivered == delivered


def test_what_the_broker_refuses_for_now_is_tried_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usersplit._hit_sender._FIRST_PAUSE_SECONDS", 0.01)
    transport = MemoryHitTransport()
    transport.error, transport.permanent = "not authorized", False
    logger = opened(transport)
    log(logger, 10)
    until(lambda: balanced(logger).spooled == 10)
    transport.error = ""
    assert logger.flush(20)
    assert balanced(logger).delivered == len(transport.hits) == 10


def test_what_the_broker_refuses_for_good_is_dropped(opened: Opened) -> None:
    transport = MemoryHitTransport()
    transport.error = "too large"
    logger = opened(transport)
    log(logger, 10)
    assert logger.flush(20)
    assert balanced(logger).dropped["delivery_failed"] == 10


def test_what_is_refused_for_good_on_its_way_from_the_disk_is_dropped(opened: Opened) -> None:
    transport = PatientTransport()
    transport.available = False
    first = opened(transport)
    log(first, 10)
    first.close(0)
    refusing = MemoryHitTransport()
    refusing.error = "too large"
    second = opened(refusing)
    log(second, 1)
    until(lambda: balanced(second).dropped["delivery_failed"] == 11)


def test_without_room_on_the_disk_hits_are_dropped_as_if_there_were_no_spool(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _block: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    transport = PatientTransport()
    transport.available = False
    logger = opened(transport, capacity=1000)
    for _ in range(20):
        log(logger, 100)
        balanced(logger)
        time.sleep(0.001)
    logger.close(0.01)
    stats = balanced(logger)
    assert (stats.spooled, stats.buffered, stats.delivered) == (0, 0, 0)
    assert stats.dropped["buffer_full"] > 0
    assert stats.dropped["close_deadline"] > 0


# Few but long histories: each example opens files and starts threads.
@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(["log", "log", "up", "down", "refuse", "accept", "flush", "again"]), min_size=6, max_size=20
    ),
    st.booleans(),
)
def test_the_account_balances_after_any_history(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[str],
    write_ahead: bool,  # noqa: FBT001 - hypothesis gives it by place
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    arrived: list[str] = []
    logged = given_up = 0

    def start() -> tuple[PatientTransport, HitLogger]:
        transport = PatientTransport()
        return transport, HitLogger(
            transport,
            app="a",
            environment_name="devel",
            capacity=20,
            spool_directory=directory,
            write_ahead=write_ahead,
            interval_seconds=0.001,
        )

    def end(transport: PatientTransport, logger: HitLogger) -> int:
        logger.close(0.002)
        arrived.extend(hit.hit_id for hit in transport.hits)
        stats = balanced(logger)
        assert stats.buffered == 0
        return sum(stats.dropped.values())

    transport, logger = start()
    for step in steps:
        match step:
            case "log":
                log(logger, 7)
                logged += 7
            case "up" | "down":
                transport.available = step == "up"
            case "refuse" | "accept":
                transport.error, transport.permanent = ("refused" if step == "refuse" else ""), False
            case "flush":
                logger.flush(0.002)
            case _:
                given_up += end(transport, logger)
                transport, logger = start()
        balanced(logger)
    given_up += end(transport, logger)
    transport, logger = start()
    log(logger, 1)
    assert logger.flush(20)
    given_up += end(transport, logger)
    assert len(set(arrived)) == logged + 1 - given_up


class RecordingTransport(MemoryHitTransport):
    """Remembers what the disk held when it was first given each record."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self.sent_before_written: list[Record] = []

    def send(self, records: Sequence[Record]) -> int:
        on_disk = {record for path in self._directory.rglob("*.hits") for record in read_segment(path)}
        self.sent_before_written += [record for record in records if record not in on_disk]
        return super().send(records)


def test_written_ahead_a_hit_is_on_the_disk_before_it_is_sent_and_gone_when_it_is_acknowledged(
    opened: Opened, tmp_path: Path
) -> None:
    transport = RecordingTransport(tmp_path / "spool")
    logger = opened(transport, write_ahead=True)
    for start in range(0, 3000, 100):
        log(logger, 100, start)
        balanced(logger)
    assert logger.flush(20)
    stats = balanced(logger)
    assert (stats.delivered, stats.spooled, stats.buffered) == (3000, 0, 0)
    assert [int(hit.unit_id) for hit in transport.hits] == list(range(3000)), "in order, each once"
    assert transport.sent_before_written == []
    logger.close()
    assert list(tmp_path.rglob("*.hits")) == []


def test_written_ahead_hits_are_delivered_when_the_logger_closes(opened: Opened) -> None:
    transport = PatientTransport()
    logger = opened(transport, write_ahead=True)
    log(logger, 1200)
    logger.close(20)
    assert balanced(logger).delivered == len(transport.hits) == 1200


def test_without_room_on_the_disk_what_should_be_written_ahead_is_sent_all_the_same(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _block: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    transport = MemoryHitTransport()
    logger = opened(transport, write_ahead=True)
    log(logger, 700)
    assert logger.flush(20)
    assert balanced(logger).delivered == len(transport.hits) == 700


def test_writing_ahead_needs_a_place_to_write_to() -> None:
    with pytest.raises(ValueError, match="spool_directory"):
        HitLogger(MemoryHitTransport(), app="a", environment_name="devel", write_ahead=True)
