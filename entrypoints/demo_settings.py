"""The settings of the demo's two split tests: the conditions of the article that UserSplit re-creates."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from entrypoints.clock import now


def conditions(*countries: int) -> list[Any]:
    """Return the conditions of the article that UserSplit re-creates: test users, and new users from some countries."""
    return [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        "OR",
        [
            {"filter": "country_id", "operator": "in", "value": [str(country) for country in countries]},
            "AND",
            {"filter": "is_new_user", "operator": "eq", "value": "1"},
        ],
    ]


def settings(total_percent: int, countries: Sequence[int], *variants: str) -> dict[str, Any]:
    """Return a settings document: from yesterday for a month, a total split equally, control first."""
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "starts_at": (today - timedelta(days=1)).isoformat(),
        "ends_at": (today + timedelta(days=30)).isoformat(),
        "conditions": conditions(*countries),
        "total_percent": total_percent,
        "variants": [{"name": "control", "control": True}, *({"name": name} for name in variants)],
    }
