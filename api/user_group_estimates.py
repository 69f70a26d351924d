"""How many users a user group has, and how many of them are in tests: as counted last, counted anew, or previewed."""

from collections.abc import Container
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from typing_extensions import TypedDict

from api.audience import AudienceHere, PreviewsHere
from api.changes import Receipt, Steering
from api.identify import Reader
from api.parts import Here
from api.refusals import NotCountedYet
from api.rendering import rendered
from api.sight import VisibleKeys, onlooker, seen_user_group
from api.texts import KeyInPath
from api.user_groups import Conditions
from events.user_group_estimate_facts import SharedWithTest
from projections import list_pages, user_group_estimates

router = APIRouter(prefix="/api/v1/user-groups/{key}", tags=["user groups"])


class SharedVariantDocument(TypedDict):
    """How many users of the group carry a variant."""

    variant: str
    users: int


class SharedDocument(TypedDict):
    """How many users of the group are in a test too; a Draft of others has no `key`.

    `is_upper_bound`: fewer may be, for a filter of the visit cannot be counted.
    """

    key: str
    settings_group: int
    users: int
    their_users: int | None
    is_upper_bound: bool
    by_variant: list[SharedVariantDocument]


class EstimateDocument(TypedDict):
    """What was counted last of the conditions in force; `users` is null while these were never counted."""

    settings_group: int
    state: Literal["waiting", "counted", "failed"]
    reason: str
    users: int | None
    shared: list[SharedDocument]
    assumed_filters: list[str]
    counted_at: datetime | None


class GroupPreviewDocument(TypedDict):
    """What the group would be with these conditions; at most so many where `assumed_filters` were taken to be met."""

    users: int
    shared: list[SharedDocument]
    assumed_filters: list[str]


@router.get("/estimate", summary="How many users are in it, as counted last", response_model=EstimateDocument)
def get_estimate(parts: Here, identity: Reader, key: KeyInPath) -> Response:
    """Return the estimate. After new conditions, ask until `state` is not "waiting"."""
    with parts.reading() as connection:
        seen_user_group(connection, identity, key)
        found = user_group_estimates.get(connection, key)
        if found is None:
            raise NotCountedYet(key)
        visible = VisibleKeys(connection, identity)
        shared = [shared_document(each, visible) for each in found.shared]
    return rendered(
        EstimateDocument(
            settings_group=found.settings_group,
            state=found.state,
            reason=found.reason,
            users=found.users,
            shared=shared,
            assumed_filters=list(found.assumed_filters),
            counted_at=found.counted_at,
        )
    )


@router.post("/estimate", summary="Count its users anew", status_code=202)
def ask_for_estimate(order: Steering, key: KeyInPath) -> Receipt:
    """Let it wait to be counted; the numbers of before stay until then."""
    return order.done(key, order.parts.user_group_estimates.ask(order.request, key))


@router.post("/preview", summary="What a user group would be", response_model=GroupPreviewDocument)
def preview(
    identity: Reader,
    parts: Here,
    audience: AudienceHere,
    previews: PreviewsHere,
    key: KeyInPath,
    conditions: Conditions,
) -> Response:
    """Count who would be in it, and who of them is in tests; change nothing. Takes as long as counting takes."""
    with parts.reading() as connection:
        seen_user_group(connection, identity, key)
    with previews.place():
        found = audience.preview_group(key, conditions)
    with parts.reading() as connection:
        visible = list_pages.visible_keys(connection, onlooker(identity))
    return rendered(
        GroupPreviewDocument(
            users=found.users,
            shared=[shared_document(each, visible) for each in found.shared],
            assumed_filters=list(found.assumed_filters),
        )
    )


def shared_document(shared: SharedWithTest, visible: Container[str]) -> SharedDocument:
    """Return what is shared with a test as a document; a test that is not among `visible` is not named."""
    is_named = shared.key in visible
    return SharedDocument(
        key=shared.key if is_named else "",
        settings_group=shared.settings_group if is_named else 0,
        users=shared.users,
        their_users=shared.their_users,
        is_upper_bound=shared.is_upper_bound,
        by_variant=[SharedVariantDocument(variant=each.variant, users=each.users) for each in shared.by_variant]
        if is_named
        else [],
    )
