"""Where the next page of a list begins, as a text that clients send back as they got it."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

from fastapi import Query

from api.refusals import WrongCursor
from events.errors import UnstorableText
from events.store import require_storable

_LONGEST = 2000

After: TypeAlias = Annotated[str | None, Query(description="`next` of the page before", max_length=_LONGEST)]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=200, description="At most so many")]


def cursor_of(list_name: str, parts: Sequence[str]) -> str:
    """Return the cursor of a place in a list that these texts describe."""
    return base64.urlsafe_b64encode(json.dumps([list_name, *parts]).encode()).decode()


def parts_of(list_name: str, cursor: str, count: int) -> list[str]:
    """Return the texts behind a cursor of a list.

    Raises:
        WrongCursor: it is of another list, or of none whose places are described by `count` texts.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, RecursionError) as error:
        raise WrongCursor from error
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found):
        raise WrongCursor
    parts: list[str] = found[1:]
    if found[:1] != [list_name] or len(parts) != count:
        raise WrongCursor
    try:
        for part in parts:
            require_storable("cursor", part)
    except UnstorableText as error:
        raise WrongCursor from error
    return parts


def moment_of(part: str) -> datetime:
    """Return the moment that a part of a cursor is.

    Raises:
        WrongCursor: it is none, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(part)
    except ValueError as error:
        raise WrongCursor from error
    if moment.tzinfo is None:
        raise WrongCursor
    return moment
