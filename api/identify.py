"""Who sends a request, and whether that person may: the dependency of every endpoint but a few."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from accounts.desk import Desk
from accounts.errors import CrossSite, NotByToken
from accounts.identity import Identity, Permission
from accounts.origin import SAFE_METHODS, is_our_own
from api.audit import is_identified, note_identity


def identity_of(connection: HTTPConnection, desk: Desk, *, public_url: str = "") -> Identity:
    """Return who asks.

    Raises:
        NotSignedIn: nobody whom we know.
        CrossSite: a browser's session is to change something on behalf of another site.
    """
    headers = connection.headers
    identity = desk.identity_of(
        authorization=headers.get("authorization", ""),
        api_key=headers.get("x-api-key", ""),
        cookie=connection.cookies.get(desk.sessions.cookie, ""),
    )
    return _let_in(connection, identity, public_url)


def _known(connection: HTTPConnection, desk: Desk, public_url: str) -> Identity | None:
    """Return who asks if that need not be asked of the database, else None."""
    headers = connection.headers
    identity = desk.known(
        authorization=headers.get("authorization", ""),
        api_key=headers.get("x-api-key", ""),
        cookie=connection.cookies.get(desk.sessions.cookie, ""),
    )
    return None if identity is None else _let_in(connection, identity, public_url)


def _let_in(connection: HTTPConnection, identity: Identity, public_url: str) -> Identity:
    note_identity(connection, identity)
    # Behind the identity, so that the audit line can name who was made to ask. A token changes nothing on behalf of
    # another site, for no browser sends it by itself.
    changes = connection.scope.get("method", "GET") not in SAFE_METHODS
    if changes and not identity.token_id and not is_our_own(connection.headers, public_url=public_url):
        raise CrossSite
    return identity


@dataclass(frozen=True, slots=True)
class Needs:
    """The dependency that lets in who has a permission."""

    permission: Permission

    async def __call__(self, request: Request) -> Identity:
        """Return who asks.

        Raises:
            NotSignedIn, CrossSite, NotAllowed: see `api.errors`.
        """
        desk: Desk = request.app.state.desk
        public_url: str = request.app.state.public_url
        identity = _known(request, desk, public_url)
        if identity is None:
            identity = await run_in_threadpool(identity_of, request, desk, public_url=public_url)
        identity.require(self.permission)
        return identity


async def identify_late(request: Request) -> None:
    """Ask who sends a request that was refused before anybody was asked, as one whose body is no JSON is.

    Strangers learn nothing of what was wrong with it, and the audit log names everybody else.

    Raises:
        NotSignedIn, CrossSite, NotAllowed: see `Needs`; of a public address nothing.
    """
    route = request.scope.get("route")
    if isinstance(route, APIRoute) and not is_identified(request):
        for needs in _needs(route.dependant):
            await needs(request)


def _needs(dependant: Dependant) -> Iterator[Needs]:
    for each in dependant.dependencies:
        if isinstance(each.call, Needs):
            yield each.call
        yield from _needs(each)


def _in_person(identity: Annotated[Identity, Depends(Needs("evaluate"))]) -> Identity:
    if identity.token_id:
        raise NotByToken(identity.name)
    return identity


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskHere: TypeAlias = Annotated[Desk, Depends(_desk)]
"""The desk that says who people are, as an argument of an endpoint."""

Person: TypeAlias = Annotated[Identity, Depends(_in_person)]
"""Somebody who is signed in; not an API token, which may be in anybody's hands."""

Reader: TypeAlias = Annotated[Identity, Depends(Needs("read"))]
Evaluator: TypeAlias = Annotated[Identity, Depends(Needs("evaluate"))]
Overrider: TypeAlias = Annotated[Identity, Depends(Needs("override"))]
Creator: TypeAlias = Annotated[Identity, Depends(Needs("create"))]
Steerer: TypeAlias = Annotated[Identity, Depends(Needs("steer"))]
Operator: TypeAlias = Annotated[Identity, Depends(Needs("operate"))]
Administrator: TypeAlias = Annotated[Identity, Depends(Needs("administer"))]
