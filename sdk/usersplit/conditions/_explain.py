"""Says why conditions are met or not: the leaves that decided, what they found, and a sentence for a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, assert_never

from usersplit.conditions._evaluate import Attributes, Reading, holds, read
from usersplit.conditions._tree import Bracket, Leaf, Node
from usersplit.conditions._types import FilterType, Value
from usersplit.conditions._wording import listed, quoted

OutcomeReason: TypeAlias = Literal["met", "not_met", "unknown", "wrong_type", "unreadable", "guest"]

# After "country_id is 77, …": where the leaf is met, and where it is not.
_PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "eq": ("", "not {0}"),
    "ne": ("not {0}", "and must not be"),
    "in": ("in {0}", "not in {0}"),
    "not_in": ("not in {0}", "and must not be in {0}"),
    "lt": ("below {0}", "not below {0}"),
    "lte": ("at most {0}", "not at most {0}"),
    "gt": ("above {0}", "not above {0}"),
    "gte": ("at least {0}", "not at least {0}"),
    "contains": ("which contains {0}", "which does not contain {0}"),
    "starts_with": ("which starts with {0}", "which does not start with {0}"),
}
_TYPE_WORDS: Final[Mapping[FilterType, str]] = {
    "boolean": "a Yes or No",
    "integer": "a whole number",
    "number": "a finite number",
    "string": "a text",
    "version": "a version of dotted numbers",
    "time": "a moment with its time zone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafOutcome:
    """One leaf's part in the answer.

    Attributes:
        path: the leaf's place in the document, such as `conditions[2][0]`.
        filter: the filter's name.
        operator: the leaf's operator.
        expected: the values it asks for, typed.
        actual: what the service passed, typed; None where there was no value of the type.
        met: whether the leaf is met.
        reason: why, as a word for programs.
        sentence: why, for people; without a full stop, to be joined with others.
    """

    path: str
    filter: str
    operator: str
    expected: tuple[Value, ...]
    actual: Value | None
    met: bool
    reason: OutcomeReason
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Whether the conditions are met, and the leaves without which the answer would not follow.

    Attributes:
        matched: the same as `Conditions.matches` answers.
        decisive: of an OR that is met, its first met node; of one that is not, all nodes; of an AND the reverse.
        sentence: the whole answer, for people.
    """

    matched: bool
    decisive: tuple[LeafOutcome, ...]
    sentence: str


def explain(root: Bracket, user: Attributes, environment: Attributes) -> Explanation:
    """Evaluate as `evaluate` does, keeping what decided."""
    if not root.nodes:
        return Explanation(matched=True, decisive=(), sentence="There are no conditions: everybody meets them.")
    matched, decisive = _decide(root, user, environment)
    because = _joined([outcome.sentence for outcome in decisive])
    sentence = f"The conditions are {'met' if matched else 'not met'}: {because}."
    return Explanation(matched=matched, decisive=decisive, sentence=sentence)


def _decide(node: Node, user: Attributes, environment: Attributes) -> tuple[bool, tuple[LeafOutcome, ...]]:
    if isinstance(node, Leaf):
        outcome = _outcome(node, read(node, user, environment))
        return outcome.met, (outcome,)
    # One node that is met settles an OR, one that is not settles an AND; else all nodes together did.
    settling = node.joint == "OR"
    together: list[LeafOutcome] = []
    for child in node.nodes:
        met, decisive = _decide(child, user, environment)
        if met is settling:
            return met, decisive
        together.extend(decisive)
    return not settling, tuple(together)


def _outcome(leaf: Leaf, reading: Reading) -> LeafOutcome:
    met = reading.value is not None and holds(leaf, reading.value)
    return LeafOutcome(
        path=leaf.path,
        filter=leaf.filter.name,
        operator=leaf.operator,
        expected=leaf.values,
        actual=reading.value,
        met=met,
        reason=("met" if met else "not_met") if reading.state == "known" else reading.state,
        sentence=_sentence(leaf, reading, met=met),
    )


def _sentence(leaf: Leaf, reading: Reading, *, met: bool) -> str:
    name, is_user = leaf.filter.name, leaf.filter.scope == "user"
    match reading.state:
        case "known" if reading.value is not None:
            phrase = _PHRASES[leaf.operator][0 if met else 1]
            found = f"{name} is {_shown(leaf, reading.value)}"
            return f"{found}, {phrase.format(_expected(leaf))}" if phrase else found
        case "guest":
            return f"{name} cannot be met: guests have no profile"
        case "known" | "unknown":
            return f"{name} is not known of this {'user' if is_user else 'visit'}"
        case "wrong_type":
            return f"{name} came as a Python {_type_name(reading.raw)} that is not {_TYPE_WORDS[leaf.filter.type]}"
        case "unreadable":
            return f"{name} could not be read from the {'profile' if is_user else 'environment'}"
        case _:
            assert_never(reading.state)


def _type_name(raw: object) -> str:
    # A metaclass can redefine __name__; this one asks type itself.
    return str(type.__dict__["__name__"].__get__(type(raw)))[:60]


def _expected(leaf: Leaf) -> str:
    return listed(_shown(leaf, value) for value in leaf.values[:1000]) if leaf.takes_list else _shown(leaf, leaf.value)


def _shown(leaf: Leaf, value: Value) -> str:
    label = leaf.filter.label_of(value)
    return f"{_plainly(value)} ({label})" if label else _plainly(value)


def _plainly(value: Value) -> str:
    match value:
        case bool():
            return "Yes" if value else "No"
        case str():
            return quoted(value)
        case tuple():
            return ".".join(map(str, value)) or "0"
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return repr(value)


def _joined(sentences: list[str]) -> str:
    shown = "; ".join(sentences[:10])
    further = len(sentences) - 10
    return f"{shown}; and {further:,} more" if further > 0 else shown
