"""The steps of a test's life: Draft → In Dev → Running ⇄ Paused → Finished or Rejected, and back from In Dev.

Each decision returns the facts of a step or raises one named error, and changes nothing. Whether the code is deployed
does not bar a start: pages warn of it, and a manager may know better than the hits.
"""

from datetime import datetime
from typing import Literal, TypeAlias, get_args

from domain.access import require_manager
from domain.errors import NoCurrentSettings, SettingsEnded, TransitionNotAllowed, UnknownScope, UnknownVariant
from domain.keys import printable
from domain.people import Actor
from domain.split_test import SettingsGroup, SplitTest, Status
from events.facts import (
    CodeDeployed,
    DraftDiscarded,
    FinishScope,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
)

Action: TypeAlias = Literal["publish", "unpublish", "discard", "start", "pause", "resume", "finish", "reject"]

ALLOWED: dict[Action, tuple[Status, ...]] = {
    "publish": (Status.DRAFT,),
    "discard": (Status.DRAFT,),
    "start": (Status.IN_DEV,),
    "unpublish": (Status.IN_DEV,),
    "pause": (Status.RUNNING,),
    "resume": (Status.PAUSED,),
    "finish": (Status.RUNNING, Status.PAUSED),
    "reject": (Status.RUNNING, Status.PAUSED),
}
"""The statuses from which each step can be taken."""


def possible_actions(status: Status) -> tuple[Action, ...]:
    """Return the steps that can be taken from `status`."""
    return tuple(action for action, statuses in ALLOWED.items() if status in statuses)


def publish(state: SplitTest | None, key: str, actor: Actor) -> tuple[SplitTestPublished, ...]:
    """Draft → In Dev: everybody sees it, test users get its variants.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is not a Draft.
        NoCurrentSettings: there is nothing prepared that test users could get.
    """
    test = _steer(state, key, actor, "publish")
    _current_settings(test)
    return (SplitTestPublished(key=key),)


def unpublish(state: SplitTest | None, key: str, actor: Actor) -> tuple[SplitTestUnpublished, ...]:
    """In Dev → Draft: nobody else sees it any more.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is not In Dev.
    """
    _steer(state, key, actor, "unpublish")
    return (SplitTestUnpublished(key=key),)


def discard(state: SplitTest | None, key: str, actor: Actor) -> tuple[DraftDiscarded, ...]:
    """Give up a Draft; its key is free again.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is not a Draft.
    """
    _steer(state, key, actor, "discard")
    return (DraftDiscarded(key=key),)


def start(state: SplitTest | None, key: str, actor: Actor, *, now: datetime) -> tuple[SplitTestStarted, ...]:
    """In Dev → Running. A settings group that still waits to be prepared does not bar it: the current one is in force.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is not In Dev.
        NoCurrentSettings: no settings group was prepared.
        SettingsEnded: the current settings have ended.
    """
    _refuse_ended(_steer(state, key, actor, "start"), now)
    return (SplitTestStarted(key=key),)


def pause(state: SplitTest | None, key: str, actor: Actor) -> tuple[SplitTestPaused, ...]:
    """Running → Paused: nobody gets a variant.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is not Running.
    """
    _steer(state, key, actor, "pause")
    return (SplitTestPaused(key=key),)


def resume(state: SplitTest | None, key: str, actor: Actor, *, now: datetime) -> tuple[SplitTestResumed, ...]:
    """Paused → Running.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is not Paused.
        NoCurrentSettings, SettingsEnded: as for `start`: a test that runs for nobody would look like one that runs.
    """
    _refuse_ended(_steer(state, key, actor, "resume"), now)
    return (SplitTestResumed(key=key),)


def finish(
    state: SplitTest | None, key: str, actor: Actor, *, resulting_variant: str, scope: str
) -> tuple[SplitTestFinished, ...]:
    """Running or Paused → Finished: one of the current variants stays, worldwide or only where the conditions match.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is neither Running nor Paused.
        UnknownVariant: the current settings have no such variant.
        UnknownScope: the scope is neither `worldwide` nor `conditions`.
    """
    names = [variant.name for variant in _current_settings(_steer(state, key, actor, "finish")).variants]
    if resulting_variant not in names:
        raise UnknownVariant(key, resulting_variant, names)
    return (SplitTestFinished(key=key, resulting_variant=resulting_variant, scope=_scope(scope)),)


def reject(state: SplitTest | None, key: str, actor: Actor) -> tuple[SplitTestRejected, ...]:
    """Running or Paused → Rejected: the old behaviour stays, which is not the same as choosing control.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        TransitionNotAllowed: it is neither Running nor Paused.
    """
    _steer(state, key, actor, "reject")
    return (SplitTestRejected(key=key),)


def record_code_deployed(
    state: SplitTest | None,
    key: str,
    *,
    hit_id: str,
    occurred_at: datetime,
    app: str = "",
    host: str = "",
    settings_group: int = 0,
) -> tuple[CodeDeployed, ...]:
    """Record the first production hit of a test In Dev. No facts if there is nothing to record: that is no error.

    A hit of a settings group that the test does not have (a late one from before the key was discarded, say) proves
    nothing. One of the group 0 does not say which it is of, and counts.
    """
    if state is None or state.status is not Status.IN_DEV or state.code_deployed:
        return ()
    if settings_group and not state.earlier_settings_groups < settings_group <= state.last_settings_group:
        return ()
    deployed = CodeDeployed(key=key, hit_id=hit_id, occurred_at=occurred_at, app=printable(app), host=printable(host))
    return (deployed,)


def _steer(state: SplitTest | None, key: str, actor: Actor, action: Action) -> SplitTest:
    test = require_manager(state, key, actor)
    if test.status not in ALLOWED[action]:
        raise TransitionNotAllowed(key, action, readable(test.status), possible_actions(test.status))
    return test


def _current_settings(test: SplitTest) -> SettingsGroup:
    if test.current is not None:
        return test.current
    if test.pending is None:
        raise NoCurrentSettings(test.key, "propose settings first")
    if test.failure:
        raise NoCurrentSettings(test.key, f"their preparation failed ({test.failure}); retry it, or propose others")
    raise NoCurrentSettings(test.key, "wait until the proposed ones are prepared")


def _refuse_ended(test: SplitTest, now: datetime) -> None:
    settings = _current_settings(test)
    if settings.ends_at <= now:
        raise SettingsEnded(test.key, settings.ends_at)


def _scope(scope: str) -> FinishScope:
    for known in get_args(FinishScope):
        if scope == known:
            return known  # type: ignore[no-any-return]  # get_args forgets that these are FinishScope's own values
    raise UnknownScope(scope)


def readable(status: Status) -> str:
    """Return a status as people read it: In Dev."""
    return status.replace("_", " ").title()
