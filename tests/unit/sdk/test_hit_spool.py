"""Hits that cannot be delivered wait on the disk, and none is lost or counted twice on the way."""

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
from usersplit._hit_spool import HitSpool
from usersplit._hit_transport import Record
from usersplit._spool_segments import block_of, read_segment

RECORDS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=60)), min_size=1, max_size=8)


class Account:
    """What a spool says of hits that are gone, and of those that it found."""

    def __init__(self) -> None:
        self.lost: list[tuple[str, int]] = []
        self.recovered = 0

    def lose(self, reason: str, count: int) -> None:
        self.lost.append((reason, count))

    def recover(self, count: int) -> None:
        self.recovered += count


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
def spools(tmp_path: Path) -> Iterator[Callable[..., tuple[HitSpool, Account]]]:
    made: list[HitSpool] = []

    def make(max_bytes: int = 10**6) -> tuple[HitSpool, Account]:
        account = Account()
        spool = HitSpool(tmp_path / "spool", max_bytes=max_bytes, lost=account.lose, recovered=account.recover)
        made.append(spool)
        return spool, account

    yield make
    for spool in made:
        spool.close()


Spools = Callable[..., tuple[HitSpool, Account]]


def drained(spool: HitSpool) -> list[Record]:
    found: list[Record] = []
    while segment := spool.oldest():
        found += spool.read(segment)
        spool.remove(segment)
    return found


def in_order(records_found: list[Record]) -> list[int]:
    return [int(key) for key, _ in records_found]


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


@settings(max_examples=100)
@given(st.lists(RECORDS, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, blocks: list[list[Record]]) -> None:
    path = tmp_path_factory.mktemp("segments") / "segment"
    path.write_bytes(b"".join(block_of(block) for block in blocks))
    assert read_segment(path) == [record for block in blocks for record in block]


@settings(max_examples=100)
@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_of_a_torn_segment_all_blocks_before_the_tear_are_read(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[Record]], data: st.DataObject
) -> None:
    whole = b"".join(block_of(block) for block in blocks)
    length = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("segments") / "segment"
    path.write_bytes(whole[:length])
    expected: list[Record] = []
    end = 0
    for block in blocks:
        end += len(block_of(block))
        expected += block if end <= length else []
    assert read_segment(path) == expected


@settings(max_examples=100)
@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_damaged_byte_costs_no_other_block_its_truth(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[Record]], data: st.DataObject
) -> None:
    whole = bytearray(b"".join(block_of(block) for block in blocks))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("segments") / "segment"
    path.write_bytes(whole)
    written = [record for block in blocks for record in block]
    assert [record for record in read_segment(path) if record not in written] == []


def test_segments_come_back_in_order(spools: Spools) -> None:
    spool, account = spools(max_bytes=40_000)
    for start in range(0, 1000, 100):
        assert spool.append(records(100, start)) == 100
    assert in_order(drained(spool)) == list(range(1000))
    assert spool.is_empty
    assert account.lost == []


def test_beyond_the_cap_the_oldest_hits_go_and_are_counted(spools: Spools, tmp_path: Path) -> None:
    spool, account = spools(max_bytes=20_000)
    for start in range(0, 2000, 100):
        assert spool.append(records(100, start)) == 100
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.hits")) <= 20_000
    kept = in_order(drained(spool))
    assert kept == list(range(2000 - len(kept), 2000))
    assert {reason for reason, _ in account.lost} == {"spool_full"}
    assert sum(count for _, count in account.lost) == 2000 - len(kept)


def test_a_segment_that_is_being_replayed_is_not_deleted_for_room(spools: Spools) -> None:
    spool, account = spools(max_bytes=20_000)
    for start in range(0, 300, 100):
        spool.append(records(100, start))
    oldest = spool.oldest()
    assert oldest is not None
    for start in range(300, 2000, 100):
        spool.append(records(100, start))
    assert oldest.path.exists()
    assert in_order(spool.read(oldest))[0] == 0
    assert account.lost


def test_records_larger_than_a_segment_are_left_to_the_caller(spools: Spools) -> None:
    spool, _ = spools(max_bytes=4000)
    large = (b"k", b"x" * 5000)
    assert spool.append([*records(3), large, *records(3, 3)]) == 3
    assert in_order(drained(spool)) == [0, 1, 2]


def test_a_full_disk_leaves_no_part_of_a_block(
    spools: Spools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool, account = spools()
    write = os.write
    assert spool.append(records(10)) == 10
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, block: write(descriptor, block[:50]))
        assert spool.append(records(10, 10)) == 0
    with monkeypatch.context() as patched:

        def full(_descriptor: int, _block: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(os, "write", full)
        assert spool.append(records(10, 10)) == 0
    assert spool.append(records(10, 20)) == 10
    assert in_order(drained(spool)) == [*range(10), *range(20, 30)]
    assert account.lost == []
    assert caplog.text.count("No space left") == 2


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    account = Account()
    spool = HitSpool(tmp_path / "file", max_bytes=1000, lost=account.lose, recovered=account.recover)
    assert spool.append(records(1)) == 0
    spool.adopt()
    assert spool.oldest() is None
    spool.close()


def test_damaged_hits_of_its_own_are_counted_lost(spools: Spools, tmp_path: Path) -> None:
    spool, account = spools()
    spool.append(records(10))
    spool.append(records(5, 10))
    (path,) = tmp_path.rglob("*.hits")
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    assert in_order(drained(spool)) == list(range(10, 15))
    assert account.lost == [("spool_damaged", 10)]


def test_a_segment_that_is_gone_is_counted_lost(spools: Spools, tmp_path: Path) -> None:
    spool, account = spools()
    spool.append(records(10))
    next(tmp_path.rglob("*.hits")).unlink()
    assert drained(spool) == []
    assert account.lost == [("spool_damaged", 10)]


def test_nobody_takes_over_from_the_living(spools: Spools) -> None:
    spool, _ = spools()
    other, account = spools()
    spool.append(records(10))
    other.adopt()
    assert account.recovered == 0
    assert in_order(drained(spool)) == list(range(10))


def test_what_the_dead_leave_is_taken_over_once_and_before_what_is_newer(spools: Spools, tmp_path: Path) -> None:
    dead, _ = spools(max_bytes=4000)
    for start in range(0, 60, 20):
        dead.append(records(20, start))
    dead.close()
    heirs = [spools(), spools()]
    heirs[0][0].append(records(10, 60))
    for heir, _ in heirs:
        heir.adopt()
    assert [account.recovered for _, account in heirs] == [60, 0]
    assert in_order(drained(heirs[0][0])) == list(range(70))
    for heir, _ in heirs:
        heir.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_torn_tail_of_the_dead_is_left_out(spools: Spools, tmp_path: Path) -> None:
    dead, _ = spools()
    dead.append(records(20))
    dead.append(records(20, 20))
    dead.close()
    (path,) = tmp_path.rglob("*.hits")
    path.write_bytes(path.read_bytes()[:-3])
    heir, account = spools()
    heir.adopt()
    assert account.recovered == 20
    assert in_order(drained(heir)) == list(range(20))
    assert account.lost == []


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
