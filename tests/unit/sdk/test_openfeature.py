"""The OpenFeature provider, through the OpenFeature API itself: values, reasons, errors, and hits by the hook."""

import asyncio
import enum
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationOptions, Reason
from openfeature.hook import Hook, HookContext, HookHints

import usersplit
from tests.support.openfeature_flags import DOCUMENTS, context, set_provider
from usersplit.openfeature import LOG_HIT_HINT, UserSplitProvider, unit_and_environment


@pytest.fixture
def wire() -> usersplit.MemoryHitTransport:
    return usersplit.MemoryHitTransport()


@pytest.fixture
def client(wire: usersplit.MemoryHitTransport) -> Iterator[usersplit.UserSplit]:
    hits = usersplit.HitLogger(wire, app="shop", environment_name="devel")
    configs = usersplit.MemoryConfigs(DOCUMENTS)
    with usersplit.UserSplit(configs=configs, hits=hits, environment_name="devel") as client:
        yield client


@pytest.fixture
def flags(client: usersplit.UserSplit) -> Iterator[OpenFeatureClient]:
    set_provider(UserSplitProvider(client))
    yield api.get_client()
    api.clear_providers()
    api.clear_hooks()


def logged(client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport) -> list[tuple[str, str, str, str, bool]]:
    assert client.flush()
    return [(hit.test_key, hit.variant, hit.unit_type, hit.unit_id, hit.forced) for hit in wire.hits]


