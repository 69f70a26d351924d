"""What commands are about: split tests, user groups and their estimates, the overrides of a unit."""

from typing import Final

from commands.execution import Aggregate
from domain import access, overrides, split_test, user_group, user_group_estimate, user_group_life
from domain.overrides import Overrides
from domain.people import Actor
from domain.split_test import SplitTest
from domain.user_group import UserGroup
from domain.user_group_estimate import GroupEstimate
from events.facts import split_test_stream
from events.override_facts import override_stream
from events.user_group_estimate_facts import user_group_estimate_stream
from events.user_group_facts import user_group_stream

SPLIT_TESTS: Final[Aggregate[SplitTest]] = Aggregate(
    stream=split_test_stream, load=split_test.load, require_visible=access.require_visible
)
USER_GROUPS: Final[Aggregate[UserGroup]] = Aggregate(
    stream=user_group_stream, load=user_group.load, require_visible=user_group_life.require_visible
)


def _seen_by_its_user_group(state: GroupEstimate | None, key: str, actor: Actor) -> None:
    """Whoever decides on an estimate holds the user group beside it, and asks there."""
    del state, key, actor


USER_GROUP_ESTIMATES: Final[Aggregate[GroupEstimate]] = Aggregate(
    stream=user_group_estimate_stream, load=user_group_estimate.load, require_visible=_seen_by_its_user_group
)


def place(environment: str, unit: str) -> str:
    """Return the key of the overrides of `unit` in `environment`."""
    return f"{environment}/{unit}"


def _stream_of_place(key: str) -> str:
    environment, _, unit = key.partition("/")
    return override_stream(environment, unit)


def _anybody_knows_units(state: Overrides | None, key: str, actor: Actor) -> None:
    del state, key, actor


OVERRIDES: Final[Aggregate[Overrides]] = Aggregate(
    stream=_stream_of_place, load=overrides.load, require_visible=_anybody_knows_units
)
"""Their keys are what `place` makes: an environment and a unit."""
