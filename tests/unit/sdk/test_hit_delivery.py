"""Logging a hit never raises, never blocks, and every hit is accounted for, whatever the wire does."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hit_accounts import balanced
from tests.support.hit_loggers import Opened, checker, log, open_loggers
from tests.support.voices import said_by
from usersplit import (
    HitLogger,
    MemoryHitTransport,
    Refusal,
    User,
)
from usersplit._hit_accounting import Tally
from usersplit._hit_transport import Record


class HeldTransport(MemoryHitTransport):
    """Takes everything and acknowledges nothing until it is released: a broker that does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Record] = []
        self._released = threading.Event()

    def send(self, records: Sequence[Record]) -> int:
        self._held += records
        return len(records)

    def outstanding(self) -> int:
        return len(self._held)

    def release(self) -> None:
        self._released.set()

    def poll(self, timeout_seconds: float) -> None:
        if self._released.wait(timeout_seconds):
            held, self._held = self._held, []
            super().send(held)

    def close(self, timeout_seconds: float) -> None:
        self.poll(timeout_seconds)
        held, self._held = self._held, []
        for record in held:
            self._refused(Refusal(record, "closed", permanent=False))


class StumblingTransport(HeldTransport):
    """Fails when it is polled, a few times."""

    stumbles = 3

    def poll(self, timeout_seconds: float) -> None:
        if self.stumbles:
            self.stumbles -= 1
            raise OSError("stumbled")
        super().poll(timeout_seconds)


class RefusingTransport(MemoryHitTransport):
    """Refuses the hits of one unit."""

    def send(self, records: Sequence[Record]) -> int:
        for record in records:
            if record[0] == b"refused":
                self._refused(Refusal(record, "too large", permanent=True))
            else:
                super().send([record])
        return len(records)


@pytest.fixture
def transport() -> MemoryHitTransport:
    return MemoryHitTransport()


@pytest.fixture
def opened() -> Iterator[Opened]:
    with open_loggers() as opened:
        yield opened


def dropped(logger: HitLogger) -> dict[str, int]:
    return {reason: count for reason, count in logger.stats().dropped.items() if count}


def test_a_hit_that_cannot_be_encoded_is_dropped_alone(transport: MemoryHitTransport, opened: Opened) -> None:
    class Nameless:
        def __str__(self) -> str:
            raise RuntimeError("no name")

    logger = opened(transport)
    for unit_id in (1, "\ud800", Nameless(), 2):
        assert log(logger, unit_id)
    assert logger.flush()
    assert [hit.unit_id for hit in transport.hits] == ["1", "2"]
    assert dropped(logger) == {"encoding_failed": 2}


def test_while_the_wire_takes_nothing_the_buffer_fills_and_then_drops(
    transport: MemoryHitTransport, opened: Opened
) -> None:
    transport.available = False
    logger = opened(transport, capacity=1000)
    accepted = [log(logger) for _ in range(5000)]
    stats = balanced(logger)
    assert stats.accepted == 5000
    assert accepted.count(False) == stats.dropped["buffer_full"] > 0
    assert stats.buffered >= 1000
    transport.available = True
    assert logger.flush()
    assert logger.stats().delivered == len(transport.hits) == accepted.count(True)


def test_what_the_wire_refuses_is_counted(transport: MemoryHitTransport, opened: Opened) -> None:
    transport.error = "not authorized"
    logger = opened(transport)
    for _ in range(10):
        log(logger)
    assert logger.flush()
    assert dropped(logger) == {"delivery_failed": 10}


def test_what_cannot_be_sent_at_all_is_dropped_alone(opened: Opened) -> None:
    transport = RefusingTransport()
    logger = opened(transport)
    for unit_id in ("1", "refused", "2"):
        log(logger, unit_id)
    assert logger.flush()
    assert dropped(logger) == {"delivery_failed": 1}
    assert [hit.unit_id for hit in transport.hits] == ["1", "2"]


