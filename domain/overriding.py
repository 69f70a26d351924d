"""What QA may do: force a unit into a variant, or into none; disable all tests for it, then enable one; take it back.

Each decision returns the facts of a step or raises one named error, and changes nothing.
"""

from datetime import datetime, timedelta
from typing import Final, get_args

from domain.access import require_visible
from domain.errors import NoCurrentSettings, UnknownVariant
from domain.lifecycle import readable
from domain.moments import as_utc
from domain.override_errors import (
    MayNotOverride,
    NothingToForget,
    SplitTestIsOver,
    SplitTestsNotDisabled,
    TooManyOverrides,
    WrongEnvironment,
    WrongUnit,
    WrongUntil,
)
from domain.overrides import Overrides
from domain.people import Actor, can_see
from domain.split_test import SplitTest, Status
from events.override_facts import (
    ForcedVariantForgotten,
    OverrideEnvironment,
    OverridesExpired,
    SplitTestEnabled,
    SplitTestsDisabled,
    SplitTestsEnabledAgain,
    UnitForgotten,
    VariantForced,
)

UNIT_TYPES: Final = ("user", "device", "guest")
MAX_UNIT_ID_LENGTH: Final = 200
MAX_OF_UNIT: Final = 200
"""Tests that can be forced, and tests that can be enabled, for one unit."""
DEFAULT_TERM: Final = timedelta(days=7)
LONGEST_TERM: Final = timedelta(days=366)


def checked_unit(unit: str) -> str:
    """Return a unit, `type:id`; what follows the first colon is the id.

    Raises:
        WrongUnit: another type, no id, one that is too long, or one with characters that do not print.
    """
    unit_type, _, unit_id = unit.partition(":")
    if unit_type not in UNIT_TYPES:
        raise WrongUnit(unit, f"its type is none of {', '.join(UNIT_TYPES)}")
    if not unit_id or len(unit_id) > MAX_UNIT_ID_LENGTH:
        raise WrongUnit(unit, f"its id is empty, or longer than {MAX_UNIT_ID_LENGTH} characters")
    if not unit_id.isprintable() or unit_id != unit_id.strip():
        raise WrongUnit(unit, "its id has characters that do not print, or spaces around it")
    return unit


def checked_environment(environment: str) -> OverrideEnvironment:
    """Return an environment that overrides can belong to.

    Raises:
        WrongEnvironment: it is another one.
    """
    for known in get_args(OverrideEnvironment):
        if environment == known:
            return known  # type: ignore[no-any-return]  # get_args forgets that these are its own values
    raise WrongEnvironment(environment, get_args(OverrideEnvironment))


def require_overrider(actor: Actor) -> None:
    """Return if `actor` may override variants.

    Raises:
        MayNotOverride: not this person.
    """
    if not (actor.may_override or actor.is_superuser):
        raise MayNotOverride(actor.name)


def force(  # noqa: PLR0913 - what an override is made of
    state: Overrides | None,
    test: SplitTest | None,
    actor: Actor,
    *,
    unit: str,
    environment: str,
    key: str,
    variant: str | None,
    until: datetime | None,
    now: datetime,
) -> tuple[VariantForced, ...]:
    """Give the unit this variant of the test `key`, None for no variant, until `until`; else for `DEFAULT_TERM`.

    Forcing again is no error: it renews the term.

    Raises:
        MayNotOverride: `actor` may not.
        WrongUnit, WrongEnvironment, WrongUntil, NaiveMoment: see there.
        SplitTestNotFound: there is no such test, or it is a Draft of others.
        SplitTestIsOver: it is finished or rejected.
        NoCurrentSettings: it has no variants yet.
        UnknownVariant: it has other variants.
        TooManyOverrides: `MAX_OF_UNIT` other tests are forced for the unit.
    """
    require_overrider(actor)
    fact = VariantForced(
        unit=checked_unit(unit),
        environment=checked_environment(environment),
        key=key,
        variant=variant,
        until=_end(until, now),
    )
    seen = require_visible(test, key, actor)
    if seen.status in {Status.FINISHED, Status.REJECTED}:
        raise SplitTestIsOver(key, readable(seen.status))
    if variant is not None:
        _require_variant(seen, variant)
    if state is not None and key not in state.forced and len(state.forced) >= MAX_OF_UNIT:
        raise TooManyOverrides(unit, MAX_OF_UNIT)
    return (fact,)


