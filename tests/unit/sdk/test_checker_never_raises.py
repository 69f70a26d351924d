"""A check never raises into the caller's page, whatever it is given."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sdk_config_documents import config_document
from usersplit import Checker, Environment, Guest, HitLogger, MemoryConfigs, MemoryHitTransport, User

pytestmark = pytest.mark.usefixtures("form_of_checks")

TESTER = {"is_test_user": True}
NEVER = "2999-01-01T00:00:00Z"


class Hostile:
    """Fails in every way that Python lets an object fail."""

    def _fail(self, *_: object) -> Any:
        raise RuntimeError("hostile")

    __eq__ = __hash__ = __str__ = __repr__ = __bool__ = __len__ = __iter__ = __getitem__ = _fail
    __int__ = __index__ = __lt__ = __gt__ = __contains__ = __getattr__ = _fail


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class HostileUser(User):
    @property
    def split_group(self) -> int:
        raise RuntimeError("no group")


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just("green_button"),
    st.just({}),
    st.just([]),
    st.just(HostileMapping()),
    st.builds(Hostile),
)
UNITS = st.one_of(
    JUNK,
    st.builds(User, id=JUNK, split_group=JUNK, attributes=JUNK, device_id=JUNK),
    st.builds(User, id=JUNK, split_group=st.integers(1, 3), attributes=st.just({"is_test_user": True})),
    st.builds(Guest, id=JUNK, split_group=JUNK, device_id=JUNK),
)
ENVIRONMENTS = st.one_of(
    JUNK, st.builds(Environment, platform=JUNK, country=JUNK, user_agent=JUNK, app_version=JUNK, attributes=JUNK)
)
STATUSES = st.sampled_from(["in_dev", "running", "paused", "finished"])


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@settings(max_examples=100)
@given(status=STATUSES, key=JUNK, unit=UNITS, environment=ENVIRONMENTS, variant=JUNK, log_hit=JUNK)
def test_no_method_of_a_checker_raises_for_anything(
    status: str, key: Any, unit: Any, environment: Any, variant: Any, log_hit: Any
) -> None:
    result = {"variant": "red", "scope": "conditions"}
    configs = MemoryConfigs([config_document(status=status, result=result, ends_at=NEVER)])
    with HitLogger(MemoryHitTransport(), app="a", environment_name="devel", interval_seconds=0.001) as hits:
        checker = Checker(configs, hits)
        answer = checker.explain(key, unit, environment)
        given_variant = checker.get_active_variant(key, unit, environment, log_hit)
        assert answer.variant is None or answer.reason in ("in_variant", "result")
        assert given_variant is None or given_variant in ("control", "red")
        assert set(checker.active_variants(unit, environment)) <= {"green_button"}
        assert checker.log_hit(key, variant, unit, environment) in (True, False)


def test_hostile_objects_become_a_reason_and_a_count() -> None:
    checker = Checker(MemoryConfigs([config_document(ends_at=NEVER)]))
    hostile_user = HostileUser.__new__(HostileUser)
    assert checker.get_active_variant("green_button", hostile_user) is None
    assert checker.explain("green_button", hostile_user).reason == "failed"
    assert checker.get_active_variant(Hostile(), Hostile()) is None  # type: ignore[arg-type]
    assert checker.problems()["failed"] == 2


@pytest.mark.parametrize(
    ("key", "unit", "environment", "reason"),
    [
        ("blue_button", User(id=1, split_group=2), None, "unknown_test"),
        ("green_button", "user 42", None, "not_a_unit"),
        ("green_button", None, None, "not_a_unit"),
        ("green_button", User(id=1, split_group=2), {"platform": "web"}, "not_an_environment"),
        ("green_button", User(id=1, split_group="2", attributes=TESTER), None, "no_split_group"),  # type: ignore[arg-type]
        (["green_button"], User(id=1, split_group=2), None, "failed"),
    ],
)
def test_what_has_to_be_mended_is_counted_by_reason_and_logged_once(
    key: Any, unit: Any, environment: Any, reason: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="usersplit.checks")
    checker = Checker(MemoryConfigs([config_document(ends_at=NEVER)]))
    for _ in range(3):
        assert checker.get_active_variant(key, unit, environment) is None
    assert {name: count for name, count in checker.problems().items() if count} == {reason: 3}
    assert [record.name for record in caplog.records] == ["usersplit.checks"]
    assert checker.explain(key, unit, environment).reason == reason


def test_what_settings_decide_is_no_problem_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="usersplit.checks")
    checker = Checker(MemoryConfigs([config_document(status="paused")]))
    assert checker.get_active_variant("green_button", User(id=1, split_group=2)) is None
    assert not any(checker.problems().values())
    assert not caplog.records


def test_thousands_of_wrong_keys_are_remembered_in_bounded_space() -> None:
    checker = Checker(MemoryConfigs())
    for number in range(5000):
        checker.get_active_variant(f"key_{number}", User(id=1, split_group=1))
    assert checker.problems()["unknown_test"] == 5000
    assert len(checker.unknown_keys()) == 1000
    assert len(checker._problems._warned) <= 1000
