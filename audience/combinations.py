"""Combinations of codes that occur among users, and which of them meet conditions: numpy, exact, no database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audience.coding import Coding, LeafCodes, LeafKey, Truth, leaf_key, truth_at
from usersplit.conditions import Conditions, Leaf, Node

Codes: TypeAlias = NDArray[np.integer]
# Up to here a table of all numbers that could occur is quicker than sorting those that do.
_DENSE: Final = 2**24
_TESTS_A_WORD: Final = 63
_COMBINATIONS_AT_ONCE: Final = 2**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """What users look like to the conditions in use.

    Attributes:
        coding: how users were coded.
        digits: for each digit, its code in each combination.
        count: how many combinations there are.
    """

    coding: Coding
    digits: tuple[Codes, ...]
    count: int

    def met(self, conditions: Conditions) -> Truth:
        """Return for each combination whether its users meet `conditions`, all of whose leaves are in the coding."""
        answer = np.empty(self.count, dtype=np.bool_)
        for place, part in self._parts():
            answer[place] = part.met(conditions.root)
        return answer

    def kinds(self, asked: Sequence[Conditions]) -> tuple[Truth, NDArray[np.int32]]:
        """Return what kinds of combinations there are to the tests `asked`, and which kind each combination is.

        A kind is a column of the first answer: which of the tests, in their order, its users meet.
        """
        words = [np.zeros(self.count, dtype=np.uint64) for _ in range(0, len(asked), _TESTS_A_WORD)] or [
            np.zeros(self.count, dtype=np.uint64)
        ]
        for place, part in self._parts():
            for number, each in enumerate(asked):
                word, bit = divmod(number, _TESTS_A_WORD)
                words[word][place] |= part.met(each.root).astype(np.uint64) << np.uint64(bit)
        columns, kind_of = _together(words, [2**_TESTS_A_WORD] * len(words))
        answers = [
            (columns[number // _TESTS_A_WORD] >> np.uint64(number % _TESTS_A_WORD)) & np.uint64(1)
            for number in range(len(asked))
        ]
        return np.array(answers, dtype=np.bool_).reshape(len(asked), len(columns[0])), kind_of

    def _parts(self) -> Iterator[tuple[slice, "_Part"]]:
        for first in range(0, self.count, _COMBINATIONS_AT_ONCE):
            place = slice(first, min(first + _COMBINATIONS_AT_ONCE, self.count))
            digits = [digit[place].astype(np.intp) for digit in self.digits]
            yield place, _Part(self.coding, digits, place.stop - place.start)

    def with_leaves(self, leaves: Sequence[Leaf]) -> "Combinations | None":
        """Return the same, able to answer these leaves too; None: users that it puts together would answer apart.

        A comparison with a value that is no point can be answered as long as nobody is in the interval around it.
        """
        known = dict(self.coding.leaves)
        for leaf in leaves:
            attribute = self.coding.attributes.get((leaf.filter.name, leaf.filter.type))
            truth = None if attribute is None or not attribute.is_whole else truth_at(leaf, attribute.points)
            if attribute is None or truth is None:
                return None
            met, uncertain = truth
            if uncertain.any() and uncertain[self.digits[attribute.digit]].any():
                return None
            known[leaf_key(leaf)] = LeafCodes(digit=attribute.digit, truth=met)
        return replace(self, coding=replace(self.coding, leaves=known))


class _Part:
    """Some combinations, few enough for the processor's cache; remembers the answers of leaves, which tests share."""

    def __init__(self, coding: Coding, digits: Sequence[NDArray[np.intp]], count: int) -> None:
        self._coding = coding
        self._digits = digits
        self._count = count
        self._leaves: dict[LeafKey, Truth] = {}

    def met(self, node: Node) -> Truth:
        if isinstance(node, Leaf):
            return self._leaf(leaf_key(node))
        if not node.nodes:
            return np.ones(self._count, dtype=np.bool_)
        joined = np.logical_or if node.joint == "OR" else np.logical_and
        answer = self.met(node.nodes[0])
        for child in node.nodes[1:]:
            answer = joined(answer, self.met(child))
        return answer

    def _leaf(self, key: LeafKey) -> Truth:
        answer = self._leaves.get(key)
        if answer is None:
            codes = self._coding.leaves[key]
            assumed = codes.digit < 0
            answer = np.ones(self._count, dtype=np.bool_) if assumed else codes.truth[self._digits[codes.digit]]
            self._leaves[key] = answer
        return answer


def combine(coding: Coding, words: Sequence[Codes]) -> tuple[Combinations, NDArray[np.int32]]:
    """Return the combinations that occur, and the number of each row's.

    Args:
        coding: what made the words.
        words: for each word of the coding its value in each row.
    """
    columns, numbers = _together(words, [coding.word_size(index) for index in range(len(words))])
    digits: list[Codes] = []
    for of_word, rest in zip(coding.word_digits, columns, strict=True):
        for digit in of_word:
            digits.append((rest % coding.sizes[digit]).astype(np.int32))
            rest = rest // coding.sizes[digit]  # noqa: PLW2901 - divided down digit by digit
    return Combinations(coding=coding, digits=tuple(digits), count=len(columns[0])), numbers


def _together(words: Sequence[Codes], sizes: Sequence[int]) -> tuple[list[Codes], NDArray[np.int32]]:
    """Return the different rows of `words`, a column each, and for each row which of them it is."""
    present, numbers = _numbered(words[0], sizes[0])
    columns: list[Codes] = [present]
    for word, size in zip(words[1:], sizes[1:], strict=True):
        values, further = _numbered(word, size)
        pairs, numbers = _numbered(numbers.astype(np.int64) * len(values) + further, len(columns[0]) * len(values))
        columns = [column[pairs // len(values)] for column in columns] + [values[pairs % len(values)]]
    return columns, numbers


def _numbered(values: Codes, size: int) -> tuple[Codes, NDArray[np.int32]]:
    if size <= _DENSE and size <= 4 * len(values):
        present = np.flatnonzero(np.bincount(values, minlength=1))
        lookup = np.zeros(size, dtype=np.int32)
        lookup[present] = np.arange(len(present), dtype=np.int32)
        return present, lookup[values]
    present, numbers = np.unique(values, return_inverse=True)
    return present, numbers.astype(np.int32)
