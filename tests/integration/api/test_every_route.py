"""Every route of the application is public by a list, or lets in nobody whom it does not know and who may not."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from accounts.identity import PERMISSIONS, PERMISSIONS_OF, ROLES, Permission
from api.app import OPENAPI_URL
from api.identify import Needs
from tests.support.api import PEOPLE, Api, audit_lines

PUBLIC: Final = {
    ("GET", OPENAPI_URL),
    ("HEAD", OPENAPI_URL),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/session/openid"),
    ("GET", "/api/v1/session/openid/callback"),
    ("GET", "/api/v1/session/openid/sign-out"),
    ("POST", "/api/v1/session/openid/logout"),
    ("a mount, which this test does not look into", "/registry"),
}
"""What a stranger may ask. Whoever adds a line here says why in the route's docstring."""

CHANGING_NOTHING: Final = {
    ("POST", "/api/v1/tests/{key}/check"),
    ("POST", "/api/v1/tests/{key}/check-as-of"),
    ("POST", "/api/v1/checks"),
    ("POST", "/api/v1/client/variants"),
    ("POST", "/api/v1/audience/numbers"),
    ("POST", "/api/v1/tests/{key}/settings/preview"),
    ("POST", "/api/v1/user-groups/{key}/preview"),
    ("POST", "/api/v1/user-groups/{key}/check"),
}
"""Questions that are too long for an address: the scopes `read` and `evaluate` are enough for them."""

OF_ONESELF: Final = {
    ("POST", "/api/v1/me/password"),
    ("POST", "/api/v1/tokens"),
    ("DELETE", "/api/v1/tokens/{token_id}"),
}
"""Changes of one's own account: whatever the role, but not by a token that is in anybody's hands."""

CHANGES: Final = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    dependant: Any

    @property
    def name(self) -> tuple[str, str]:
        return self.method, self.path

    @property
    def address(self) -> str:
        """The path with something in every place."""
        parts = ("some-name" if part.startswith("{") else part for part in self.path.split("/"))
        return "/".join(parts)

    @property
    def needed(self) -> set[Permission]:
        return set(_needed(self.dependant))


def _needed(dependant: Any) -> Iterator[Permission]:
    for each in [] if dependant is None else dependant.dependencies:
        if isinstance(each.call, Needs):
            yield each.call.permission
        yield from _needed(each)


def routes(api: Api) -> list[Route]:
    found = [
        Route(method, str(route.path), getattr(route, "dependant", None))
        for route in iter_route_contexts(api.app.routes)
        for method in sorted(route.methods or {"a mount, which this test does not look into"})
    ]
    assert len(found) > 40
    return found


def guarded(api: Api) -> list[Route]:
    return [route for route in routes(api) if route.name not in PUBLIC]


def token(api: Api, name: str, *scopes: Permission) -> dict[str, str]:
    _, text = api.desk.tokens.create(name, label="a scope too few", scopes=scopes)
    return {"Authorization": f"Bearer {text}"}


def test_the_lists_name_only_routes_that_exist(api: Api) -> None:
    known = {route.name for route in routes(api)}
    assert known >= PUBLIC | CHANGING_NOTHING | OF_ONESELF


def test_every_other_route_says_what_it_needs(api: Api) -> None:
    assert [route.name for route in guarded(api) if len(route.needed) != 1] == []


