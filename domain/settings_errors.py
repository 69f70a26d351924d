"""The broken rules of a proposal of settings: dates, percents, variants.

WrongSettings
├── UnknownField         a field that no proposal has: most likely a typing mistake
├── WrongField           a field whose value cannot be read
├── NoStart              the start is mandatory
├── EndlessTest          so is the end
├── WrongMoment          a date or time that cannot be read
├── NaiveMoment          a time without a time zone
├── EndsBeforeStart      the end must come after the start
├── ConditionsTooLong    more text than can be laid out on every server
├── NoVariants           a test has at least one variant
├── WrongVariantName     empty, too long, or with a character that is not allowed
├── VariantTwice         variant names are unique in their test
├── TwoControls          at most one variant is control
├── PercentMissing       a variant without a percent
├── PercentsOrTotal      a total and percents exclude each other
├── PercentNotExact      not a whole number of split groups
├── PercentOutOfRange    below 0 or over 100
├── PercentsOverHundred  more than everybody
├── NobodyInTest         less than somebody
├── EmptyVariant         0 % for a variant that is not control
└── TotalNotDivisible    a total that its variants cannot share equally

What is wrong with conditions is said by `usersplit.conditions.ConditionsError` and its subclasses.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from domain.errors import RuleBroken, moment_text


class WrongSettings(RuleBroken):
    """The root of what can be wrong with a proposal."""


class UnknownField(WrongSettings):
    """A field that no proposal has. Ignoring it would turn a typing mistake into a different test."""

    def __init__(self, place: str, field: str, known: Sequence[str]) -> None:
        super().__init__(f"{place} has no field {field!r}; its fields are {', '.join(known)}")


class WrongField(WrongSettings):
    """A field holds another kind of value than it should."""

    def __init__(self, field: str, value: object, wanted: str) -> None:
        super().__init__(f"{field} is {value!r:.100}; give {wanted}")


class NoStart(WrongSettings):
    """The start is mandatory."""

    def __init__(self) -> None:
        super().__init__("the settings have no start; give starts_at, for example 2026-05-01")


class EndlessTest(WrongSettings):
    """The end is mandatory: endless tests cloud every other test's overlaps, and their code is never removed."""

    def __init__(self) -> None:
        super().__init__("a test cannot be endless; give its end (ends_at), for example 2026-06-01")


class WrongMoment(WrongSettings):
    """Not a date or a time that can be read."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(
            f"{field} is {value!r}; give a date such as 2026-05-01, or a time such as 2026-05-01T09:30:00Z"
        )


class NaiveMoment(WrongSettings):
    """A time without a zone is a different moment in every office."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(f"{field} is {str(value)!r}, without a time zone; add Z for UTC, or an offset such as +03:00")


class EndsBeforeStart(WrongSettings):
    """The range of dates is empty."""

    def __init__(self, starts_at: datetime, ends_at: datetime) -> None:
        end, start = moment_text(ends_at), moment_text(starts_at)
        super().__init__(f"the end ({end}) does not come after the start ({start}); give a later end")


class ConditionsTooLong(WrongSettings):
    """The conditions are more text than can be sent to every server."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the conditions are {size:,} bytes of JSON and may be {most:,}; make an attribute of such a list of values"
        )


class NoVariants(WrongSettings):
    """Nothing to show."""

    def __init__(self) -> None:
        super().__init__("the settings have no variants; give at least one, better two to compare")


class WrongVariantName(WrongSettings):
    """Developers write the name in code, so it is made of characters that any code and any report can hold."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be a variant's name; use 1 to 100 letters A-Z and a-z, digits, dots, underscores, dashes"
        )


class VariantTwice(WrongSettings):
    """Variant names are unique in their test."""

    def __init__(self, name: str) -> None:
        super().__init__(f"two variants are called {name!r}; give each its own name")


class TwoControls(WrongSettings):
    """At most one variant is control."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{' and '.join(names)} are both control; mark at most one variant as control")


class PercentMissing(WrongSettings):
    """Neither the variant's percent nor a total was given."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"variant {name!r} has no percent; give one to every variant, or total_percent to split equally"
        )


class PercentsOrTotal(WrongSettings):
    """A total is split equally; percents say how to split. Both at once contradict each other."""

    def __init__(self, name: str) -> None:
        super().__init__(f"variant {name!r} has a percent beside total_percent; give one or the other")


class PercentNotExact(WrongSettings):
    """Users come in 2400 split groups, so one percent is 24 of them, and a group cannot be cut."""

    def __init__(self, what: str, percent: Decimal, nearest: Sequence[str]) -> None:
        super().__init__(
            f"{percent} % for {what} is not a whole number of split groups (1 % is 24); "
            f"the nearest exact percents are {' and '.join(nearest)}"
        )


class PercentOutOfRange(WrongSettings):
    """A percent below 0 or over 100."""

    def __init__(self, what: str, percent: Decimal) -> None:
        super().__init__(f"{percent} % for {what} is impossible; give a percent from 0 to 100")


class PercentsOverHundred(WrongSettings):
    """More users than there are."""

    def __init__(self, total: str) -> None:
        super().__init__(f"the variants take {total} % of users together; lower them to at most 100 %")


class NobodyInTest(WrongSettings):
    """0 % in total."""

    def __init__(self) -> None:
        super().__init__("the variants take 0 % of users together; give at least one of them more than 0 %")


class EmptyVariant(WrongSettings):
    """Only control may have 0 %: it says that there is nothing to compare with."""

    def __init__(self, name: str) -> None:
        super().__init__(f"variant {name!r} has 0 %, which only control may have; give it more, or remove it")


class TotalNotDivisible(WrongSettings):
    """The total's split groups cannot be shared equally by the variants."""

    def __init__(self, total: str, variants: int, nearest: Sequence[str], advice: str) -> None:
        divisible = f"the nearest totals that can are {' and '.join(nearest)}" if nearest else "no total can"
        super().__init__(f"{total} % cannot be split equally between {variants} variants; {divisible}{advice}")
