"""What happened to a test, and what was in force at a moment: the changelog, and answers as of then."""

import json
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy import Connection
from typing_extensions import TypedDict

from accounts.identity import Identity
from api.identify import Reader
from api.parts import Here, Parts
from api.refusals import BehindTheLog, NothingThen, WhenMissing
from api.rendering import rendered
from api.settings_documents import SettingsDocument, settings_document
from api.sight import VisibleKeys, is_seen, onlooker, seen_test
from api.split_tests import SeenStatus
from api.texts import AwareMoment, KeyInPath
from events.facts import REGISTRY
from projections import changelog, list_pages
from projections.as_of import InForce, in_force
from projections.changelog import ChangelogEntry

router = APIRouter(prefix="/api/v1/tests/{key}", tags=["history"])

Position = Annotated[int | None, Query(ge=1, le=2**62, description="A position of the log, as changelogs have it")]
Moment = Annotated[AwareMoment | None, Query(description="A moment with its zone, such as 2026-05-03T14:05:00Z")]


class ChangeDocument(TypedDict):
    """What changed, its value before, and its value after; empty where there was or is none."""

    what: str
    before: str
    after: str


class EntryDocument(TypedDict):
    """Who did what, when: in a sentence, and as values before and after."""

    position: int
    at: datetime
    actor: str
    sentence: str
    changes: list[ChangeDocument]


class ChangelogPage(TypedDict):
    """A part of the changelog, the oldest first; `next` is the `after` of the part behind it, null at the end."""

    entries: list[EntryDocument]
    next: int | None


class InForceDocument(BaseModel):
    """What was in force then, by which changes.

    Attributes:
        position: the last position of the log that counted.
        at: the moment that was asked about; of a position, when its fact was recorded.
        status_by: the change that gave the test its status.
        proposed_by: the change that asked for the settings in force, null while there were none.
        prepared_by: the change that put them in force.
        config: what servers were told, null if the test was never published.
    """

    key: str
    position: int
    at: datetime
    name: str
    managers: list[str]
    status: SeenStatus
    status_by: EntryDocument
    settings: SettingsDocument
    proposed_by: EntryDocument | None
    prepared_by: EntryDocument | None
    config: dict[str, Any] | None


@router.get("/changelog", summary="Every change: who, when, what, before → after", response_model=ChangelogPage)
def get_changelog(
    parts: Here,
    identity: Reader,
    key: KeyInPath,
    after: Annotated[int, Query(ge=0, le=2**62, description="Only entries behind this position")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Return the changelog, the oldest entries first."""
    with parts.reading() as connection:
        seen_test(connection, identity, key)
        visible = VisibleKeys(connection, identity)
        found = changelog.entries(connection, key, limit=limit + 1, after=after, visible=visible)
    return rendered(changelog_page(found, limit))


@router.get("/as-of", summary="What was in force at a moment, and by whose change")
def get_as_of(
    parts: Here, identity: Reader, key: KeyInPath, position: Position = None, at: Moment = None
) -> InForceDocument:
    """Return what was in force then. You see what you may see today and could have seen then."""
    with parts.reading() as connection:
        seen_test(connection, identity, key)
        visible = _visible(connection, identity)
    then, moment = resolve(parts, position, at)
    found = seen_then(parts, identity, key, then, visible=visible)
    return InForceDocument(
        key=key,
        position=then,
        at=moment,
        name=found.listed.name,
        managers=list(found.listed.managers),
        status=found.listed.status,  # type: ignore[arg-type]  # a discarded test has no line
        status_by=entry_document(found.status_by),
        settings=settings_document(key, found.listed.version, found.settings, visible=visible),
        proposed_by=entry_document(found.proposed_by) if found.proposed_by else None,
        prepared_by=entry_document(found.prepared_by) if found.prepared_by else None,
        config=json.loads(found.document.document) if found.document else None,
    )


def changelog_page(found: Sequence[ChangelogEntry], limit: int) -> ChangelogPage:
    """Return the first `limit` of `found`, and where the next ones begin if there are more."""
    more = len(found) > limit
    return ChangelogPage(
        entries=[entry_document(entry) for entry in found[:limit]], next=found[limit - 1].position if more else None
    )


def resolve(parts: Parts, position: int | None, at: datetime | None) -> tuple[int, datetime]:
    """Return the position that is asked about, and the moment at which a check then would have been made.

    Raises:
        WhenMissing: neither is given, or both are.
        BehindTheLog: nothing was recorded at the position yet.
    """
    if at is not None and position is None:
        return parts.store.position_at(at), at
    if position is None or at is not None:
        raise WhenMissing
    events = parts.store.read(after=position - 1, limit=1)
    if not events:
        raise BehindTheLog(position, parts.store.head())
    return position, events[0].recorded_at


def seen_then(parts: Parts, identity: Identity, key: str, position: int, *, visible: Container[str] = ()) -> InForce:
    """Return what was in force for a test at a position.

    Raises:
        NothingThen: the test did not exist then, or was a Draft that this person could not have seen.
    """
    found = in_force(parts.store, REGISTRY, key=key, position=position, visible=visible)
    if found is None or not is_seen(identity, found.listed):
        raise NothingThen(key, position)
    return found


def entry_document(entry: ChangelogEntry) -> EntryDocument:
    """Return an entry as a document."""
    return EntryDocument(
        position=entry.position,
        at=entry.at,
        actor=entry.actor,
        sentence=entry.sentence,
        changes=[ChangeDocument(what=what, before=before, after=after) for what, before, after in entry.changes],
    )


def _visible(connection: Connection, identity: Identity) -> frozenset[str]:
    return list_pages.visible_keys(connection, onlooker(identity))
