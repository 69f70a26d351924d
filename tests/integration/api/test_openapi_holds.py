"""The OpenAPI document is true: requests made from it, right ones and wrong ones, get the answers that it describes."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api import SETTINGS, Api, serving
from warehouse.memory_hits import MemoryHits
from warehouse.memory_traffic import MemoryTraffic

EXAMPLES: Final = {GenerationMode.POSITIVE: 3, GenerationMode.NEGATIVE: 2}
CHECKS: Final = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
KEYS: Final = st.sampled_from(["green_button", "big_photo", "premium"])


@pytest.fixture(scope="module")
def world(peopled_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with something of everything."""
    file = shutil.copy(peopled_sqlite_file, tmp_path_factory.mktemp("described") / "usersplit.db")
    with serving(f"sqlite:///{file}", traffic=MemoryTraffic(MemoryHits())) as api:
        for key in ("green_button", "big_photo"):
            api.draft(key, by="root", settings=SETTINGS)
            api.done("root", "POST", f"/api/v1/tests/{key}/publish")
        api.done("root", "POST", "/api/v1/tests/big_photo/start")
        api.done("root", "POST", "/api/v1/user-groups", json={"key": "premium", "name": "Premium"})
        api.done("root", "POST", "/api/v1/user-groups/premium/conditions", json=SETTINGS["conditions"])
        forced = {"unit": "user:42", "key": "big_photo", "variant": "green"}
        api.done("root", "POST", "/api/v1/overrides/force", json=forced)
        api.done("root", "POST", "/api/v1/overrides/disable-tests", json={"unit": "user:43"})
        yield api
        api.app.state.rebuilds.wait()


def ask(api: Api, case: Case[Any]) -> Any:
    """Send a made-up request as the superuser, whose rights let every endpoint be reached."""
    sent = case.as_transport_kwargs(base_url="http://testserver")
    # A form comes as a dict, everything else that is no JSON as bytes.
    data = sent.get("data")
    body = {} if data is None else {"data" if isinstance(data, dict) else "content": data}
    body |= {"json": sent["json"]} if "json" in sent else {}
    headers = {**dict(sent.get("headers") or {}), **api.headers("root")}
    return api.client.request(sent["method"], sent["url"], params=sent.get("params"), headers=headers, **body)


def operations(api: Api) -> list[APIOperation[Any, Any, Any, Any]]:
    results = schemathesis.openapi.from_dict(api.app.openapi()).get_all_operations()
    found = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(found) > 60
    return found


@dataclass(frozen=True)
class Seen:
    """What answered: how often with which kind of status, and the operations that did something."""

    answered: Counter[tuple[GenerationMode, int]] = field(default_factory=Counter)
    fine: set[str] = field(default_factory=set)


def hold(api: Api, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, seen: Seen) -> None:
    """Ask an operation a few times, and hold each answer against its description."""

    @seed(20260503)
    @settings(
        max_examples=EXAMPLES[mode],
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), key=KEYS)
    def answers_as_described(case: Case[Any], key: str) -> None:
        if "key" in (case.path_parameters or {}):
            case.path_parameters["key"] = key
        try:
            answer = ask(api, case)
        except httpx.InvalidURL:
            reject()  # an address longer than any client sends
        case.validate_response(answer, checks=CHECKS)
        seen.answered[mode, answer.status_code // 100] += 1
        if answer.status_code < 300:
            seen.fine.add(operation.label)

    # Where nothing can be said, nothing wrong can be said.
    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        answers_as_described()


def test_every_operation_answers_as_it_is_described_and_none_breaks(world: Api) -> None:
    seen = Seen()
    for operation in operations(world):
        for mode in EXAMPLES:
            hold(world, operation, mode, seen)
    # It would be easily true of requests that never reach an endpoint.
    assert len(seen.fine) > 20, seen
    assert seen.answered[GenerationMode.POSITIVE, 2] > 40, seen
    assert seen.answered[GenerationMode.NEGATIVE, 4] > 60, seen


def test_an_answer_that_is_not_as_described_would_be_seen(world: Api) -> None:
    document = world.app.openapi()
    described = document["components"]["schemas"]["SplitTestPage"]["properties"]["total"]
    described["type"] = "string"
    try:
        operation = schemathesis.openapi.from_dict(document)["/api/v1/tests"]["GET"]
        case = operation.Case(method="GET")
        with pytest.raises(FailureGroup) as seen:
            case.validate_response(ask(world, case), checks=CHECKS)
        assert "string" in str(seen.value.exceptions[0])
    finally:
        described["type"] = "integer"


def test_the_document_is_valid_and_says_how_to_sign_in_and_what_is_refused(world: Api) -> None:
    document = world.done("", "GET", "/api/openapi.json")
    schemathesis.openapi.from_dict(document).validate()
    assert set(document["components"]["securitySchemes"]) == {"token", "apiKey", "session"}
    assert document["paths"]["/health"]["get"]["security"] == []
    patch = document["paths"]["/api/v1/tests/{key}"]["patch"]["responses"]
    assert patch.keys() >= {"200", "401", "403", "404", "409", "412", "422", "503"}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert patch["409"]["content"] == {"application/problem+json": problem}
    assert all(operation.get("summary") for path in document["paths"].values() for operation in path.values())
