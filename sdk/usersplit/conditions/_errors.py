"""What can be wrong with conditions or a catalog of filters, each with a sentence for the person who wrote them."""


class ConditionsError(ValueError):
    """The root of the errors of conditions.

    ConditionsError
    ├── MalformedConditions      not the JSON that conditions are made of
    │   ├── TooDeep              more brackets in brackets than anybody can read
    │   └── TooLarge             more leaves or values than a check can afford
    ├── MixedOperators           AND and OR in one bracket
    ├── UnknownFilter            the catalog has no such filter
    ├── UnknownOperator          no such operator, or not one of this filter
    ├── WrongValue               not a value of the filter's type
    └── CatalogError             the definition of a filter itself is wrong
        └── UnknownFilterType    a type that this release does not know

    Attributes:
        path: the place, such as `conditions[2][0].value`.
        problem: the sentence without the place.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type["ConditionsError"], tuple[str, str]]:
        # An exception is rebuilt from its args, which hold the one finished message; ours takes two.
        return type(self), (self.path, self.problem)


class MalformedConditions(ConditionsError):
    """Not a list that alternates nodes and "AND"/"OR", or a leaf with other keys than its three."""


class TooDeep(MalformedConditions):
    """Brackets in brackets beyond the limit."""


class TooLarge(MalformedConditions):
    """More leaves, or more values in all lists together, than the limit."""


class MixedOperators(ConditionsError):
    """AND and OR in one bracket: it is not said which goes first."""


class UnknownFilter(ConditionsError):
    """The catalog has no filter of this name."""


class UnknownOperator(ConditionsError):
    """No operator of this name, or none that the filter takes."""


class WrongValue(ConditionsError):
    """The value is not of the filter's type, or not of the shape (one value, a list) that the operator takes."""


class CatalogError(ConditionsError):
    """The definition of a filter is wrong: its name, scope, operators or labels."""


class UnknownFilterType(CatalogError):
    """A filter type that this release does not know: a spelling mistake, or a document of a newer release."""
