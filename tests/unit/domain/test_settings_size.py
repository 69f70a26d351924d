"""Settings that would not fit on their way to the servers are refused when they are proposed."""

import json

import pytest

from domain.conditions_text import MAXIMUM_CONDITIONS_BYTES
from domain.settings import parse_proposal
from domain.settings_errors import ConditionsTooLong
from streams.topics import LARGEST_MESSAGE_BYTES
from usersplit.conditions import Catalog, Filter

CATALOG = Catalog([Filter(name="city", type="string", scope="user")])


def proposal(city: str) -> dict[str, object]:
    return {
        "starts_at": "2026-05-01",
        "ends_at": "2026-06-01",
        "conditions": [{"filter": "city", "operator": "eq", "value": city}],
        "variants": [{"name": "on", "percent": 100}],
    }


def conditions_bytes(city: str) -> int:
    return len(json.dumps(proposal(city)["conditions"], ensure_ascii=False).encode())


def test_conditions_of_exactly_the_limit_are_taken_and_a_byte_more_is_refused() -> None:
    room = MAXIMUM_CONDITIONS_BYTES - conditions_bytes("")
    assert parse_proposal(proposal("x" * room), CATALOG).conditions_text
    with pytest.raises(ConditionsTooLong, match=r"1,048,577 bytes of JSON and may be 1,048,576"):
        parse_proposal(proposal("x" * (room + 1)), CATALOG)


def test_bytes_are_counted_not_letters() -> None:
    room = MAXIMUM_CONDITIONS_BYTES - conditions_bytes("")
    with pytest.raises(ConditionsTooLong):
        parse_proposal(proposal("ü" * (room // 2 + 1)), CATALOG)


def test_conditions_whose_every_letter_is_escaped_once_more_leave_room_for_the_rest_of_a_message() -> None:
    assert 2 * MAXIMUM_CONDITIONS_BYTES + 1024 * 1024 < LARGEST_MESSAGE_BYTES
