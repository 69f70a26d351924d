"""Documents of our own making as responses, past the framework's second look at them.

The framework would validate each document again, in another thread, and make it into objects once more before it
becomes text; of a list of two hundred tests that is most of the time of the answer. That answers are what the OpenAPI
document says is held by a test over every endpoint.
"""

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel

_JSON = "application/json"


def rendered(document: BaseModel, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document as the body of an answer."""
    body = document.__pydantic_serializer__.to_json(document)
    return Response(body, media_type=_JSON, headers=dict(headers) if headers else None)
