"""What the QA page asks: which variants somebody gets of all tests, by the configs and overrides that servers have."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from projections import config, overrides
from usersplit import Answer, Checker, Environment, Guest, MemoryConfigs, Unit, User
from web.frame import Visit

_WAYS: Final = ("platform", "country", "user_agent", "app_version")


class WrongProfile(Exception):
    """What was typed of a user or a visit cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Who is asked about, and how they came."""

    unit: Unit
    environment: Environment


def profile_of(*, unit: str, unit_id: str, split_group: str, attributes: str, came: str) -> Profile:
    """Return who is asked about, from what was typed.

    Raises:
        WrongProfile: nobody is named, a split group that is none, or a line that is not NAME=VALUE.
    """
    group = _split_group(split_group)
    if not group and not unit_id.strip():
        # An answer about nobody would read like one about whomever the person has in mind.
        raise WrongProfile("the id is empty; say who is asked about, or which split group")
    profile = _values(attributes)
    somebody: Unit = (
        Guest(id=unit_id.strip(), split_group=group)
        if unit == "guest"
        else User(id=unit_id.strip(), split_group=group, attributes=profile)
    )
    ways = _values(came)
    known = {name: ways.pop(name) for name in _WAYS if name in ways}
    return Profile(unit=somebody, environment=Environment(**known, attributes=ways))


def answers(visit: Visit, profile: Profile, environment: str, keys: Sequence[str]) -> list[Answer]:
    """Return what each of the tests gives them now. No hit is logged; it waits for the database."""
    with visit.reading() as connection:
        documents = config.get_many(connection, list(keys))
        if (forced := overrides.document(connection)) is not None:
            documents = [*documents, forced]
    moment = visit.parts.now()
    checker = Checker(
        MemoryConfigs([json.loads(document.document) for document in documents]),
        environment_name=environment,
        now_ns=lambda: int(moment.timestamp() * 1_000_000) * 1000,
    )
    return [checker.explain(key, profile.unit, profile.environment) for key in keys]


def _split_group(text: str) -> int:
    trimmed = text.strip()
    if not trimmed:
        return 0
    if not (trimmed.isascii() and trimmed.isdigit() and len(trimmed) < 5 and 1 <= int(trimmed) <= 2400):  # noqa: PLR2004 - split groups
        raise WrongProfile(f"{text!r:.40} is no split group; give a whole number from 1 to 2400, or leave it empty")
    return int(trimmed)


def _values(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise WrongProfile(f"{line!r:.60} is not NAME=VALUE, such as country_id=50")
        values[name.strip()] = value.strip()
    return values
