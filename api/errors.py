"""Exceptions as HTTP: each named error has a status, and its sentence becomes an RFC 9457 problem document.

    {"type": "urn:usersplit:problem:KeyTaken", "title": "Key taken", "status": 409,
     "detail": "the key 'green_button' is taken; choose another one", "error": "KeyTaken"}

What is not named here is a bug: it is logged with its traceback, and the caller is told nothing of it.
"""

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from accounts import errors as accounts_errors
from api.audit import note_refusal
from api.identify import identify_late
from api.refusals import ApiRefusal, WrongContentType
from audience import errors as audience_errors
from audience.errors import AudienceError
from domain import errors as domain_errors
from domain import override_errors
from domain.allocation.audience_counts import CountingFailed
from events import errors as events_errors
from projections import errors as projections_errors
from usersplit.conditions import ConditionsError
from warehouse.errors import WarehouseError
from warehouse.traffic import TooManyBuckets

STATUS_OF: Final[Mapping[type[Exception], int]] = MappingProxyType(
    {
        domain_errors.RuleBroken: 422,
        domain_errors.SplitTestNotFound: 404,
        domain_errors.UserGroupNotFound: 404,
        domain_errors.NoConditions: 409,
        domain_errors.NotAManager: 403,
        domain_errors.KeyTaken: 409,
        domain_errors.TransitionNotAllowed: 409,
        domain_errors.NoCurrentSettings: 409,
        domain_errors.SettingsEnded: 409,
        domain_errors.SettingsAreFinal: 409,
        domain_errors.SettingsGroupSuperseded: 409,
        domain_errors.NothingToRetry: 409,
        domain_errors.EstimateSuperseded: 409,
        domain_errors.NothingChanges: 409,
        override_errors.MayNotOverride: 403,
        override_errors.SplitTestIsOver: 409,
        override_errors.SplitTestsNotDisabled: 409,
        override_errors.NothingToForget: 409,
        override_errors.TooManyOverrides: 409,
        CountingFailed: 503,
        ConditionsError: 422,
        AudienceError: 422,
        audience_errors.UsersMappingWrong: 409,
        audience_errors.UsersTableWrong: 409,
        audience_errors.SplitGroupsWrong: 409,
        WarehouseError: 503,
        TooManyBuckets: 422,
        events_errors.VersionConflict: 409,
        events_errors.CommandIdReused: 422,
        events_errors.UnstorableText: 422,
        events_errors.UnreadableFact: 422,
        events_errors.NaiveMoment: 422,
        events_errors.DatabaseUnavailable: 503,
        events_errors.SchemaMissing: 503,
        OperationalError: 503,
        PoolExhausted: 503,
        projections_errors.NoLiveGeneration: 503,
        projections_errors.ProjectionOutdated: 503,
        projections_errors.NothingToPause: 409,
        projections_errors.NothingToResume: 409,
        projections_errors.RebuildSuperseded: 409,
        accounts_errors.AccountsError: 422,
        accounts_errors.WrongLogoutToken: 400,
        accounts_errors.NotSignedIn: 401,
        accounts_errors.WrongPassword: 401,
        accounts_errors.SignInFailed: 403,
        accounts_errors.SignInNotBegun: 400,
        accounts_errors.WrongIdToken: 401,
        accounts_errors.NameTaken: 409,
        accounts_errors.ProviderUnavailable: 503,
        accounts_errors.TooManyAttempts: 429,
        accounts_errors.NotAllowed: 403,
        accounts_errors.NotByToken: 403,
        accounts_errors.CrossSite: 403,
        accounts_errors.AccountExists: 409,
        accounts_errors.LastSuperuser: 409,
        accounts_errors.NoSuchAccount: 404,
        accounts_errors.NoSuchToken: 404,
    }
)
"""The HTTP status of every error that is meant for people; a subclass has that of its nearest ancestor here."""

_WITHOUT_OUR_WORDS: Final = (OperationalError, PoolExhausted, events_errors.DatabaseUnavailable)
_PROBLEM: Final = "application/problem+json"
_JSON: Final = re.compile(r"application/([^;\s]+\+)?json\s*(;|$)", re.IGNORECASE)
_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")

