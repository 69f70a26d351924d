"""Audit lines name the address that a trusted proxy tells, for the framework's requests and for evaluations."""

import logging
from typing import Any

import pytest

from api.front import Front
from api.proxies import Proxies
from tests.support.api import Api, audit_lines
from tests.support.asgi import AsgiClient

FORWARDED = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}


def client(api: Api, trusted: str) -> AsgiClient:
    """A client at 127.0.0.1 of the same application behind proxies."""
    proxies = Proxies(trusted)
    ofrep: Any = api.front._ofrep
    ofrep._proxies = proxies
    return AsgiClient(Front(api.app, ofrep, proxies))


@pytest.mark.parametrize(("trusted", "address"), [("127.0.0.1", "203.0.113.5"), ("10.0.0.1", "127.0.0.1")])
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/me"), ("POST", "/ofrep/v1/evaluate/flags")])
def test_a_refusal_names_the_address_behind_a_proxy_that_is_trusted_and_no_other(
    api: Api, method: str, path: str, trusted: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        assert client(api, trusted).request(method, path, headers=FORWARDED).status_code == 401
    (line,) = audit_lines(caplog)
    assert f"by nobody from {address}:" in line


def test_the_scheme_that_a_trusted_proxy_tells_makes_the_cookie_secure(api: Api) -> None:
    from tests.support.people import PASSWORD

    signed = client(api, "*").post("/api/v1/session", json={"name": "ann", "password": PASSWORD}, headers=FORWARDED)
    assert "secure" in signed.headers["set-cookie"].lower()
