"""Signing in with the company's identity provider: to it, and back from it. For browsers, not programs."""

from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from accounts.errors import AccountsError, SignInFailed
from accounts.openid import BEGUN_COOKIE, BEGUN_SECONDS, Answer, Finished, OpenIdDesk
from api.audit import note_change, note_identity, note_refusal, note_sign_in
from api.errors import problem, status_of
from api.refusals import NoIdentityProvider
from api.signing_in import SIGN_OUT, is_secure, set_session_cookie

PLACE: Final = "/api/v1/session/openid"
CALLBACK: Final = f"{PLACE}/callback"
LOGOUT: Final = f"{PLACE}/logout"
"""What is registered at the provider, behind our public address."""

RefusalPage: TypeAlias = Callable[[int, str], Response]
"""Says to a person that signing in did not work: a status, and the sentence why."""

Word: TypeAlias = Annotated[str, Query(max_length=4000)]

router = APIRouter(tags=["people"])


def plain_refusal(status: int, sentence: str) -> Response:
    """Say it as a problem document, where there are no pages."""
    return problem(status, "SignInFailed", sentence)


@router.get(PLACE, summary="Sign in with the identity provider", response_class=RedirectResponse, status_code=303)
def begin(request: Request, next: Word = "/") -> Response:  # noqa: A002 - what addresses call it
    """Lead a browser to the identity provider; `next` is the page of ours that it comes back to."""
    try:
        begun = _openid(request).begin(next)
    except SignInFailed as error:
        return _refused(request, error)
    response = RedirectResponse(begun.url, status_code=303, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        BEGUN_COOKIE,
        begun.cookie,
        max_age=BEGUN_SECONDS,
        path=CALLBACK,
        httponly=True,
        secure=is_secure(request),
        # Strict would keep it back: the provider's page is another site.
        samesite="lax",
    )
    return response


@router.get(CALLBACK, summary="Back from the identity provider", response_class=RedirectResponse, status_code=303)
def finish(request: Request, state: Word = "", code: Word = "", error: Word = "", iss: Word = "") -> Response:
    """Start the session of whom the provider names, and lead on to the page that was wanted."""
    answer = Answer(state=state, code=code, error=error, issuer=iss)
    try:
        finished = _openid(request).finish(request.cookies.get(BEGUN_COOKIE, ""), answer)
    except AccountsError as refused:
        response = _refused(request, refused)
    else:
        response = _led_on(request, finished)
    # Whatever came of it: an answer counts once.
    response.delete_cookie(BEGUN_COOKIE, path=CALLBACK, httponly=True, secure=is_secure(request), samesite="lax")
    return response


@router.get(SIGN_OUT, summary="Sign out at the identity provider", response_class=RedirectResponse, status_code=303)
def sign_out(request: Request) -> Response:
    """Lead a browser that has signed out here to where it signs out at the provider. Nothing changes here."""
    return RedirectResponse(_openid(request).sign_out_url(), status_code=303)


@router.post(LOGOUT, summary="Signed out at the identity provider", response_class=Response)
def back_channel_logout(request: Request, logout_token: Annotated[str, Form()] = "") -> Response:
    """End the sessions of somebody who signed out there: OpenID Connect Back-Channel Logout 1.0.

    Its server asks, which has no cookie and no API token of ours: the signature of the logout token lets it in.
    """
    not_kept = {"Cache-Control": "no-store"}
    try:
        names = _openid(request).sign_out_by_provider(logout_token)
    except AccountsError as error:
        # Whatever it is: the specification knows no other status.
        note_refusal(request, 400, type(error).__name__, str(error))
        return problem(400, type(error).__name__, str(error), headers=not_kept)
    for name in names:
        note_change(request, f"sessions of {name} ended by the identity provider")
    return Response(headers=not_kept)


def _openid(request: Request) -> OpenIdDesk:
    openid: OpenIdDesk | None = request.app.state.openid
    if openid is None:
        raise NoIdentityProvider
    return openid


def _led_on(request: Request, finished: Finished) -> Response:
    note_identity(request, finished.identity)
    note_sign_in(request, finished.identity.name, "the identity provider")
    response = RedirectResponse(finished.target, status_code=303, headers={"Cache-Control": "no-store"})
    set_session_cookie(request, response, finished.cookie)
    return response


def _refused(request: Request, error: AccountsError) -> Response:
    status, sentence = status_of(error), str(error)
    note_refusal(request, status, type(error).__name__, sentence)
    if "text/html" not in request.headers.get("accept", ""):
        return problem(status, type(error).__name__, sentence)
    page: RefusalPage = request.app.state.sign_in_refused
    return page(status, sentence)
