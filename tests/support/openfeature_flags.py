"""What the tests of the OpenFeature provider evaluate, and for whom."""

from typing import Any

from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from tests.support.sdk_config_documents import config_document

DRAWN: dict[str, Any] = {"ends_at": "2126-01-01T00:00:00Z"}
OVERRIDES = {
    "format": 1,
    "kind": "overrides",
    "key": "~overrides",
    "position": 9,
    "environments": {
        "devel": {
            "forced": {"user:qa": {"green_button": "red", "priced": None}},
            "disabled": {"user:autotest": {"enabled": []}},
        }
    },
}
GROUP = {
    "format": 1,
    "kind": "user_group",
    "position": 5,
    "settings_group": 2,
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
    "filters": {"country_id": {"type": "integer", "scope": "user"}},
}
DOCUMENTS = [
    config_document("green_button", **DRAWN),
    config_document("priced", **DRAWN),
    config_document("asleep", status="paused", **DRAWN),
    config_document("over", status="finished", result={"variant": "red", "scope": "worldwide"}),
    config_document("ios_banner", type="client", conditions=[], filters={}, **DRAWN),
    {**GROUP, "key": "staff", "status": "active"},
    {**GROUP, "key": "closed", "status": "off"},
    OVERRIDES,
]


# Older releases wait always.
set_provider = getattr(api, "set_provider_and_wait", api.set_provider)


def context(key: str = "42", **attributes: Any) -> EvaluationContext:
    """Return a new user of the country 50, in the split group of the variant red."""
    return EvaluationContext(key, {"split_group": 2, "country_id": 50, "is_new_user": True, **attributes})
