"""Is there traffic, and is it even: the hits of a test over time, and the units of its settings group by variant."""

from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Query, Request, Response
from typing_extensions import TypedDict

from api.clock import Clock
from api.identify import Reader
from api.overrides import OverrideEnvironment
from api.parts import Here
from api.refusals import NoWarehouse
from api.rendering import rendered
from api.sight import onlooker, seen_test
from api.texts import AwareMoment, KeyInPath
from domain.evenness import evenness
from projections import current_settings, list_pages
from warehouse.traffic import HitTraffic, Span, UnitsShown

router = APIRouter(prefix="/api/v1", tags=["traffic"])

_DAY: Final = timedelta(days=1)


class LineDocument(TypedDict):
    """The hits of a variant of a settings group, a number for each bucket."""

    settings_group: int
    variant: str
    hits: list[int]


class EvennessDocument(TypedDict):
    """How units lie over the variants of the settings group in force, against what their split groups promise.

    `p_value` is how often units that fall as promised lie at least as unevenly, null where there are too few; `torn`
    counts units that were shown more than one variant. `alarming`: look at the code before you look at results.
    """

    settings_group: int
    units: dict[str, int]
    expected: dict[str, float]
    torn: int
    p_value: float | None
    alarming: bool


class TrafficDocument(TypedDict):
    """Hits from `since` up to, but without, `until`, in buckets; those that QA forced are left out."""

    key: str
    environment: OverrideEnvironment
    since: datetime
    until: datetime
    bucket_seconds: int
    lines: list[LineDocument]
    evenness: EvennessDocument


class RecentDocument(TypedDict):
    """The hits of every test that had any, a number for each bucket, by key; those that QA forced are left out."""

    environment: OverrideEnvironment
    since: datetime
    until: datetime
    bucket_seconds: int
    hits: dict[str, list[int]]


async def _traffic(request: Request) -> HitTraffic:
    """Return what counts hits.

    Raises:
        NoWarehouse: nothing does.
    """
    traffic: HitTraffic | None = request.app.state.traffic
    if traffic is None:
        raise NoWarehouse
    return traffic


TrafficHere: TypeAlias = Annotated[HitTraffic, Depends(_traffic)]


@router.get(
    "/tests/{key}/traffic", summary="Hits per variant over time, and their evenness", response_model=TrafficDocument
)
def get_traffic(  # noqa: PLR0913, PLR0917 - the bounds of a chart
    identity: Reader,
    parts: Here,
    clock: Clock,
    traffic: TrafficHere,
    key: KeyInPath,
    since: Annotated[AwareMoment | None, Query(description="The beginning; a day before the end by default")] = None,
    until: Annotated[AwareMoment | None, Query(description="The end, excluded; now by default")] = None,
    bucket_seconds: Annotated[int, Query(ge=1, le=31 * 86_400, description="How much one number stands for")] = 3600,
    environment: OverrideEnvironment = "production",
) -> Response:
    """Count in the warehouse, which has hits a second or so after they happened."""
    end = until or clock()
    span = Span(since=since or end - _DAY, until=end, bucket=timedelta(seconds=bucket_seconds), environment=environment)
    with parts.reading() as connection:
        seen_test(connection, identity, key)
        settings = current_settings.get(connection, key)
    group = settings.settings_group if settings else 0
    promised = {each.name: float(each.groups) for each in settings.variants} if settings else {}
    units = traffic.units(key, group, span) if group else UnitsShown(per_variant={}, torn=0)
    even = evenness(units.per_variant, promised) if promised else None
    return rendered(
        TrafficDocument(
            key=key,
            environment=environment,
            since=span.since,
            until=span.until,
            bucket_seconds=bucket_seconds,
            lines=[
                LineDocument(settings_group=line.settings_group, variant=line.variant, hits=list(line.hits))
                for line in traffic.over_time(key, span)
            ],
            evenness=EvennessDocument(
                settings_group=group,
                units=dict(units.per_variant),
                expected=dict(even.expected) if even else {},
                torn=units.torn,
                p_value=even.p_value if even else None,
                alarming=even.is_alarming if even else False,
            ),
        )
    )


@router.get("/traffic", summary="Hits of all tests over time", response_model=RecentDocument)
def get_recent(  # noqa: PLR0913, PLR0917 - as above
    identity: Reader,
    parts: Here,
    clock: Clock,
    traffic: TrafficHere,
    since: Annotated[AwareMoment | None, Query(description="The beginning; a day before the end by default")] = None,
    until: Annotated[AwareMoment | None, Query(description="The end, excluded; now by default")] = None,
    bucket_seconds: Annotated[int, Query(ge=1, le=31 * 86_400, description="How much one number stands for")] = 3600,
    environment: OverrideEnvironment = "production",
) -> Response:
    """Count in the warehouse the hits of the tests that you may see: whether anything is going on at all."""
    end = until or clock()
    span = Span(since=since or end - _DAY, until=end, bucket=timedelta(seconds=bucket_seconds), environment=environment)
    with parts.reading() as connection:
        visible = list_pages.visible_keys(connection, onlooker(identity))
    return rendered(
        RecentDocument(
            environment=environment,
            since=span.since,
            until=span.until,
            bucket_seconds=bucket_seconds,
            hits={key: list(hits) for key, hits in sorted(traffic.recent(span).items()) if key in visible},
        )
    )
