"""What is overridden for one unit in one environment, as the facts tell it. What may be done is decided elsewhere.

`evolve` is total, as that of split tests is. The state knows nothing of the tests: that a test is over, and what was
forced there no longer matters, is for those to say who know both (`projections.overrides`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

from events import override_facts as facts
from events.override_facts import OverrideEnvironment, OverrideFact


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """What the unit gets of a test: a variant, or None for no variant."""

    variant: str | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disabling:
    """The unit takes part in no test but those in `enabled`."""

    until: datetime
    enabled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """All that was said of one unit in one environment; `forced` is by the keys of tests."""

    unit: str
    environment: OverrideEnvironment
    forced: Mapping[str, Forced] = field(default_factory=lambda: MappingProxyType({}))
    disabling: Disabling | None = None


def load(history: Iterable[OverrideFact]) -> Overrides | None:
    """Return the state after `history`, None if nothing ever happened."""
    state: Overrides | None = None
    for fact in history:
        state = evolve(state, fact)
    return state


def evolve(state: Overrides | None, fact: OverrideFact) -> Overrides:  # noqa: PLR0911 - one case a fact
    """Return the state after `fact`. Total: it never raises."""
    overrides = state or Overrides(unit=fact.unit, environment=fact.environment)
    match fact:
        case facts.VariantForced():
            forced = Forced(variant=fact.variant, until=fact.until)
            return replace(overrides, forced=MappingProxyType({**overrides.forced, fact.key: forced}))
        case facts.ForcedVariantForgotten():
            return _without(overrides, (fact.key,))
        case facts.SplitTestsDisabled():
            return replace(overrides, disabling=Disabling(until=fact.until))
        case facts.SplitTestEnabled():
            disabling = overrides.disabling
            if disabling is None:
                return overrides
            return replace(overrides, disabling=replace(disabling, enabled=disabling.enabled | {fact.key}))
        case facts.SplitTestsEnabledAgain():
            return replace(overrides, disabling=None)
        case facts.UnitForgotten():
            return Overrides(unit=overrides.unit, environment=overrides.environment)
        case facts.OverridesExpired():
            remaining = _without(overrides, fact.keys)
            return replace(remaining, disabling=None) if fact.disabling else remaining
        case _:
            assert_never(fact)


def _without(overrides: Overrides, keys: Iterable[str]) -> Overrides:
    gone = frozenset(keys)
    kept = {key: forced for key, forced in overrides.forced.items() if key not in gone}
    return replace(overrides, forced=MappingProxyType(kept))
