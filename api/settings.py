"""The settings of a test: those in force, those that wait, and proposals of new ones."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response

from api.changes import Receipt, Steering, etag
from api.identify import Reader
from api.parts import Here
from api.rendering import rendered
from api.settings_documents import SettingsDocument, settings_document
from api.sight import VisibleKeys, seen_test
from api.texts import KeyInPath
from projections import current_settings, preparation_steps

router = APIRouter(prefix="/api/v1/tests/{key}/settings", tags=["settings"])

EXAMPLE: Final[dict[str, Any]] = {
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


@router.get("", summary="The settings in force, and those that wait", response_model=SettingsDocument)
def get(parts: Here, identity: Reader, key: KeyInPath) -> Response:
    """Return the settings. After a proposal, ask until `pending_group` is null, or `pending_state` is "failed"."""
    with parts.reading() as connection:
        row = seen_test(connection, identity, key)
        settings = current_settings.get(connection, key)
        waits = settings is not None and settings.pending_group is not None
        document = settings_document(
            key,
            row.version,
            settings,
            visible=VisibleKeys(connection, identity),
            preparation=preparation_steps.of(connection, key) if waits else None,
        )
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
