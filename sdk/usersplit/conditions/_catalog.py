"""The catalog: which filters there are, of which type, and what they read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

from usersplit.conditions._errors import CatalogError, UnknownFilterType
from usersplit.conditions._types import FILTER_TYPES, OPERATORS, SCOPES, FilterType, Scope, Value
from usersplit.conditions._values import EXPECTED, READERS
from usersplit.conditions._wording import described, did_you_mean, listed, quoted

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
# Words of the readable form of conditions; a filter of such a name could not be told from them.
_RESERVED: Final = frozenset({"and", "or", "not", "in", "contains", "starts", "with"})


@dataclass(frozen=True, slots=True)
class Filter:
    """One thing conditions can ask about.

    Attributes:
        name: what leaves call it, `[A-Za-z_][A-Za-z0-9_.]*`.
        type: one of `FILTER_TYPES`.
        scope: a user filter reads the profile, an environment filter how the visitor came.
        label: its name for managers; the name itself where it is empty.
        values: labels of known values, such as `{"50": "Russia"}`. They only label: a value without one is allowed,
            because new values appear in products every day (a country, a platform) before anybody edits the catalog.
        operators: those it offers, out of those of its type; None is all of them.

    Raises:
        CatalogError: the definition contradicts itself; the sentence says how.
    """

    name: str
    type: FilterType
    scope: Scope
    label: str = ""
    values: Mapping[str, str] = field(default_factory=dict, hash=False)
    operators: tuple[str, ...] | None = None
    _labels: Mapping[Value, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_type_and_scope(self.name, self.type, self.scope)
        if self.operators is not None:
            object.__setattr__(self, "operators", _checked_operators(self.name, self.type, self.operators))
        object.__setattr__(self, "values", MappingProxyType(_checked_labels(self.name, self.values)))
        object.__setattr__(self, "_labels", _labels_by_value(self))

    @property
    def allowed_operators(self) -> tuple[str, ...]:
        """The operators that conditions may use with this filter."""
        return OPERATORS[self.type] if self.operators is None else self.operators

    def label_of(self, value: Value) -> str:
        """Return the label of a value that was read by this filter's type, or an empty text."""
        return self._labels.get(value, "")


class Catalog(Mapping[str, Filter]):
    """All filters by name, in the order given. Immutable.

    Raises:
        CatalogError: two filters share a name.
    """

    __slots__ = ("_filters",)

    def __init__(self, filters: Iterable[Filter] = ()) -> None:
        by_name: dict[str, Filter] = {}
        for each in filters:
            if each.name in by_name:
                raise CatalogError(f"filters.{each.name}", "two filters have this name; rename one of them.")
            by_name[each.name] = each
        self._filters: Final = by_name

    @classmethod
    def from_document(cls, document: object) -> "Catalog":
        """Build a catalog from decoded JSON: the `filters` of a config document, or a catalog file.

        `{"country_id": {"type": "integer", "scope": "user", "label": "Country", "values": {"50": "Russia"}}}`; type and
        scope are required. Unknown fields are ignored, so that a newer writer can add some.

        Raises:
            UnknownFilterType: a type this release does not know; in a config document, one of a newer release.
            CatalogError: anything else that is wrong.
        """
        if not isinstance(document, Mapping):
            raise CatalogError("filters", f"must be an object of filters by name; this is {described(document)}.")
        return cls(_filter_from_document(name, definition) for name, definition in document.items())

    def __getitem__(self, name: str) -> Filter:
        return self._filters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._filters)

    def __len__(self) -> int:
        return len(self._filters)

    def __repr__(self) -> str:
        return f"Catalog({list(self._filters.values())!r})"


def _filter_from_document(name: object, definition: object) -> Filter:
    checked_name = _check_name(name)
    path = f"filters.{checked_name}"
    if not isinstance(definition, Mapping):
        raise CatalogError(path, f"must be an object with type and scope; this is {described(definition)}.")
    for required in ("type", "scope"):
        if required not in definition:
            raise CatalogError(path, f'has no "{required}"; a filter needs a type and a scope.')
    label, values, operators = definition.get("label", ""), definition.get("values", {}), definition.get("operators")
    if not isinstance(label, str):
        raise CatalogError(f"{path}.label", f"must be a text; this is {described(label)}.")
    if not isinstance(values, Mapping):
        raise CatalogError(f"{path}.values", f"must be an object of labels by value; this is {described(values)}.")
    if operators is not None and not isinstance(operators, list):
        raise CatalogError(f"{path}.operators", f"must be a list of operators; this is {described(operators)}.")
    return Filter(
        name=checked_name,
        type=cast("FilterType", definition["type"]),  # Filter itself checks both
        scope=cast("Scope", definition["scope"]),
        label=label,
        values=values,
        operators=None if operators is None else tuple(operators),
    )


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CatalogError(
            "filters",
            f"{described(name)} cannot be a filter's name: it takes letters, digits, _ and ., beginning with a letter.",
        )
    if name.lower() in _RESERVED:
        raise CatalogError("filters", f"{quoted(name)} is a word of the conditions themselves; choose another name.")
    return name


def _check_type_and_scope(name: str, type_: object, scope: object) -> None:
    path = f"filters.{name}"
    if not isinstance(type_, str) or type_ not in FILTER_TYPES:
        hint = did_you_mean(type_, FILTER_TYPES) if isinstance(type_, str) else ""
        raise UnknownFilterType(
            f"{path}.type", f"{described(type_)} is not a type known here; it is one of {listed(FILTER_TYPES)}.{hint}"
        )
    if not isinstance(scope, str) or scope not in SCOPES:
        raise CatalogError(
            f"{path}.scope",
            f"must be user (the profile) or environment (how the visitor came), not {described(scope)}.",
        )


def _checked_operators(name: str, type_: FilterType, operators: Iterable[object]) -> tuple[str, ...]:
    path, known, checked = f"filters.{name}.operators", OPERATORS[type_], tuple(operators)
    if not checked:
        raise CatalogError(
            path, "is empty: nobody could use the filter. Leave it out to offer all operators of the type."
        )
    for operator in checked:
        if operator not in known:
            raise CatalogError(path, f"{described(operator)} is not for the type {type_}, which has {listed(known)}.")
    return cast("tuple[str, ...]", checked)


def _checked_labels(name: str, labels: Mapping[Any, Any]) -> dict[str, str]:
    checked = dict(labels)
    for value, label in checked.items():
        if not isinstance(value, str) or not isinstance(label, str):
            raise CatalogError(f"filters.{name}.values", "values and their labels must be texts.")
    return checked


def _labels_by_value(definition: Filter) -> Mapping[Value, str]:
    labels: dict[Value, str] = {}
    for text, label in definition.values.items():
        value = READERS[definition.type](text)
        path = f"filters.{definition.name}.values"
        if value is None:
            raise CatalogError(path, f"{quoted(text)} is not {EXPECTED[definition.type]}, so it cannot have a label.")
        if value in labels:
            raise CatalogError(path, f"{quoted(text)} and another spelling of the same value both have a label.")
        labels[value] = label
    return MappingProxyType(labels)
