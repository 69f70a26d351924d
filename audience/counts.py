"""How many users meet conditions, and how many meet those of other tests as well, by split group: exact, in one pass.

The database codes each user who meets the conditions (`audience.coding`); all conditions are evaluated once per
combination of codes that occurs; combinations that all tests treat alike are put together; and what is left is a table
of users by split group and such kind of user, multiplied with a table of which kind meets which test.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import getLogger
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, SmallInteger, and_, cast, column, func, literal_column, select

from audience.coding import Coding, affordable, code
from audience.combinations import combine
from audience.conditions_sql import assumed_filters, predicate, require_columns
from audience.errors import AudienceError, SplitGroupsWrong, UsersTableWrong
from audience.users_table import UsersTable
from domain.allocation.audience_counts import Audience, AudienceNotCountable, CountedUsers, SharedUsers
from usersplit.conditions import Catalog, Conditions, ConditionsError, FilterType, parse_text
from warehouse.users import Statement, UsersDatabase

SPLIT_GROUPS: Final = 2400
# So many kinds of users times 2400 split groups are a table of 80 MB.
_FEW_KINDS: Final = 4096
_EXACT_IN_FLOAT32: Final = 2**24
_LANE_BITS: Final = 16
_LANE_MASK: Final = 2**16 - 1
_LANE_ROWS_AT_ONCE: Final = _LANE_MASK

Counts = NDArray[np.int64]

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Users by split group.

    Attributes:
        users: who meet the conditions; the number of split group n stands at index n, index 0 is 0.
        shared: likewise for each other test: who meet both.
    """

    users: Counts
    shared: Sequence[Counts]


class SqlAudienceCounts:
    """The port `AudienceCounts` over a users table: the test and all others in one pass over the users.

    Args:
        database: holds the users.
        users: maps filters to its columns.
    """

    def __init__(self, database: UsersDatabase, users: UsersTable) -> None:
        self._database = database
        self._users = users

    def counted(self, audience: Audience, others: Sequence[Audience]) -> CountedUsers:
        """See `AudienceCounts.counted`.

        Raises:
            AudienceNotCountable: it cannot be counted, and why: a filter without a column, a column that is missing or
                of another type, a users table without split groups.
            WarehouseError: the database does not answer, or refuses; not a fault of the conditions.
        """
        with _reasons(audience.key):
            asked = parsed(audience)
            assumed = assumed_filters(asked, self._users)
            others_read = [self._countable(other) for other in others]
            used = {used for read in (asked, *others_read) if read for used in read.filters_used}
            misfits = self._users.misfits(self._database, used)
            if problems := _problems(asked, misfits):
                raise UsersTableWrong(problems)
            countable = {index: read for index, read in enumerate(others_read) if read and not _problems(read, misfits)}
            counted = count(self._database, self._users, asked, list(countable.values()))
        users = _by_group(counted.users)
        shared = [SharedUsers(users=users, is_upper_bound=True)] * len(others)
        for (index, read), by_group in zip(countable.items(), counted.shared, strict=True):
            is_upper_bound = bool(assumed or assumed_filters(read, self._users))
            shared[index] = SharedUsers(users=_by_group(by_group), is_upper_bound=is_upper_bound)
        if uncounted := [other.key for index, other in enumerate(others) if index not in countable]:
            _log.warning("no column holds what %s ask: all users are taken to be shared", ", ".join(uncounted))
        return CountedUsers(users=users, shared=shared, assumed_filters=assumed)

    def _countable(self, other: Audience) -> Conditions | None:
        """Return the conditions of another test; None if they cannot be counted, which holds up no other test."""
        try:
            read = parsed(other)
            require_columns(read, self._users)
        except (AudienceError, ConditionsError):
            return None
        return read


def count(database: UsersDatabase, users: UsersTable, asked: Conditions, others: Sequence[Conditions]) -> Counted:
    """Count users who meet `asked`, and those who meet each of `others` too.

    Raises:
        AudienceError: a filter without a column, or wrong split groups.
        WarehouseError: the database does not answer, or refuses.
    """
    together = affordable(others)
    in_one_pass = [others[index] for index in together]
    coding = code(in_one_pass, users, where=predicate(asked, users).met)
    groups, words, weights = _coded(database, coding)
    homeless = groups == 0
    if homeless.any():
        raise SplitGroupsWrong(int(homeless.sum() if weights is None else weights[homeless].sum()))
    totals = _histogram(groups, weights, SPLIT_GROUPS + 1)
    if not others:
        return Counted(users=totals, shared=())
    combinations, numbers = combine(coding, words)
    kinds, kind_of = combinations.kinds(in_one_pass)
    answers = dict(zip(together, _multiplied(kinds, kind_of[numbers], groups, weights), strict=True))
    for index in set(range(len(others))) - answers.keys():
        answers[index] = _of_both(database, users, asked, others[index])
    return Counted(users=totals, shared=[answers[index] for index in range(len(others))])


