"""The settings of a test: those in force, those that wait, and proposals of new ones."""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Body, Response
from pydantic import BaseModel

from api.changes import Receipt, Steering, etag
from api.identify import Reader
from api.parts import Here
from api.rendering import rendered
from api.sight import VisibleKeys, seen_test
from api.texts import KeyInPath
from events.facts import Overlap
from projections import current_settings
from projections.current_settings import CurrentSettings
from projections.readable import other_test
from projections.settings_changes import conditions_text

router = APIRouter(prefix="/api/v1/tests/{key}/settings", tags=["settings"])

EXAMPLE: Final = {
    "starts_at": "2027-01-10",
    "ends_at": "2027-02-10",
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
    "variants": [{"name": "control", "percent": 10, "control": True}, {"name": "green", "percent": 10}],
}

Proposal = Annotated[
    dict[str, Any],
    Body(
        description="`domain.settings` says what stands in it: dates, conditions, variants with percents or one total",
        openapi_examples={"two variants": {"value": EXAMPLE}},
    ),
]
"""A proposal of settings, as a manager writes it; the domain reads it, and names what is wrong."""


class VariantDocument(BaseModel):
    """A variant: how many of the 2400 split groups were asked for, which it owns, and users estimated to carry them."""

    name: str
    is_control: bool
    groups: int
    percent: float
    split_groups: list[int]
    users: int | None


class OverlapDocument(BaseModel):
    """Another test that shares split groups, and users where they were counted; a Draft of others has no `key`."""

    key: str
    description: str
    settings_group: int
    shared_groups: int
    shared_users: int | None
    same_type: bool


class SettingsDocument(BaseModel):
    """The settings group in force, and what waits behind it.

    Attributes:
        settings_group: its number; 0 while none was prepared, and then there are no dates and no variants.
        conditions: the tree as its manager gave it, and `conditions_text` the same to be read.
        pending_group: the newest proposal that is not prepared.
        pending_state: "proposed" while it waits, "failed" with its reason, empty where nothing waits.
        version: of the test, what a change may expect; the ETag as well.
    """

    key: str
    settings_group: int
    starts_at: datetime | None
    ends_at: datetime | None
    conditions: list[Any]
    conditions_text: str
    variants: list[VariantDocument]
    overlaps: list[OverlapDocument]
    pending_group: int | None
    pending_state: Literal["", "proposed", "failed"]
    pending_reason: str
    version: int


@router.get("", summary="The settings in force, and those that wait", response_model=SettingsDocument)
def get(parts: Here, identity: Reader, key: KeyInPath) -> Response:
    """Return the settings. After a proposal, ask until `pending_group` is null, or `pending_state` is "failed"."""
    with parts.reading() as connection:
        row = seen_test(connection, identity, key)
        settings = current_settings.get(connection, key)
        document = settings_document(key, row.version, settings, visible=VisibleKeys(connection, identity))
    return rendered(document, headers={"ETag": etag(row.version)})


@router.post("", summary="Propose new settings", status_code=202)
def propose(order: Steering, key: KeyInPath, proposal: Proposal) -> Receipt:
    """Check the proposal in full, and let it be prepared: split groups are drawn, users and overlaps counted.

    The settings in force stay until then. `GET` the settings to see how far it is.
    """
    appended = order.parts.split_tests.propose_settings(order.request, key, proposal)
    order.response.headers["Location"] = f"/api/v1/tests/{key}/settings"
    return order.done(key, appended)


@router.post("/retry", summary="Prepare once more what could not be prepared", status_code=202)
def retry(order: Steering, key: KeyInPath) -> Receipt:
    """Let the settings group whose preparation failed wait again."""
    return order.done(key, order.parts.split_tests.retry_preparation(order.request, key))


def settings_document(
    key: str, version: int, settings: CurrentSettings | None, *, visible: Container[str]
) -> SettingsDocument:
    """Return settings as a document; `visible` are the keys of other tests that may be named."""
    if settings is None:
        return SettingsDocument(
            key=key,
            settings_group=0,
            starts_at=None,
            ends_at=None,
            conditions=[],
            conditions_text="",
            variants=[],
            overlaps=[],
            pending_group=None,
            pending_state="",
            pending_reason="",
            version=version,
        )
    return SettingsDocument.model_construct(
        key=key,
        settings_group=settings.settings_group,
        starts_at=settings.starts_at,
        ends_at=settings.ends_at,
        conditions=msgspec.json.decode(settings.conditions),
        conditions_text=conditions_text(settings.conditions, settings.filters),
        variants=[
            VariantDocument.model_construct(
                name=variant.name,
                is_control=variant.is_control,
                groups=variant.groups,
                percent=variant.groups / 24,
                split_groups=list(variant.split_groups),
                users=variant.users,
            )
            for variant in settings.variants
        ],
        overlaps=[_overlap(each if each.key in visible else replace(each, key="")) for each in settings.overlaps],
        pending_group=settings.pending_group,
        pending_state=settings.pending_state,
        pending_reason=settings.pending_reason,
        version=version,
    )


def _overlap(overlap: Overlap) -> OverlapDocument:
    return OverlapDocument.model_construct(
        key=overlap.key,
        description=other_test(overlap),
        settings_group=overlap.settings_group,
        shared_groups=overlap.shared_groups,
        shared_users=overlap.shared_users,
        same_type=overlap.same_type,
    )
