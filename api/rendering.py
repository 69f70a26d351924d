"""Documents of our own making as responses, past the framework's second look at them.

The framework would make objects of each document, validate them in another thread, and make them into text; of a page
of a list that is most of the time of the answer. A document here is a `TypedDict`, so the type checker looks at it once
and for all. That answers are what the OpenAPI document says is held by a test over every endpoint.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import Response

_JSON: Final = "application/json"


def rendered(document: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document as the body of an answer."""
    return Response(msgspec.json.encode(document), media_type=_JSON, headers=headers)
