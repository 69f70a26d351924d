"""The registry's answers are those that Confluent's registry gives: bodies, codes and media type."""

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from api.registered_schemas import RegisteredSchema, registered_schemas
from api.schema_registry import schema_registry
from events.lifecycle_codec import LIFECYCLE_SCHEMA_ID, lifecycle_schema
from tests.support.asgi import AsgiClient
from usersplit.hit_reports import HIT_REPORT_SCHEMA, HIT_REPORT_SCHEMA_ID
from usersplit.hits import HIT_SCHEMA, HIT_SCHEMA_ID

HITS = "usersplit.hits-value"
REPORTS = "usersplit.hits.reports-value"
OLD = '{"type":"record","name":"A","fields":[]}'
NEW = '{"type":"record","name":"A","fields":[{"name":"b","type":"int","default":0}]}'


@pytest.fixture
def registry() -> AsgiClient:
    return AsgiClient(schema_registry())


@pytest.fixture
def grown() -> AsgiClient:
    """A registry with two versions of one subject, whose first schema is another subject's too."""
    return AsgiClient(
        schema_registry(
            [
                RegisteredSchema(subject="a-value", version=1, id=7, text=OLD),
                RegisteredSchema(subject="a-value", version=2, id=9, text=NEW),
                RegisteredSchema(subject="b-value", version=1, id=7, text=OLD),
            ]
        )
    )


