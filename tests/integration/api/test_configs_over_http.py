"""Config documents to download, a client's variants, and OFREP, over HTTP and over a database."""

import json
from typing import Any

import pytest

from tests.support.api import SETTINGS, Api

BULK = "/ofrep/v1/evaluate/flags"
CONTEXT = {"context": {"targetingKey": "42", "split_group": 7, "country_id": 50}}


@pytest.fixture
def running(api: Api) -> Api:
    api.draft("big_photo", settings=SETTINGS)
    for step in ("publish", "start"):
        api.done("ann", "POST", f"/api/v1/tests/big_photo/{step}")
    api.live.refresh()
    return api


def variant_of(api: Api) -> str:
    variants = api.done("ann", "GET", "/api/v1/tests/big_photo/settings")["variants"]
    return next(str(each["name"]) for each in variants if 7 in each["split_groups"])


def test_all_documents_are_downloaded_and_not_twice(running: Api) -> None:
    first = running.ask("vera", "GET", "/api/v1/configs")
    (document,) = first.json()["documents"]
    assert (document["key"], document["status"]) == ("big_photo", "running")
    again = running.ask("vera", "GET", "/api/v1/configs", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A proxy that compresses says that its bytes are others, of the same documents.
    weakened = running.ask("vera", "GET", "/api/v1/configs", headers={"If-None-Match": f"W/{first.headers['etag']}"})
    assert weakened.status_code == 304
    running.done("ann", "POST", "/api/v1/tests/big_photo/pause")
    changed = running.ask("vera", "GET", "/api/v1/configs", headers={"If-None-Match": first.headers["etag"]})
    assert changed.json()["documents"][0]["status"] == "paused"


def test_one_document_is_downloaded(running: Api) -> None:
    found = running.ask("vera", "GET", "/api/v1/configs/big_photo")
    assert found.headers["etag"] == f'"{found.json()["position"]}"'
    same = running.ask("vera", "GET", "/api/v1/configs/big_photo", headers={"If-None-Match": found.headers["etag"]})
    assert same.status_code == 304
    running.draft("secret_plan", settings=SETTINGS)
    for key in ("secret_plan", "never", "%00"):
        assert running.ask("ann", "GET", f"/api/v1/configs/{key}").status_code in {404, 422}
    assert running.refused("", "GET", "/api/v1/configs") == (401, "NotSignedIn")
    _, browser = running.desk.tokens.create("vera", label="in a page", scopes=["evaluate"])
    for path in ("/api/v1/configs", "/api/v1/configs/big_photo"):
        assert running.refused("", "GET", path, headers={"X-API-Key": browser}) == (403, "NotAllowed")


def test_a_client_is_told_the_variants_of_the_tests_it_supports(running: Api) -> None:
    visit = {"user": {"id": 42, "split_group": 7, "attributes": {"country_id": 50}}, "supported": ["big_photo", "x"]}
    assert running.done("vera", "POST", "/api/v1/client/variants", json=visit) == {"big_photo": variant_of(running)}
    assert running.refused("", "POST", "/api/v1/client/variants", json=visit) == (401, "NotSignedIn")


def ofrep(api: Api, name: str, path: str, body: Any = None, **rest: Any) -> Any:
    content = json.dumps(CONTEXT if body is None else body)
    return api.ask(name, "POST", path, content=content, **rest)


def test_a_bulk_evaluation_has_an_etag_of_its_results(running: Api) -> None:
    answer = ofrep(running, "vera", BULK)
    assert answer.status_code == 200
    (flag,) = answer.json()["flags"]
    assert (flag["key"], flag["value"], flag["reason"]) == ("big_photo", variant_of(running), "SPLIT")
    assert answer.json()["metadata"] == {"split_group": 7}
    kept = {"If-None-Match": answer.headers["etag"]}
    assert ofrep(running, "vera", BULK, headers=kept).status_code == 304
    other = {"context": {**CONTEXT["context"], "country_id": 1}}
    assert ofrep(running, "vera", BULK, other, headers=kept).status_code == 200
    running.done("ann", "POST", "/api/v1/tests/big_photo/pause")
    heard = ofrep(running, "vera", f"{BULK}?flagConfigEtag=of-another-process", headers=kept)
    assert heard.json()["flags"][0]["reason"] == "DISABLED"


def test_a_single_evaluation_and_its_errors(running: Api) -> None:
    assert ofrep(running, "vera", f"{BULK}/big_photo").json()["value"] == variant_of(running)
    for path, body, status, code in (
        (f"{BULK}/never", None, 404, "FLAG_NOT_FOUND"),
        (f"{BULK}/big_photo", {"context": {}}, 400, "TARGETING_KEY_MISSING"),
        (f"{BULK}/big_photo", [], 400, "INVALID_CONTEXT"),
    ):
        answer = ofrep(running, "vera", path, body)
        assert (answer.status_code, answer.json()["errorCode"]) == (status, code)
        assert answer.json()["key"] == path.rpartition("/")[2]
        assert answer.json()["errorDetails"]
    assert ofrep(running, "vera", BULK, "x" * 300_000).status_code == 413
    assert running.ask("vera", "GET", BULK).status_code == 404


def test_only_tokens_with_the_scope_evaluate_are_let_in(running: Api) -> None:
    assert ofrep(running, "", BULK).status_code == 401
    assert ofrep(running, "", BULK, headers={"Authorization": "Bearer forged"}).status_code == 401
    token, text = running.desk.tokens.create("vera", label="reads", scopes=["read"])
    assert ofrep(running, "", BULK, headers={"X-API-Key": text}).status_code == 403
    token, text = running.desk.tokens.create("vera", label="evaluates", scopes=["evaluate"])
    assert ofrep(running, "", BULK, headers={"X-API-Key": text}).status_code == 200
    assert running.ask("", "GET", "/api/v1/tests", headers={"X-API-Key": text}).status_code == 403
    browser = running.signed_in("vera")
    assert browser.post(BULK, json=CONTEXT).status_code in {401, 404}
    running.desk.tokens.revoke(token.token_id, account="vera")


def test_browsers_of_other_sites_may_ask(running: Api) -> None:
    origin = {"Origin": "https://shop.example.com"}
    preflight = running.ask("", "OPTIONS", BULK, headers=origin)
    assert preflight.status_code == 204
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("content-type", "authorization", "x-api-key", "if-none-match"))
    answer = ofrep(running, "vera", BULK, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "etag" in answer.headers["access-control-expose-headers"].lower()
    assert ofrep(running, "", BULK, headers=origin).headers["access-control-allow-origin"] == "*"


def test_the_event_stream_wants_a_ticket(running: Api) -> None:
    (stream,) = ofrep(running, "vera", BULK).json()["eventStreams"]
    assert stream["type"] == "sse"
    assert stream["endpoint"]["requestUri"].startswith("/ofrep/v1/events?ticket=")
    assert running.ask("", "GET", "/ofrep/v1/events?ticket=forged.x").status_code == 401


def test_a_ticket_of_a_token_that_is_over_opens_no_event_stream(running: Api) -> None:
    (stream,) = ofrep(running, "vera", BULK).json()["eventStreams"]
    (token,) = running.desk.tokens.of("vera")
    running.desk.tokens.revoke(token.token_id, account="vera")
    refused = running.ask("", "GET", stream["endpoint"]["requestUri"])
    assert (refused.status_code, refused.json()["errorCode"]) == (401, "GENERAL")
    assert "revoked" in refused.json()["errorDetails"]
