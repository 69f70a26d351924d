"""QA overrides: force a unit into a variant, switch all tests off for it, enable one, and take it back.

For QA engineers and for autotests. A unit is `user:42`, `device:ab-1` or `guest:7f3a`, in one environment; it stands in
the body, for an id may hold any character.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.changes import Overriding, Receipt
from api.cursors import After, Limit, cursor_of, parts_of
from api.identify import Reader
from api.parts import Here
from api.rendering import rendered
from api.sight import VisibleKeys
from api.texts import AwareMoment, StorableText
from projections import overrides
from projections.overrides import DisabledUnit, ForcedVariant

router = APIRouter(prefix="/api/v1/overrides", tags=["QA overrides"])

OverrideEnvironment: TypeAlias = Literal["devel", "production"]

_PLACE: Final[dict[str, Any]] = {"unit": "user:42", "environment": "devel"}


class Place(BaseModel):
    """A unit in an environment. In production, the person behind the id sees what is forced."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_PLACE]})

    unit: Annotated[str, Field(max_length=300, description="user:ID, device:ID or guest:ID")]
    environment: OverrideEnvironment = "devel"


class Force(Place):
    """A variant to be forced; null forces the unit out of the test. Without `until` it ends in seven days."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_PLACE, "key": "green_button", "variant": "green"}]})

    key: Annotated[str, Field(max_length=200)]
    variant: Annotated[str, Field(max_length=1000)] | None
    until: AwareMoment | None = None


class Forget(Place):
    """What is to be taken back: one test's forced variant, or without a key everything that was said of the unit."""

    key: Annotated[str, Field(max_length=200)] | None = None


class Disable(Place):
    """A unit that is to take part in no test. Without `until` that ends in seven days."""

    until: AwareMoment | None = None


class Enable(Place):
    """The one test that a unit is to take part in all the same."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_PLACE, "key": "green_button"}]})

    key: Annotated[str, Field(max_length=200)]


class ForcedDocument(TypedDict):
    """A forced variant, null: out of the test. `in_force`: servers are told of it; not of a Draft's, for example."""

    key: str
    variant: str | None
    until: datetime
    actor: str
    at: datetime
    in_force: bool


class DisabledDocument(TypedDict):
    """All tests are switched off, but for those that are `enabled`."""

    enabled: list[str]
    until: datetime
    actor: str
    at: datetime


class OverriddenUnit(TypedDict):
    """What was said of a unit in an environment; `disabled` is null while it takes part in all tests."""

    unit: str
    environment: OverrideEnvironment
    forced: list[ForcedDocument]
    disabled: DisabledDocument | None


class OverridesPage(TypedDict):
    """Units of which something was said; `next` is the `after` of the page behind it, null on the last one."""

    units: list[OverriddenUnit]
    next: str | None


@router.get("", summary="What is forced, and for whom tests are switched off", response_model=OverridesPage)
def list_overrides(
    parts: Here,
    identity: Reader,
    unit: Annotated[StorableText | None, Query(max_length=300, description="Only of this unit")] = None,
    environment: Annotated[OverrideEnvironment | None, Query(description="Only in this environment")] = None,
    key: Annotated[StorableText | None, Query(max_length=200, description="Only units that this is forced for")] = None,
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """Return the units by environment and name. Drafts of others are not named."""
    with parts.reading() as connection:
        forced = overrides.forced(connection, unit=unit, environment=environment)
        disabled = overrides.disabled(connection, unit=unit, environment=environment)
        visible = VisibleKeys(connection, identity)
        units = _by_place([each for each in forced if each.key in visible], disabled, visible)
    wanted = [each for each in units if key is None or any(one["key"] == key for one in each["forced"])]
    if after is not None:
        place = parts_of("overrides", after, 2)
        wanted = [each for each in wanted if [each["environment"], each["unit"]] > place]
    last = wanted[limit - 1] if len(wanted) > limit else None
    behind = None if last is None else cursor_of("overrides", [last["environment"], last["unit"]])
    return rendered(OverridesPage(units=wanted[:limit], next=behind))


@router.post("/force", summary="Give one unit a variant")
def force(order: Overriding, wanted: Force) -> Receipt:
    """Force it, whatever dates, conditions, split groups and status say. Forcing again renews its end."""
    appended = order.parts.overrides.force(
        order.request,
        unit=wanted.unit,
        environment=wanted.environment,
        key=wanted.key,
        variant=wanted.variant,
        until=wanted.until,
    )
    return order.done(wanted.unit, appended)


@router.post("/forget", summary="Take back what was forced")
def forget(order: Overriding, wanted: Forget) -> Receipt:
    """Take back one test's forced variant; without a key, everything that was said of the unit."""
    appended = order.parts.overrides.forget(
        order.request, unit=wanted.unit, environment=wanted.environment, key=wanted.key
    )
    return order.done(wanted.unit, appended)


@router.post("/disable-tests", summary="Switch all tests off for one unit")
def disable_tests(order: Overriding, wanted: Disable) -> Receipt:
    """No test, new ones included, gives it a variant, but what is forced and what is enabled afterwards.

    An autotest begins by it: what was enabled before is forgotten.
    """
    appended = order.parts.overrides.disable_tests(
        order.request, unit=wanted.unit, environment=wanted.environment, until=wanted.until
    )
    return order.done(wanted.unit, appended)


@router.post("/enable-test", summary="Let a unit take part in one test all the same")
def enable_test(order: Overriding, wanted: Enable) -> Receipt:
    """Pass this one test over in the switching off."""
    appended = order.parts.overrides.enable_test(
        order.request, unit=wanted.unit, environment=wanted.environment, key=wanted.key
    )
    return order.done(wanted.unit, appended)


@router.post("/enable-tests", summary="Let a unit take part in all tests again")
def enable_tests(order: Overriding, wanted: Place) -> Receipt:
    """Take the switching off back. What is forced stays."""
    appended = order.parts.overrides.enable_tests(order.request, unit=wanted.unit, environment=wanted.environment)
    return order.done(wanted.unit, appended)


def _by_place(
    forced: Collection[ForcedVariant], disabled: Collection[DisabledUnit], visible: VisibleKeys
) -> list[OverriddenUnit]:
    places: dict[tuple[str, str], OverriddenUnit] = {}

    def at(environment: str, unit: str) -> OverriddenUnit:
        empty = OverriddenUnit(unit=unit, environment=_ENVIRONMENTS[environment], forced=[], disabled=None)
        return places.setdefault((environment, unit), empty)

    for each in forced:
        at(each.environment, each.unit)["forced"].append(
            ForcedDocument(
                key=each.key,
                variant=each.variant,
                until=each.until,
                actor=each.actor,
                at=each.at,
                in_force=each.in_force,
            )
        )
    for one in disabled:
        at(one.environment, one.unit)["disabled"] = DisabledDocument(
            enabled=[key for key in one.enabled if key in visible], until=one.until, actor=one.actor, at=one.at
        )
    return [places[place] for place in sorted(places)]


_ENVIRONMENTS: Final[Mapping[str, OverrideEnvironment]] = {"devel": "devel", "production": "production"}
