"""Who gets which variant: the table of docs/config-documents.md, as code.

The reference: the compiled checks answer as this does, and leave to it whatever is not usual.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from usersplit._compiled_check import CLIENT_TYPES, TEST_USER
from usersplit._config import SplitTestConfig, Status
from usersplit._config_fields import shown
from usersplit._split_groups import is_split_group
from usersplit._units import Environment, Guest, Unit, User
from usersplit._user_group_config import UserGroupConfig, UserGroupStatus
from usersplit.conditions import Conditions, LeafOutcome

Reason: TypeAlias = Literal[
    "in_variant",
    "result",
    "forced",
    "disabled",
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
    "not_supported",
    "additional_condition_not_met",
    "additional_condition_failed",
    "not_a_unit",
    "not_an_environment",
    "unknown_variant",
    "failed",
    "member",
    "off",
    "unknown_group",
]
"""Why a check answered as it did.

A variant was given: in_variant (the unit's split group belongs to it), result (the test is finished).
QA decided: forced (into a variant, or out of the test), disabled (no test for this unit).
None was, as settings say: draft, discarded, paused, rejected, not_prepared, not_a_test_user, not_started, ended,
split_group_not_in_test, conditions_not_met, additional_condition_not_met, not_supported (by the client).
None was, and somebody has to mend something: unknown_test, no_split_group, additional_condition_failed, not_a_unit,
not_an_environment, failed.
Of `log_hit` only: unknown_variant.
Of user groups: member, off, unknown_group, and those of the others that fit.
"""

PROBLEMS: Final[tuple[Reason, ...]] = (
    "unknown_test",
    "unknown_group",
    "no_split_group",
    "additional_condition_failed",
    "not_a_unit",
    "not_an_environment",
    "unknown_variant",
    "failed",
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
        is_control: whether the variant is the control variant.
        leaves: of the conditions, where they decided: the leaves without which the answer would not follow.
    """

    key: str
    variant: str | None
    reason: Reason
    detail: str
    status: Status | None = None
    settings_group: int = 0
    position: int = 0
    is_control: bool = False
    leaves: tuple[LeafOutcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAnswer:
    """Whether a unit is in a user group, with the reason.

    Attributes:
        key: the user group that was asked for.
        is_member: whether the unit is in it.
        reason: see `Reason`.
        detail: the reason as a sentence for people.
        status: of the user group; None for an unknown one.
        settings_group: the version of the conditions that answered; 0 where there are none.
        position: of the config document that answered; 0 where there is none.
        leaves: the leaves of the conditions that decided.
    """

    key: str
    is_member: bool
    reason: Reason
    detail: str
    status: UserGroupStatus | None = None
    settings_group: int = 0
    position: int = 0
    leaves: tuple[LeafOutcome, ...] = ()


def problem_of(unit: object, environment: object) -> Reason | None:
    """Return what is wrong with the types of what is asked about."""
    if not isinstance(unit, (User, Guest)):
        return "not_a_unit"
    if environment is not None and not isinstance(environment, Environment):
        return "not_an_environment"
    return None


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
        is_test_user = isinstance(unit, User) and TEST_USER.matches(unit.attributes, {})
        obstacle = None if is_test_user else "not_a_test_user"
    else:
        obstacle = status
    if obstacle is None and not config.settings_group:
        obstacle = "not_prepared"
    return _drawn(config, unit, environment) if obstacle is None else (None, obstacle)


def _resulting(config: SplitTestConfig, unit: Unit, environment: Environment | None) -> tuple[str | None, Reason]:
    if not config.result:
        return None, "not_prepared"
    if not _is_supported(config, environment):
        return None, "not_supported"
    if config.result_scope == "conditions" and not meets(config.conditions, unit, environment):
        return None, "conditions_not_met"
    return config.result, "result"


def _outside_dates(config: SplitTestConfig, now_ns: int) -> Reason | None:
    if not config.settings_group:
        return "not_prepared"
    if now_ns < config.starts_at_ns:
        return "not_started"
    return "ended" if now_ns >= config.ends_at_ns else None


def _drawn(config: SplitTestConfig, unit: Unit, environment: Environment | None) -> tuple[str | None, Reason]:
    if not _is_supported(config, environment):
        return None, "not_supported"
    # The conditions before the split group: who does not meet them need not carry one.
    if not meets(config.conditions, unit, environment):
        return None, "conditions_not_met"
    group = unit.split_group
    if not is_split_group(group):
        return None, "no_split_group"
    index = config.variant_by_group[group]
    return (config.variants[index], "in_variant") if index else (None, "split_group_not_in_test")


def _is_supported(config: SplitTestConfig, environment: Environment | None) -> bool:
    """Answer for the client; a mixed test needs its word, for half of the variant is shown by the client."""
    if config.type not in CLIENT_TYPES:
        return True
    supported = None if environment is None else environment.supported_tests
    if supported is None:
        return config.type != "mixed"
    # A text is no list of keys, though parts of it are "in" it.
    return not isinstance(supported, str) and config.key in supported


def decide_membership(config: UserGroupConfig, unit: Unit, environment: Environment | None) -> Reason:
    """Return "member", or why `unit` is not in the user group. May raise what a hostile `unit` raises."""
    if config.status != "active":
        return config.status
    return "member" if meets(config.conditions, unit, environment) else "conditions_not_met"


def meets(conditions: Conditions, unit: Unit, environment: Environment | None) -> bool:
    """Answer whether the unit meets the conditions."""
    attributes = unit.attributes if isinstance(unit, User) else None
    return conditions.matches(attributes, (environment or _NO_ENVIRONMENT).filter_values())


def explain_conditions(
    conditions: Conditions, unit: Unit, environment: Environment | None
) -> tuple[str, tuple[LeafOutcome, ...]]:
    """Return why the conditions are met or not: a sentence, and the leaves that decided."""
    attributes = unit.attributes if isinstance(unit, User) else None
    explained = conditions.explain(attributes, (environment or _NO_ENVIRONMENT).filter_values())
    return explained.sentence, explained.decisive


def describe(config: SplitTestConfig, unit: Unit, variant: str | None, reason: Reason) -> str:
    """Return the sentence that explains what was answered, where the conditions did not decide."""
    if reason == "forced":
        return (
            "QA forced this unit out of the test."
            if variant is None
            else f"QA forced this unit into the variant {variant}."
        )
    if reason == "in_variant":
        return f"The split group {unit.split_group} belongs to the variant {variant}."
    if reason == "result":
        everybody = "everybody gets" if config.result_scope == "worldwide" else "all who meet the conditions get"
        return f"The test is finished: {everybody} its result, {variant}."
    if reason == "no_split_group":
        group = unit.split_group
        return (
            f"The unit has no split group: it needs an int from 1 to 2400, not {shown(group)} ({type(group).__name__})."
        )
    if reason == "split_group_not_in_test":
        return (
            f"The split group {unit.split_group} belongs to no variant of the settings group {config.settings_group}."
        )
    return SENTENCES[reason]


SENTENCES: Final[dict[Reason, str]] = {
    "unknown_test": "There is no config of such a test here: mind the spelling of the key, and that a Draft has none.",
    "draft": "It is a Draft: publish it.",
    "discarded": "It was discarded.",
    "paused": "The test is paused: nobody gets a variant.",
    "rejected": "The test was rejected: the old behaviour stays.",
    "not_prepared": "No settings group of the test is prepared yet.",
    "not_a_test_user": "The test is In Dev, and only users whose is_test_user is true get its variants.",
    "not_started": "The test is Running, but its start is still to come.",
    "ended": "The test is Running, but its end has passed.",
    "disabled": "QA switched the tests off for this unit, and this one was not switched on again.",
    "not_supported": "The visitor's client does not support the test: its keys are Environment.supported_tests, which "
    "a mixed test needs.",
    "additional_condition_not_met": "The test's class of additional conditions says no.",
    "additional_condition_failed": "The test's class of additional conditions failed.",
    "member": "The unit meets the conditions of the user group.",
    "off": "The user group is switched off.",
    "unknown_group": "There is no config of such a user group here: mind the spelling of the key.",
    "no_split_group": "The unit has no split group: it needs a whole number from 1 to 2400.",
    "not_a_unit": "Who is asked about must be a usersplit.User or a usersplit.Guest.",
    "not_an_environment": "The environment must be a usersplit.Environment or None.",
}
