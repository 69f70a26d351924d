"""A config document as the projection makes it, for tests of those who read it."""

from typing import Any


def config_document(key: str = "green_button", /, **changes: object) -> dict[str, Any]:
    """Return the document of docs/config-documents.md, with `changes` to its fields."""
    return {
        "format": 1,
        "kind": "split_test",
        "key": key,
        "position": 42,
        "status": "running",
        "type": "web",
        "settings_group": 3,
        "starts_at": "2026-05-01T00:00:00Z",
        "ends_at": "2026-06-01T00:00:00Z",
        "conditions": [
            {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
            "OR",
            [
                {"filter": "country_id", "operator": "in", "value": ["50"]},
                "AND",
                {"filter": "is_new_user", "operator": "eq", "value": "1"},
            ],
        ],
        "filters": {
            "country_id": {"type": "integer", "scope": "user"},
            "is_new_user": {"type": "boolean", "scope": "user"},
            "is_test_user": {"type": "boolean", "scope": "user"},
        },
        "variants": [
            {"name": "control", "is_control": True, "split_groups": [1, 7, 12]},
            {"name": "red", "is_control": False, "split_groups": [2, 3, 2400]},
        ],
        "result": None,
        **changes,
    }
