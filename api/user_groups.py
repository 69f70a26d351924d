"""User groups: conditions without variants, which switch a feature for a circle of users."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from accounts.identity import Identity
from api.changes import Creation, Receipt, Steering, etag
from api.cursors import After, Limit, cursor_of, parts_of
from api.history import ChangelogPage, changelog_page
from api.identify import Reader
from api.missing_servers import MissingServers, MissingServersHere
from api.parts import Here
from api.rendering import rendered
from api.sight import VisibleKeys, seen_user_group
from api.split_tests import ChangedManagers
from api.texts import KeyInPath, StorableText
from domain.people import can_manage, can_see
from domain.user_group import UserGroupStatus
from domain.user_group_life import possible_actions
from projections import user_groups
from projections.settings_changes import conditions_text
from projections.user_groups import NAME_PREFIX, ListedUserGroup

router = APIRouter(prefix="/api/v1/user-groups", tags=["user groups"])

SeenGroupStatus: TypeAlias = Literal["draft", "active", "off"]
GroupStep: TypeAlias = Literal["activate", "switch-off", "discard"]


class UserGroupDocument(TypedDict):
    """A user group.

    `settings_group` is the number of the conditions in force, 0 while there are none; `conditions` is the tree as it
    was given (`[]` is everybody), `conditions_text` the same to be read. `version` is what a change may expect, the
    ETag as well. `not_laid_out_on` names live servers that do not have its newest config.
    """

    key: str
    name: str
    description: str
    author: str
    managers: list[str]
    status: SeenGroupStatus
    settings_group: int
    conditions: list[Any]
    conditions_text: str
    created_at: datetime
    updated_at: datetime
    version: int
    not_laid_out_on: list[str]
    live_servers: int
    possible_actions: list[GroupStep]
    i_manage: bool


class UserGroupPage(TypedDict):
    """A page of the list; `next` is the `after` of the page behind it, null on the last one."""

    user_groups: list[UserGroupDocument]
    total: int
    next: str | None


class NewUserGroup(BaseModel):
    """A user group to be made; the one who asks is its author and first manager."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"key": "premium_users", "name": "Premium users"}]}
    )

    key: str
    name: str
    description: str = ""
    managers: list[str] = Field(default_factory=list, max_length=1000)


class EditedUserGroup(BaseModel):
    """What is to be edited; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    description: str | None = None


Conditions: TypeAlias = Annotated[
    list[Any],
    Body(
        description="The tree of conditions, `[]` for everybody: docs/conditions.md",
        openapi_examples={
            "one country": {"value": [{"filter": "country_id", "operator": "in", "value": ["50"]}]},
        },
    ),
]


@router.get("", summary="The user groups that I may see, the newest first", response_model=UserGroupPage)
def list_user_groups(
    parts: Here,
    missing_servers: MissingServersHere,
    identity: Reader,
    status: Annotated[SeenGroupStatus | None, Query(description="Only in this status")] = None,
    search: Annotated[StorableText, Query(max_length=200)] = "",
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """Return a page. Drafts of others are neither listed nor counted."""
    with parts.reading() as connection:
        found = user_groups.rows(connection, status=status, search=search)
        missing = missing_servers.read(connection)
    actor = identity.actor
    seen = [group for group in found if can_see(actor, group.status, group.author, group.managers)]
    rest = seen
    if after is not None:
        moment, key = parts_of("user groups", after, 2)
        # The newest first, those of one moment by key.
        rest = [each for each in seen if _moment(each) < moment or (_moment(each) == moment and each.key > key)]
    last = rest[limit - 1] if len(rest) > limit else None
    return rendered(
        UserGroupPage(
            user_groups=[_document(group, missing, identity) for group in rest[:limit]],
            total=len(seen),
            next=None if last is None else cursor_of("user groups", [_moment(last), last.key]),
        )
    )


@router.post("", summary="Create a Draft of a user group", status_code=201)
def create(order: Creation, new: NewUserGroup) -> Receipt:
    """Create it; servers know nothing of it until it is active."""
    appended = order.parts.user_groups.create(
        order.request, key=new.key, name=new.name, description=new.description, managers=new.managers
    )
    order.response.headers["Location"] = f"/api/v1/user-groups/{new.key}"
    return order.done(new.key, appended)


@router.get("/{key}", summary="One user group", response_model=UserGroupDocument)
def get(parts: Here, missing_servers: MissingServersHere, identity: Reader, key: KeyInPath) -> Response:
    """Return the user group; its ETag is what a change may expect."""
    with parts.reading() as connection:
        group = seen_user_group(connection, identity, key)
        missing = missing_servers.read(connection)
    return rendered(_document(group, missing, identity), headers={"ETag": etag(group.version)})


@router.get("/{key}/changelog", summary="Every change of a user group", response_model=ChangelogPage)
def get_changelog(
    parts: Here,
    identity: Reader,
    key: KeyInPath,
    after: Annotated[int, Query(ge=0, le=2**62, description="Only entries behind this position")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Return the changelog, the oldest entries first."""
    with parts.reading() as connection:
        seen_user_group(connection, identity, key)
        visible = VisibleKeys(connection, identity)
        found = user_groups.changelog(connection, key, limit=limit + 1, after=after, visible=visible)
    return rendered(changelog_page(found, limit))


