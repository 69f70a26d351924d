"""Conditions: who may get into a split test. The one implementation of parse, validate, evaluate and explain.

Conditions are JSON: a list that alternates nodes and `"AND"`/`"OR"`; a nested list is a bracket; a leaf is
`{"filter": "country_id", "operator": "in", "value": ["50"]}`; `[]` is everybody.

    catalog = Catalog([Filter("country_id", "integer", "user"), Filter("is_test_user", "boolean", "user")])
    conditions = parse([{"filter": "country_id", "operator": "in", "value": ["50"]}], catalog)
    conditions.matches({"country_id": 50}, {})       # True
    conditions.explain(None, {}).sentence            # why a guest does not meet them

Standard library only, and no clock: the answer depends on the arguments alone.
"""

from usersplit.conditions._catalog import Catalog, Filter
from usersplit.conditions._conditions import Conditions, parse, parse_text
from usersplit.conditions._errors import (
    CatalogError,
    ConditionsError,
    MalformedConditions,
    MixedOperators,
    TooDeep,
    TooLarge,
    UnknownFilter,
    UnknownFilterType,
    UnknownOperator,
    WrongValue,
)
from usersplit.conditions._explain import Explanation, LeafOutcome, OutcomeReason
from usersplit.conditions._parse import MAXIMUM_DEPTH, MAXIMUM_LEAVES, MAXIMUM_VALUES
from usersplit.conditions._tree import Bracket, Leaf, Node
from usersplit.conditions._types import FILTER_TYPES, OPERATORS, SCOPES, FilterType, Scope, Value

__all__ = [
    "FILTER_TYPES",
    "MAXIMUM_DEPTH",
    "MAXIMUM_LEAVES",
    "MAXIMUM_VALUES",
    "OPERATORS",
    "SCOPES",
    "Bracket",
    "Catalog",
    "CatalogError",
    "Conditions",
    "ConditionsError",
    "Explanation",
    "Filter",
    "FilterType",
    "Leaf",
    "LeafOutcome",
    "MalformedConditions",
    "MixedOperators",
    "Node",
    "OutcomeReason",
    "Scope",
    "TooDeep",
    "TooLarge",
    "UnknownFilter",
    "UnknownFilterType",
    "UnknownOperator",
    "Value",
    "WrongValue",
    "parse",
    "parse_text",
]
