"""Reads the JSON of conditions into a tree, and says what is wrong with it and where.

The walk is recursive but no deeper than `MAXIMUM_DEPTH`, and stops at the first leaf or value beyond the limits: a
document is somebody else's, and must not be able to exhaust the stack or the memory of a service.
"""

import json
import sys
from typing import Final, Never, cast

from usersplit.conditions._catalog import Catalog, Filter
from usersplit.conditions._errors import (
    MalformedConditions,
    MixedOperators,
    TooDeep,
    TooLarge,
    UnknownFilter,
    UnknownOperator,
    WrongValue,
)
from usersplit.conditions._tree import Bracket, Joint, Leaf, Node
from usersplit.conditions._types import ALL_OPERATORS, LIST_OPERATORS, Value
from usersplit.conditions._values import EXPECTED, READERS
from usersplit.conditions._wording import described, did_you_mean, listed, quoted

MAXIMUM_DEPTH: Final = 50
MAXIMUM_LEAVES: Final = 10_000
MAXIMUM_VALUES: Final = 100_000
ROOT_PATH: Final = "conditions"
_KEYS: Final = ("filter", "operator", "value")


def decode(text: str) -> object:
    """Decode JSON text, refusing what Python's decoder lets through: NaN, and a key that is said twice.

    Raises:
        MalformedConditions: the text is not JSON, or not JSON that says one thing.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise TooDeep(ROOT_PATH, "lists are nested far too deep; nobody could read such conditions.") from error
    except MalformedConditions:
        raise
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedConditions(ROOT_PATH, f"the text is not JSON ({error.msg} at {place}).") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise MalformedConditions(ROOT_PATH, "the text holds a number beyond all limits.") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise MalformedConditions(ROOT_PATH, "an object says one of its keys twice; it is not clear which one counts.")
    return document


def _refuse_constant(name: str) -> Never:
    raise MalformedConditions(ROOT_PATH, f"{name} is not a number that can be compared.")


class Parser:
    """One walk over one document, counting leaves and values as it goes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._leaves = 0
        self._values = 0

    def root(self, document: object) -> Bracket:
        """Return the tree of the whole document; an empty list is everybody."""
        if not isinstance(document, list):
            raise MalformedConditions(
                ROOT_PATH,
                f"must be a list of conditions joined by AND or OR ([] is everybody); this is {described(document)}."
                + (" Put it in a list: [ … ]." if isinstance(document, dict) else ""),
            )
        if not document:
            return Bracket(joint="AND", nodes=())
        return self._bracket(document, ROOT_PATH, 1)

    def _bracket(self, items: list[object], path: str, depth: int) -> Bracket:
        if depth > MAXIMUM_DEPTH:
            raise TooDeep(path, f"brackets are nested more than {MAXIMUM_DEPTH} deep; flatten them.")
        joints: list[Joint] = []
        nodes: list[Node] = []
        for index, item in enumerate(items):
            place = f"{path}[{index}]"
            if index % 2:
                joints.append(_joint(item, place))
            else:
                nodes.append(self._node(item, place, depth))
        if len(nodes) == len(joints):
            raise MalformedConditions(
                f"{path}[{len(items) - 1}]", f"{joints[-1]} joins nothing: a condition must follow."
            )
        if "AND" in joints and "OR" in joints:
            raise _mixed(path, joints)
        return Bracket(joint=joints[0] if joints else "AND", nodes=tuple(nodes))

    def _node(self, item: object, path: str, depth: int) -> Node:
        if isinstance(item, dict):
            return self._leaf(item, path)
        if isinstance(item, list):
            if not item:
                raise MalformedConditions(path, "the brackets are empty: put a condition in or take them away.")
            return self._bracket(item, path, depth + 1)
        if isinstance(item, str) and item.upper() in {"AND", "OR"}:
            raise MalformedConditions(path, f"a condition must stand here, and this is {described(item)}.")
        raise MalformedConditions(
            path, f"must be a condition with filter, operator and value, or brackets; this is {described(item)}."
        )

    def _leaf(self, document: dict[object, object], path: str) -> Leaf:
        self._leaves += 1
        if self._leaves > MAXIMUM_LEAVES:
            raise TooLarge(path, f"there are more than {MAXIMUM_LEAVES:,} conditions; use lists of values (in).")
        missing = [key for key in _KEYS if key not in document]
        if missing:
            raise MalformedConditions(path, f"the condition has no {listed(map(quoted, missing))}.")
        further = [key for key in document if key not in _KEYS]
        if further:
            raise MalformedConditions(
                path,
                f"a condition has filter, operator and value, and not {listed(map(described, further))}; take it out.",
            )
        definition = self._filter(document["filter"], f"{path}.filter")
        operator = _operator(document["operator"], definition, f"{path}.operator")
        values, spelled = self._operands(document["value"], definition, operator, f"{path}.value")
        return Leaf(filter=definition, operator=operator, values=values, spelled=spelled, path=path)

    def _filter(self, name: object, path: str) -> Filter:
        if not isinstance(name, str):
            raise MalformedConditions(path, f"must be the name of a filter; this is {described(name)}.")
        found = self._catalog.get(name)
        if found is None:
            raise UnknownFilter(path, f"there is no filter {quoted(name)}.{did_you_mean(name, self._catalog)}")
        return found

    def _operands(
        self, document: object, definition: Filter, operator: str, path: str
    ) -> tuple[tuple[Value, ...], tuple[object, ...]]:
        if operator not in LIST_OPERATORS:
            if isinstance(document, list):
                raise WrongValue(path, f"{operator} takes one value, not a list; for a list use the operator in.")
            self._count_values(1, path)
            document = _shared(document)
            return (_value(document, definition, operator, path),), (document,)
        if not isinstance(document, list):
            raise WrongValue(
                path, f"{operator} takes a list of values in square brackets; this is {described(document)}."
            )
        if not document:
            raise WrongValue(path, f"the list of {operator} is empty: name at least one value.")
        self._count_values(len(document), path)
        spelled = tuple(map(_shared, document))
        values = tuple(_value(item, definition, operator, f"{path}[{index}]") for index, item in enumerate(spelled))
        return values, spelled

    def _count_values(self, count: int, path: str) -> None:
        self._values += count
        if self._values > MAXIMUM_VALUES:
            raise TooLarge(path, f"there are more than {MAXIMUM_VALUES:,} values; make an attribute of such a list.")


