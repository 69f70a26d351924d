"""From facts to the rows of user groups: a fold over the history of every user group, and of counting it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from events.store import RecordedFact
from events.user_group_estimate_facts import UserGroupEstimated, UserGroupEstimateFact
from events.user_group_facts import (
    UserGroupActivated,
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupDiscarded,
    UserGroupEdited,
    UserGroupFact,
    UserGroupSwitchedOff,
)
from projections.user_group_changes import STATUS_AFTER, TOLD, GroupBefore, tell
from warehouse.dimensions import UserGroupChangeRow, UserGroupConditionsRow, UserGroupRow


@dataclass(slots=True)
class _Group:
    """What is known of a user group: its rows, and what the next sentence needs of the facts before."""

    row: UserGroupRow
    position: int = 0
    conditions: dict[int, UserGroupConditionsRow] = field(default_factory=dict)
    before: GroupBefore = field(default_factory=GroupBefore)


class UserGroupFold:
    """Takes facts in, in order within each user group, and gives the rows that changed."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        # Of a discarded one only where it ended: what comes again from before that is known.
        self._ended: dict[str, int] = {}
        self._begin()

    def apply(self, recorded: RecordedFact) -> None:
        """Take a fact in. One that came before, of no user group, and of one without a beginning are none. Total."""
        fact = recorded.fact
        if type(fact) not in TOLD:
            return
        group = self._groups.get(fact.key)
        known = group.position if group else self._ended.get(fact.key, 0)
        if recorded.position <= known:
            return
        if isinstance(fact, UserGroupCreated):
            group = self._groups[fact.key] = _created(fact, recorded)
        if group is None:
            return
        group.position = recorded.position
        if isinstance(fact, UserGroupDiscarded):
            self._discard(fact.key, recorded.position)
            return
        self._change(group, fact, recorded)
        self._tell(group, fact, recorded)

    def take(self) -> Mapping[str, Any]:
        """Return the rows that changed since the last call, as fields of `warehouse.dimensions.DimensionRows`."""
        rows = {
            "discarded_user_groups": sorted(self._discarded),
            "user_groups": list(self._new_groups.values()),
            "user_group_conditions": list(self._new_conditions.values()),
            "user_group_changes": list(self._new_changes.values()),
        }
        self._begin()
        return rows

    def _begin(self) -> None:
        self._discarded: set[str] = set()
        self._new_groups: dict[str, UserGroupRow] = {}
        self._new_conditions: dict[tuple[str, int], UserGroupConditionsRow] = {}
        self._new_changes: dict[int, UserGroupChangeRow] = {}

    def _discard(self, key: str, position: int) -> None:
        self._ended[key] = position
        del self._groups[key]
        self._discarded.add(key)
        self._new_groups.pop(key, None)
        self._new_conditions = {place: row for place, row in self._new_conditions.items() if row.group_key != key}
        self._new_changes = {place: row for place, row in self._new_changes.items() if row.group_key != key}

    def _change(self, group: _Group, fact: UserGroupFact | UserGroupEstimateFact, recorded: RecordedFact) -> None:
        at, row = recorded.recorded_at, group.row
        match fact:
            case UserGroupEdited():
                edited = {change.name: change.after for change in fact.changes}
                row = replace(row, name=edited.get("name", row.name))
            case UserGroupConditionsChanged():
                row = replace(row, settings_group=fact.settings_group)
                self._put(group, _conditions(fact, recorded))
            case UserGroupActivated():
                row = replace(row, activated_at=at)
            case UserGroupSwitchedOff():
                row = replace(row, switched_off_at=at)
            case UserGroupEstimated():
                if (known := group.conditions.get(fact.settings_group)) is not None:
                    self._put(group, replace(known, users=fact.users, counted_at=at))
            case _:
                pass
        group.row = replace(row, status=STATUS_AFTER.get(type(fact), row.status))
        self._new_groups[fact.key] = group.row

    def _put(self, group: _Group, conditions: UserGroupConditionsRow) -> None:
        group.conditions[conditions.settings_group] = conditions
        self._new_conditions[conditions.group_key, conditions.settings_group] = conditions

    def _tell(self, group: _Group, fact: UserGroupFact | UserGroupEstimateFact, recorded: RecordedFact) -> None:
        told = tell(fact, group.before)
        group.before = group.before.after(fact)
        self._new_changes[recorded.position] = UserGroupChangeRow(
            position=recorded.position,
            changed_at=recorded.recorded_at,
            actor=recorded.actor,
            group_key=fact.key,
            kind=type(fact).__name__,
            settings_group=getattr(fact, "settings_group", group.row.settings_group),
            sentence=told.sentence,
        )


def _created(fact: UserGroupCreated, recorded: RecordedFact) -> _Group:
    return _Group(
        UserGroupRow(
            group_key=fact.key,
            name=fact.name,
            author=fact.author,
            status="draft",
            settings_group=0,
            created_at=recorded.recorded_at,
            activated_at=None,
            switched_off_at=None,
        )
    )


def _conditions(fact: UserGroupConditionsChanged, recorded: RecordedFact) -> UserGroupConditionsRow:
    return UserGroupConditionsRow(
        group_key=fact.key,
        settings_group=fact.settings_group,
        in_force_at=recorded.recorded_at,
        changed_by=recorded.actor,
        conditions=fact.conditions,
        users=None,
        counted_at=None,
    )
