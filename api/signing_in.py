"""Signing in and out, and who one is."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from accounts.desk import Desk
from accounts.errors import CrossSite
from accounts.identity import Identity, Permission, Role
from accounts.openid import OpenIdDesk
from accounts.origin import is_foreign
from api.audit import address_of, note_change, note_identity, note_sign_in
from api.identify import Needs

SIGN_OUT: Final = "/api/v1/session/openid/sign-out"
"""Where a browser signs out of the identity provider."""

router = APIRouter(tags=["people"])


class SignIn(BaseModel):
    """A name and its password."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class Me(BaseModel):
    """Who asks, and what that person may."""

    name: str
    role: Role
    permissions: list[Permission]


class SignedOut(BaseModel):
    """Where a browser goes to sign out of the identity provider as well."""

    continue_at: str


def me_of(identity: Identity) -> Me:
    """Return what is told of an identity."""
    return Me(name=identity.name, role=identity.role, permissions=sorted(identity.permissions))


def set_session_cookie(request: Request, response: Response, cookie: str) -> None:
    """Hand the browser its session: out of reach for scripts, and for requests that other sites make it send."""
    desk: Desk = request.app.state.desk
    response.set_cookie(
        desk.sessions.cookie,
        cookie,
        max_age=desk.sessions.seconds,
        httponly=True,
        secure=is_secure(request),
        samesite="lax",
    )


def is_secure(request: Request) -> bool:
    """Return whether browsers come by https, so that a cookie is never sent without it."""
    return bool(request.url.scheme == "https" or request.app.state.public_url.startswith("https:"))


@router.post("/api/v1/session", summary="Sign in with a name and a password")
def sign_in(request: Request, response: Response, given: SignIn) -> Me:
    """Start a session, in a cookie. After a few wrong passwords each further attempt has to wait longer: 429."""
    if is_foreign(request.headers, public_url=request.app.state.public_url):
        raise CrossSite
    desk: Desk = request.app.state.desk
    identity, cookie = desk.sign_in(given.name, given.password, address=address_of(request))
    note_identity(request, identity)
    note_sign_in(request, identity.name, "password")
    set_session_cookie(request, response, cookie)
    return me_of(identity)


@router.delete(
    "/api/v1/session",
    summary="Sign out in this browser",
    status_code=204,
    response_class=Response,
    responses={200: {"model": SignedOut, "description": "Signed out here; the browser should go on to `continue_at`"}},
)
def sign_out(request: Request, everywhere: bool = False) -> Response:  # noqa: FBT001, FBT002 - a query
    """End the session, wherever its cookie is; with `everywhere`, all sessions of the account."""
    if is_foreign(request.headers, public_url=request.app.state.public_url):
        raise CrossSite
    desk: Desk = request.app.state.desk
    identity = desk.sign_out(request.cookies.get(desk.sessions.cookie, ""), everywhere=everywhere)
    if identity is not None:
        note_identity(request, identity)
        note_change(request, f"signed out {'everywhere' if everywhere else 'here'}")
    response = Response(status_code=204)
    openid: OpenIdDesk | None = request.app.state.openid
    if openid is not None and openid.signs_out and identity is not None:
        account = desk.directory.find(identity.name)
        if account is not None and "openid" in account.signs_in_by:
            response = JSONResponse(SignedOut(continue_at=SIGN_OUT).model_dump())
    # As it was set, or a browser keeps it.
    response.delete_cookie(desk.sessions.cookie, httponly=True, secure=is_secure(request), samesite="lax")
    return response


@router.get("/api/v1/me", summary="Who I am")
def me(identity: Annotated[Identity, Depends(Needs("evaluate"))]) -> Any:
    """Return the account behind the session or the token."""
    return me_of(identity)
