"""The part of the Schema Registry API that reads, for the schemas of UserSplit's topics: an ASGI application.

So Kafka Connect, Flink, ksqlDB, ClickHouse and Confluent's clients read the topics with no registry to be run. Paths,
bodies and error codes are those of Confluent's: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
What writes is refused as a registry in the mode READONLY refuses it: schemas change with a release of UserSplit.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.registered_schemas import RegisteredSchema, registered_schemas, subjects_of

COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""Every field has a default: any reader meets any writer (docs/adr/0003)."""

_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_LATEST: Final = ("latest", "-1")
_LARGEST_VERSION: Final = 2**31 - 1
_LARGEST_BODY_BYTES: Final = 2**20

_Answer: TypeAlias = Callable[[Sequence[RegisteredSchema], Request], Any]


class RegistryError(Exception):
    """What the registry answers instead: the status, the code that clients look at, and the sentence for people."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def schema_registry(schemas: Sequence[RegisteredSchema] | None = None) -> Starlette:
    """Return the application; without `schemas`, for those of the topics of this release. It may be mounted anywhere.

    It keeps no state and reads nothing but what it was given: many of it may run.
    """
    served = registered_schemas() if schemas is None else tuple(schemas)
    routes = [
        Route(path, partial(_answered, answer, served), methods=[method])
        for method, path, answer in (
            ("GET", "/", _root),
            ("GET", "/subjects", _subjects),
            ("POST", "/subjects/{subject}", _look_up),
            ("GET", "/subjects/{subject}/versions", _versions),
            ("POST", "/subjects/{subject}/versions", _register),
            ("GET", "/subjects/{subject}/versions/{version}", _version),
            ("GET", "/subjects/{subject}/versions/{version}/schema", _text_of_version),
            ("GET", "/subjects/{subject}/versions/{version}/referencedby", _referenced_by),
            ("GET", "/schemas", _schemas),
            ("GET", "/schemas/types", _types),
            ("GET", "/schemas/ids/{id}", _schema),
            ("GET", "/schemas/ids/{id}/schema", _text_of_id),
            ("GET", "/schemas/ids/{id}/subjects", _subjects_of_id),
            ("GET", "/schemas/ids/{id}/versions", _versions_of_id),
            ("GET", "/config", _config),
            ("GET", "/config/{subject}", _config_of_subject),
            ("GET", "/mode", _mode),
            ("GET", "/mode/{subject}", _mode_of_subject),
        )
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error, RegistryError: _registry_error})


async def _answered(answer: _Answer, schemas: Sequence[RegisteredSchema], request: Request) -> Response:
    # Starlette keeps the body for whoever asks next; the answers themselves wait for nothing.
    if request.method == "POST":
        await _read(request)
    found = answer(schemas, request)
    if isinstance(found, str):
        return Response(found, media_type=_MEDIA_TYPE)
    return JSONResponse(found, media_type=_MEDIA_TYPE)


async def _read(request: Request) -> None:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY_BYTES:
            raise RegistryError(413, 413, "HTTP 413 Request Entity Too Large")
    try:
        request.state.body = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryError(400, 400, "Unable to process JSON") from error


def _root(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    del schemas, request
    return {}


def _subjects(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    prefix = _without_context(request.query_params.get("subjectPrefix", ""))
    return _page([subject for subject in subjects_of(schemas) if subject.startswith(prefix)], request)


def _versions(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    return [schema.version for schema in _of_subject(schemas, request)]


def _version(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    return _told(_one_version(schemas, request))


def _text_of_version(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    return _one_version(schemas, request).text


def _referenced_by(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    _one_version(schemas, request)
    return []


def _schemas(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    prefix = _without_context(request.query_params.get("subjectPrefix", ""))
    found = [schema for schema in schemas if schema.subject.startswith(prefix)]
    if request.query_params.get("latestOnly") == "true":
        found = list({schema.subject: schema for schema in found}.values())
    return _page([_told(schema) for schema in found], request)


def _types(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    del schemas, request
    return ["AVRO"]


def _schema(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    answer: dict[str, Any] = {"schema": _of_id(schemas, request)[0].text}
    if request.query_params.get("fetchMaxId") == "true":
        answer["maxId"] = max(schema.id for schema in schemas)
    return answer


def _text_of_id(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    return _of_id(schemas, request)[0].text


def _subjects_of_id(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    return _page(list(subjects_of(_of_id(schemas, request))), request)


def _versions_of_id(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    found = [{"subject": schema.subject, "version": schema.version} for schema in _of_id(schemas, request)]
    return _page(found, request)


def _config(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    del schemas, request
    return {"compatibilityLevel": COMPATIBILITY}


def _config_of_subject(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    _of_subject(schemas, request)
    return {"compatibilityLevel": COMPATIBILITY}


def _mode(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    del schemas, request
    return {"mode": "READONLY"}


def _mode_of_subject(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    _of_subject(schemas, request)
    return {"mode": "READONLY"}


def _look_up(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    found = _same(_of_subject(schemas, request), request)
    if found is None:
        raise RegistryError(404, 40403, "Schema not found")
    return _told(found)


def _register(schemas: Sequence[RegisteredSchema], request: Request) -> Any:
    """Answer with the id of a schema that is there already: serializers register before their first message."""
    subject = _subject(request)
    found = _same([schema for schema in schemas if schema.subject == subject], request)
    if found is None:
        raise RegistryError(422, 42205, f"Subject {subject} is in read-only mode")
    return {"id": found.id}


def _same(schemas: Sequence[RegisteredSchema], request: Request) -> RegisteredSchema | None:
    body = request.state.body
    text = body.get("schema") if isinstance(body, Mapping) else None
    if not isinstance(text, str):
        raise RegistryError(422, 42201, "Empty schema")
    return next((schema for schema in reversed(schemas) if schema.is_same(text)), None)


def _of_subject(schemas: Sequence[RegisteredSchema], request: Request) -> list[RegisteredSchema]:
    subject = _subject(request)
    found = [schema for schema in schemas if schema.subject == subject]
    if not found:
        raise RegistryError(404, 40401, f"Subject '{subject}' not found.")
    return found


def _one_version(schemas: Sequence[RegisteredSchema], request: Request) -> RegisteredSchema:
    wanted = request.path_params["version"]
    if wanted not in _LATEST and not (_is_number(wanted) and 1 <= int(wanted) <= _LARGEST_VERSION):
        raise RegistryError(
            422,
            42202,
            f"The specified version '{wanted}' is not a valid version id. Allowed values are between [1, 2^31-1] and "
            'the string "latest"',
        )
    found = _of_subject(schemas, request)
    if wanted in _LATEST:
        return found[-1]
    for schema in found:
        if schema.version == int(wanted):
            return schema
    raise RegistryError(404, 40402, f"Version {int(wanted)} not found.")


def _of_id(schemas: Sequence[RegisteredSchema], request: Request) -> list[RegisteredSchema]:
    wanted = request.path_params["id"]
    if not _is_number(wanted):
        raise RegistryError(404, 404, "HTTP 404 Not Found")
    subject = _without_context(request.query_params.get("subject", ""))
    found = [schema for schema in schemas if schema.id == int(wanted)]
    # A subject narrows where ids differ from context to context; ours are the same everywhere.
    found = [schema for schema in found if schema.subject == subject] or found
    if not found:
        raise RegistryError(404, 40403, f"Schema {int(wanted)} not found")
    return found


def _told(schema: RegisteredSchema) -> dict[str, Any]:
    # No schemaType: that is how the registry says AVRO.
    return {"subject": schema.subject, "version": schema.version, "id": schema.id, "schema": schema.text}


def _subject(request: Request) -> str:
    return _without_context(str(request.path_params["subject"]))


def _without_context(subject: str) -> str:
    """Return the subject's name in the default context, however it was written."""
    return subject.removeprefix(":.:")


def _page(found: list[Any], request: Request) -> list[Any]:
    offset = request.query_params.get("offset", "0")
    limit = request.query_params.get("limit", "-1")
    start = int(offset) if _is_number(offset) else 0
    return found[start : start + int(limit)] if _is_number(limit) else found[start:]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_VERSION))


async def _http_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    phrases = {404: "Not Found", 405: "Method Not Allowed"}
    message = f"HTTP {error.status_code} {phrases.get(error.status_code, error.detail)}"
    return _error(error.status_code, error.status_code, message, error.headers)


async def _registry_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RegistryError)  # noqa: S101 - what it is registered for
    return _error(error.status, error.code, error.message)


def _error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"error_code": code, "message": message}
    return JSONResponse(body, status_code=status, media_type=_MEDIA_TYPE, headers=headers)
