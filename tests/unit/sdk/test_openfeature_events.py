"""What the OpenFeature provider tells of its configs: changed, stale, an error, ready again."""

import functools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from openfeature import api
from openfeature.event import EventDetails, ProviderEvent

import usersplit
from tests.support.openfeature_flags import DOCUMENTS, DRAWN, GROUP, OVERRIDES, context, set_provider
from tests.support.sdk_config_documents import config_document
from usersplit.openfeature import UserSplitProvider


class Heard:
    """Remembers the events of a client, for whoever waits for them.

    OpenFeature hands each event to any of several threads: two that are told at once may be heard in either order.
    """

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
    assert heard.next()[1].flags_changed == ["staff"]
    configs.forget("priced")
    assert heard.next()[1].flags_changed == ["priced"]
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
        assert sorted([heard.next()[0], heard.next()[0]]) == ["CONFIGURATION_CHANGED", "READY"]
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
