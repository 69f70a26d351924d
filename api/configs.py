"""What services and clients ask: config documents to download, and the variants of a client's tests."""

from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import ConfigDict, Field

from api.checkers import CheckersHere
from api.identify import Evaluator, Reader
from api.live_configs import LiveConfig, LiveConfigs
from api.refusals import NoSuchThing
from api.texts import KeyInPath
from api.visits import VisitDocument

router = APIRouter(prefix="/api/v1", tags=["services and clients"])

_JSON: Final = "application/json"


async def _live(request: Request) -> LiveConfigs:
    live: LiveConfigs = request.app.state.live
    return live


Live: TypeAlias = Annotated[LiveConfigs, Depends(_live)]
IfNoneMatch: TypeAlias = Annotated[str | None, Header(description="The ETag in hand: 304 where nothing changed")]


class ClientVisit(VisitDocument):
    """A visit of a client, with the keys of the tests that this version of it supports."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": {"id": 42, "split_group": 1207}, "supported": ["green_button"]}]}
    )

    supported: Annotated[list[str], Field(max_length=1000)]


@router.get("/configs", summary="All config documents", response_class=Response, responses={304: {}})
def download_all(live: Live, _: Reader, if_none_match: IfNoneMatch = None) -> Response:
    """Return `{"documents": […]}`, as docs/config-documents.md describes them: what an agent keeps as files.

    The documents name conditions, and the users that QA forced, so the token of a browser does not open them.
    """
    live.refresh()
    current = live.current
    return _fresh(_all(current), f'"{current.digest}"', if_none_match)


@router.get("/configs/{key}", summary="One config document", response_class=Response, responses={304: {}})
def download(live: Live, _: Reader, key: KeyInPath, if_none_match: IfNoneMatch = None) -> Response:
    """Return the document that servers know under this key: a test's own, `~user_group.…` or `~overrides`."""
    live.refresh()
    found = live.current.documents.get(key)
    if found is None:
        raise NoSuchThing("config document", key)
    return _fresh(found.document.encode(), f'"{found.position}"', if_none_match)


@router.post("/client/variants", summary="The variants of the tests that a client supports")
def client_variants(checkers: CheckersHere, request: Request, _: Evaluator, visit: ClientVisit) -> dict[str, str]:
    """Return variants by key; a test without one is absent. No hits are logged: knowing is not showing."""
    return checkers.of(request.app.state.environment_name).active_variants(
        visit.unit(), visit.way(), supported=frozenset(visit.supported)
    )


def _all(current: LiveConfig) -> bytes:
    documents = ",".join(current.documents[key].document for key in sorted(current.documents))
    return f'{{"documents":[{documents}]}}'.encode()


def _fresh(body: bytes, etag: str, if_none_match: str | None) -> Response:
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and etag in {each.strip().removeprefix("W/") for each in if_none_match.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=_JSON, headers=headers)
