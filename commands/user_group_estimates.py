"""The estimates of user groups: managers ask for them anew, the system records them or why there are none."""

from collections.abc import Callable
from datetime import datetime

from commands.aggregates import USER_GROUP_ESTIMATES, USER_GROUPS
from commands.execution import Execution, Order, Request
from domain import user_group_estimate
from domain.people import Actor
from domain.user_group import UserGroup
from events.registry import FactRegistry
from events.store import Appended, EventStore
from events.user_group_estimate_facts import SharedWithTest

ESTIMATOR = Actor(name="estimator")
"""Who stands in the changelog for what the system counted. Nobody's rights are asked for."""


class UserGroupEstimateCommands:
    """The commands on estimates. Holds no state; safe to share between threads."""

    def __init__(self, *, store: EventStore, registry: FactRegistry, now: Callable[[], datetime]) -> None:
        self._groups = Execution(USER_GROUPS, store=store, registry=registry, now=now)
        self._estimates = Execution(USER_GROUP_ESTIMATES, store=store, registry=registry, now=now)

    def ask(self, request: Request, key: str) -> Appended:
        """Ask to count a user group anew. See `domain.user_group_estimate.ask`.

        The version in the answer, and the one that `request` may expect, are those of the estimate, not the group's.
        """
        order = Order(request=request, name="ask_estimate_of_user_group", key=key, arguments={})
        group, _ = self._groups.load(key)
        # Before anything else: a conflict of versions would tell a stranger that the Draft exists.
        asked = user_group_estimate.ask(group, key, request.actor)
        return self._estimates.change_anything(order, lambda _: asked)

    def waiting(self, key: str) -> tuple[UserGroup | None, int, int]:
        """Return the user group `key`, the settings group of it that waits to be counted, and the estimate's version.

        The settings group is 0 where none waits.
        """
        estimate, version = self._estimates.load(key)
        group, _ = self._groups.load(key)
        return group, user_group_estimate.waiting(group, estimate), version

    def record_estimated(
        self,
        key: str,
        *,
        settings_group: int,
        as_of_position: int,
        users: int,
        shared: tuple[SharedWithTest, ...],
        assumed_filters: tuple[str, ...],
        expected_version: int,
    ) -> Appended:
        """Record what was counted.

        Raises:
            EstimateSuperseded: other conditions came into force meanwhile; leave it.
            VersionConflict: somebody else recorded, or asked anew; look again.
        """
        group, _ = self._groups.load(key)
        return self._estimates.change_anything(
            _order("record_estimated", key, settings_group, expected_version),
            lambda estimate: user_group_estimate.estimated(
                group,
                estimate,
                key,
                settings_group=settings_group,
                as_of_position=as_of_position,
                users=users,
                shared=shared,
                assumed_filters=assumed_filters,
            ),
        )

    def record_failed(self, key: str, *, settings_group: int, reason: str, expected_version: int) -> Appended:
        """Record why nobody could be counted. Raises as `record_estimated`."""
        group, _ = self._groups.load(key)
        return self._estimates.change_anything(
            _order("record_estimate_failed", key, settings_group, expected_version),
            lambda estimate: user_group_estimate.estimate_failed(
                group, estimate, key, settings_group=settings_group, reason=reason
            ),
        )


def _order(name: str, key: str, settings_group: int, expected_version: int) -> Order:
    request = Request(actor=ESTIMATOR, expected_version=expected_version)
    return Order(request=request, name=name, key=key, arguments={"settings_group": settings_group})
