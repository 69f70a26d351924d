"""The spool: hits on the disk, in segments that a crash may tear and another process may take over."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
