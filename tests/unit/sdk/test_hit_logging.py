"""Logging a hit never raises, never blocks, and every hit is accounted for."""

import enum
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hit_accounts import balanced
from tests.support.sdk_config_documents import config_document
from usersplit import (
    Checker,
    Environment,
    Guest,
    HitLogger,
    MemoryConfigs,
    MemoryHitTransport,
    Refusal,
    User,
    __version__,
)
from usersplit._hit_accounting import Tally
from usersplit._hit_record import HITS_PER_BATCH, HitIds
from usersplit._hit_transport import Record

MOMENT_NS = 1_777_900_000_123_456_789


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
def opened() -> Iterator[Callable[..., HitLogger]]:
    loggers: list[HitLogger] = []

    def open_logger(transport: MemoryHitTransport, capacity: int = 100_000) -> HitLogger:
        loggers.append(
            HitLogger(
                transport,
                app="coconut-store",
                host="web1",
                environment_name="production",
                capacity=capacity,
                interval_seconds=0.005,
                now_ns=lambda: MOMENT_NS,
            )
        )
        return loggers[-1]

    yield open_logger
    for logger in loggers:
        logger.close(0)
        balanced(logger)


def dropped(logger: HitLogger) -> dict[str, int]:
    return {reason: count for reason, count in logger.stats().dropped.items() if count}


def log(logger: HitLogger, unit_id: object = 42) -> bool:
    return logger.log(test_key="green_button", variant="red", unit_type="user", unit_id=unit_id)


def checker(logger: HitLogger, **changes: object) -> Checker:
    configs = MemoryConfigs([config_document(conditions=[], filters={}, ends_at="2999-01-01T00:00:00Z", **changes)])
    return Checker(configs, logger)


Opened = Callable[..., HitLogger]


