"""One set of configs as one checker sees it: with the overrides of its environment, and its additional conditions."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from usersplit._additional_conditions import AdditionalCheck, AdditionalChecks
from usersplit._compiled_bulk import BulkCheck, Everything
from usersplit._compiled_check import FLOATS_DECIDE_FROM_SECONDS, UNDECIDED, Check
from usersplit._config import SplitTestConfig
from usersplit._config_set import ConfigSet
from usersplit._decision import Reason, decide, problem_of
from usersplit._overrides import EnvironmentOverrides
from usersplit._units import Environment, Unit

TimedEverything: TypeAlias = tuple[Everything, float, float]


def _undecided(unit: object, environment: object) -> None:
    """Leave every question to the longer way."""


NEVER: Final[TimedEverything] = (_undecided, math.inf, -math.inf)


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
        bulk: all tests as one compiled check, once somebody asked for it.
        everything: the same where it is the whole answer, with the two moments, in seconds, between which it is.
    """

    __slots__ = ("additional", "bulk", "everything", "overrides", "quick", "source")

    def __init__(
        self,
        source: ConfigSet,
        environment_name: str,
        additional: AdditionalChecks,
        now_ns: Callable[[], int],
        earlier: "View | None" = None,
    ) -> None:
        self.source: Final = source
        self.overrides: Final[EnvironmentOverrides | None] = source.overrides.get(environment_name)
        self.additional: Final[dict[str, AdditionalCheck]] = (
            {key: check for key in source.tests if (check := additional.of(key)) is not None}
            if additional.exist
            else {}
        )
        self.quick: Final = self._quick(now_ns)
        self.bulk: BulkCheck | None = None
        self.everything: TimedEverything = NEVER
        if earlier is not None and earlier.bulk is not None:
            # A service that asks for all tests at once will do so again: compiled anew here, in the background.
            self.compile_everything(now_ns, earlier.bulk)

    def _quick(self, now_ns: Callable[[], int]) -> dict[str, Check]:
        checks = {
            key: test.check if now_ns is time.time_ns else test.compiled(now_ns)
            for key, test in self.source.tests.items()
            if key not in self.additional
        }
        if self.overrides is None:
            return checks
        return {key: _after_overrides(check, self.overrides) for key, check in checks.items()}

    def compile_everything(self, now_ns: Callable[[], int], earlier: BulkCheck | None = None) -> BulkCheck:
        """Return the compiled check of all tests for now. The first one takes about 0.1 ms a test."""
        now, bulk = now_ns(), self.bulk
        if bulk is None or not bulk.since_ns <= now < bulk.until_ns:
            # Two threads may both compile; they make the same thing.
            bulk = self.bulk = BulkCheck(self.source.tests.values(), now, bulk or earlier)
        if now_ns is time.time_ns and not (bulk.singly or self.additional):
            check = bulk.everything if self.overrides is None else _nobody_forced(bulk.everything, self.overrides)
            # Near to a date, which is to the nanosecond, a clock of floats does not decide.
            margin = FLOATS_DECIDE_FROM_SECONDS
            self.everything = (check, bulk.since_ns / 1e9 + margin, bulk.until_ns / 1e9 - margin)
        return bulk

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


def _nobody_forced(everything: Everything, overrides: EnvironmentOverrides) -> Everything:
    touch = overrides.touch

    def untouched(unit: Any, environment: object) -> dict[str, str] | None:
        return None if touch(unit) else everything(unit, environment)

    return untouched