def forget(
    state: Overrides | None,
    test: SplitTest | None,
    actor: Actor,
    *,
    unit: str,
    environment: str,
    key: str | None = None,
) -> tuple[ForcedVariantForgotten | UnitForgotten, ...]:
    """Take back what was forced of the test `key`; without a key, all that was said of the unit.

    Of a test that has become somebody else's Draft, `actor` hears nothing; what was forced goes with all the rest.

    Raises:
        MayNotOverride: `actor` may not.
        WrongUnit, WrongEnvironment: see there.
        NothingToForget: there is nothing.
    """
    require_overrider(actor)
    checked_unit(unit)
    place = checked_environment(environment)
    if key is None:
        if state is None or (not state.forced and state.disabling is None):
            raise NothingToForget(unit, environment)
        return (UnitForgotten(unit=unit, environment=place),)
    if state is None or key not in state.forced or _is_a_draft_of_others(test, actor):
        raise NothingToForget(unit, environment, key)
    return (ForcedVariantForgotten(unit=unit, environment=place, key=key),)


def _is_a_draft_of_others(test: SplitTest | None, actor: Actor) -> bool:
    return (
        test is not None and test.status is Status.DRAFT and not can_see(actor, test.status, test.author, test.managers)
    )


def disable(
    actor: Actor, *, unit: str, environment: str, until: datetime | None, now: datetime
) -> tuple[SplitTestsDisabled, ...]:
    """Let the unit take part in no test, until `until`; else for `DEFAULT_TERM`. What is forced stays.

    Disabling again is no error: it renews the term, and none is enabled any more.

    Raises:
        MayNotOverride: `actor` may not.
        WrongUnit, WrongEnvironment, WrongUntil, NaiveMoment: see there.
    """
    require_overrider(actor)
    place = checked_environment(environment)
    return (SplitTestsDisabled(unit=checked_unit(unit), environment=place, until=_end(until, now)),)


def enable(
    state: Overrides | None,
    test: SplitTest | None,
    actor: Actor,
    *,
    unit: str,
    environment: str,
    key: str,
    now: datetime,
) -> tuple[SplitTestEnabled, ...]:
    """Let the unit, for which all tests are disabled, take part in the test `key` all the same.

    Raises:
        MayNotOverride: `actor` may not.
        WrongUnit, WrongEnvironment: see there.
        SplitTestNotFound: there is no such test, or it is a Draft of others.
        SplitTestsNotDisabled: the unit takes part in all tests.
        TooManyOverrides: `MAX_OF_UNIT` other tests are enabled for the unit.
    """
    require_overrider(actor)
    place = checked_environment(environment)
    checked_unit(unit)
    require_visible(test, key, actor)
    if state is None or state.disabling is None or state.disabling.until <= now:
        raise SplitTestsNotDisabled(unit, environment)
    if key not in state.disabling.enabled and len(state.disabling.enabled) >= MAX_OF_UNIT:
        raise TooManyOverrides(unit, MAX_OF_UNIT)
    return (SplitTestEnabled(unit=unit, environment=place, key=key),)


def enable_all(
    state: Overrides | None, actor: Actor, *, unit: str, environment: str
) -> tuple[SplitTestsEnabledAgain, ...]:
    """Let the unit take part in all tests again. What is forced stays.

    Raises:
        MayNotOverride: `actor` may not.
        WrongUnit, WrongEnvironment: see there.
        SplitTestsNotDisabled: it does already.
    """
    require_overrider(actor)
    place = checked_environment(environment)
    checked_unit(unit)
    if state is None or state.disabling is None:
        raise SplitTestsNotDisabled(unit, environment)
    return (SplitTestsEnabledAgain(unit=unit, environment=place),)


def expire(state: Overrides | None, *, now: datetime) -> tuple[OverridesExpired, ...]:
    """Take out what is over by now; no facts if nothing is."""
    if state is None:
        return ()
    keys = tuple(sorted(key for key, forced in state.forced.items() if forced.until <= now))
    disabling = state.disabling is not None and state.disabling.until <= now
    if not keys and not disabling:
        return ()
    return (OverridesExpired(unit=state.unit, environment=state.environment, keys=keys, disabling=disabling),)


def _end(until: datetime | None, now: datetime) -> datetime:
    if until is None:
        return now + DEFAULT_TERM
    end = as_utc(until, "until")
    if not now < end <= now + LONGEST_TERM:
        raise WrongUntil(end, now, now + LONGEST_TERM)
    return end


def _require_variant(test: SplitTest, variant: str) -> None:
    settings = test.current
    if settings is None:
        advice = "propose settings first" if test.pending is None else "wait until the proposed ones are prepared"
        raise NoCurrentSettings(test.key, advice)
    names = [each.name for each in settings.variants]
    if variant not in names:
        raise UnknownVariant(test.key, variant, names, otherwise="force no variant")
