"""The load that every side of `benchmarks/check.py` gets: the same tests, the same users, and the right answers.

Each test has the shape of the seed's conditions: is_test_user OR (country in … AND is_new_user), with countries of its
own. Its one variant owns every split group, so that sides which draw by hashing give the same answers.
"""

import random
from dataclasses import dataclass
from typing import Any

VARIANT = "red"
COUNTRIES = 100


@dataclass(frozen=True, slots=True)
class SameTest:
    """One test as every side is told of it."""

    key: str
    countries: tuple[int, ...]


def same_tests(count: int, seed: int = 1) -> list[SameTest]:
    """Return tests, each for 40 of 100 countries."""
    draw = random.Random(seed)
    return [
        SameTest(f"test_{number}", tuple(sorted(draw.sample(range(1, COUNTRIES + 1), 40)))) for number in range(count)
    ]


def profiles(count: int, seed: int = 2) -> list[dict[str, Any]]:
    """Return users' attributes: one in fifty is a test user, half of them are new."""
    draw = random.Random(seed)
    return [
        {
            "is_test_user": draw.random() < 0.02,
            "country_id": draw.randint(1, COUNTRIES),
            "is_new_user": draw.random() < 0.5,
        }
        for _ in range(count)
    ]


def right_answer(test: SameTest, profile: dict[str, Any]) -> str:
    """Return what every side has to answer: the variant, or an empty text."""
    is_met = profile["is_test_user"] or (profile["country_id"] in test.countries and profile["is_new_user"])
    return VARIANT if is_met else ""


def config_document(test: SameTest, position: int = 1, variants: dict[str, list[int]] | None = None) -> dict[str, Any]:
    """Return the test as UserSplit's servers get it."""
    return {
        "format": 1,
        "kind": "split_test",
        "key": test.key,
        "position": position,
        "status": "running",
        "type": "web",
        "settings_group": 1,
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2999-01-01T00:00:00Z",
        "conditions": [
            {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
            "OR",
            [
                {"filter": "country_id", "operator": "in", "value": [str(country) for country in test.countries]},
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
            {"name": name, "is_control": False, "split_groups": groups}
            for name, groups in (variants or {VARIANT: list(range(1, 2401))}).items()
        ],
        "result": None,
    }