def test_a_text_is_the_variant_and_its_hit_is_logged(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    details = flags.get_string_details("green_button", "control", context(platform="web", country="DE"))
    assert (details.value, details.variant, details.reason) == ("red", "red", Reason.SPLIT)
    assert details.flag_metadata == {"settings_group": 3, "status": "running", "split_group": 2}
    assert logged(client, wire) == [("green_button", "red", "user", "42", False)]
    (hit,) = wire.hits
    assert (hit.settings_group, hit.split_group, hit.platform, hit.country) == (3, 2, "web", "DE")


def test_a_boolean_says_whether_it_is_another_variant_than_control(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    assert flags.get_boolean_value("green_button", default_value=False, evaluation_context=context()) is True
    details = flags.get_boolean_details("green_button", default_value=True, evaluation_context=context(split_group=1))
    assert (details.value, details.variant, details.reason) == (False, "control", Reason.SPLIT)
    assert [hit[:2] for hit in logged(client, wire)] == [("green_button", "red"), ("green_button", "control")]


@pytest.mark.parametrize(
    ("key", "who", "reason"),
    [
        ("green_button", context(split_group=77), Reason.DEFAULT),
        ("green_button", context(country_id=51), Reason.DEFAULT),
        ("green_button", EvaluationContext("g", {"split_group": 2, "unit_type": "guest"}), Reason.DEFAULT),
        ("asleep", context(), Reason.DISABLED),
        ("green_button", context("autotest"), Reason.DISABLED),
        ("priced", context("qa"), Reason.DISABLED),
        ("ios_banner", context(supported_tests=["other"]), Reason.DEFAULT),
    ],
)
def test_without_a_variant_it_is_the_default_and_no_hit(
    flags: OpenFeatureClient,
    client: usersplit.UserSplit,
    wire: usersplit.MemoryHitTransport,
    key: str,
    who: EvaluationContext,
    reason: Reason,
) -> None:
    details = flags.get_string_details(key, "the old one", who)
    assert (details.value, details.variant, details.reason, details.error_code) == ("the old one", None, reason, None)
    assert flags.get_boolean_value(key, default_value=True, evaluation_context=who) is True
    assert logged(client, wire) == []


def test_a_forced_variant_is_a_targeting_match_and_its_hit_says_so(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    details = flags.get_string_details("green_button", "", context("qa", split_group=1))
    assert (details.value, details.reason) == ("red", Reason.TARGETING_MATCH)
    assert logged(client, wire) == [("green_button", "red", "user", "qa", True)]


def test_a_result_is_given_and_no_longer_counted(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    details = flags.get_string_details("over", "", context())
    assert (details.value, details.reason) == ("red", Reason.TARGETING_MATCH)
    assert logged(client, wire) == []


def test_a_client_that_supports_a_test_says_so_in_the_context(flags: OpenFeatureClient) -> None:
    assert flags.get_string_value("ios_banner", "", context(supported_tests=["ios_banner", 7])) == "red"


@pytest.mark.parametrize(
    ("key", "who", "expected"),
    [
        ("staff", context(), (True, Reason.TARGETING_MATCH)),
        ("staff", context(country_id=51), (False, Reason.DEFAULT)),
        ("closed", context(), (False, Reason.DISABLED)),
    ],
)
def test_a_user_group_is_a_boolean(
    flags: OpenFeatureClient, key: str, who: EvaluationContext, expected: tuple[bool, Reason]
) -> None:
    details = flags.get_boolean_details(key, default_value=False, evaluation_context=who)
    assert (details.value, details.reason) == expected


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (context(), ("user", "42")),
        (
            EvaluationContext("g-1", {"split_group": 2, "unit_type": "guest", "supported_tests": ["ios_banner"]}),
            ("guest", "g-1"),
        ),
        (
            EvaluationContext("d-1", {"split_group": 2, "unit_type": "device", "supported_tests": ["ios_banner"]}),
            ("device", "d-1"),
        ),
    ],
)
def test_the_unit_is_a_user_a_guest_or_a_device(
    flags: OpenFeatureClient,
    client: usersplit.UserSplit,
    wire: usersplit.MemoryHitTransport,
    who: EvaluationContext,
    expected: tuple[str, str],
) -> None:
    flags.get_string_value("green_button" if expected[0] == "user" else "ios_banner", "", who)
    assert [hit[2:4] for hit in logged(client, wire)] == [expected]


def test_what_is_not_known_is_no_text_of_its_own(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    unknown: dict[str, Any] = dict.fromkeys(("platform", "country", "user_agent", "app_version", "device_id"))
    unit, environment = unit_and_environment(context(**unknown))
    assert unit.device_id == ""
    assert not any(environment.filter_values().get(name) for name in unknown)
    assert flags.get_string_value("green_button", "", context(**unknown)) == "red"
    assert client.flush(5)
    assert [(hit.platform, hit.country) for hit in wire.hits] == [("", "")]


class Platform(str, enum.Enum):  # noqa: UP042 - as many services write it: its str() is "Platform.IOS"
    IOS = "ios"


def test_a_member_of_an_enum_is_the_text_that_it_is(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    assert flags.get_string_value("green_button", "", context(platform=Platform.IOS)) == "red"
    assert client.flush(5)
    assert [hit.platform for hit in wire.hits] == ["ios"]


class Textless:
    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __repr__ = __str__


@pytest.mark.parametrize("value", [10**5000, Textless()], ids=["a number of 5,000 digits", "an object"])
@pytest.mark.parametrize("name", ["unit_type", "supported_tests", "device_id", "platform"])
def test_what_has_no_text_is_an_error_with_the_default(flags: OpenFeatureClient, name: str, value: Any) -> None:
    details = flags.get_string_details("green_button", "d", context(**{name: value}))
    assert (details.value, details.error_code) == ("d", ErrorCode.INVALID_CONTEXT)
    assert details.error_message


@pytest.mark.parametrize(
    ("key", "who", "code"),
    [
        ("never_made", context(), ErrorCode.FLAG_NOT_FOUND),
        ("green_button", EvaluationContext(attributes={"split_group": 2}), ErrorCode.TARGETING_KEY_MISSING),
        ("green_button", context(split_group=0), ErrorCode.INVALID_CONTEXT),
        ("green_button", context(split_group="2"), ErrorCode.INVALID_CONTEXT),
        ("green_button", context(unit_type="robot"), ErrorCode.INVALID_CONTEXT),
        ("green_button", context(supported_tests="green_button"), ErrorCode.INVALID_CONTEXT),
    ],
)
def test_what_is_wrong_is_an_error_with_the_default(
    flags: OpenFeatureClient, key: str, who: EvaluationContext, code: ErrorCode
) -> None:
    for details in (
        flags.get_string_details(key, "d", who),
        flags.get_boolean_details(key, default_value=True, evaluation_context=who),
    ):
        assert (details.reason, details.error_code) == (Reason.ERROR, code)
        assert details.value in ("d", True)
        assert details.error_message


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("green_button", ErrorCode.TYPE_MISMATCH),
        ("staff", ErrorCode.TYPE_MISMATCH),
        ("never_made", ErrorCode.FLAG_NOT_FOUND),
    ],
)
def test_no_flag_is_a_number_or_an_object(flags: OpenFeatureClient, key: str, code: ErrorCode) -> None:
    found = [
        flags.get_integer_details(key, 7, context()),
        flags.get_float_details(key, 7.5, context()),
        flags.get_object_details(key, {"a": 1}, context()),
    ]
    assert [details.value for details in found] == [7, 7.5, {"a": 1}]
    assert {details.error_code for details in found} == {code}
    assert flags.get_string_details("staff", "", context()).error_code == ErrorCode.TYPE_MISMATCH


def test_a_hint_says_that_nothing_is_shown_yet(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    options = FlagEvaluationOptions(hook_hints={LOG_HIT_HINT: False})
    assert flags.get_string_value("green_button", "", context(), options) == "red"
    assert logged(client, wire) == []


def test_a_provider_without_the_hook_logs_nothing(
    client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    set_provider(UserSplitProvider(client, log_hits=False))
    assert api.get_client().get_string_value("green_button", "", context()) == "red"
    assert logged(client, wire) == []
    api.clear_providers()


def test_the_hit_knows_what_the_services_own_hooks_added(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    class KnowsTheUser(Hook):
        def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:
            del hook_context, hints
            return context("43")

    flags.add_hooks([KnowsTheUser()])
    assert flags.get_string_value("green_button", "") == "red"
    assert logged(client, wire) == [("green_button", "red", "user", "43", False)]


def test_it_can_be_awaited(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    assert asyncio.run(flags.get_string_value_async("green_button", "", context())) == "red"
    assert len(logged(client, wire)) == 1


def test_shutting_openfeature_down_leaves_the_client_to_the_service(
    flags: OpenFeatureClient, client: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    api.shutdown()
    assert client.get_active_variant("green_button", usersplit.User(id=1, split_group=77)) is None
    set_provider(UserSplitProvider(client))
    flags.get_string_value("green_button", "", context())
    assert len(logged(client, wire)) == 1