def test_a_wire_that_stumbles_stops_nothing(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    transport = StumblingTransport()
    transport.release()
    logger = opened(transport)
    log(logger)
    assert logger.flush(10)
    assert logger.stats().delivered == 1
    assert caplog.text.count("OSError: stumbled") == 3


def test_without_a_thread_hits_wait_until_one_can_be_had(
    transport: MemoryHitTransport, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    logger = opened(transport)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert log(logger)
        assert not logger.flush(0)
    assert "Hits wait" in caplog.text
    assert log(logger)
    assert logger.flush()
    assert len(transport.hits) == 2


def test_drops_are_logged_at_once_and_at_the_end_with_their_numbers(
    transport: MemoryHitTransport, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="usersplit.hits")
    transport.error = "not authorized"
    logger = opened(transport)
    for _ in range(3):
        log(logger)
        assert logger.flush()
    logger.close()
    first, last = said_by("usersplit.hits", caplog)
    assert "1 hits were dropped so far (delivery_failed 1)" in first.getMessage()
    assert "not authorized" in first.getMessage()
    assert vars(last)["usersplit_dropped"] == {"delivery_failed": 3}


def test_closing_delivers_what_waits(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    for _ in range(2000):
        log(logger)
    logger.close()
    assert len(transport.hits) == 2000
    assert logger.stats().buffered == 0


def test_what_is_not_delivered_at_the_deadline_is_counted_dropped(
    transport: MemoryHitTransport, opened: Opened
) -> None:
    transport.available = False
    logger = opened(transport)
    for _ in range(1200):
        log(logger)
    started = time.monotonic()
    logger.close(timeout_seconds=0.05)
    assert time.monotonic() - started < 5
    assert dropped(logger) == {"close_deadline": 1200}


def test_what_is_not_acknowledged_at_the_deadline_is_counted_dropped(opened: Opened) -> None:
    transport = HeldTransport()
    logger = opened(transport)
    for _ in range(10):
        log(logger)
    assert not logger.flush(0.05)
    assert logger.stats().buffered == 10
    logger.close(timeout_seconds=0.05)
    assert dropped(logger) == {"close_deadline": 10}
    transport.release()
    transport.poll(0)
    assert dropped(logger) == {"close_deadline": 10}, "a late acknowledgement is not counted twice"


def test_flushing_waits_for_acknowledgements(opened: Opened) -> None:
    transport = HeldTransport()
    logger = opened(transport)
    log(logger)
    threading.Timer(0.05, transport.release).start()
    assert logger.flush(10)
    assert logger.stats().delivered == 1


def test_hits_after_closing_are_dropped_and_counted(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    logger.close()
    logger.close()
    assert not log(logger)
    assert dropped(logger) == {"closed": 1}
    assert logger.flush()


def test_a_logger_without_hits_starts_no_thread(transport: MemoryHitTransport, opened: Opened) -> None:
    before = set(threading.enumerate())
    logger = opened(transport)
    assert logger.flush(0)
    logger.close()
    assert set(threading.enumerate()) <= before  # one of another test may have ended meanwhile


def test_sixty_four_threads_lose_no_count(opened: Opened) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport, capacity=2000)
    asked = checker(logger)
    start = threading.Barrier(65)
    logged_by_thread: list[int] = []

    def work(number: int) -> None:
        user = User(id=number, split_group=2)
        start.wait()
        logged_by_thread.append(sum(asked.log_hit("green_button", "red", user) for _ in range(200)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        balanced(logger)
    for thread in threads:
        thread.join()
    assert logger.flush(30)
    stats = logger.stats()
    assert stats.accepted == 64 * 200
    assert stats.delivered == len(transport.records) == sum(logged_by_thread)
    assert stats.dropped["buffer_full"] == 64 * 200 - sum(logged_by_thread)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["log", "bad", "up", "down", "refuse", "accept", "flush"]), min_size=6, max_size=30))
def test_the_account_balances_after_any_history(steps: list[str]) -> None:
    transport = MemoryHitTransport()
    logger = HitLogger(transport, app="a", environment_name="devel", capacity=5, interval_seconds=0.001)
    logged = 0
    for step in steps:
        match step:
            case "log" | "bad":
                log(logger, 1 if step == "log" else "\ud800")
                logged += 1
            case "up" | "down":
                transport.available = step == "up"
            case "refuse" | "accept":
                transport.error = "refused" if step == "refuse" else ""
            case _:
                logger.flush(0.002)
        balanced(logger)
        assert logger.stats().accepted == logged
    logger.close(0.01)
    stats = balanced(logger)
    assert (stats.accepted, stats.buffered) == (logged, 0)
    assert stats.delivered == len(transport.records)


def test_one_left_unclosed_warns_and_still_delivers(transport: MemoryHitTransport) -> None:
    opened = [HitLogger(transport, app="a", environment_name="devel", interval_seconds=0.005)]
    log(opened[0])
    with pytest.warns(ResourceWarning, match="unclosed HitLogger"):
        opened.clear()  # the last reference
    deadline = time.monotonic() + 10
    while not transport.hits:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_tally_can_be_read_as_often_as_one_likes() -> None:
    tally = Tally()
    for expected in range(1, 4):
        tally.tick()
        assert (tally.value(), tally.value()) == (expected, expected)
    tally.reset()
    assert tally.value() == 0
    tally.tick()
    assert tally.value() == 1
