"""Tests that the visitor's client shows: it says which it supports, and gets only those."""

from collections.abc import Collection
from typing import Any

import pytest

from tests.support.sdk_config_documents import config_document
from usersplit import Checker, Environment, MemoryConfigs, User

pytestmark = pytest.mark.usefixtures("form_of_checks")

NOW_NS = 1_778_000_000_000_000_000
RED = User(id=2, split_group=2, attributes={"is_test_user": True})


def checker(**types: str) -> Checker:
    documents = [config_document(key, type=type_) for key, type_ in types.items()]
    return Checker(MemoryConfigs(documents), now_ns=lambda: NOW_NS)


@pytest.mark.parametrize(
    ("type_", "supported", "variant"),
    [
        ("web", None, "red"),
        ("web", [], "red"),
        ("client", None, "red"),
        ("client", [], None),
        ("client", ["a"], "red"),
        ("mixed", None, None),
        ("mixed", {"b"}, None),
        ("mixed", {"a"}, "red"),
        ("mixed", "a", None),  # a text is no list of keys
        ("client", "a,b", None),
    ],
)
def test_a_test_that_the_client_shows_needs_its_support(
    type_: str, supported: Collection[str] | None, variant: str | None
) -> None:
    asked = checker(a=type_)
    environment = Environment(supported_tests=supported)
    answer = asked.explain("a", RED, environment)
    assert answer.variant == asked.get_active_variant("a", RED, environment) == variant
    assert asked.active_variants(RED, environment).get("a") == variant
    assert answer.reason == ("in_variant" if variant else "not_supported")


def test_a_mixed_test_without_an_environment_is_not_supported() -> None:
    asked = checker(a="mixed")
    assert asked.get_active_variant("a", RED) is None
    assert not any(asked.problems().values())


def test_a_client_gets_the_active_ones_of_the_tests_it_supports() -> None:
    asked = checker(a="client", b="mixed", c="web", d="client")
    junk: Any = ["a", "b", "gone_since_long", 7, None, ["a"]]
    assert asked.active_variants(RED, supported=junk) == {"a": "red", "b": "red"}
    assert asked.active_variants(RED, Environment(platform="ios"), supported=["b"]) == {"b": "red"}
    assert asked.active_variants(RED, supported=()) == {}
    assert not any(asked.problems().values())
    assert asked.unknown_keys() == {}


def test_a_finished_client_test_gives_its_result_to_clients_that_support_it() -> None:
    result = {"variant": "red", "scope": "worldwide"}
    asked = Checker(MemoryConfigs([config_document("a", type="mixed", status="finished", result=result)]))
    assert asked.active_variants(RED, supported=["a"]) == {"a": "red"}
    assert asked.get_active_variant("a", RED) is None


def test_dead_keys_in_the_code_are_told_with_how_often_they_were_asked_for() -> None:
    configs = MemoryConfigs([config_document("a"), config_document("b", status="discarded")])
    asked = Checker(configs)
    for _ in range(2):
        asked.get_active_variant("grean_button", RED)
    asked.get_active_variant("b", RED)
    asked.get_active_variant("a", RED)
    assert asked.unknown_keys() == {"grean_button": 2, "b": 1}
    assert asked.problems()["unknown_test"] == 2
