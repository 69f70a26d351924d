"""The OpenAPI document: what the framework makes of the endpoints, and what it cannot know of them.

How to sign in, and the problem documents that an operation may answer with, are the same for all, so they are said here
once and not at every endpoint, where the framework would work through them at every request.
"""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from accounts.sessions import COOKIE

_PUBLIC: Final = frozenset({"/health", "/ready"})
_OPEN_TO_STRANGERS: Final = ("/api/v1/session", "/api/v1/session/openid")
"""Operations by which strangers come in and go, with all below them."""

_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API token"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A signed-in browser; called `__Host-usersplit_session` where it comes by https",
    },
}

_PROBLEM: Final = {
    "type": "object",
    "title": "Problem",
    "description": "An RFC 9457 problem document; `error` names the rule, `detail` says what to do.",
    "required": ["type", "title", "status", "detail", "error"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:usersplit:problem:KeyTaken"]},
        "title": {"type": "string", "examples": ["Key taken"]},
        "status": {"type": "integer", "examples": [409]},
        "detail": {"type": "string", "examples": ["the key 'green_button' is taken; choose another one"]},
        "error": {"type": "string", "examples": ["KeyTaken"]},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field, where the request itself cannot be read.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "version": {"type": "integer", "description": "Of a conflict: the version that it is at."},
        "path": {"type": "string", "description": "Of conditions: where in the tree the problem is."},
        "possible": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Of a step that is not allowed: those that are.",
        },
    },
}

_SAID: Final = {
    "400": "A header, a cursor or a body that cannot be read",
    "401": "Nobody is signed in, or not any more",
    "403": "Not allowed to this role, or to this token",
    "404": "Not there, or somebody else's Draft",
    "409": "The state does not allow it",
    "412": "Somebody was faster (If-Match)",
    "413": "A body that is too long",
    "415": "A body that does not say that it is JSON",
    "422": "A rule of the content is broken",
    "429": "Too many at once; see Retry-After",
    "503": "A database does not answer; see Retry-After",
}
_NAMING_THINGS: Final = ("/api/v1/overrides/", "/api/v1/session/openid")
"""Operations that name a thing elsewhere than in their address."""

_METHODS: Final = ("get", "post", "put", "patch", "delete")


def describe(app: FastAPI) -> None:
    """Let `app` describe itself so."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["security"] = [{name: []} for name in _SCHEMES]
    for path, method, operation in _operations(document):
        if path in _PUBLIC or path.startswith(_OPEN_TO_STRANGERS):
            operation["security"] = []
        responses = operation["responses"]
        for status in _statuses(path, method, operation):
            responses[status] = {
                "description": _SAID[status],
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    """Return the statuses of the problems that an operation may answer with."""
    if path in _PUBLIC:
        return ["503"]
    found = ["400", "401", "403", "422", "503"]
    if "{" in path or path.startswith(_NAMING_THINGS):
        found.append("404")
    if method != "get":
        found += ["409", "413", "429"]
    if path.endswith(("/traffic", "/projections")):
        found.append("409")
    if "requestBody" in operation:
        found.append("415")
    names = {parameter["name"].lower() for parameter in operation.get("parameters", ())}
    if "if-match" in names:
        found.append("412")
    return sorted(found)
