"""What facts of every kind share: the registry that knows them all, and the shapes that more than one kind carries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec

from events.registry import FactRegistry

FilterScope: TypeAlias = Literal["user", "environment"]
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware datetime; the registry refuses to store one without a zone."""

REGISTRY = FactRegistry()


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyChange:
    """One edited property: its name, and its value before and after, as text."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterUsed:
    """What the catalog said of a filter when conditions that use it were proposed.

    Attributes:
        name: the filter's name, as leaves of the conditions use it.
        type: one of `usersplit.conditions.FILTER_TYPES`.
        scope: a user filter reads the profile, an environment filter how the visitor came.
    """

    name: str
    type: str
    scope: FilterScope
