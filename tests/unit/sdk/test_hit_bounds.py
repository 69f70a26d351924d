"""What waits is bounded by count and by bytes; the same exposure is logged once, if a service wants that."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hit_accounts import balanced
from usersplit import HitLogger, MemoryHitTransport
from usersplit._exposures import Exposures
from usersplit._hit_buffer import BYTES_PER_HIT, HitBuffer
from usersplit._hit_record import BufferedHit
from usersplit.hits import attributes_fault


@pytest.fixture
def opened() -> Iterator[Callable[..., HitLogger]]:
    made: list[HitLogger] = []

    def open_logger(
        transport: MemoryHitTransport,
        capacity: int = 1000,
        capacity_bytes: int = 10**9,
        remembered_exposures: int = 0,
    ) -> HitLogger:
        made.append(
            HitLogger(
                transport,
                app="a",
                environment_name="devel",
                capacity=capacity,
                capacity_bytes=capacity_bytes,
                remembered_exposures=remembered_exposures,
                interval_seconds=0.005,
            )
        )
        return made[-1]

    yield open_logger
    for logger in made:
        logger.close(0)
        balanced(logger)


Opened = Callable[..., HitLogger]


def buffered(number: int, extra_bytes: int = 0) -> BufferedHit:
    return (number, "k", 1, "v", "user", number, 1, "", "", False, "", "", extra_bytes)


@given(st.lists(st.one_of(st.just("small"), st.integers(0, 9000), st.just("take")), max_size=60))
def test_the_bytes_that_wait_never_exceed_the_budget(steps: list[str | int]) -> None:
    buffer = HitBuffer(capacity=15, capacity_bytes=20_000)
    dropped = 0
    for number, step in enumerate(steps):
        if step == "take":
            buffer.take(4)
        elif step == "small":
            if len(buffer.hits) < buffer.limit:
                buffer.hits.append(buffered(number))
        else:
            dropped += not buffer.add_large(buffered(number, int(step)))
        assert sum(BYTES_PER_HIT + hit[-1] for hit in buffer.hits) <= 20_000
        assert len(buffer.hits) <= 15
        assert buffer.full.value() == dropped
    buffer.take(100)
    assert buffer.limit == 15


@pytest.mark.parametrize(
    "large",
    [
        {"attributes": {"text": "x" * 5000}},
        {"attributes": f'{{"text": "{"x" * 5000}"}}'},
        {"unit_id": "x" * 5000},
        {"country": "x" * 5000},
    ],
    ids=["mapping", "text", "unit", "country"],
)
def test_large_hits_fill_the_budget_before_the_count(opened: Opened, large: dict[str, object]) -> None:
    transport = MemoryHitTransport()
    transport.available = False
    logger = opened(transport, capacity=100_000, capacity_bytes=1_000_000)
    fields: dict[str, object] = {"test_key": "k", "variant": "v", "unit_type": "user", "unit_id": 1, **large}
    taken = sum(logger.log(**fields) for _ in range(1500))  # type: ignore[arg-type]
    stats = logger.stats()
    assert 1_000_000 // 6000 <= taken <= 1_000_000 // 5000 + 500, "500 may be in the encoder's hands"
    assert stats.dropped["buffer_full"] == 1500 - taken
    transport.available = True
    assert logger.flush(20)
    assert logger.stats().delivered == len(transport.hits) == taken


def test_attributes_are_those_at_the_time_of_the_call(opened: Opened) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport)
    attributes: dict[str, object] = {"page": "cart"}
    logger.log(test_key="k", variant="v", unit_type="user", unit_id=1, attributes=attributes)
    attributes["page"] = "other"
    assert logger.flush()
    assert [hit.attributes for hit in transport.hits] == ['{"page":"cart"}']


def test_attributes_that_cannot_be_text_drop_one_hit_and_raise_nothing(opened: Opened) -> None:
    round_and_round: dict[str, object] = {}
    round_and_round["itself"] = round_and_round
    transport = MemoryHitTransport()
    logger = opened(transport)
    for attributes in (round_and_round, 5, {"a": 1}):
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=1, attributes=attributes)  # type: ignore[arg-type]
    assert logger.flush()
    assert logger.stats().dropped["encoding_failed"] == 2
    assert [hit.attributes for hit in transport.hits] == ['{"a":1}']


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        (
            {"a": float("nan"), "b": [float("-inf"), 1.5], "c": {"d": float("inf")}},
            '{"a":null,"b":[null,1.5],"c":{"d":null}}',
        ),
        ({"a\0": "b\0"}, '{"a\ufffd":"b\ufffd"}'),
        ({"a": r"\u0000"}, r'{"a":"\\u0000"}'),
        ({1: date(2026, 5, 3), "é": ("x",)}, '{"1":"2026-05-03","é":["x"]}'),
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        ({}, "{}"),
    ],
)
def test_attributes_are_an_object_that_every_database_reads(
    opened: Opened, attributes: Mapping[str, object] | str, text: str
) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport)
    logger.log(test_key="k", variant="v", unit_type="user", unit_id=1, attributes=attributes)
    assert logger.flush()
    assert [hit.attributes for hit in transport.hits] == [text]
    assert attributes_fault(text) == ""


@pytest.mark.parametrize("text", ["x", "[1]", '{"a": NaN}', '{"a": 1', r'{"a": "\u0000"}'])
def test_a_text_that_is_no_object_costs_its_hit_alone(
    opened: Opened, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport)
    logger.log(test_key="k", variant="v", unit_type="user", unit_id=1, attributes=text)
    logger.log(test_key="k", variant="v", unit_type="user", unit_id=2)
    assert logger.flush()
    assert logger.stats().dropped["encoding_failed"] == 1
    assert [hit.unit_id for hit in transport.hits] == ["2"]
    logger.close()
    assert "The hit is not valid: attributes" in caplog.text


@given(st.lists(st.integers(0, 12), max_size=200), st.integers(2, 10))
def test_exposures_are_bounded_and_the_latest_are_known(units: list[int], capacity: int) -> None:
    exposures = Exposures(capacity)
    seen: list[int] = []
    for unit in units:
        exposure = ("user", unit, "k", "v", 1)
        known = exposures.is_known(exposure)
        assert not known or unit in seen
        latest = list(dict.fromkeys(reversed(seen)))[: capacity // 2]
        assert known or unit not in latest
        if not known:
            exposures.remember(exposure)
        seen.append(unit)
        assert len(exposures._young) + len(exposures._old) <= capacity


def test_the_same_exposure_is_logged_once(opened: Opened) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport, remembered_exposures=100)
    usual: dict[str, object] = {"test_key": "k", "variant": "v", "unit_type": "user", "unit_id": 1, "settings_group": 1}
    others: list[dict[str, object]] = [
        {"test_key": "k2"},
        {"variant": "v2"},
        {"unit_type": "guest"},
        {"unit_id": 2},
        {"settings_group": 2},
    ]
    for _ in range(3):
        for changed in [{}, *others]:
            logger.log(**{**usual, **changed})  # type: ignore[arg-type]
    assert logger.flush()
    stats = logger.stats()
    assert (stats.accepted, stats.delivered, stats.duplicates) == (6, 6, 12)
    assert sum(stats.dropped.values()) == 0


def test_forced_hits_replays_and_odd_ids_are_never_duplicates(opened: Opened) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport, remembered_exposures=100)
    for number in range(3):
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=1, forced=True)
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=1, hit_id=f"id-{number}")
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=["a", "list"])
    assert logger.flush()
    assert (logger.stats().delivered, logger.stats().duplicates) == (9, 0)


def test_a_hit_that_found_no_room_may_be_logged_again(opened: Opened) -> None:
    transport = MemoryHitTransport()
    transport.available = False
    logger = opened(transport, capacity=1, remembered_exposures=100_000)
    unit = 0
    while logger.log(test_key="k", variant="v", unit_type="user", unit_id=unit):
        unit += 1
    transport.available = True
    assert logger.flush()
    assert logger.log(test_key="k", variant="v", unit_type="user", unit_id=unit)


def test_sixty_four_threads_with_large_hits_keep_to_the_budget_and_lose_no_count(opened: Opened) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport, capacity_bytes=200_000, remembered_exposures=1000)
    start = threading.Barrier(64)

    def work(thread: int) -> None:
        start.wait()
        for number in range(40):
            attributes = "x" * 3000 if number % 2 else None
            logger.log(
                test_key="k",
                variant="v",
                unit_type="user",
                unit_id=f"{thread}.{number // 2 * 2}",
                attributes=attributes,
            )

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logger.flush(20)
    stats = logger.stats()
    assert stats.accepted + stats.duplicates == 64 * 40
    assert stats.delivered == len(transport.records)
    assert logger._buffer._extra_bytes == 0