@router.patch("/{key}", summary="Edit name or description")
def edit(order: Steering, key: KeyInPath, edited: EditedUserGroup) -> Receipt:
    """Edit them, in any status."""
    changes: dict[str, Any] = edited.model_dump(exclude_none=True)
    return order.done(key, order.parts.user_groups.edit(order.request, key, changes))


@router.post("/{key}/managers", summary="Change who manages the user group")
def change_managers(order: Steering, key: KeyInPath, changed: ChangedManagers) -> Receipt:
    """Add managers and remove others, in one step; one at least remains."""
    appended = order.parts.user_groups.change_managers(order.request, key, add=changed.add, remove=changed.remove)
    return order.done(key, appended)


@router.post("/{key}/conditions", summary="Change who is in it")
def propose_conditions(order: Steering, key: KeyInPath, conditions: Conditions) -> Receipt:
    """Bring other conditions into force at once, in any status: there is nothing to be drawn."""
    return order.done(key, order.parts.user_groups.propose_conditions(order.request, key, conditions))


@router.post("/{key}/activate", summary="Draft or Off → Active")
def activate(order: Steering, key: KeyInPath) -> Receipt:
    """Whoever meets the conditions is in it."""
    return order.done(key, order.parts.user_groups.activate(order.request, key))


@router.post("/{key}/switch-off", summary="Active → Off")
def switch_off(order: Steering, key: KeyInPath) -> Receipt:
    """Nobody is in it any more."""
    return order.done(key, order.parts.user_groups.switch_off(order.request, key))


@router.post("/{key}/discard", summary="Throw a Draft, or one that is off, away")
def discard(order: Steering, key: KeyInPath) -> Receipt:
    """Its key is free again."""
    return order.done(key, order.parts.user_groups.discard(order.request, key))


def _moment(group: ListedUserGroup) -> str:
    return group.created_at.isoformat(timespec="microseconds")


def _document(group: ListedUserGroup, missing: MissingServers, identity: Identity) -> UserGroupDocument:
    return UserGroupDocument(
        key=group.key,
        name=group.name,
        description=group.description,
        author=group.author,
        managers=list(group.managers),
        status=_STATUSES[group.status],
        settings_group=group.settings_group,
        conditions=msgspec.json.decode(group.conditions),
        conditions_text=conditions_text(group.conditions, group.filters),
        created_at=group.created_at,
        updated_at=group.updated_at,
        version=group.version,
        not_laid_out_on=list(missing.by_key.get(NAME_PREFIX + group.key, ())),
        live_servers=missing.live,
        possible_actions=[_STEPS[action] for action in possible_actions(UserGroupStatus(group.status))],
        i_manage=can_manage(identity.actor, group.managers),
    )


_STATUSES: dict[str, SeenGroupStatus] = {"draft": "draft", "active": "active", "off": "off"}
_STEPS: dict[str, GroupStep] = {"activate": "activate", "switch off": "switch-off", "discard": "discard"}
