"""What the system does to settings groups: it records that one was prepared, or why it could not be."""

from collections.abc import Callable
from datetime import datetime

from commands.aggregates import SPLIT_TESTS
from commands.execution import Execution, Order, Request
from domain import settings_groups
from domain.people import Actor
from domain.split_test import SplitTest
from events.facts import GroupsMoved, Overlap, PreparedVariant
from events.registry import FactRegistry
from events.store import Appended, EventStore

PREPARER = Actor(name="preparer")
"""Who stands in the changelog for what the system prepared. Nobody's rights are asked for."""


class PreparationCommands:
    """The commands on settings groups that wait. Holds no state; safe to share between threads.

    Each takes the version of the test that the preparation looked at, because what was drawn for that version is
    worthless for another. Each may raise:
        VersionConflict: the test moved on; look again.
        SettingsGroupSuperseded: the settings group does not wait (any more); leave it.
    """

    def __init__(self, *, store: EventStore, registry: FactRegistry, now: Callable[[], datetime]) -> None:
        self._execution = Execution(SPLIT_TESTS, store=store, registry=registry, now=now)

    def load(self, key: str) -> tuple[SplitTest | None, int]:
        """Return the state of the test `key` and the version of its stream. See `Execution.load`."""
        return self._execution.load(key)

    def record_prepared(  # noqa: PLR0913 - the fields of the fact, by name
        self,
        key: str,
        *,
        settings_group: int,
        seed: int,
        as_of_position: int,
        variants: tuple[PreparedVariant, ...],
        overlaps: tuple[Overlap, ...],
        expected_version: int,
        kept_groups: int = 0,
        moved: tuple[GroupsMoved, ...] = (),
        assumed_filters: tuple[str, ...] = (),
        base_rate: float | None = None,
    ) -> Appended:
        """Make the settings group the current one. See `domain.settings_groups.prepared`.

        Raises:
            AllocationNotExact: the split groups are not those that were asked for.
        """
        return self._execution.change_anything(
            _order("record_prepared", key, settings_group, expected_version),
            lambda state: settings_groups.prepared(
                state,
                key,
                settings_group=settings_group,
                seed=seed,
                as_of_position=as_of_position,
                variants=variants,
                overlaps=overlaps,
                kept_groups=kept_groups,
                moved=moved,
                assumed_filters=assumed_filters,
                base_rate=base_rate,
            ),
        )

    def record_failed(self, key: str, *, settings_group: int, reason: str, expected_version: int) -> Appended:
        """Record why it could not be prepared. See `domain.settings_groups.preparation_failed`."""
        return self._execution.change_anything(
            _order("record_failed", key, settings_group, expected_version),
            lambda state: settings_groups.preparation_failed(state, key, settings_group=settings_group, reason=reason),
        )


def _order(name: str, key: str, settings_group: int, expected_version: int) -> Order:
    request = Request(actor=PREPARER, expected_version=expected_version)
    return Order(request=request, name=name, key=key, arguments={"settings_group": settings_group})
