"""Where every projection stands: what an operator looks at, and what tells a reader how old its rows are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from projections.projection import Projection
from projections.registry import Generation, State, generations

Standing: TypeAlias = State | Literal["missing", "outdated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOverview:
    """One generation of a projection, or the lack of any.

    Attributes:
        generation: its number, 0 if the projection was never built.
        version: of the code that made its rows.
        position: the last position in its rows.
        lag: how many facts the log holds behind it; negative if an older log was restored.
        state: as stored, but `missing` if there is no generation at all, and `outdated` if one that serves was made by
            another version of the code, so that this program cannot read it.
        reason: why it is paused or retired.
        serves: whether readers are given it; a paused one serves its last rows.
        advice: how to go on, "" if all is well.
    """

    name: str
    generation: int
    version: int
    position: int
    lag: int
    state: Standing
    reason: str
    serves: bool
    advice: str


def overview(connection: Connection, projections: Sequence[Projection], *, head: int) -> list[GenerationOverview]:
    """Return every generation of every projection, by name and number; `head` is the last position of the log."""
    found = []
    for projection in sorted(projections, key=lambda each: each.name):
        known = generations(connection, projection.name)
        found += [_of(projection, each, head) for each in known] or [_missing(projection, head)]
    return found


def _of(projection: Projection, generation: Generation, head: int) -> GenerationOverview:
    is_outdated = generation.serves and generation.version != projection.version
    state: Standing = "outdated" if is_outdated else generation.state
    lag = head - generation.position
    return GenerationOverview(
        name=generation.name,
        generation=generation.generation,
        version=generation.version,
        position=generation.position,
        lag=lag,
        state=state,
        reason=generation.reason,
        serves=generation.serves and not is_outdated,
        advice=_advice(projection, state, lag),
    )


def _missing(projection: Projection, head: int) -> GenerationOverview:
    return GenerationOverview(
        name=projection.name,
        generation=0,
        version=projection.version,
        position=0,
        lag=head,
        state="missing",
        reason="",
        serves=False,
        advice="start the projector, which builds it",
    )


def _advice(projection: Projection, state: Standing, lag: int) -> str:
    name = projection.name
    match state:
        case "paused":
            return f"remove the cause, then `projections resume {name}`; `rebuild {name}` if its rows went wrong too"
        case "outdated":
            return f"this program reads version {projection.version}: `rebuild {name}`"
        case "building":
            return f"a rebuild is at work; if it was killed, `rebuild {name}` starts anew"
        case "retired":
            return "its tables are dropped by the next rebuild"
        case "live" if lag < 0:
            return f"the log ends before it, was an older one restored? `rebuild {name}`"
        case _:
            return ""
