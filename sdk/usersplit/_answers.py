"""From what was decided to what services are told: answers with a reason, a sentence, and the leaves that decided."""

import dataclasses

from usersplit._config import SplitTestConfig
from usersplit._decision import (
    SENTENCES,
    Answer,
    GroupAnswer,
    Reason,
    decide_membership,
    describe,
    explain_conditions,
    problem_of,
)
from usersplit._problems import safe_text
from usersplit._units import Environment, Unit
from usersplit._user_group_config import UserGroupConfig
from usersplit._view import Resolution
from usersplit.conditions import LeafOutcome


def explained(key: str, resolution: Resolution, unit: Unit, environment: Environment | None) -> Answer:
    """Return the answer of a check. May raise what a hostile unit raises."""
    config, variant, reason = resolution.config, resolution.variant, resolution.reason
    if config is None:
        return Answer(key=key, variant=None, reason=reason, detail=SENTENCES[reason])
    if reason == "conditions_not_met":
        detail, leaves = explain_conditions(config.conditions, unit, environment)
        return dataclasses.replace(answer_of(config, variant, reason, detail), leaves=leaves)
    detail = describe(config, unit, variant, reason)
    if resolution.error is not None:
        detail = f"{detail.removesuffix('.')}: {safe_text(resolution.error)}."
    return answer_of(config, variant, reason, detail)


def answer_of(config: SplitTestConfig, variant: str | None, reason: Reason, detail: str) -> Answer:
    """Return an answer that came from `config`."""
    return Answer(
        key=config.key,
        variant=variant,
        reason=reason,
        detail=detail,
        status=config.status,
        settings_group=config.settings_group,
        position=config.position,
        is_control=variant is not None and variant == config.control,
    )


def membership(
    key: str, config: UserGroupConfig | None, unit: Unit, environment: Environment | None, *, with_detail: bool
) -> GroupAnswer:
    """Return whether `unit` is in a user group. May raise what a hostile unit raises.

    Args:
        key: what was asked for.
        config: the user group; None if there is none.
        unit: who is asked about.
        environment: how the visitor came.
        with_detail: whether the conditions are explained, which takes longer.
    """
    if config is None:
        return GroupAnswer(key=key, is_member=False, reason="unknown_group", detail=SENTENCES["unknown_group"])
    reason = problem_of(unit, environment) or decide_membership(config, unit, environment)
    detail = SENTENCES.get(reason, "")
    leaves: tuple[LeafOutcome, ...] = ()
    if with_detail and reason in ("member", "conditions_not_met"):
        detail, leaves = explain_conditions(config.conditions, unit, environment)
    return GroupAnswer(
        key=config.key,
        is_member=reason == "member",
        reason=reason,
        detail=detail,
        status=config.status,
        settings_group=config.settings_group,
        position=config.position,
        leaves=leaves,
    )
