"""The facts of QA overrides: what one unit gets in one environment, whatever the tests say; and until when.

A unit is `type:id`, of type user, device or guest. Who did it and when is what the log says of every fact.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from events.shared_facts import REGISTRY, Moment

OverrideEnvironment: TypeAlias = Literal["production", "devel"]


@REGISTRY.register("VariantForced", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class VariantForced:
    """The unit gets `variant` of the split test `key` (None: no variant) until `until`, or until it is forgotten.

    It takes the place of what was forced there before.
    """

    unit: str
    environment: OverrideEnvironment
    key: str
    variant: str | None
    until: Moment


@REGISTRY.register("ForcedVariantForgotten", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedVariantForgotten:
    """The unit gets again what the split test `key` gives it."""

    unit: str
    environment: OverrideEnvironment
    key: str


@REGISTRY.register("SplitTestsDisabled", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestsDisabled:
    """The unit gets no variant of any test until `until`, but what is forced; none is enabled for it (any more)."""

    unit: str
    environment: OverrideEnvironment
    until: Moment


@REGISTRY.register("SplitTestEnabled", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestEnabled:
    """The unit, for which all tests are disabled, takes part in the split test `key` all the same."""

    unit: str
    environment: OverrideEnvironment
    key: str


@REGISTRY.register("SplitTestsEnabledAgain", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestsEnabledAgain:
    """The unit takes part in all tests again; what is forced stays."""

    unit: str
    environment: OverrideEnvironment


@REGISTRY.register("UnitForgotten", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UnitForgotten:
    """Nothing is forced for the unit any more, and no test is disabled for it."""

    unit: str
    environment: OverrideEnvironment


@REGISTRY.register("OverridesExpired", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class OverridesExpired:
    """The time of some of the unit's overrides was over.

    Attributes:
        keys: the split tests of which nothing is forced for it any more, sorted.
        disabling: whether the time was over for which all tests were disabled.
    """

    unit: str
    environment: OverrideEnvironment
    keys: tuple[str, ...]
    disabling: bool = False


OverrideFact: TypeAlias = (
    VariantForced
    | ForcedVariantForgotten
    | SplitTestsDisabled
    | SplitTestEnabled
    | SplitTestsEnabledAgain
    | UnitForgotten
    | OverridesExpired
)


def override_stream(environment: str, unit: str) -> str:
    """Return the name of the stream that holds the overrides of `unit` in `environment`."""
    return f"overrides/{environment}/{unit}"
