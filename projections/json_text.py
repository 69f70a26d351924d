"""Values as JSON texts in rows."""

import msgspec

_encode = msgspec.json.Encoder().encode


def write_json(value: object) -> str:
    """Return `value` as compact JSON: the same value gives the same text, in every database."""
    return _encode(value).decode()
