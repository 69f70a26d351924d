"""What QA does: force, forget, disable, enable. Each command appends all of its facts, or nothing.

The overrides of each unit in each environment have a stream of their own, so autotests that run at once do not meet.
Whether a test and its variant exist is looked up when it is decided; a test that ends at the same moment takes the
override with it (`projections.overrides`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from commands.aggregates import OVERRIDES, SPLIT_TESTS, place
from commands.execution import Execution, Order, Request
from domain import overriding
from domain.keys import is_word
from domain.people import Actor
from domain.split_test import SplitTest
from events.registry import FactRegistry
from events.store import Appended, EventStore

EXPIRY = Actor(name="override-expiry")
"""Who the log says it was, where an override ended by itself. Nobody's rights are asked for."""


class OverrideCommands:
    """The commands on overrides. Holds no state; safe to share between threads.

    An environment is `production` or `devel`, a unit is `type:id`; see `domain.overriding`. Each may raise, besides the
    rules it names:
        VersionConflict: the unit's overrides are not at the version the request expects, or somebody else wrote at the
            same moment.
        CommandIdReused: the request's command id belongs to another command.
    """

    def __init__(self, *, store: EventStore, registry: FactRegistry, now: Callable[[], datetime]) -> None:
        self._execution = Execution(OVERRIDES, store=store, registry=registry, now=now)
        self._split_tests = Execution(SPLIT_TESTS, store=store, registry=registry, now=now)
        self._now = now

    def force(
        self,
        request: Request,
        *,
        unit: str,
        environment: str,
        key: str,
        variant: str | None,
        until: datetime | None = None,
    ) -> Appended:
        """Give the unit this variant of the test, None for no variant. See `domain.overriding.force`."""
        arguments = {"test": key, "variant": variant, "until": until}
        return self._execution.change(
            _order(request, "force", unit, environment, arguments),
            lambda state: overriding.force(
                state,
                self._split_test(key),
                request.actor,
                unit=unit,
                environment=environment,
                key=key,
                variant=variant,
                until=until,
                now=self._now(),
            ),
        )

    def forget(self, request: Request, *, unit: str, environment: str, key: str | None = None) -> Appended:
        """Take back what was forced of the test, or all that was said of the unit. See `domain.overriding.forget`."""
        return self._execution.change(
            _order(request, "forget", unit, environment, {"test": key}),
            lambda state: overriding.forget(
                state,
                None if key is None else self._split_test(key),
                request.actor,
                unit=unit,
                environment=environment,
                key=key,
            ),
        )

    def disable_tests(
        self, request: Request, *, unit: str, environment: str, until: datetime | None = None
    ) -> Appended:
        """Let the unit take part in no test. See `domain.overriding.disable`."""
        return self._execution.change(
            _order(request, "disable_tests", unit, environment, {"until": until}),
            lambda _: overriding.disable(
                request.actor, unit=unit, environment=environment, until=until, now=self._now()
            ),
        )

    def enable_test(self, request: Request, *, unit: str, environment: str, key: str) -> Appended:
        """Let the unit take part in this one test all the same. See `domain.overriding.enable`."""
        return self._execution.change(
            _order(request, "enable_test", unit, environment, {"test": key}),
            lambda state: overriding.enable(
                state,
                self._split_test(key),
                request.actor,
                unit=unit,
                environment=environment,
                key=key,
                now=self._now(),
            ),
        )

    def enable_tests(self, request: Request, *, unit: str, environment: str) -> Appended:
        """Let the unit take part in all tests again. See `domain.overriding.enable_all`."""
        return self._execution.change(
            _order(request, "enable_tests", unit, environment, {}),
            lambda state: overriding.enable_all(state, request.actor, unit=unit, environment=environment),
        )

    def expire(self, *, unit: str, environment: str) -> Appended | None:
        """Take out what is over by now; None if nothing is. For the system. See `domain.overriding.expire`."""
        return self._execution.record(
            _order(Request(actor=EXPIRY), "expire", unit, environment, {}),
            lambda state: overriding.expire(state, now=self._now()),
        )

    def _split_test(self, key: str) -> SplitTest | None:
        # What cannot be a key may be text that no database can be asked for.
        return self._split_tests.load(key)[0] if is_word(key) else None


def _order(request: Request, name: str, unit: str, environment: str, arguments: Mapping[str, object]) -> Order:
    key = place(overriding.checked_environment(environment), overriding.checked_unit(unit))
    return Order(request=request, name=name, key=key, arguments=arguments)
