"""Where the next page of a list begins, as a text that clients send back as they got it."""

import base64
import json
from collections.abc import Sequence
from typing import Annotated, TypeAlias

from fastapi import Query

from api.refusals import WrongCursor
from events.errors import UnstorableText
from events.store import require_storable

_LONGEST = 2000

After: TypeAlias = Annotated[str | None, Query(description="`next` of the page before", max_length=_LONGEST)]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=200, description="At most so many")]


def cursor_of(parts: Sequence[str]) -> str:
    """Return the cursor of a place that these texts describe."""
    return base64.urlsafe_b64encode(json.dumps(list(parts)).encode()).decode()


def parts_of(cursor: str, count: int) -> list[str]:
    """Return the texts behind a cursor.

    Raises:
        WrongCursor: it is none of a list whose places are described by `count` texts.
    """
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, RecursionError) as error:
        raise WrongCursor from error
    if not isinstance(parts, list) or len(parts) != count or not all(isinstance(part, str) for part in parts):
        raise WrongCursor
    try:
        for part in parts:
            require_storable("cursor", part)
    except UnstorableText as error:
        raise WrongCursor from error
    return parts