def _shared(item: object) -> object:
    """Return one object for all equal texts: a thousand tests name the same countries."""
    return sys.intern(item) if type(item) is str else item


def _joint(item: object, path: str) -> Joint:
    if isinstance(item, str) and item in {"AND", "OR"}:
        return cast("Joint", item)
    if isinstance(item, str) and item.strip().upper() in {"AND", "OR"}:
        raise MalformedConditions(path, f'write "{item.strip().upper()}", in upper case exactly, not {quoted(item)}.')
    raise MalformedConditions(path, f'"AND" or "OR" must stand between two conditions; this is {described(item)}.')


def _mixed(path: str, joints: list[Joint]) -> MixedOperators:
    first = joints[0]
    other = "OR" if first == "AND" else "AND"
    return MixedOperators(
        path,
        f"AND and OR stand in the same brackets, and it is not said which goes first. Bracket one of them, such as "
        f'(A {first} B) {other} C, in JSON [[A, "{first}", B], "{other}", C]; or A {first} (B {other} C), '
        f'in JSON [A, "{first}", [B, "{other}", C]].',
    )


def _operator(name: object, definition: Filter, path: str) -> str:
    if not isinstance(name, str):
        raise MalformedConditions(path, f"must be the name of an operator; this is {described(name)}.")
    allowed = definition.allowed_operators
    if name in allowed:
        return name
    offer = f"{definition.name} ({definition.type}) takes {listed(allowed)}."
    if name in ALL_OPERATORS:
        raise UnknownOperator(path, f"{name} cannot be asked of this filter: {offer}")
    raise UnknownOperator(path, f"there is no operator {quoted(name)}: {offer}{did_you_mean(name, allowed)}")


def _value(document: object, definition: Filter, operator: str, path: str) -> Value:
    value = READERS[definition.type](document) if isinstance(document, bool | int | float | str) else None
    if value is None:
        raise WrongValue(
            path, f"{described(document)} is no value of {definition.name}, which takes {EXPECTED[definition.type]}."
        )
    if isinstance(value, str):
        _check_text(value, operator, path)
    return value


def _check_text(text: str, operator: str, path: str) -> None:
    if operator in {"contains", "starts_with"} and not text:
        raise WrongValue(path, f"every text {operator.replace('_', ' ')} the empty text: write what to look for.")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise WrongValue(path, f"{quoted(text)} holds a character that no database can store.")
