"""What people do to split tests. Each command appends all of its facts, or nothing.

Every command may raise, besides the rules it names (`domain.errors.RuleBroken`):
    VersionConflict: the test is not at the version the request expects, or somebody else wrote at the same moment.
    CommandIdReused: the request's command id belongs to another command.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from commands.aggregates import SPLIT_TESTS
from commands.execution import Execution, Order, Request
from domain import lifecycle, properties, settings_groups
from domain.properties import NewSplitTest
from domain.settings import parse_proposal
from events.registry import FactRegistry
from events.store import Appended, EventStore
from usersplit.conditions import Catalog

__all__ = ["Request", "SplitTestCommands"]


class SplitTestCommands:
    """The commands on split tests. Holds no state; safe to share between threads."""

    def __init__(
        self, *, store: EventStore, registry: FactRegistry, catalog: Catalog, now: Callable[[], datetime]
    ) -> None:
        self._execution = Execution(SPLIT_TESTS, store=store, registry=registry, now=now)
        self._catalog = catalog
        self._now = now

    def create(  # noqa: PLR0913 - the properties of a test
        self,
        request: Request,
        *,
        key: str,
        name: str,
        description: str = "",
        type: str = "web",  # noqa: A002 - the glossary's word
        issue_key: str = "",
        chat_room: str = "",
        managers: Sequence[str] = (),
    ) -> Appended:
        """Create a Draft. See `domain.properties.create`."""
        wanted = NewSplitTest(
            key=key,
            name=name,
            description=description,
            type=type,
            issue_key=issue_key,
            chat_room=chat_room,
            managers=tuple(managers),
        )
        arguments = {
            "name": name,
            "description": description,
            "type": type,
            "issue_key": issue_key,
            "chat_room": chat_room,
            "managers": list(managers),
        }
        order = Order(request=request, name="create", key=key, arguments=arguments)
        return self._execution.change_anything(order, lambda state: properties.create(state, request.actor, wanted))

    def edit_properties(self, request: Request, key: str, changes: Mapping[str, str]) -> Appended:
        """Edit properties, named as in `domain.properties.EDITABLE`. See `domain.properties.edit_properties`."""
        order = Order(request=request, name="edit_properties", key=key, arguments=changes)
        return self._execution.change(
            order, lambda state: properties.edit_properties(state, key, request.actor, changes)
        )

    def change_managers(
        self, request: Request, key: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Appended:
        """Add managers and remove others, in one step. See `domain.properties.change_managers`."""
        joining, leaving = list(add), list(remove)
        order = Order(request=request, name="change_managers", key=key, arguments={"add": joining, "remove": leaving})
        return self._execution.change(
            order,
            lambda state: properties.change_managers(state, key, request.actor, add=joining, remove=leaving),
        )

    def propose_settings(self, request: Request, key: str, proposal: object) -> Appended:
        """Propose settings by a document, decoded JSON as `domain.settings` describes it.

        Raises:
            WrongSettings, usersplit.conditions.ConditionsError: the document breaks a rule.
            RuleBroken: see `domain.settings_groups.propose_settings`.
        """
        order = Order(request=request, name="propose_settings", key=key, arguments={"proposal": proposal})
        return self._execution.change(
            order,
            lambda state: settings_groups.propose_settings(
                state, key, request.actor, parse_proposal(proposal, self._catalog)
            ),
        )

    def retry_preparation(self, request: Request, key: str) -> Appended:
        """Prepare the failed settings group once more. See `domain.settings_groups.retry_preparation`."""
        order = Order(request=request, name="retry_preparation", key=key, arguments={})
        return self._execution.change(order, lambda state: settings_groups.retry_preparation(state, key, request.actor))

    def publish(self, request: Request, key: str) -> Appended:
        """Draft → In Dev. See `domain.lifecycle.publish`."""
        order = Order(request=request, name="publish", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.publish(state, key, request.actor))

    def unpublish(self, request: Request, key: str) -> Appended:
        """In Dev → Draft. See `domain.lifecycle.unpublish`."""
        order = Order(request=request, name="unpublish", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.unpublish(state, key, request.actor))

    def discard(self, request: Request, key: str) -> Appended:
        """Give up a Draft. See `domain.lifecycle.discard`."""
        order = Order(request=request, name="discard", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.discard(state, key, request.actor))

    def start(self, request: Request, key: str) -> Appended:
        """In Dev → Running. See `domain.lifecycle.start`."""
        order = Order(request=request, name="start", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.start(state, key, request.actor, now=self._now()))

    def pause(self, request: Request, key: str) -> Appended:
        """Running → Paused. See `domain.lifecycle.pause`."""
        order = Order(request=request, name="pause", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.pause(state, key, request.actor))

    def resume(self, request: Request, key: str) -> Appended:
        """Paused → Running. See `domain.lifecycle.resume`."""
        order = Order(request=request, name="resume", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.resume(state, key, request.actor, now=self._now()))

    def finish(self, request: Request, key: str, *, resulting_variant: str, scope: str) -> Appended:
        """Running or Paused → Finished. See `domain.lifecycle.finish`."""
        arguments = {"resulting_variant": resulting_variant, "scope": scope}
        order = Order(request=request, name="finish", key=key, arguments=arguments)
        return self._execution.change(
            order,
            lambda state: lifecycle.finish(state, key, request.actor, resulting_variant=resulting_variant, scope=scope),
        )

    def reject(self, request: Request, key: str) -> Appended:
        """Running or Paused → Rejected. See `domain.lifecycle.reject`."""
        order = Order(request=request, name="reject", key=key, arguments={})
        return self._execution.change(order, lambda state: lifecycle.reject(state, key, request.actor))

    def record_code_deployed(
        self,
        request: Request,
        key: str,
        *,
        hit_id: str,
        occurred_at: datetime,
        app: str = "",
        host: str = "",
        settings_group: int = 0,
    ) -> Appended | None:
        """Record that a production hit came for a test In Dev; None if there is nothing to record.

        For the system, not for people: nobody's rights are asked for. See `domain.lifecycle.record_code_deployed`.
        """
        arguments = {
            "hit_id": hit_id,
            "occurred_at": occurred_at,
            "app": app,
            "host": host,
            "settings_group": settings_group,
        }
        order = Order(request=request, name="record_code_deployed", key=key, arguments=arguments)
        return self._execution.record(
            order,
            lambda state: lifecycle.record_code_deployed(
                state,
                key,
                hit_id=hit_id,
                occurred_at=occurred_at,
                app=app,
                host=host,
                settings_group=settings_group,
            ),
        )