_log = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of `app` become a problem document."""
    for kind in STATUS_OF:
        app.add_exception_handler(kind, _problem)
    app.add_exception_handler(ApiRefusal, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RecursionError, _too_deep)
    app.add_exception_handler(Exception, _problem)


def problem(
    status: int, error: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """Return a problem document; `error` is the name of a class, `members` are added to it."""
    title = _WORD.sub(" ", error).capitalize()
    document = {"type": f"urn:usersplit:problem:{error}", "title": title, "status": status, "detail": detail}
    # In ASCII: a sentence may quote half a surrogate pair, which UTF-8 has no bytes for.
    body = json.dumps({**document, "error": error, **members}, ensure_ascii=True)
    return Response(body, status_code=status, media_type=_PROBLEM, headers=dict(headers or {}))


def status_of(error: Exception) -> int:
    """Return the HTTP status of a named error; 500 for one that has none."""
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def problem_of(request: Request, error: Exception) -> Response:
    """Return what an error is for the one who asked; a refusal is noted in the audit log, a bug in the other one."""
    if isinstance(error, ApiRefusal):
        note_refusal(request, error.status, type(error).__name__, str(error))
        return problem(error.status, type(error).__name__, str(error), headers=error.headers)
    if any(kind in STATUS_OF for kind in type(error).__mro__):
        return _named_problem(request, error)
    _log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return problem(500, "InternalError", "something went wrong here; it was logged, and an operator can look it up")


def _named_problem(request: Request, error: Exception) -> Response:
    status, detail = status_of(error), str(error)
    members: dict[str, object] = {}
    headers: dict[str, str] = {}
    if isinstance(error, events_errors.VersionConflict):
        members["version"] = error.actual
        status = 412 if "if-match" in request.headers else status
    if isinstance(error, ConditionsError):
        members["path"] = error.path
    if isinstance(error, domain_errors.TransitionNotAllowed):
        members["possible"] = list(error.possible)
    if isinstance(error, accounts_errors.TooManyAttempts):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="UserSplit"'
    if isinstance(error, _WITHOUT_OUR_WORDS):
        _log.error("%s %s: %s", request.method, request.url.path, error)
        detail = "the database does not answer; retry later, with the same Idempotency-Key"
        headers["Retry-After"] = "5"
    note_refusal(request, status, type(error).__name__, detail)
    return problem(status, type(error).__name__, detail, headers=headers, **members)


async def _problem(request: Request, error: Exception) -> Response:
    return problem_of(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    if (unknown := await _refused_first(request)) is not None:
        return unknown
    content_type = request.headers.get("content-type", "")
    unread = any(each["loc"] == ("body",) and each["type"] != "missing" for each in error.errors())
    if unread and not _JSON.match(content_type):
        return problem_of(request, WrongContentType(content_type))
    fields = [{"field": _place(each["loc"]), "message": str(each["msg"])} for each in error.errors()]
    said = "; ".join(f"{field['field']}: {field['message']}" for field in fields[:5])
    note_refusal(request, 422, "InvalidRequest", said)
    return problem(422, "InvalidRequest", said, errors=fields)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == HTTPStatus.BAD_REQUEST and (unknown := await _refused_first(request)) is not None:
        return unknown
    status = HTTPStatus(error.status_code)
    name = "".join(word.capitalize() for word in status.name.split("_"))
    note_refusal(request, status, name, str(error.detail))
    return problem(status, name, str(error.detail), headers=error.headers)


async def _too_deep(request: Request, error: Exception) -> Response:
    del error
    if (unknown := await _refused_first(request)) is not None:
        return unknown
    sentence = "the document's brackets are nested deeper than anything here can be"
    note_refusal(request, 422, "TooDeep", sentence)
    return problem(422, "TooDeep", sentence)


async def _refused_first(request: Request) -> Response | None:
    """Return the refusal of somebody who may not even ask; the framework reads bodies before it looks who sent them."""
    try:
        await identify_late(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, it comes before what was wrong with the request
        return problem_of(request, error)
    return None


def _place(location: Any) -> str:
    return ".".join(str(part) for part in location if part not in {"body", "query", "path", "header"}) or "body"
