"""What to look at before a test is started: what was found, with a mark, and why it matters. Nothing bars a start.

It reads the read models alone, so pages and the API give the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from projections import readable
from projections.current_settings import CurrentSettings
from projections.test_list import ListedSplitTest

Mark: TypeAlias = Literal["ok", "warn", "bad"]
Subject: TypeAlias = Literal["code", "waiting", "dates", "servers", "overlaps", "power"]
_SHORT: Final = timedelta(days=7)
_MOST_NAMED: Final = 5
_TENTH: Final = 10
"""An effect beyond a tenth of the base rate is a rare one: a test that shows no smaller ones deserves a second look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the checklist: what it is about, whether that is as it should be, and why it matters where not."""

    about: Subject
    mark: Mark
    found: str
    why: str = ""


def checklist(
    listed: ListedSplitTest,
    settings: CurrentSettings,
    *,
    missing_on: Sequence[str],
    prepared_at: datetime | None,
    now: datetime,
) -> list[Finding]:
    """Return the findings, in the order in which a manager would ask.

    Args:
        listed: the test.
        settings: those in force, without the names of tests that the person who asks may not know of.
        missing_on: live servers without its newest config.
        prepared_at: when the settings in force were prepared, None where nothing was.
        now: the clock.
    """
    return [
        _code(listed),
        *_waiting(settings),
        _dates(settings, now),
        _servers(missing_on),
        _overlaps(settings, prepared_at),
        _power(settings),
    ]


def _code(test: ListedSplitTest) -> Finding:
    if test.code_deployed_at is not None:
        return Finding(
            about="code",
            mark="ok",
            found=f"The code is deployed: a production hit came at {_at(test.code_deployed_at)}.",
        )
    return Finding(
        about="code",
        mark="bad",
        found="No hit from production yet: the code does not seem to be deployed.",
        why="Until it is, users of all variants see the old behaviour. Open the page as a test user to send a hit.",
    )


def _waiting(settings: CurrentSettings) -> list[Finding]:
    if settings.pending_group is None:
        return []
    in_force = f"Settings group {settings.settings_group} would be started"
    if settings.pending_state == "failed":
        found = f"{in_force}: settings group {settings.pending_group} could not be prepared."
        return [Finding(about="waiting", mark="warn", found=found, why=settings.pending_reason)]
    found = f"{in_force}: settings group {settings.pending_group} is still being prepared, and takes its place then."
    return [Finding(about="waiting", mark="warn", found=found)]


def _dates(settings: CurrentSettings, now: datetime) -> Finding:
    starts_at, ends_at = settings.starts_at, settings.ends_at
    if starts_at is None or ends_at is None:
        return Finding(
            about="dates", mark="bad", found="There are no prepared settings.", why="Propose settings first."
        )
    if ends_at <= now:
        return Finding(
            about="dates",
            mark="bad",
            found=f"The end, {_at(ends_at)}, has passed.",
            why="Propose settings that end later.",
        )
    span = f"From {_at(starts_at)} to {_at(ends_at)}"
    if starts_at > now:
        return Finding(about="dates", mark="warn", found=f"{span}: nobody gets a variant before the start date.")
    if ends_at - max(starts_at, now) < _SHORT:
        return Finding(
            about="dates", mark="warn", found=f"{span}.", why="Less than a week is left: weekdays and weekends differ."
        )
    return Finding(about="dates", mark="ok", found=f"{span}.")


def _servers(missing_on: Sequence[str]) -> Finding:
    if not missing_on:
        return Finding(about="servers", mark="ok", found="The config is on all servers that are heard of.")
    more = f" and {len(missing_on) - _MOST_NAMED} more" if len(missing_on) > _MOST_NAMED else ""
    return Finding(
        about="servers",
        mark="warn",
        found=f"Servers without the newest config yet: {', '.join(missing_on[:_MOST_NAMED])}{more}.",
        why="They catch up by themselves; a server that does not is an operator's matter.",
    )


def _overlaps(settings: CurrentSettings, counted_at: datetime | None) -> Finding:
    same = [overlap for overlap in settings.overlaps if overlap.same_type]
    when = (
        ""
        if counted_at is None
        else f" As of {_at(counted_at.replace(microsecond=0))}, when the settings were prepared."
    )
    if same:
        ours = settings.users
        named = [f"{readable.other_test(overlap)}, {readable.shared(overlap, ours)}" for overlap in same[:_MOST_NAMED]]
        more = [f"and {len(same) - _MOST_NAMED} more"] if len(same) > _MOST_NAMED else []
        return Finding(
            about="overlaps",
            mark="warn",
            found=f"It overlaps with tests of the same type: {'; '.join([*named, *more])}.",
            why=f"They may bend each other's results. Other dates, countries or fewer percents avoid it.{when}",
        )
    if settings.overlaps:
        return Finding(
            about="overlaps", mark="ok", found="It overlaps only with tests of other types.", why=when.strip()
        )
    # Where users were counted, a test that shares groups in which nobody is in both is not told among the overlaps.
    what = "split groups" if settings.users is None else "users"
    return Finding(about="overlaps", mark="ok", found=f"It shares {what} with no other test.", why=when.strip())


def _power(settings: CurrentSettings) -> Finding:
    if len([variant for variant in settings.variants if variant.groups]) < 2:  # noqa: PLR2004 - two to compare
        return Finding(
            about="power", mark="warn", found="Only one variant has users.", why="There is nothing to compare it with."
        )
    effects = [variant.smallest_effect for variant in settings.variants if variant.smallest_effect is not None]
    if effects and settings.base_rate is not None:
        smallest = readable.smallest_effect(max(effects), settings.base_rate)
        return Finding(
            about="power",
            mark="ok" if max(effects) <= settings.base_rate / _TENTH else "warn",
            found=f"The smallest effect that each of its variants can show: {smallest}.",
            why="Smaller ones drown in chance. More users or fewer variants show smaller ones.",
        )
    counted = [variant.users for variant in settings.variants if variant.users is not None]
    if not counted:
        return Finding(
            about="power",
            mark="warn",
            found="Nobody was counted, so it is not known how small an effect it can find.",
            why="An operator connects the users table: see docs/audience.md.",
        )
    return Finding(about="power", mark="ok", found=f"The smallest variant has {min(counted):,} users.")


def _at(moment: datetime) -> str:
    return readable.moment(moment)
