"""What people do to user groups. Each command appends all of its facts, or nothing; see `commands.split_tests`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from commands.aggregates import USER_GROUPS
from commands.execution import Execution, Order, Request
from domain import user_group_life
from domain.user_group_life import NewUserGroup, read_conditions
from events.registry import FactRegistry
from events.store import Appended, EventStore
from usersplit.conditions import Catalog

__all__ = ["Request", "UserGroupCommands"]


class UserGroupCommands:
    """The commands on user groups. Holds no state; safe to share between threads."""

    def __init__(
        self, *, store: EventStore, registry: FactRegistry, catalog: Catalog, now: Callable[[], datetime]
    ) -> None:
        self._execution = Execution(USER_GROUPS, store=store, registry=registry, now=now)
        self._catalog = catalog

    def create(
        self, request: Request, *, key: str, name: str, description: str = "", managers: Sequence[str] = ()
    ) -> Appended:
        """Create a Draft. See `domain.user_group_life.create`."""
        wanted = NewUserGroup(key=key, name=name, description=description, managers=tuple(managers))
        arguments = {"name": name, "description": description, "managers": list(managers)}
        order = Order(request=request, name="create_user_group", key=key, arguments=arguments)
        return self._execution.change_anything(
            order, lambda state: user_group_life.create(state, request.actor, wanted)
        )

    def edit(self, request: Request, key: str, changes: Mapping[str, str]) -> Appended:
        """Edit name or description. See `domain.user_group_life.edit`."""
        order = Order(request=request, name="edit_user_group", key=key, arguments=changes)
        return self._execution.change(order, lambda state: user_group_life.edit(state, key, request.actor, changes))

    def change_managers(
        self, request: Request, key: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Appended:
        """Add managers and remove others, in one step. See `domain.user_group_life.change_managers`."""
        joining, leaving = list(add), list(remove)
        order = Order(
            request=request,
            name="change_managers_of_user_group",
            key=key,
            arguments={"add": joining, "remove": leaving},
        )
        return self._execution.change(
            order,
            lambda state: user_group_life.change_managers(state, key, request.actor, add=joining, remove=leaving),
        )

    def propose_conditions(self, request: Request, key: str, conditions: object) -> Appended:
        """Bring a tree of conditions, decoded JSON, into force as a new settings group; `[]` is everybody.

        Raises:
            usersplit.conditions.ConditionsError: the conditions break a rule.
            RuleBroken: see `domain.user_group_life.change_conditions`.
        """
        order = Order(request=request, name="propose_conditions", key=key, arguments={"conditions": conditions})
        return self._execution.change(
            order,
            lambda state: user_group_life.change_conditions(
                state, key, request.actor, read_conditions(conditions, self._catalog)
            ),
        )

    def activate(self, request: Request, key: str) -> Appended:
        """Draft or Off → Active. See `domain.user_group_life.activate`."""
        order = Order(request=request, name="activate_user_group", key=key, arguments={})
        return self._execution.change(order, lambda state: user_group_life.activate(state, key, request.actor))

    def switch_off(self, request: Request, key: str) -> Appended:
        """Active → Off. See `domain.user_group_life.switch_off`."""
        order = Order(request=request, name="switch_off_user_group", key=key, arguments={})
        return self._execution.change(order, lambda state: user_group_life.switch_off(state, key, request.actor))

    def discard(self, request: Request, key: str) -> Appended:
        """Draft or Off → gone. See `domain.user_group_life.discard`."""
        order = Order(request=request, name="discard_user_group", key=key, arguments={})
        return self._execution.change(order, lambda state: user_group_life.discard(state, key, request.actor))
