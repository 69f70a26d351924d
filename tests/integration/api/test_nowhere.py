"""What is nothing under the API's addresses is a problem, though pages take every other address."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from api.nowhere import Nowhere
from tests.support.api import Api


@pytest.fixture
def paged(api: Api) -> Api:
    api.app.router.routes.append(Nowhere(api.app.router))
    api.app.router.routes.append(Mount("/", app=PlainTextResponse("a page")))
    return api


def test_pages_have_every_address_but_those_of_the_api(paged: Api) -> None:
    for path in ("/", "/tests/green_button", "/apis", "/registered"):
        assert paged.ask("", "GET", path).text == "a page"
    assert paged.done("", "GET", "/health") == {"status": "alive"}
    assert paged.ask("", "GET", "/registry/subjects").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/api/v2/tests", "/api/v1/tests/x/nothing"])
def test_what_is_nothing_is_not_found(paged: Api, path: str) -> None:
    assert paged.refused("ann", "GET", path) == (404, "NotFound")


def test_a_method_that_there_is_not_is_told_those_that_there_are(paged: Api) -> None:
    assert paged.refused("ann", "DELETE", "/api/v1/tests") == (405, "MethodNotAllowed")
    assert paged.ask("ann", "DELETE", "/api/v1/tests").headers["allow"] == "GET, POST"
    assert paged.ask("ann", "PUT", "/api/v1/tests/x").headers["allow"] == "GET, PATCH"
    assert paged.refused("", "POST", "/health") == (405, "MethodNotAllowed")
