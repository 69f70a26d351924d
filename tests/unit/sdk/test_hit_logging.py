"""What a hit says: a check logs it, or the service does, later or about the past."""

import enum
import json
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hit_loggers import MOMENT_NS, Opened, checker, log, open_loggers
from usersplit import (
    Environment,
    Guest,
    MemoryHitTransport,
    User,
    __version__,
)
from usersplit._hit_record import HITS_PER_BATCH, HitIds


@pytest.fixture
def transport() -> MemoryHitTransport:
    return MemoryHitTransport()


@pytest.fixture
def opened() -> Iterator[Opened]:
    with open_loggers() as opened:
        yield opened


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


@settings(max_examples=100)
@given(st.integers(0, 2**48 - 1), st.binary(min_size=8, max_size=8), st.integers(0, HITS_PER_BATCH - 1))
def test_a_hit_id_is_a_uuid_of_version_7_that_starts_with_its_time(unix_ms: int, random: bytes, place: int) -> None:
    ids = HitIds(random)
    made = uuid.UUID(ids.id(unix_ms, place))
    assert str(made) == ids.id(unix_ms, place)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == unix_ms
    assert ids.id(unix_ms, place + 1) > ids.id(unix_ms, place)
