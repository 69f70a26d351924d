"""The steps of a test's life, each a POST of its own; and what to look at before the greatest of them."""

from typing import Final, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from api.changes import Receipt, Steering, etag
from api.clock import Clock
from api.identify import Reader
from api.missing_servers import MissingServersHere
from api.parts import Here
from api.rendering import rendered
from api.sight import VisibleKeys, seen_test
from api.texts import KeyInPath
from domain.errors import SplitTestNotFound
from projections import changelog, current_settings
from projections.checklist import Mark, Subject, checklist

router = APIRouter(prefix="/api/v1/tests/{key}", tags=["lifecycle"])

_WHOLE: Final = 10_000
"""Entries of a changelog: all of them."""


class Result(BaseModel):
    """How a test ends: the variant that stays, for everybody or for those who meet the conditions."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"resulting_variant": "green", "scope": "worldwide"}]}
    )

    resulting_variant: str
    scope: Literal["worldwide", "conditions"] = "worldwide"


class FindingDocument(TypedDict):
    """One line of the checklist.

    Attributes:
        mark: "ok"; "warn" where it deserves a look; "bad" where a start would bring nothing.
        found: a sentence; `why` is another one, empty where there is nothing to add.
    """

    about: Subject
    mark: Mark
    found: str
    why: str


class ChecklistDocument(TypedDict):
    """What to look at before the test is started; nothing of it bars a start. `version` is the ETag as well."""

    key: str
    findings: list[FindingDocument]
    version: int


@router.get("/checklist", summary="What to look at before Start", response_model=ChecklistDocument)
def get_checklist(
    parts: Here, missing_servers: MissingServersHere, identity: Reader, clock: Clock, key: KeyInPath
) -> Response:
    """Say whether the code is deployed, what the dates, servers and overlaps are like, and what users can show.

    With the ETag as `If-Match` of the start, what is started is what was looked at.
    """
    with parts.reading() as connection:
        row = seen_test(connection, identity, key)
        settings = current_settings.get(connection, key)
        if settings is None:
            raise SplitTestNotFound(key)
        entries = changelog.entries(connection, key, limit=_WHOLE)
        found = checklist(
            row,
            settings.without_hidden(VisibleKeys(connection, identity)),
            missing_on=missing_servers.read(connection).by_key.get(key, ()),
            prepared_at=changelog.prepared_at(entries, settings.settings_group),
            now=clock(),
        )
    document = ChecklistDocument(
        key=key,
        findings=[FindingDocument(about=each.about, mark=each.mark, found=each.found, why=each.why) for each in found],
        version=row.version,
    )
    return rendered(document, headers={"ETag": etag(row.version)})


@router.post("/publish", summary="Draft → In Dev")
def publish(order: Steering, key: KeyInPath) -> Receipt:
    """Everybody sees it, and test users get its variants."""
    return order.done(key, order.parts.split_tests.publish(order.request, key))


@router.post("/unpublish", summary="In Dev → Draft")
def unpublish(order: Steering, key: KeyInPath) -> Receipt:
    """Nobody else sees it any more."""
    return order.done(key, order.parts.split_tests.unpublish(order.request, key))


@router.post("/discard", summary="Throw a Draft away")
def discard(order: Steering, key: KeyInPath) -> Receipt:
    """Its key is free again."""
    return order.done(key, order.parts.split_tests.discard(order.request, key))


@router.post("/start", summary="In Dev → Running")
def start(order: Steering, key: KeyInPath) -> Receipt:
    """Real users get its variants, between its dates."""
    return order.done(key, order.parts.split_tests.start(order.request, key))


@router.post("/pause", summary="Running → Paused")
def pause(order: Steering, key: KeyInPath) -> Receipt:
    """Nobody gets a variant."""
    return order.done(key, order.parts.split_tests.pause(order.request, key))


@router.post("/resume", summary="Paused → Running")
def resume(order: Steering, key: KeyInPath) -> Receipt:
    """Variants are given again."""
    return order.done(key, order.parts.split_tests.resume(order.request, key))


@router.post("/finish", summary="Running or Paused → Finished")
def finish(order: Steering, key: KeyInPath, result: Result) -> Receipt:
    """One variant stays, worldwide or where the conditions match."""
    appended = order.parts.split_tests.finish(
        order.request, key, resulting_variant=result.resulting_variant, scope=result.scope
    )
    return order.done(key, appended)


@router.post("/reject", summary="Running or Paused → Rejected")
def reject(order: Steering, key: KeyInPath) -> Receipt:
    """The old behaviour stays."""
    return order.done(key, order.parts.split_tests.reject(order.request, key))
