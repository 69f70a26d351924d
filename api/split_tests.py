"""Split tests: the list, the properties, the managers."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.changes import Creation, Receipt, Steering, etag
from api.cursors import After, Limit, cursor_of, moment_of, parts_of
from api.identify import Reader
from api.missing_servers import MissingServers, MissingServersHere
from api.parts import Here
from api.rendering import rendered
from api.sight import onlooker, seen_test
from api.texts import KeyInPath, StorableText
from domain.lifecycle import Action, possible_actions
from domain.people import Actor, can_manage
from domain.split_test import Status
from projections import list_pages
from projections.list_pages import Place, Wanted
from projections.test_list import ListedSplitTest

router = APIRouter(prefix="/api/v1/tests", tags=["split tests"])

SeenStatus = Literal["draft", "in_dev", "running", "paused", "finished", "rejected"]


class SplitTestDocument(TypedDict):
    """A split test at a glance.

    Attributes:
        settings_group: the current one, 0 while none was prepared; then `starts_at` and `ends_at` are null.
        code_deployed_at: when its first production hit came.
        version: what a change may expect; the ETag as well.
        not_laid_out_on: live servers that do not have its newest config.
        possible_actions: the steps of its life that its managers can take now.
        i_manage: whether you are one of them, or a superuser.
    """

    key: str
    name: str
    description: str
    type: str
    issue_key: str
    chat_room: str
    author: str
    managers: list[str]
    status: SeenStatus
    settings_group: int
    starts_at: datetime | None
    ends_at: datetime | None
    code_deployed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
    not_laid_out_on: list[str]
    live_servers: int
    possible_actions: list[Action]
    i_manage: bool


class SplitTestPage(TypedDict):
    """A page of the list; `next` is the `after` of the page behind it, null on the last one."""

    tests: list[SplitTestDocument]
    total: int
    next: str | None


class NewSplitTest(BaseModel):
    """A split test to be made; the one who asks is its author and first manager."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"key": "green_button", "name": "Green button", "issue_key": "SHOP-7"}]},
    )

    key: str
    name: str
    description: str = ""
    type: str = "web"
    issue_key: str = ""
    chat_room: str = ""
    managers: list[str] = Field(default_factory=list, max_length=1000)


class EditedProperties(BaseModel):
    """Properties to be edited; what is absent stays as it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Greener button", "chat_room": "#green-button"}]}
    )

    name: str | None = None
    description: str | None = None
    type: str | None = None
    issue_key: str | None = None
    chat_room: str | None = None


class ChangedManagers(BaseModel):
    """Who joins the circle of managers, and who leaves it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"add": ["boris"], "remove": ["ann"]}]})

    add: list[str] = Field(default_factory=list, max_length=1000)
    remove: list[str] = Field(default_factory=list, max_length=1000)


@router.get("", summary="The split tests that I may see, the newest first", response_model=SplitTestPage)
def list_tests(  # noqa: PLR0913, PLR0917 - the filters of the list
    parts: Here,
    missing_servers: MissingServersHere,
    identity: Reader,
    status: Annotated[list[SeenStatus], Query(description="Only these; may be repeated")] = [],  # noqa: B006 - FastAPI copies defaults
    type: Annotated[list[StorableText], Query(description="Only these; may be repeated")] = [],  # noqa: A002, B006 - the glossary's word; as above
    search: Annotated[StorableText, Query(max_length=200)] = "",
    mine: Annotated[bool, Query(description="Only those that I manage")] = False,  # noqa: FBT002 - a query has names
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """Return a page. Drafts of others are neither listed nor counted."""
    wanted = Wanted(statuses=tuple(status), types=tuple(type), search=search, is_mine=mine)
    place = None if after is None else _place(after)
    with parts.reading() as connection:
        page = list_pages.page(connection, onlooker(identity), wanted, limit=limit, after=place)
        missing = missing_servers.read(connection)
    actor = identity.actor
    return rendered(
        SplitTestPage(
            tests=[document_of(row, missing, actor) for row in page.rows],
            total=page.total,
            next=None if page.next is None else cursor_of("tests", [page.next.created_at.isoformat(), page.next.key]),
        )
    )


@router.post("", summary="Create a Draft", status_code=201)
def create(order: Creation, new: NewSplitTest) -> Receipt:
    """Create a split test: a Draft, which nobody but its managers and superusers knows of."""
    appended = order.parts.split_tests.create(
        order.request,
        key=new.key,
        name=new.name,
        description=new.description,
        type=new.type,
        issue_key=new.issue_key,
        chat_room=new.chat_room,
        managers=new.managers,
    )
    order.response.headers["Location"] = f"/api/v1/tests/{new.key}"
    return order.done(new.key, appended)


@router.get("/{key}", summary="One split test", response_model=SplitTestDocument)
def get(parts: Here, missing_servers: MissingServersHere, identity: Reader, key: KeyInPath) -> Response:
    """Return the test; its ETag is what a change may expect."""
    with parts.reading() as connection:
        row = seen_test(connection, identity, key)
        missing = missing_servers.read(connection)
    return rendered(document_of(row, missing, identity.actor), headers={"ETag": etag(row.version)})


@router.patch("/{key}", summary="Edit properties")
def edit(order: Steering, key: KeyInPath, edited: EditedProperties) -> Receipt:
    """Edit some properties, in any status."""
    changes: dict[str, Any] = edited.model_dump(exclude_none=True)
    return order.done(key, order.parts.split_tests.edit_properties(order.request, key, changes))


@router.post("/{key}/managers", summary="Change who manages the test")
def change_managers(order: Steering, key: KeyInPath, changed: ChangedManagers) -> Receipt:
    """Add managers and remove others, in one step; one at least remains."""
    appended = order.parts.split_tests.change_managers(order.request, key, add=changed.add, remove=changed.remove)
    return order.done(key, appended)


_ACTIONS: Final = {status.value: list(possible_actions(status)) for status in Status}


def document_of(row: ListedSplitTest, missing: MissingServers, actor: Actor) -> SplitTestDocument:
    """Return a line of the list as a document."""
    return SplitTestDocument(
        key=row.key,
        name=row.name,
        description=row.description,
        type=row.type,
        issue_key=row.issue_key,
        chat_room=row.chat_room,
        author=row.author,
        managers=list(row.managers),
        status=row.status,  # type: ignore[typeddict-item]  # a discarded test has no line
        settings_group=row.settings_group,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        code_deployed_at=row.code_deployed_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
        not_laid_out_on=list(missing.by_key.get(row.key, ())),
        live_servers=missing.live,
        possible_actions=_ACTIONS[row.status],
        i_manage=can_manage(actor, row.managers),
    )


def _place(cursor: str) -> Place:
    moment, key = parts_of("tests", cursor, 2)
    return Place(created_at=moment_of(moment), key=key)
