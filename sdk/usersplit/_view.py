"""One set of configs as one checker sees it: with the overrides of its environment, and its additional conditions."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from usersplit._additional_conditions import AdditionalCheck, AdditionalChecks
from usersplit._compiled_check import UNDECIDED, Check
from usersplit._config import SplitTestConfig
from usersplit._config_set import ConfigSet
from usersplit._decision import Reason, decide, problem_of
from usersplit._overrides import EnvironmentOverrides
from usersplit._units import Environment, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The answer of a check, and what it came from.

    Attributes:
        config: the test's; None for an unknown one.
        variant: its name, or None.
        reason: why.
        error: what an additional condition raised.
    """

    config: SplitTestConfig | None
    variant: str | None
    reason: Reason
    error: Exception | None = None


class View:
    """What a checker answers from, until the next set of configs is published.

    Attributes:
        source: the set.
        quick: the compiled checks of those tests for which they are the whole answer.
        additional: the additional conditions of all other tests, by key.
        overrides: those of the checker's environment; None if there are none.
    """

    __slots__ = ("additional", "overrides", "quick", "source")

    def __init__(
        self, source: ConfigSet, environment_name: str, additional: AdditionalChecks, now_ns: Callable[[], int]
    ) -> None:
        self.source: Final = source
        self.overrides: Final[EnvironmentOverrides | None] = source.overrides.get(environment_name)
        self.additional: Final[dict[str, AdditionalCheck]] = (
            {key: check for key in source.tests if (check := additional.of(key)) is not None}
            if additional.exist
            else {}
        )
        self.quick: Final = self._quick(now_ns)

    def _quick(self, now_ns: Callable[[], int]) -> dict[str, Check]:
        checks = {
            key: test.check if now_ns is time.time_ns else test.compiled(now_ns)
            for key, test in self.source.tests.items()
            if key not in self.additional
        }
        if self.overrides is None:
            return checks
        return {key: _after_overrides(check, self.overrides) for key, check in checks.items()}

    def resolve(self, key: str, unit: Unit, environment: Environment | None, now_ns: int) -> Resolution:
        """Answer a check in full: overrides, then the settings, then additional conditions.

        May raise what hostile arguments raise.
        """
        config = self.source.tests.get(key)
        if config is None:
            return Resolution(config=None, variant=None, reason="unknown_test")
        decided = self._overridden(config, unit, environment)
        if decided is None:
            decided = decide(config, unit, environment, now_ns)
        variant, reason = decided
        additional = self.additional.get(key)
        if variant is None or additional is None or not _asks_additional(config, reason):
            return Resolution(config=config, variant=variant, reason=reason)
        try:
            is_met = bool(additional(unit, environment))
        except Exception as error:  # noqa: BLE001 - the service's own code; a check never raises
            return Resolution(config=config, variant=None, reason="additional_condition_failed", error=error)
        if is_met:
            return Resolution(config=config, variant=variant, reason=reason)
        return Resolution(config=config, variant=None, reason="additional_condition_not_met")

    def _overridden(
        self, config: SplitTestConfig, unit: Unit, environment: Environment | None
    ) -> tuple[str | None, Reason] | None:
        """Return what is decided before the settings are asked, None if nothing is."""
        problem = problem_of(unit, environment)
        if problem is not None:
            return None, problem
        if self.overrides is None or config.status in ("draft", "discarded"):
            return None
        is_forced, forced = self.overrides.forced(config.key, unit)
        if is_forced:
            return forced, "forced"
        return (None, "disabled") if self.overrides.disable(config.key, unit) else None


def _asks_additional(config: SplitTestConfig, reason: Reason) -> bool:
    """Answer whether additional conditions have a say: not against QA, nor where everybody gets the result."""
    return reason == "in_variant" or (reason == "result" and config.result_scope == "conditions")


def _after_overrides(check: Check, overrides: EnvironmentOverrides) -> Check:
    """Return the check of units that no override touches."""
    touch = overrides.touch

    def untouched(unit: Any, environment: object) -> str | None:
        return UNDECIDED if touch(unit) else check(unit, environment)

    return untouched
