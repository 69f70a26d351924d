"""Attributes of users as small whole numbers, so that users who no conditions in use can tell apart look the same.

Conditions compare an attribute with the few values they name. These values cut what the attribute can be into points
and the intervals between them, and all that matters of a user is which of these holds: a time that
differs for each of ten million users becomes one of as many codes as there are dates in the conditions, twice and one.
Codes that all conditions treat alike are one code. A table of whole numbers tells it where they lie close together (200
countries cost one look); a CASE finds it by halving elsewhere.

For `contains`, `starts_with` and very long lists each question is a code of its own, yes or no. The codes of all
attributes are digits of one number (or of a few, if it grew beyond 62 bits), which the database computes in one pass.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, ColumnElement, Integer, Subquery, case, cast, literal_column, select, true

from audience.conditions_sql import leaf_sql
from audience.digit_sql import digit_sql
from audience.operands import operand
from audience.users_table import UsersTable
from usersplit.conditions import Conditions, Filter, Leaf, Node, Value

Truth: TypeAlias = NDArray[np.bool_]
LeafKey: TypeAlias = tuple[str, str, str, frozenset[Value]]
_SUBSTRING: Final = frozenset({"contains", "starts_with"})
_MOST_POINTS: Final = 2000
"""Values that the conditions in use may name of one attribute before the longest lists of them become questions."""
_LONG_LIST: Final = 100
_QUESTION_COST: Final = 20
_MOST_COST: Final = 3000
_WORD_BITS: Final = 62
_INTEGER_BITS: Final = 31
_ASSUMED: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafCodes:
    """Which codes of which digit meet a leaf; digit -1: the leaf is assumed to be met."""

    digit: int
    truth: Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """The digit of one filter: the values that cut it, sorted, and what its codes have been merged into."""

    digit: int
    points: tuple[Value, ...]
    merged: NDArray[np.int64]

    @property
    def is_whole(self) -> bool:
        """Whether every code still stands for itself, so that further comparisons can be answered."""
        return bool(np.array_equal(self.merged, np.arange(code_count(self.points))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How users are coded.

    Attributes:
        inner: each filter's column once, and the split group, for the expressions in `words`.
        words: the numbers that a user becomes; digits are divided out of them by `sizes`.
        word_digits: the digits of each word, its lowest first.
        sizes: how many codes each digit has.
        leaves: the codes that meet each leaf.
        attributes: the digits of filters, by name and type.
    """

    inner: Subquery
    words: tuple[ColumnElement[int], ...]
    word_digits: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    leaves: Mapping[LeafKey, LeafCodes]
    attributes: Mapping[tuple[str, str], Attribute]

    def word_size(self, word: int) -> int:
        """Return how many values the word can have."""
        return int(np.prod([self.sizes[digit] for digit in self.word_digits[word]], dtype=object))


def leaf_key(leaf: Leaf) -> LeafKey:
    """Return what makes two leaves the same question."""
    return (leaf.filter.name, leaf.filter.type, leaf.operator, leaf.members)


def leaves_of(node: Node) -> Iterator[Leaf]:
    """Yield every leaf of a tree."""
    if isinstance(node, Leaf):
        yield node
        return
    for child in node.nodes:
        yield from leaves_of(child)


def affordable(asked: Sequence[Conditions]) -> list[int]:
    """Return which of these conditions one coding can answer in reasonable time, by their indices, ascending.

    Hundreds of tests fit, with a few conditions each. One with thousands of conditions must be asked alone: it would
    make the statement for all of them so long that databases take minutes to read it.
    """
    leaves = [{leaf_key(leaf): leaf for leaf in leaves_of(each.root)} for each in asked]
    known: set[LeafKey] = set()
    cost, fitting = 0, []
    for index in sorted(range(len(asked)), key=lambda index: len(leaves[index])):
        new = leaves[index].keys() - known
        cost += sum(_QUESTION_COST if _is_question(leaves[index][key]) else 1 for key in new)
        if cost > _MOST_COST:
            break
        known |= new
        fitting.append(index)
    return sorted(fitting)


