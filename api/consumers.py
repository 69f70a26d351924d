"""How far each process is that follows the log or a topic, for operators."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from api.identify import Reader
from api.rendering import rendered

router = APIRouter(prefix="/api/v1", tags=["operating"])

ConsumerState: TypeAlias = Literal["up to date", "behind", "late", "nobody reads", "not known"]


class ConsumerStanding(Protocol):
    """What is known of a process that follows the log or a topic; see `ConsumerDocument`."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as the document's
    @property
    def does(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> ConsumerState: ...  # noqa: D102
    @property
    def behind(self) -> int | None: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def since(self) -> datetime | None: ...  # noqa: D102
    @property
    def members(self) -> int | None: ...  # noqa: D102
    @property
    def advice(self) -> str: ...  # noqa: D102


ReadConsumers: TypeAlias = Callable[[], Sequence[ConsumerStanding]]
"""Gives where every consumer stands; waits for the database and for Kafka."""


class ConsumerDocument(TypedDict):
    """A process that follows the log or a topic.

    `state` is "late" where the oldest of what it has not read has waited for long, since `since`; `behind` counts that
    in `unit`s; `members` read together. Null is not known, and `advice` says why, or how to go on.
    """

    name: str
    does: str
    state: ConsumerState
    behind: int | None
    unit: str
    since: datetime | None
    members: int | None
    advice: str


class ConsumersDocument(TypedDict):
    """All of them."""

    consumers: list[ConsumerDocument]


def nobody_knows() -> Sequence[ConsumerStanding]:
    """Tell of no consumer."""
    return ()


@router.get("/consumers", summary="How far the consumers are", response_model=ConsumersDocument)
def list_consumers(request: Request, _: Reader) -> Response:
    """Return where each stands; Kafka may take seconds to answer, or not to."""
    read: ReadConsumers = request.app.state.consumers
    found = [
        ConsumerDocument(
            name=each.name,
            does=each.does,
            state=each.state,
            behind=each.behind,
            unit=each.unit,
            since=each.since,
            members=each.members,
            advice=each.advice,
        )
        for each in read()
    ]
    return rendered(ConsumersDocument(consumers=found))