def test_a_check_logs_the_hit_with_all_that_bi_needs(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    environment = Environment(platform="ios", country="RU", attributes={"page": "cart"})
    assert checker(logger).get_active_variant("green_button", User(id=42, split_group=2), environment) == "red"
    assert logger.flush()
    (hit,) = transport.hits
    assert uuid.UUID(hit.hit_id).version == 7
    assert hit.occurred_at == MOMENT_NS // 1000
    assert (hit.test_key, hit.settings_group, hit.variant) == ("green_button", 3, "red")
    assert (hit.unit_type, hit.unit_id, hit.split_group) == ("user", "42", 2)
    assert (hit.environment, hit.platform, hit.country) == ("production", "ios", "RU")
    assert (hit.app, hit.host, hit.forced, hit.sdk_version) == ("coconut-store", "web1", False, __version__)
    assert transport.records[0][0] == b"42"


@pytest.mark.parametrize(
    ("unit", "identity"),
    [
        (User(id="u-1", split_group=2, device_id="phone"), ("user", "u-1")),
        (Guest(id="g-1", split_group=2, device_id="phone"), ("guest", "g-1")),
        (Guest(split_group=2, device_id="phone"), ("device", "phone")),
        (Guest(split_group=2), ("guest", "")),
    ],
)
def test_a_hit_names_the_unit(
    transport: MemoryHitTransport, opened: Opened, unit: User | Guest, identity: tuple[str, str]
) -> None:
    logger = opened(transport)
    checker(logger).get_active_variant("green_button", unit)
    assert logger.flush()
    assert [(hit.unit_type, hit.unit_id) for hit in transport.hits] == [identity]


def test_control_is_logged_like_any_variant(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    checker(logger).get_active_variant("green_button", User(id=1, split_group=1))
    assert logger.flush()
    assert [hit.variant for hit in transport.hits] == ["control"]


def test_no_hit_is_logged_where_nothing_was_shown(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    asked = checker(logger)
    user = User(id=1, split_group=2)
    asked.get_active_variant("green_button", User(id=1, split_group=4))
    asked.get_active_variant("green_button", user, None, False)  # noqa: FBT003 - the fourth argument, as services know it
    asked.explain("green_button", user)
    asked.active_variants(user)
    assert not asked.log_hit("green_button", None, user)
    assert logger.stats().accepted == 0


def test_a_finished_test_gives_its_result_without_hits(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    asked = checker(logger, status="finished", result={"variant": "red", "scope": "worldwide"})
    user = User(id=1, split_group=2)
    assert asked.get_active_variant("green_button", user) == "red"
    assert not asked.log_hit("green_button", "red", user)
    assert logger.stats().accepted == 0


def test_a_hit_can_be_logged_later(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    asked = checker(logger)
    user = User(id=1, split_group=2)
    assert asked.log_hit("green_button", asked.get_active_variant("green_button", user, log_hit=False), user)
    assert asked.log_hit("green_button", "red", user, settings_group=2, forced=True)
    assert logger.flush()
    assert [(hit.settings_group, hit.forced) for hit in transport.hits] == [(3, False), (2, True)]


def test_members_of_enums_go_into_hits_as_their_values(transport: MemoryHitTransport, opened: Opened) -> None:
    class Name(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is not its value
        TEST = "green_button"
        RED = "red"
        IOS = "ios"

    class Group(enum.IntEnum):
        TWO = 2

    logger = opened(transport)
    asked = checker(logger)
    user = User(id=Name.RED, split_group=Group.TWO)
    assert asked.get_active_variant(Name.TEST, user, Environment(platform=Name.IOS)) == Name.RED
    assert asked.log_hit(Name.TEST, Name.RED, user, Environment(country=Name.IOS))
    assert logger.flush()
    assert [(hit.test_key, hit.variant, hit.unit_id, hit.split_group) for hit in transport.hits] == [
        ("green_button", "red", "red", 2)
    ] * 2
    assert [(hit.platform, hit.country) for hit in transport.hits] == [("ios", ""), ("", "ios")]


def test_a_unit_without_a_split_group_can_still_have_been_shown_a_variant(
    transport: MemoryHitTransport, opened: Opened
) -> None:
    logger = opened(transport)
    assert checker(logger).log_hit("green_button", "red", User(id=1, split_group=None))  # type: ignore[arg-type]
    assert logger.flush()
    assert [hit.split_group for hit in transport.hits] == [0]


def test_a_hit_of_a_variant_that_the_test_does_not_have_is_a_problem(
    transport: MemoryHitTransport, opened: Opened
) -> None:
    logger = opened(transport)
    asked = checker(logger)
    user = User(id=1, split_group=2)
    assert not asked.log_hit("green_button", "blue", user)
    assert not asked.log_hit("green_button", "", user)
    assert not asked.log_hit("blue_button", "red", user)
    assert not asked.log_hit("green_button", "red", "user 1")  # type: ignore[arg-type]
    problems = {reason: count for reason, count in asked.problems().items() if count}
    assert problems == {"unknown_variant": 2, "unknown_test": 1, "not_a_unit": 1}
    assert logger.stats().accepted == 0


def test_a_replay_gives_every_field_itself(transport: MemoryHitTransport, opened: Opened) -> None:
    logger = opened(transport)
    hit_id = str(uuid.uuid4())
    assert logger.log(
        test_key="cookie_cats",
        variant="gate_30",
        unit_type="user",
        unit_id=116,
        settings_group=1,
        split_group=9,
        forced=True,
        attributes={"sum_gamerounds": 3},
        occurred_at_ns=5_000,
        hit_id=hit_id,
    )
    assert logger.flush()
    (hit,) = transport.hits
    assert (hit.hit_id, hit.occurred_at, hit.forced, hit.settings_group) == (hit_id, 5, True, 1)
    assert json.loads(hit.attributes) == {"sum_gamerounds": 3}


def test_hits_of_one_thread_arrive_in_order_with_ids_of_their_own(
    transport: MemoryHitTransport, opened: Opened
) -> None:
    logger = opened(transport)
    for number in range(1200):
        log(logger, number)
    assert logger.flush()
    assert [hit.unit_id for hit in transport.hits] == [str(number) for number in range(1200)]
    assert len({hit.hit_id for hit in transport.hits}) == 1200


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
    first, last = caplog.records
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
    before = threading.active_count()
    logger = opened(transport)
    assert logger.flush(0)
    logger.close()
    assert threading.active_count() == before


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


@settings(max_examples=100)
@given(st.integers(0, 2**48 - 1), st.binary(min_size=8, max_size=8), st.integers(0, HITS_PER_BATCH - 1))
def test_a_hit_id_is_a_uuid_of_version_7_that_starts_with_its_time(unix_ms: int, random: bytes, place: int) -> None:
    ids = HitIds(random)
    made = uuid.UUID(ids.id(unix_ms, place))
    assert str(made) == ids.id(unix_ms, place)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == unix_ms
    assert ids.id(unix_ms, place + 1) > ids.id(unix_ms, place)
