"""Texts in requests that reach a database as they are, and moments as people write them."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from fastapi import Path
from pydantic import AfterValidator, Field

from events.errors import UnstorableText
from events.store import require_storable


def _storable(text: str) -> str:
    try:
        require_storable("text", text)
    except UnstorableText as error:
        raise ValueError("has a character that cannot be stored or searched for") from error
    return text


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("has no time zone; write 2026-05-03T14:05:00Z or 2026-05-03T16:05:00+02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside of the years 1 to 9999") from error


StorableText: TypeAlias = Annotated[str, AfterValidator(_storable)]
"""A text that a database can be asked about: without a zero character, and whole in UTF-8."""

AwareMoment: TypeAlias = Annotated[datetime, AfterValidator(_aware)]
"""A moment with its time zone, in UTC."""

EnvironmentName: TypeAlias = Annotated[StorableText, Field(max_length=60)]
"""The name of the environment that a service runs in: production, devel …"""

KeyInPath: TypeAlias = Annotated[StorableText, Path(description="The key, as code uses it", max_length=200)]
"""The key of a test in an address. One that cannot be a key is simply not found."""