def test_a_stranger_is_refused_everywhere_with_401_and_an_audit_line(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    for route in guarded(api):
        for headers in ({}, {"Authorization": "Bearer usersplit_forged"}, {"Cookie": "usersplit_session=forged"}):
            caplog.clear()
            with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
                answer = api.client.request(route.method, route.address, headers=headers)
            assert answer.status_code == 401, (route.name, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert [line.split(" from ")[0] for line in audit_lines(caplog)] == [
                f"refused: {route.method} {route.address!r} by nobody"
            ]


MALFORMED: Final = (b"{", b"[" * 100_000, b"\xff", b'{"a": 1e}', b"nothing")
"""Bodies that are no JSON, too deep, or no UTF-8: whoever reads them first, refuses them."""


def with_bodies(api: Api) -> list[Route]:
    found = [route for route in guarded(api) if route.dependant is not None and route.dependant.body_params]
    assert len(found) > 25
    return found


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:5]))
def test_a_malformed_body_by_a_stranger_is_refused_as_a_stranger_s_first(
    api: Api, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    for route in with_bodies(api):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
            answer = api.client.request(route.method, route.address, headers=headers, content=body)
        assert (answer.status_code, answer.json()["error"]) == (401, "NotSignedIn"), (route.name, answer.text)
        (line,) = audit_lines(caplog)
        assert " by nobody from testclient: 401 NotSignedIn" in line


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:5]))
def test_a_malformed_body_by_somebody_is_noted_under_their_name(
    api: Api, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    browser = api.signed_in("root")
    for route in with_bodies(api):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
            answer = browser.request(route.method, route.address, headers=headers, content=body)
        assert answer.status_code in {400, 422}, (route.name, answer.text)
        (line,) = audit_lines(caplog)
        assert line.startswith(f"refused: {route.method} {route.address!r} by root from testclient: 4")
    foreign = {**headers, "Origin": "https://evil.example"}
    for route in with_bodies(api):
        answer = browser.request(route.method, route.address, headers=foreign, content=body)
        assert (answer.status_code, answer.json()["error"]) == (403, "CrossSite"), route.name


def test_a_token_that_lacks_only_the_needed_scope_is_refused_with_403_and_an_audit_line(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = {each: token(api, "root", *(scope for scope in PERMISSIONS if scope != each)) for each in PERMISSIONS}
    for route in guarded(api):
        (needed,) = route.needed
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
            answer = api.client.request(route.method, route.address, headers=lacking[needed])
        assert (answer.status_code, answer.json()["error"]) == (403, "NotAllowed"), route.name
        (line,) = audit_lines(caplog)
        assert line.startswith(f"refused: {route.method} {route.address!r} by root (token ")
        assert f"root may not {needed}" in line


def test_a_role_that_lacks_the_needed_permission_is_refused_with_403(api: Api) -> None:
    mightiest = {
        permission: next((name for name, role in PEOPLE.items() if permission not in PERMISSIONS_OF[role]), None)
        for permission in PERMISSIONS
    }
    assert [mightiest[each] for each in ("steer", "create", "override")] == ["dora", "quentin", "vera"]
    assert {role for role in ROLES if "operate" in PERMISSIONS_OF[role]} == {"superuser"}
    for route in guarded(api):
        (needed,) = route.needed
        name = mightiest[needed]
        if name is None:  # every role may read and evaluate
            assert needed in {"read", "evaluate"}
            continue
        answer = api.ask(name, route.method, route.address)
        assert (answer.status_code, answer.json()["error"]) == (403, "NotAllowed"), route.name


def test_what_changes_something_needs_more_than_to_read(api: Api) -> None:
    weak = {route.name for route in guarded(api) if route.method in CHANGES and route.needed <= {"read", "evaluate"}}
    assert weak == CHANGING_NOTHING | OF_ONESELF


def test_a_session_changes_nothing_for_a_page_of_another_site(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    browser = api.signed_in("root")
    del browser.headers["Origin"]
    foreign: tuple[dict[str, str], ...] = (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    )
    for route in guarded(api):
        if route.method not in CHANGES:
            continue
        for headers in foreign:
            caplog.clear()
            with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
                answer = browser.request(route.method, route.address, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (403, "CrossSite"), (route.name, headers)
            assert len(audit_lines(caplog)) == 1
    assert browser.get("/api/v1/me").status_code == 200


def test_a_token_of_a_page_has_no_hold_on_its_owner_s_account(api: Api) -> None:
    _, other = api.desk.tokens.create("ann", label="another", scopes=["steer"])
    mine, text = api.desk.tokens.create("ann", label="in a page", scopes=["evaluate", "read"])
    page = {"Authorization": f"Bearer {text}"}
    new = {"password": "mine from now on", "current_password": "guessed"}
    assert api.refused("", "POST", "/api/v1/me/password", json=new, headers=page) == (403, "NotByToken")
    assert api.refused("", "POST", "/api/v1/tokens", json={"label": "x", "scopes": ["read"]}, headers=page) == (
        403,
        "NotByToken",
    )
    assert api.refused("", "GET", "/api/v1/tokens", headers=page) == (403, "NotByToken")
    other_id = other.split("_")[1]
    assert api.refused("", "DELETE", f"/api/v1/tokens/{other_id}", headers=page) == (403, "NotByToken")
    assert api.ask("", "DELETE", f"/api/v1/tokens/{mine.token_id}", headers=page).status_code == 204
    assert api.refused("", "GET", "/api/v1/me", headers=page) == (401, "NotSignedIn")
    assert api.desk.identity_of_token(other).name == "ann"


@pytest.mark.parametrize("path", ["/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/some-name"])
def test_evaluations_beside_the_framework_refuse_as_well(api: Api, path: str, caplog: pytest.LogCaptureFixture) -> None:
    person = api.signed_in("root").cookies
    asked = {"context": {"targetingKey": "1"}}
    refused: tuple[tuple[dict[str, str], int], ...] = (
        ({}, 401),
        ({"Authorization": "Bearer usersplit_forged"}, 401),
        ({"Cookie": "; ".join(f"{name}={value}" for name, value in person.items())}, 401),
        (token(api, "root", *(scope for scope in PERMISSIONS if scope != "evaluate")), 403),
    )
    for headers, status in refused:
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
            assert api.client.post(path, json=asked, headers=headers).status_code == status
        assert [line.split(" from ")[0] for line in audit_lines(caplog)] == [f"refused: POST {path!r} by nobody"]
    assert api.client.get("/ofrep/v1/events?ticket=forged").status_code == 401
    assert api.client.get("/ofrep/v1/configuration").status_code == 404


def test_an_open_route_would_be_seen(api: Api) -> None:
    @api.app.get("/api/v1/left-open")
    def left_open() -> None: ...

    found = [route for route in guarded(api) if not route.needed]
    assert [route.name for route in found] == [("GET", "/api/v1/left-open")]
    assert isinstance(api.app.routes[-1], APIRoute)
    assert api.client.get("/api/v1/left-open").status_code == 200
