"""The OpenFeature provider, through the OpenFeature API itself: values, reasons, errors, and hits by the hook."""

import asyncio
import enum
import functools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationOptions, Reason
from openfeature.hook import Hook, HookContext, HookHints

import usersplit
from tests.support.sdk_config_documents import config_document
from usersplit.openfeature import LOG_HIT_HINT, UserSplitProvider, unit_and_environment

DRAWN: dict[str, Any] = {"ends_at": "2126-01-01T00:00:00Z"}
OVERRIDES = {
    "format": 1,
    "kind": "overrides",
    "key": "~overrides",
    "position": 9,
    "environments": {
        "devel": {
            "forced": {"user:qa": {"green_button": "red", "priced": None}},
            "disabled": {"user:autotest": {"enabled": []}},
        }
    },
}
GROUP = {
    "format": 1,
    "kind": "user_group",
    "position": 5,
    "settings_group": 2,
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
    "filters": {"country_id": {"type": "integer", "scope": "user"}},
}
DOCUMENTS = [
    config_document("green_button", **DRAWN),
    config_document("priced", **DRAWN),
    config_document("asleep", status="paused", **DRAWN),
    config_document("over", status="finished", result={"variant": "red", "scope": "worldwide"}),
    config_document("ios_banner", type="client", conditions=[], filters={}, **DRAWN),
    {**GROUP, "key": "staff", "status": "active"},
    {**GROUP, "key": "closed", "status": "off"},
    OVERRIDES,
]


# Older releases wait always.
set_provider = getattr(api, "set_provider_and_wait", api.set_provider)


def context(key: str = "42", **attributes: Any) -> EvaluationContext:
    """Return a new user of the country 50, in the split group of the variant red."""
    return EvaluationContext(key, {"split_group": 2, "country_id": 50, "is_new_user": True, **attributes})


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


class Heard:
    """Remembers the events of a client, in order, for whoever waits for them."""

    def __init__(self) -> None:
        self._events: Queue[tuple[str, EventDetails]] = Queue()
        for event in ProviderEvent:
            api.add_handler(event, functools.partial(self._take, event))

    def _take(self, event: ProviderEvent, details: EventDetails) -> None:
        self._events.put((event.value.removeprefix("PROVIDER_"), details))

    def next(self) -> tuple[str, EventDetails]:
        return self._events.get(timeout=20)

    def nothing_more(self) -> bool:
        return self._events.empty()


@pytest.fixture
def _forgotten() -> Iterator[None]:
    yield
    api.shutdown()


def follow(checker: usersplit.Checker) -> Heard:
    """Evaluate with `checker`, and hear what its provider tells from now on."""
    set_provider(UserSplitProvider(checker))
    heard = Heard()
    assert heard.next()[0] == "READY"
    return heard


@pytest.mark.usefixtures("_forgotten")
def test_changes_of_configs_are_told_with_the_keys() -> None:
    configs = usersplit.MemoryConfigs(DOCUMENTS)
    heard = follow(usersplit.Checker(configs))
    configs.put(config_document("green_button", position=43, **DRAWN))
    event, details = heard.next()
    assert (event, details.flags_changed, details.provider_name) == (
        "CONFIGURATION_CHANGED",
        ["green_button"],
        "UserSplit",
    )
    configs.put({**GROUP, "key": "staff", "status": "off", "position": 6})
    configs.forget("priced")
    assert [heard.next()[1].flags_changed for _ in range(2)] == [["staff"], ["priced"]]
    # Of overrides nobody can say which flags they change.
    configs.put({**OVERRIDES, "position": 10})
    event, details = heard.next()
    assert (event, details.flags_changed) == ("CONFIGURATION_CHANGED", None)
    assert heard.nothing_more()


@pytest.mark.usefixtures("_forgotten")
def test_configs_that_cannot_be_read_are_stale_until_they_can(tmp_path: Path) -> None:
    directory = tmp_path / "configs"
    with usersplit.DirectoryConfigs(directory, reload_seconds=1000) as configs:
        heard = follow(usersplit.Checker(configs))  # a service starts without configs
        configs.reload()
        event, details = heard.next()
        assert event == "ERROR"
        assert "No configs could be read yet" in str(details.message)
        assert api.get_client().get_string_value("green_button", "old", context()) == "old"
        directory.mkdir()
        (directory / "green_button.json").write_text(json.dumps(config_document("green_button", **DRAWN)))
        configs.reload()
        assert [heard.next()[0], heard.next()[0]] == ["CONFIGURATION_CHANGED", "READY"]
        directory.rename(tmp_path / "elsewhere")
        for _ in range(3):
            configs.reload()
        assert heard.next()[0] == "STALE"
        assert api.get_client().get_string_value("green_button", "old", context()) == "red"
        (tmp_path / "elsewhere").rename(directory)
        configs.reload()
        assert heard.next()[0] == "READY"
        assert heard.nothing_more()


@pytest.mark.usefixtures("_forgotten")
def test_a_handler_that_fails_or_reloads_stops_nothing(tmp_path: Path) -> None:
    with usersplit.DirectoryConfigs(tmp_path, reload_seconds=1000) as configs:
        set_provider(UserSplitProvider(usersplit.Checker(configs)))
        done = threading.Event()

        def handler(details: EventDetails) -> None:
            del details
            configs.reload()
            done.set()
            raise ZeroDivisionError

        api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, handler)
        (tmp_path / "green_button.json").write_text(json.dumps(config_document("green_button", **DRAWN)))
        configs.reload()
        assert done.wait(20)
        assert api.get_client().get_string_value("green_button", "old", context()) == "red"


@pytest.mark.usefixtures("_forgotten")
def test_after_a_shutdown_nothing_is_told() -> None:
    configs = usersplit.MemoryConfigs(DOCUMENTS)
    provider = UserSplitProvider(usersplit.Checker(configs))
    set_provider(provider)
    api.clear_providers()
    configs.put(config_document("green_button", position=43, **DRAWN))
    set_provider(provider)
    heard = Heard()
    assert heard.next()[0] == "READY"
    configs.put(config_document("green_button", position=44, **DRAWN))
    assert heard.next()[1].flags_changed == ["green_button"]
    assert heard.nothing_more()