def code(
    asked: Iterable[Conditions],
    users: UsersTable,
    *,
    where: ColumnElement[bool] | None = None,
    known_values: Mapping[tuple[str, str], Iterable[Value]] | None = None,
) -> Coding:
    """Return a coding that can answer all the conditions `asked`, about the users in `where`.

    Args:
        asked: the conditions in use.
        users: where the users are.
        where: which users are looked at; None is all of them.
        known_values: further values, by filter name and type, that shall be points of their own. With them codes are
            not merged, so that conditions which come later can be answered too.

    Raises:
        FilterWithoutColumn: a filter of the profile has no column.
    """
    return _Coder(users, where, known_values).code(
        {leaf_key(leaf): leaf for each in asked for leaf in leaves_of(each.root)}
    )


class _Coder:
    """One coding in the making."""

    def __init__(
        self,
        users: UsersTable,
        where: ColumnElement[bool] | None,
        known: Mapping[tuple[str, str], Iterable[Value]] | None,
    ) -> None:
        self._users = users
        self._where = true() if where is None else where
        self._known = known
        self._columns: list[ColumnElement[Any]] = []
        self._digits: list[
            tuple[Any, int]
        ] = []  # what makes the expression once the inner query is there, and its size
        self._leaves: dict[LeafKey, LeafCodes] = {}
        self._attributes: dict[tuple[str, str], Attribute] = {}

    def code(self, leaves: Mapping[LeafKey, Leaf]) -> Coding:
        by_filter: dict[tuple[str, str], list[Leaf]] = {}
        for leaf in leaves.values():
            by_filter.setdefault((leaf.filter.name, leaf.filter.type), []).append(leaf)
        for name_and_type, group in by_filter.items():
            self._code_filter(name_and_type, group)
        columns = [each.label(f"a{index}") for index, each in enumerate(self._columns)]
        split_group = Column(self._users.split_group, Integer)
        group_of_user = case((split_group.between(1, 2400), split_group), else_=literal_column("0"))
        inner = select(group_of_user.label("split_group"), *columns).select_from(self._users.sql()).where(self._where)
        return self._words(inner.subquery("coded"))

    def _code_filter(self, name_and_type: tuple[str, str], leaves: Sequence[Leaf]) -> None:
        definition = leaves[0].filter
        actual = operand(definition, self._users)
        if actual is None:
            always = LeafCodes(digit=_ASSUMED, truth=np.ones(1, dtype=np.bool_))
            self._leaves.update(dict.fromkeys(map(leaf_key, leaves), always))
            return
        compared, questions = _divided(leaves)
        for leaf in questions:
            self._add_question(leaf)
        if compared or (self._known is not None and name_and_type in self._known):
            self._add_points(name_and_type, definition, actual, compared)

    def _add_question(self, leaf: Leaf) -> None:
        column = len(self._columns)
        self._columns.append(case((leaf_sql(leaf, self._users), literal_column("1")), else_=literal_column("0")))
        self._leaves[leaf_key(leaf)] = LeafCodes(digit=len(self._digits), truth=np.array([False, True]))
        self._digits.append((lambda inner: inner.c[f"a{column}"], 2))

    def _add_points(
        self, name_and_type: tuple[str, str], definition: Filter, actual: ColumnElement[Any], leaves: Sequence[Leaf]
    ) -> None:
        further = () if self._known is None else self._known.get(name_and_type, ())
        points = tuple(sorted({value for leaf in leaves for value in leaf.values} | set(further)))
        truths = np.array([truth_of(leaf, points) for leaf in leaves], dtype=np.bool_).reshape(
            len(leaves), code_count(points)
        )
        if self._known is None:
            first, merged = np.unique(truths, axis=1, return_inverse=True)
            truths, merged = first, merged.reshape(-1)
        else:
            merged = np.arange(code_count(points))
        digit, column = len(self._digits), len(self._columns)
        self._columns.append(actual)
        size = int(merged.max()) + 1
        self._digits.append((lambda inner: digit_sql(definition, inner.c[f"a{column}"], points, merged), size))
        for leaf, truth in zip(leaves, truths, strict=True):
            self._leaves[leaf_key(leaf)] = LeafCodes(digit=digit, truth=truth)
        self._attributes[name_and_type] = Attribute(digit=digit, points=points, merged=merged)

    def _words(self, inner: Subquery) -> Coding:
        sizes = tuple(size for _, size in self._digits)
        word_digits = _packed(sizes)
        words: list[ColumnElement[int]] = []
        for digits in word_digits:
            total, parts = 1, []
            wide = np.prod([sizes[digit] for digit in digits], dtype=object) >= 2**_INTEGER_BITS
            for digit in digits:
                expression = self._digits[digit][0](inner)
                parts.append((cast(expression, BigInteger) if wide else expression) * literal_column(str(total)))
                total *= sizes[digit]
            word = parts[0] if parts else literal_column("0")
            for part in parts[1:]:
                word = word + part
            words.append(cast(word, BigInteger if wide else Integer))
        return Coding(
            inner=inner,
            words=tuple(words),
            word_digits=word_digits,
            sizes=sizes,
            leaves=self._leaves,
            attributes=self._attributes,
        )