def _of_both(database: UsersDatabase, users: UsersTable, asked: Conditions, other: Conditions) -> Counts:
    """Count users who meet both by a statement of their own, where one for all tests would be too long."""
    group: ColumnElement[int] = column(users.split_group, Integer)
    both = and_(predicate(asked, users).met, predicate(other, users).met, group.between(1, SPLIT_GROUPS))
    statement: Statement = select(group, func.count()).select_from(users.sql()).where(both).group_by(group)
    found = np.zeros(SPLIT_GROUPS + 1, dtype=np.int64)
    for number, counted in database.rows(statement):
        found[number] = counted
    return found


def parsed(audience: Audience) -> Conditions:
    """Return the conditions of an audience, read with the types their filters had when they were proposed.

    Raises:
        ConditionsError: this release cannot read them.
    """
    filters = {each.name: {"type": each.type, "scope": each.scope} for each in audience.filters}
    return parse_text(audience.conditions, Catalog.from_document(filters))


def _problems(asked: Conditions, misfits: Mapping[tuple[str, FilterType], str]) -> list[str]:
    used = ((each.name, each.type) for each in asked.filters_used)
    return [misfits[each] for each in used if each in misfits]


def _coded(database: UsersDatabase, coding: Coding) -> tuple[Counts, list[Counts], Counts | None]:
    group: ColumnElement[int] = cast(coding.inner.c.split_group, SmallInteger).label("split_group")
    words = [word.label(f"word_{index}") for index, word in enumerate(coding.words)]
    if database.counts_nearby:
        answer = database.table(select(group, *words))
        return _column(answer, 0), [_column(answer, 1 + index) for index in range(len(words))], None
    names: list[ColumnElement[Any]] = [literal_column(name) for name in ("split_group", *(word.name for word in words))]
    coded = select(group, *words).subquery("users_coded")
    answer = database.table(select(*names, func.count().label("users")).select_from(coded).group_by(*names))
    return _column(answer, 0), [_column(answer, 1 + index) for index in range(len(words))], _column(answer, -1)


def _multiplied(kinds: NDArray[np.bool_], kind_of: NDArray[np.int32], groups: Counts, weights: Counts | None) -> Counts:
    """Return for each test its users by split group, from the kind, split group and weight of each row."""
    width = SPLIT_GROUPS + 1
    if kinds.shape[1] <= _FEW_KINDS:
        table = _histogram(kind_of * np.int64(width) + groups, weights, kinds.shape[1] * width).reshape(-1, width)
        # There is a fast multiplication for floats only, and these are exact as long as no sum is larger than this.
        users = len(groups) if weights is None else int(weights.sum())
        exact = np.float32 if users <= _EXACT_IN_FLOAT32 else np.float64
        product: Counts = (kinds.astype(exact) @ table.astype(exact)).astype(np.int64)
        return product
    return _summed_by_group(kinds, kind_of, groups, weights)


def _summed_by_group(
    kinds: NDArray[np.bool_], kind_of: NDArray[np.int32], groups: Counts, weights: Counts | None
) -> Counts:
    # Rows in the order of split groups, so that a group is a range. A test takes 16 bits of a sum where each row is one
    # user: ranges are cut before a sum could overflow them.
    lanes = 4 if weights is None else 1
    order = np.argsort(groups, kind="stable")
    kind_of, sorted_groups = kind_of[order], groups[order]
    sorted_weights = None if weights is None else weights[order].astype(np.uint64)
    starts = np.flatnonzero(np.diff(sorted_groups, prepend=-1))
    if lanes > 1:
        starts = np.union1d(starts, np.arange(0, len(order), _LANE_ROWS_AT_ONCE))
    range_groups = sorted_groups[starts]
    total = np.zeros((len(kinds), SPLIT_GROUPS + 1), dtype=np.int64)
    for first in range(0, len(kinds), lanes):
        lane_values = np.zeros(kinds.shape[1], dtype=np.uint64)
        for lane, met in enumerate(kinds[first : first + lanes]):
            lane_values |= met.astype(np.uint64) << np.uint64(_LANE_BITS * lane)
        rows = lane_values[kind_of]
        if sorted_weights is not None:
            rows *= sorted_weights
        sums = np.add.reduceat(rows, starts)
        for lane in range(min(lanes, len(kinds) - first)):
            lane_sums = sums if lanes == 1 else (sums >> np.uint64(_LANE_BITS * lane)) & np.uint64(_LANE_MASK)
            np.add.at(total[first + lane], range_groups, lane_sums.astype(np.int64))
    return total


def _histogram(places: Counts, weights: Counts | None, size: int) -> Counts:
    return np.bincount(places, weights=weights, minlength=size).astype(np.int64, copy=False)


def _column(answer: pa.Table, index: int) -> Counts:
    column: Counts = answer.column(index).to_numpy()
    return column


def _by_group(counts: Counts) -> dict[int, int]:
    (occupied,) = np.nonzero(counts)
    return dict(zip(occupied.tolist(), counts[occupied].tolist(), strict=True))


@contextmanager
def _reasons(key: str) -> Iterator[None]:
    """Turn what can be wrong with a question about a test into the reason why it cannot be counted."""
    try:
        yield
    except (AudienceError, ConditionsError) as error:
        raise AudienceNotCountable(key, str(error)) from error
