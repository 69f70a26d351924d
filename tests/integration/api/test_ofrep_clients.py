"""The real OpenFeature clients, Python's and JavaScript's, against OFREP behind a real port."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api as openfeature
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from tests.support.api import SETTINGS, Api
from tests.support.served import behind_a_port, program

RUSSIAN = {"split_group": 7, "country_id": 50}


@pytest.fixture
def served(api: Api) -> Iterator[tuple[Api, str]]:
    api.draft("big_photo", settings=SETTINGS)
    for step in ("publish", "start"):
        api.done("ann", "POST", f"/api/v1/tests/big_photo/{step}")
    groups = "/api/v1/user-groups"
    api.done("ann", "POST", groups, json={"key": "premium", "name": "Premium"})
    api.done("ann", "POST", f"{groups}/premium/conditions", json=SETTINGS["conditions"])
    api.done("ann", "POST", f"{groups}/premium/activate")
    api.live.refresh()
    stop = threading.Event()
    following = threading.Thread(target=api.live.follow, args=(stop,), daemon=True)
    following.start()
    try:
        with behind_a_port(api.front) as url:
            yield api, url
    finally:
        stop.set()
        following.join(30)


def token_of(api: Api) -> str:
    return api.desk.tokens.create("vera", label="clients", scopes=["evaluate"])[1]


def variant_of(api: Api, group: int = 7) -> str:
    variants = api.done("ann", "GET", "/api/v1/tests/big_photo/settings")["variants"]
    return next(str(each["name"]) for each in variants if group in each["split_groups"])


def python_client(url: str, token: str) -> OpenFeatureClient:
    provider = OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {token}"})
    openfeature.set_provider(provider, "usersplit-test")
    return openfeature.get_client("usersplit-test")


def test_pythons_provider_gets_variants_reasons_and_errors(served: tuple[Api, str]) -> None:
    api, url = served
    client = python_client(url, token_of(api))
    found = client.get_string_details("big_photo", "the default", EvaluationContext("42", RUSSIAN))
    assert (found.value, found.variant, found.reason) == (variant_of(api), variant_of(api), "SPLIT")
    assert found.flag_metadata == {"status": "running", "settings_group": 1, "split_group": 7}
    outside = client.get_string_details(
        "big_photo", "the default", EvaluationContext("42", {**RUSSIAN, "country_id": 1})
    )
    assert (outside.value, outside.variant, outside.reason, outside.error_code) == ("the default", "", "DEFAULT", None)
    for key, context, code in (
        ("never", EvaluationContext("42", RUSSIAN), "FLAG_NOT_FOUND"),
        ("big_photo", EvaluationContext(None, RUSSIAN), "TARGETING_KEY_MISSING"),
        ("big_photo", EvaluationContext("42", {"country_id": 50}), "INVALID_CONTEXT"),
    ):
        refused = client.get_string_details(key, "the default", context)
        assert (refused.value, str(refused.error_code and refused.error_code.value)) == ("the default", code)
        assert refused.error_message
    assert client.get_boolean_details("big_photo", True, EvaluationContext("42", RUSSIAN)).error_code is not None  # noqa: FBT003 - a default


def test_pythons_provider_gets_a_user_group_as_a_boolean(served: tuple[Api, str]) -> None:
    api, url = served
    client = python_client(url, token_of(api))
    member = client.get_boolean_details("premium", False, EvaluationContext("42", {"country_id": 50}))  # noqa: FBT003 - a default
    assert (member.value, member.variant, member.reason) == (True, "on", "TARGETING_MATCH")
    outside = client.get_boolean_details("premium", True, EvaluationContext("42", {"country_id": 1}))  # noqa: FBT003 - a default
    assert (outside.value, outside.variant, outside.reason) == (False, "off", "DEFAULT")


def test_a_forged_token_gives_pythons_provider_the_default(served: tuple[Api, str]) -> None:
    _, url = served
    refused = python_client(url, "forged").get_string_details("big_photo", "x", EvaluationContext("42", RUSSIAN))
    assert (refused.value, refused.error_message) == ("x", "unauthorized")


def test_javascripts_server_provider_gets_the_same(served: tuple[Api, str], node: str) -> None:
    api, url = served
    with program(node, "server_client.mjs", [url, token_of(api)]) as client:
        context: dict[str, Any] = {"targetingKey": "42", **RUSSIAN}
        found = client.ask({"key": "big_photo", "context": context})
        assert (found["value"], found["variant"], found["reason"]) == (variant_of(api), variant_of(api), "SPLIT")
        assert found["flagMetadata"]["settings_group"] == 1
        # This provider takes an answer without a value for an error; the code's default counts, which is what it means.
        assert client.ask({"key": "big_photo", "context": {**context, "country_id": 1}})["value"] == "the default"
        assert client.ask({"key": "never", "context": context})["errorCode"] == "FLAG_NOT_FOUND"
        member = client.ask({"key": "premium", "type": "boolean", "context": context})
        assert (member["value"], member["reason"]) == (True, "TARGETING_MATCH")
        assert client.ask({"key": "big_photo", "context": RUSSIAN})["errorCode"] == "TARGETING_KEY_MISSING"
        assert client.ask({"key": "big_photo", "type": "boolean", "context": context})["errorCode"] == "TYPE_MISMATCH"


def test_javascripts_web_provider_hears_of_changes_and_of_its_own(served: tuple[Api, str], node: str) -> None:
    api, url = served
    context: dict[str, Any] = {"targetingKey": "42", **RUSSIAN}
    import json

    with program(node, "web_client.mjs", [url, token_of(api), json.dumps(context)]) as client:
        ready = client.hear_of("ready")
        assert (ready["value"], ready["reason"]) == (variant_of(api), "SPLIT")
        # The provider sends its old ETag after an attribute changed: an ETag of the configs would freeze the variant.
        client.tell({**context, "country_id": 1})
        assert client.hear_of("context")["value"] == "the default"
        client.tell(context)
        assert client.hear_of("context")["value"] == variant_of(api)
        api.done("ann", "POST", "/api/v1/tests/big_photo/pause")
        changed = client.hear_of("changed")
        while changed["reason"] != "DISABLED":
            changed = client.hear_of("changed")
        assert changed["value"] == "the default"


def test_javascripts_web_provider_with_a_forged_token_is_told_so(served: tuple[Api, str], node: str) -> None:
    _, url = served
    with program(node, "web_client.mjs", [url, "forged", '{"targetingKey": "42"}']) as client:
        assert client.hear_of("refused")["event"] == "refused"
