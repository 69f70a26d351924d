"""Numbers about users before anything is decided: live numbers of conditions, and the preview of a proposal.

Nothing here changes anything. A preview takes as long as a preparation. Who sends `Accept: text/event-stream` is told
of each step while it is at work, who does not waits for the end. So a preview is one request; nothing of it is kept.
"""

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import BoundedSemaphore
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from accounts.identity import Identity
from api.errors import problem_of
from api.identify import Reader
from api.parts import Here, Parts
from api.refusals import NobodyIsCounted, TooManyCounts
from api.rendering import rendered
from api.settings import EXAMPLE
from api.settings_documents import MovedDocument, OverlapDocument, overlap_document
from api.sight import onlooker, seen_test
from api.texts import AwareMoment, KeyInPath, StorableText
from audience.preview import AudienceService, Preview, Told
from projections import list_pages
from projections.preparation_steps import SHARE_DONE

router = APIRouter(prefix="/api/v1", tags=["audience"])

MOST_PREVIEWS: Final = 2
"""At once in a process: each counts all users and draws split groups."""

MOST_COUNTS: Final = 8
"""Live numbers at once: those of an attribute that nobody asked about yet are counted, one after the other."""

_SIGN_OF_LIFE_SECONDS: Final = 10.0
_EVENTS: Final = "text/event-stream"


class Asked(BaseModel):
    """Conditions that are being edited, and of what: a test is not compared with itself, nor with other times."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"conditions": EXAMPLE["conditions"]}]})

    conditions: list[Any]
    key: Annotated[StorableText, Field(max_length=200)] = ""
    type: Annotated[StorableText, Field(max_length=200)] = ""
    starts_at: AwareMoment | None = None
    ends_at: AwareMoment | None = None


class SharedUsersDocument(TypedDict):
    """How many of the users meet the conditions of another test too."""

    key: str
    users: int
    same_type: bool


class NumbersDocument(TypedDict):
    """How many users meet the conditions; at most so many where `assumed_filters` were taken to be met."""

    users: int
    shared: list[SharedUsersDocument]
    as_of: datetime
    assumed_filters: list[str]


class PreviewRequest(BaseModel):
    """A proposal as `POST …/settings` takes it; and how many users already do what the test is about, 0.05 for 5 %."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"proposal": EXAMPLE}]})

    proposal: dict[str, Any]
    base_rate: Annotated[float, Field(gt=0, lt=1)] | None = None


class PreviewedVariant(TypedDict):
    """A variant: how many split groups it would own, and how many users carry them.

    `smallest_effect` is the smallest increase of a rate that so many users show against control, as a share; null for
    control itself.
    """

    name: str
    groups: int
    percent: float
    users: int | None
    smallest_effect: float | None


class PreviewDocument(TypedDict):
    """What a proposal would become: users and smallest effects by variant, overlaps, and who would move.

    `users` meet the conditions, in the test or not. Chance decides which of equally good split groups are drawn, so the
    preparation's own numbers may differ by a few.
    """

    settings_group: int
    users: int
    variants: list[PreviewedVariant]
    overlaps: list[OverlapDocument]
    kept_groups: int
    moved: list[MovedDocument]
    assumed_filters: list[str]
    base_rate: float


class StepDocument(TypedDict):
    """A step that is done: its name, about how much of everything is done (0 to 1), and what it brought."""

    step: Literal["overlaps", "counted", "split_groups"]
    share_done: float
    detail: str


class Places:
    """Lets a few requests that count be at work at once, so that they never take all threads of the process."""

    def __init__(self, most: int) -> None:
        self._places = BoundedSemaphore(most)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place until the end of the block.

        Raises:
            TooManyCounts: all are taken.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyCounts
        try:
            yield
        finally:
            self._places.release()


async def _audience(parts: Here) -> AudienceService:
    """Return the service.

    Raises:
        NobodyIsCounted: no users table is connected.
    """
    if parts.audience is None:
        raise NobodyIsCounted
    return parts.audience


async def _previews(request: Request) -> Places:
    previews: Places = request.app.state.previews
    return previews


async def _counts(request: Request) -> Places:
    counts: Places = request.app.state.counts
    return counts


AudienceHere: TypeAlias = Annotated[AudienceService, Depends(_audience)]
PreviewsHere: TypeAlias = Annotated[Places, Depends(_previews)]
CountsHere: TypeAlias = Annotated[Places, Depends(_counts)]


