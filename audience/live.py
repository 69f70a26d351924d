"""Live numbers: how many users meet the conditions somebody is editing, and how many of them meet other tests' too.

Kept in memory: how many users there are of each combination of codes of the attributes in use, with no split groups.
An edit is answered from it, exact as of the moment its counting began. Attributes with few values are cut at each of
them, so that an edit may name any value; one with many (a registration time) is cut at the values that conditions
have named, and a new one of these, like an attribute that is not kept yet, is added by counting anew.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, func, literal_column, select

from audience.coding import Coding, Truth, affordable, code, leaf_key, leaves_of
from audience.combinations import Combinations, combine
from audience.conditions_sql import assumed_filters
from audience.errors import TooManyConditions
from audience.operands import operand
from audience.users_table import UsersTable
from usersplit.conditions import Conditions, Filter, Value
from warehouse.users import Statement, UsersDatabase

_SAMPLED_USERS: Final = 100_000
# Several people edit at once, each about attributes of their own.
_EDITS_REMEMBERED: Final = 20
_FEW_VALUES: Final = 300
"""An attribute with more values than this is cut at what conditions name, and not at each of its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What an edit is told.

    Attributes:
        users: who meet the conditions.
        shared: who meet those of each watched test too, by its key.
        as_of: the moment that the numbers were exact.
        assumed: filters of the visit that no column holds: the numbers are upper bounds.
    """

    users: int
    shared: Mapping[str, int]
    as_of: datetime
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    as_of: datetime
    combinations: Combinations
    users: NDArray[np.float64]
    keys: tuple[str, ...]
    kinds: NDArray[np.float64]
    kind_of: NDArray[np.int32]


class LiveNumbers:
    """Answers edits from a kept table of counts. Any number of threads may ask; one at a time counts anew.

    Args:
        database: holds the users.
        users: maps filters to its columns.
        now: the clock.
    """

    def __init__(self, database: UsersDatabase, users: UsersTable, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._users = users
        self._now = now
        self._watched: dict[str, Conditions] = {}
        self._asked: deque[Conditions] = deque(maxlen=_EDITS_REMEMBERED)
        self._few: dict[tuple[str, str], tuple[Value, ...]] = {}
        self._kept: _Kept | None = None
        self._refreshing = Lock()

    def watch(self, tests: Mapping[str, Conditions]) -> None:
        """Say which tests there are, by key, instead of those said before. They count from the next refresh on.

        One with thousands of conditions is left out: it would make every other answer slow.
        """
        named = list(tests.items())
        self._watched = {named[index][0]: named[index][1] for index in affordable([asked for _, asked in named])}

    def refresh(self) -> datetime:
        """Count anew, and return the moment from which on the numbers are exact. Others are answered meanwhile.

        Raises:
            FilterWithoutColumn: a watched test asks a filter that nobody can answer.
            WarehouseError: the database does not answer; the numbers of before are kept.
        """
        with self._refreshing:
            self._kept = self._counted()
            return self._kept.as_of

    def numbers(self, edited: Conditions) -> Numbers:
        """Return the numbers for conditions that are being edited; counts anew where the kept table cannot tell.

        Raises:
            TooManyConditions: counting them takes too long for an edit.
            FilterWithoutColumn, WarehouseError: as `refresh`.
        """
        if not affordable([edited]):
            raise TooManyConditions
        kept, met = self._answer_to(edited)
        while kept is None or met is None:
            # So many others may ask at the same moment that one refresh does not remember all of them.
            self._asked.append(edited)
            with self._refreshing:
                # Whoever counted while this one waited may have counted for both.
                if self._answer_to(edited)[1] is None:
                    self._kept = self._counted()
            kept, met = self._answer_to(edited)
        users = np.where(met, kept.users, 0)
        by_kind = np.bincount(kept.kind_of, weights=users, minlength=kept.kinds.shape[1])
        shared = (kept.kinds @ by_kind).astype(np.int64).tolist()
        return Numbers(
            users=int(users.sum()),
            shared=dict(zip(kept.keys, shared, strict=True)),
            as_of=kept.as_of,
            assumed=assumed_filters(edited, self._users),
        )

    def _answer_to(self, edited: Conditions) -> tuple[_Kept | None, Truth | None]:
        kept = self._kept
        return kept, None if kept is None else _met(kept.combinations, edited)

    def _counted(self) -> _Kept:
        watched = dict(self._watched)
        in_use = [*watched.values(), *self._asked]
        coding = code(in_use, self._users, known_values=self._known_values(in_use))
        as_of = self._now()
        words, users = _users_by_word(self._database, coding)
        # Each row is a combination of its own, but `combine` has an order of its own too.
        combinations, order = combine(coding, words)
        sorted_users = np.zeros(combinations.count)
        sorted_users[order] = users
        kinds, kind_of = combinations.kinds(list(watched.values()))
        return _Kept(
            as_of=as_of,
            combinations=combinations,
            users=sorted_users,
            keys=tuple(watched),
            kinds=kinds.astype(np.float64),
            kind_of=kind_of,
        )

    def _known_values(self, in_use: Iterable[Conditions]) -> Mapping[tuple[str, str], tuple[Value, ...]]:
        for definition in {each.name: each for asked in in_use for each in asked.filters_used}.values():
            key = (definition.name, definition.type)
            if key not in self._few:
                self._few[key] = self._few_values(definition)
        return self._few

    def _few_values(self, definition: Filter) -> tuple[Value, ...]:
        """Return the values of a filter among some users if they are few, nothing if they are many.

        A sample will do: a value that it misses is not answered wrongly, but by counting anew.
        """
        actual = operand(definition, self._users)
        if actual is None or definition.type in {"version", "time"}:
            return ()
        some = select(actual.label("value")).select_from(self._users.sql()).limit(_SAMPLED_USERS).subquery("some_users")
        statement: Statement = select(some.c.value).where(some.c.value.is_not(None)).distinct().limit(_FEW_VALUES + 1)
        values = [row[0] for row in self._database.rows(statement)]
        if len(values) > _FEW_VALUES:
            return ()
        return tuple(bool(value) if definition.type == "boolean" else value for value in values)


def _users_by_word(database: UsersDatabase, coding: Coding) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    coded = (
        select(*(word.label(f"word_{index}") for index, word in enumerate(coding.words)))
        .select_from(coding.inner)
        .subquery("users_coded")
    )
    words: list[ColumnElement[Any]] = [literal_column(f"word_{index}") for index in range(len(coding.words))]
    statement: Statement = select(*words, func.count().label("users")).select_from(coded).group_by(*words)
    answer = database.table(statement)
    columns = [answer.column(index).to_numpy() for index in range(answer.num_columns)]
    return columns[:-1], columns[-1]


def _met(combinations: Combinations, edited: Conditions) -> Truth | None:
    """Return which combinations meet the conditions, None if the coding cannot tell."""
    coding = combinations.coding
    missing = {leaf_key(leaf): leaf for leaf in leaves_of(edited.root) if leaf_key(leaf) not in coding.leaves}
    if not missing:
        return combinations.met(edited)
    further = combinations.with_leaves(list(missing.values()))
    return None if further is None else further.met(edited)
