"""What OFREP refuses to read as a request or a context."""

from typing import Any

import pytest

from api.ofrep.requests import OfrepError, read_context
from tests.support.ofrep import UNIT, answers_of, document


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b"\xff\xfe", "PARSE_ERROR"),
        (b"[" * 100_000, "INVALID_CONTEXT"),
        (b"[]", "INVALID_CONTEXT"),
        (b"{}", "INVALID_CONTEXT"),
        (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": [1]}', "INVALID_CONTEXT"),
        (b'{"context": {}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": 5}}', "INVALID_CONTEXT"),
    ],
)
def test_a_body_that_is_no_request_is_one_of_the_protocols_errors(body: bytes, code: str) -> None:
    with pytest.raises(OfrepError) as refused:
        read_context(body)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    "fields",
    [
        {"split_group": 0},
        {"split_group": 2401},
        {"split_group": "7"},
        {"split_group": True},
        {"split_group": None, "splitGroup": 7.5},
        {"unit_type": "robot"},
        {"unit_type": []},
        {"supported_tests": "a"},
        {"supported_tests": [1]},
        {"device_id": 5},
        {"environment_name": {}},
    ],
)
def test_a_field_that_cannot_be_read_is_an_invalid_context(fields: dict[str, Any]) -> None:
    answers, _ = answers_of(document("green_button"))
    with pytest.raises(OfrepError) as refused:
        answers.bulk({**UNIT, **fields})
    assert (refused.value.status, refused.value.code) == (400, "INVALID_CONTEXT")