def ask(client: AsgiClient, path: str) -> Any:
    """GET what is there."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    return answer.json()


def refused(answer: Any) -> tuple[int, int, str]:
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert set(answer.json()) == {"error_code", "message"}
    return answer.status_code, answer.json()["error_code"], answer.json()["message"]


def test_the_topics_schemas_are_served_under_the_ids_that_their_messages_bear(registry: AsgiClient) -> None:
    for schema_id, text in (
        (HIT_SCHEMA_ID, HIT_SCHEMA),
        (LIFECYCLE_SCHEMA_ID, lifecycle_schema()),
        (HIT_REPORT_SCHEMA_ID, HIT_REPORT_SCHEMA),
    ):
        assert json.loads(ask(registry, f"/schemas/ids/{schema_id}")["schema"]) == json.loads(text)
        assert ask(registry, f"/schemas/ids/{schema_id}/schema") == json.loads(text)


def test_no_two_schemas_share_an_id_and_versions_count_from_one() -> None:
    served = registered_schemas()
    assert len({schema.id for schema in served}) == len({schema.text for schema in served})
    for subject in {schema.subject for schema in served}:
        versions = [schema.version for schema in served if schema.subject == subject]
        assert versions == list(range(1, len(versions) + 1))


def test_subjects_and_their_versions_are_listed(registry: AsgiClient, grown: AsgiClient) -> None:
    assert ask(registry, "/subjects") == [HITS, REPORTS, "usersplit.lifecycle-value"]
    assert ask(registry, "/subjects?subjectPrefix=usersplit.h") == [HITS, REPORTS]
    assert ask(grown, "/subjects/a-value/versions") == [1, 2]
    assert ask(grown, "/subjects?offset=1&limit=5") == ["b-value"]


def test_a_version_is_found_by_its_number_and_the_newest_by_name(grown: AsgiClient) -> None:
    newest = {"subject": "a-value", "version": 2, "id": 9, "schema": NEW}
    assert ask(grown, "/subjects/a-value/versions/2") == newest
    assert ask(grown, "/subjects/a-value/versions/latest") == newest
    assert ask(grown, "/subjects/a-value/versions/-1") == newest
    assert ask(grown, "/subjects/:.:a-value/versions/1/schema") == json.loads(OLD)
    assert ask(grown, "/subjects/a-value/versions/1/referencedby") == []


def test_a_schema_tells_where_it_is_used(grown: AsgiClient) -> None:
    assert ask(grown, "/schemas/ids/7/subjects") == ["a-value", "b-value"]
    assert ask(grown, "/schemas/ids/7/subjects?subject=b-value") == ["b-value"]
    assert ask(grown, "/schemas/ids/7/versions") == [
        {"subject": "a-value", "version": 1},
        {"subject": "b-value", "version": 1},
    ]
    assert ask(grown, "/schemas/ids/7?fetchMaxId=true")["maxId"] == 9


def test_all_schemas_are_listed_at_once(grown: AsgiClient) -> None:
    assert [(one["subject"], one["version"]) for one in ask(grown, "/schemas")] == [
        ("a-value", 1),
        ("a-value", 2),
        ("b-value", 1),
    ]
    assert [one["version"] for one in ask(grown, "/schemas?latestOnly=true")] == [2, 1]


def test_it_says_what_it_can_and_what_it_promises(registry: AsgiClient) -> None:
    assert ask(registry, "/") == {}
    assert ask(registry, "/schemas/types") == ["AVRO"]
    assert ask(registry, "/config") == ask(registry, f"/config/{HITS}") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert ask(registry, "/mode") == ask(registry, f"/mode/{HITS}") == {"mode": "READONLY"}


@pytest.mark.parametrize(
    ("path", "status", "code", "message"),
    [
        ("/subjects/x/versions", 404, 40401, "Subject 'x' not found."),
        ("/subjects/x/versions/1", 404, 40401, "Subject 'x' not found."),
        (f"/subjects/{HITS}/versions/99", 404, 40402, "Version 99 not found."),
        ("/schemas/ids/99", 404, 40403, "Schema 99 not found"),
        ("/schemas/ids/99/versions", 404, 40403, "Schema 99 not found"),
        ("/schemas/ids/many", 404, 404, "HTTP 404 Not Found"),
        ("/config/x", 404, 40401, "Subject 'x' not found."),
        ("/nowhere", 404, 404, "HTTP 404 Not Found"),
    ],
)
def test_what_is_not_there_has_the_registrys_code(
    registry: AsgiClient, path: str, status: int, code: int, message: str
) -> None:
    assert refused(registry.get(path)) == (status, code, message)


@pytest.mark.parametrize("version", ["0", "first", "-2", "²", "99999999999999999999"])
def test_a_version_that_is_no_version_is_told_so(registry: AsgiClient, version: str) -> None:
    status, code, message = refused(registry.get(f"/subjects/{HITS}/versions/{version}"))
    assert (status, code) == (422, 42202)
    assert f"'{version}' is not a valid version id" in message


def test_a_schema_that_is_there_is_looked_up_and_registered_by_its_content(registry: AsgiClient) -> None:
    shuffled = json.loads(HIT_SCHEMA)
    shuffled = {name: shuffled[name] for name in sorted(shuffled) if name != "doc"}
    body = {"schema": json.dumps(shuffled, indent=2)}
    found = registry.post(f"/subjects/{HITS}", json=body).json()
    assert (found["subject"], found["version"], found["id"]) == (HITS, 1, HIT_SCHEMA_ID)
    assert registry.post(f"/subjects/{HITS}/versions", json=body).json() == {"id": HIT_SCHEMA_ID}


def test_a_new_schema_is_refused_for_schemas_come_with_releases(registry: AsgiClient) -> None:
    refusal = (422, 42205, f"Subject {HITS} is in read-only mode")
    assert refused(registry.post(f"/subjects/{HITS}/versions", json={"schema": OLD})) == refusal
    assert refused(registry.post(f"/subjects/{HITS}", json={"schema": OLD})) == (404, 40403, "Schema not found")
    assert refused(registry.post("/subjects/x/versions", json={"schema": OLD}))[:2] == (422, 42205)
    assert refused(registry.post("/subjects/x", json={"schema": OLD}))[:2] == (404, 40401)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_is_refused(registry: AsgiClient, body: bytes) -> None:
    assert refused(registry.post(f"/subjects/{HITS}", content=body))[:2] == (400, 400)


@pytest.mark.parametrize("body", [{}, [], {"schema": 1}, "text"])
def test_a_body_without_a_schema_is_refused(registry: AsgiClient, body: Any) -> None:
    assert refused(registry.post(f"/subjects/{HITS}", json=body)) == (422, 42201, "Empty schema")


def test_a_body_without_end_is_not_kept(registry: AsgiClient) -> None:
    assert refused(registry.post(f"/subjects/{HITS}", content=b" " * (2**20 + 1)))[0] == 413


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", f"/subjects/{HITS}/versions/1"), ("PUT", "/config"), ("PUT", "/mode")]
)
def test_what_would_change_something_is_not_allowed(registry: AsgiClient, method: str, path: str) -> None:
    answer = registry.request(method, path, json={"compatibility": "NONE"})
    assert refused(answer) == (405, 405, "HTTP 405 Method Not Allowed")
    assert "GET" in answer.headers["allow"]


def test_it_answers_below_another_application_as_well() -> None:
    below = AsgiClient(Starlette(routes=[Mount("/registry", schema_registry())]))
    assert ask(below, "/registry/schemas/ids/1/versions") == [{"subject": HITS, "version": 1}]
    assert refused(below.get("/registry/subjects/x/versions"))[1] == 40401
