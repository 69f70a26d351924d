"""Who gets which variant: the table of docs/config-documents.md, as code."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from usersplit._config import SplitTestConfig, Status
from usersplit._split_groups import is_split_group
from usersplit._units import Environment, Unit, User
from usersplit.conditions import Catalog, Filter, parse

Reason: TypeAlias = Literal[
    "in_variant",
    "result",
    "unknown_test",
    "draft",
    "discarded",
    "paused",
    "rejected",
    "not_prepared",
    "not_a_test_user",
    "not_started",
    "ended",
    "no_split_group",
    "split_group_not_in_test",
    "conditions_not_met",
    "not_a_unit",
    "not_an_environment",
    "unknown_variant",
    "failed",
]
"""Why a check answered as it did.

A variant was given: in_variant (the unit's split group belongs to it), result (the test is finished).
None was, as settings say: draft, discarded, paused, rejected, not_prepared, not_a_test_user, not_started, ended,
split_group_not_in_test, conditions_not_met.
None was, and somebody has to mend something: unknown_test, no_split_group, not_a_unit, not_an_environment, failed.
Of `log_hit` only: unknown_variant.
"""

PROBLEMS: Final[tuple[Reason, ...]] = (
    "unknown_test",
    "no_split_group",
    "not_a_unit",
    "not_an_environment",
    "unknown_variant",
    "failed",
)

_TEST_USER: Final = parse(
    [{"filter": "is_test_user", "operator": "eq", "value": "Yes"}],
    Catalog([Filter("is_test_user", "boolean", "user")]),
)
_NO_ENVIRONMENT: Final = Environment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a check, with its reason.

    Attributes:
        key: the test that was asked for.
        variant: the variant's name, or None.
        reason: see `Reason`.
        detail: the reason as a sentence for people.
        status: where the test is in its life; None for an unknown one.
        settings_group: the number of the settings that answered; 0 where there are none.
        position: of the config document that answered; 0 where there is none.
    """

    key: str
    variant: str | None
    reason: Reason
    detail: str
    status: Status | None = None
    settings_group: int = 0
    position: int = 0


def decide(
    config: SplitTestConfig, unit: Unit, environment: Environment | None, now_ns: int
) -> tuple[str | None, Reason]:
    """Return the variant that `unit` gets of the test at `now_ns`, and why. May raise what a hostile `unit` raises."""
    status = config.status
    if status == "finished":
        return _resulting(config, unit, environment)
    obstacle: Reason | None
    if status == "running":
        obstacle = _outside_dates(config, now_ns)
    elif status == "in_dev":
        is_test_user = isinstance(unit, User) and _TEST_USER.matches(unit.attributes, {})
        obstacle = None if is_test_user else "not_a_test_user"
    else:
        obstacle = status
    if obstacle is None and not config.settings_group:
        obstacle = "not_prepared"
    return _drawn(config, unit, environment) if obstacle is None else (None, obstacle)


def _resulting(config: SplitTestConfig, unit: Unit, environment: Environment | None) -> tuple[str | None, Reason]:
    if not config.result:
        return None, "not_prepared"
    if config.result_scope == "conditions" and not _meets(config, unit, environment):
        return None, "conditions_not_met"
    return config.result, "result"


def _outside_dates(config: SplitTestConfig, now_ns: int) -> Reason | None:
    if not config.settings_group:
        return "not_prepared"
    if now_ns < config.starts_at_ns:
        return "not_started"
    return "ended" if now_ns >= config.ends_at_ns else None


def _drawn(config: SplitTestConfig, unit: Unit, environment: Environment | None) -> tuple[str | None, Reason]:
    # The split group before the conditions: a look into a table against a walk through a tree.
    group = unit.split_group
    if not is_split_group(group):
        return None, "no_split_group"
    index = config.variant_by_group[group]
    if not index:
        return None, "split_group_not_in_test"
    if not _meets(config, unit, environment):
        return None, "conditions_not_met"
    return config.variants[index], "in_variant"


def _meets(config: SplitTestConfig, unit: Unit, environment: Environment | None) -> bool:
    attributes = unit.attributes if isinstance(unit, User) else None
    return config.conditions.matches(attributes, (environment or _NO_ENVIRONMENT).filter_values())


def describe(
    config: SplitTestConfig, unit: Unit, environment: Environment | None, variant: str | None, reason: Reason
) -> str:
    """Return the sentence that explains what `decide` answered."""
    if reason == "conditions_not_met":
        attributes = unit.attributes if isinstance(unit, User) else None
        values = (environment or _NO_ENVIRONMENT).filter_values()
        return config.conditions.explain(attributes, values).sentence
    if reason == "in_variant":
        return f"The split group {unit.split_group} belongs to the variant {variant}."
    if reason == "result":
        everybody = "everybody gets" if config.result_scope == "worldwide" else "all who meet the conditions get"
        return f"The test is finished: {everybody} its result, {variant}."
    if reason == "split_group_not_in_test":
        return (
            f"The split group {unit.split_group} belongs to no variant of the settings group {config.settings_group}."
        )
    return SENTENCES[reason]


SENTENCES: Final[dict[Reason, str]] = {
    "unknown_test": "There is no config of such a test here: mind the spelling of the key, and that a Draft has none.",
    "draft": "The test is a Draft: publish it, so that test users get its variants.",
    "discarded": "The test was discarded.",
    "paused": "The test is paused: nobody gets a variant.",
    "rejected": "The test was rejected: the old behaviour stays.",
    "not_prepared": "No settings group of the test is prepared yet.",
    "not_a_test_user": "The test is In Dev, and only users whose is_test_user is true get its variants.",
    "not_started": "The test is Running, but its start is still to come.",
    "ended": "The test is Running, but its end has passed.",
    "no_split_group": "The unit has no split group: it needs a whole number from 1 to 2400.",
    "not_a_unit": "Who is asked about must be a usersplit.User or a usersplit.Guest.",
    "not_an_environment": "The environment must be a usersplit.Environment or None.",
}