def _divided(leaves: Sequence[Leaf]) -> tuple[list[Leaf], list[Leaf]]:
    """Return the leaves that cut the attribute, and those that are better asked as they are.

    Databases take minutes to read comparisons with 100,000 values, but a moment to look into a list of as many.
    """
    compared: list[Leaf] = []
    questions: list[Leaf] = []
    points = 0
    for leaf in sorted(leaves, key=lambda leaf: len(leaf.values)):
        points += len(leaf.values)
        if leaf.operator in _SUBSTRING or points > _MOST_POINTS:
            questions.append(leaf)
        else:
            compared.append(leaf)
    return compared, questions


def _is_question(leaf: Leaf) -> bool:
    return leaf.operator in _SUBSTRING or len(leaf.values) > _LONG_LIST


def code_count(points: Sequence[Value]) -> int:
    """Return how many codes points make: not known, each point, and each interval around and between them."""
    return 2 * len(points) + 2


def truth_of(leaf: Leaf, points: Sequence[Value]) -> Truth:
    """Return which codes meet a comparison all of whose values are points.

    Code 0 is "not known", 2i + 2 is point i, and the odd codes are the intervals, in order.
    """
    codes = np.arange(code_count(points))
    known = codes > 0
    named = [2 * bisect_left(points, value) + 2 for value in leaf.values]
    match leaf.operator:
        case "lt":
            return known & (codes < named[0])
        case "lte":
            return known & (codes <= named[0])
        case "gt":
            return codes > named[0]
        case "gte":
            return codes >= named[0]
        case "eq" | "in":
            return np.isin(codes, named)
        case _:
            return known & ~np.isin(codes, named)


def truth_at(leaf: Leaf, points: Sequence[Value]) -> tuple[Truth, Truth] | None:
    """Return which codes meet a comparison whose values need not be points, and which codes cannot tell.

    None: the leaf is no comparison.
    """
    if leaf.operator in _SUBSTRING:
        return None
    finer = tuple(sorted({*points, *leaf.values}))
    codes = np.arange(code_count(points))
    # Where each old code lies among the finer ones: a point stays a point, an interval begins where it did.
    places = np.array([2 * bisect_left(finer, point) + 2 for point in points], dtype=np.int64)
    begins = np.zeros(len(codes), dtype=np.int64)
    begins[2::2] = places
    begins[3::2] = places + 1
    begins[1] = 1
    ends = np.append(begins[1:], code_count(finer))
    truth = truth_of(leaf, finer)
    met = truth[begins]
    sums = np.append(0, np.cumsum(truth))
    inside = sums[ends] - sums[begins]
    return met, (inside != 0) & (inside != ends - begins)


def _packed(sizes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    words: list[list[int]] = [[]]
    total = 1
    for digit, size in enumerate(sizes):
        if total * size >= 2**_WORD_BITS:
            words.append([])
            total = 1
        words[-1].append(digit)
        total *= size
    return tuple(tuple(digits) for digits in words)