@router.post(
    "/audience/numbers", summary="How many users meet conditions, and other tests' too", response_model=NumbersDocument
)
def numbers(_: Reader, audience: AudienceHere, counts: CountsHere, asked: Asked) -> Response:
    """Return the numbers, usually at once; the first question about an attribute counts anew. Drafts are not told."""
    with counts.place():
        found = audience.live_numbers(
            asked.conditions, key=asked.key, type=asked.type, starts_at=asked.starts_at, ends_at=asked.ends_at
        )
    shared = [SharedUsersDocument(key=each.key, users=each.users, same_type=each.is_same_type) for each in found.shared]
    return rendered(
        NumbersDocument(
            users=found.users, shared=shared, as_of=found.as_of, assumed_filters=list(found.assumed_filters)
        )
    )


@router.post(
    "/tests/{key}/settings/preview",
    summary="What a proposal would become",
    response_model=PreviewDocument,
    responses={200: {"content": {_EVENTS: {"schema": {"type": "string"}}}}},
)
async def preview(  # noqa: PLR0913, PLR0917 - what a preview needs, handed in by the framework
    request: Request,
    identity: Reader,
    parts: Here,
    audience: AudienceHere,
    previews: PreviewsHere,
    key: KeyInPath,
    asked: PreviewRequest,
    accept: Annotated[str, Header(description="text/event-stream: tell each step while it is at work")] = "",
) -> Response:
    """Draw, count and compare as a preparation does, and change nothing.

    With `Accept: text/event-stream` the answer is a stream of events: `step` for each step that is done, and at the end
    `preview` with the document, or `problem`.
    """
    work = _Work(parts=parts, audience=audience, previews=previews, identity=identity, key=key, asked=asked)
    await asyncio.to_thread(work.check)
    if _EVENTS not in accept:
        return rendered(await asyncio.to_thread(work.do, _tell_nobody))
    return StreamingResponse(_told(request, work), media_type=_EVENTS, headers={"Cache-Control": "no-store"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A preview that somebody asked for."""

    parts: Parts
    audience: AudienceService
    previews: Places
    identity: Identity
    key: str
    asked: PreviewRequest

    def check(self) -> None:
        """Return if the person may know of the test.

        Raises:
            SplitTestNotFound: there is none, or it is somebody else's Draft.
        """
        with self.parts.reading() as connection:
            seen_test(connection, self.identity, self.key)

    def do(self, told: Told) -> PreviewDocument:
        """Do the work.

        Raises:
            TooManyCounts: others are at work.
            RuleBroken, ConditionsError, AudienceError, WarehouseError: see `AudienceService.preview`.
        """
        with self.previews.place():
            found = self.audience.preview(self.key, self.asked.proposal, base_rate=self.asked.base_rate, told=told)
        with self.parts.reading() as connection:
            visible = list_pages.visible_keys(connection, onlooker(self.identity))
        return _document(found, visible)


async def _told(request: Request, work: _Work) -> AsyncIterator[bytes]:
    """Tell of a preview as server-sent events, until its end. Who hangs up does not stop what is counted already."""
    steps: queue.SimpleQueue[StepDocument] = queue.SimpleQueue()
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def told(step: str, detail: str) -> None:
        steps.put(StepDocument(step=step, share_done=SHARE_DONE.get(step, 0.0), detail=detail))  # type: ignore[typeddict-item]  # one of a draw
        loop.call_soon_threadsafe(woken.set)

    def done(working: "asyncio.Task[PreviewDocument]") -> None:
        if not working.cancelled():
            working.exception()  # looked at here, for whoever asked may have hung up
        woken.set()

    working = asyncio.create_task(asyncio.to_thread(work.do, told))
    working.add_done_callback(done)
    while not working.done() or not steps.empty():
        while not steps.empty():
            yield _event("step", msgspec.json.encode(steps.get()))
        try:
            await asyncio.wait_for(woken.wait(), _SIGN_OF_LIFE_SECONDS)
        except TimeoutError:
            yield b": still at work\n\n"
        woken.clear()
    error = working.exception()
    if error is None:
        yield _event("preview", msgspec.json.encode(working.result()))
    elif isinstance(error, Exception):
        yield _event("problem", problem_of(request, error).body)


def _event(name: str, data: bytes | memoryview) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _document(found: Preview, visible: frozenset[str]) -> PreviewDocument:
    return PreviewDocument(
        settings_group=found.settings_group,
        users=found.users,
        variants=[
            PreviewedVariant(
                name=each.name,
                groups=len(each.split_groups),
                percent=len(each.split_groups) / 24,
                users=each.users,
                smallest_effect=each.smallest_effect,
            )
            for each in found.variants
        ],
        overlaps=[overlap_document(each, visible) for each in found.overlaps],
        kept_groups=found.kept_groups,
        moved=[MovedDocument(before=each.before, after=each.after, groups=each.groups) for each in found.moved],
        assumed_filters=list(found.assumed_filters),
        base_rate=found.base_rate,
    )


def _tell_nobody(step: str, detail: str) -> None:
    del step, detail
