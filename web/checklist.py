"""What to look at before a test is started: what was found, with a mark, and why it matters. Nothing bars a start."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from projections import readable
from projections.current_settings import CurrentSettings
from projections.test_list import ListedSplitTest

Mark: TypeAlias = Literal["ok", "warn", "bad"]
_SHORT: Final = timedelta(days=7)
_TENTH: Final = 10
"""An effect beyond a tenth of the base rate is a rare one: a test that shows no smaller ones deserves a second look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the checklist."""

    mark: Mark
    found: str
    why: str = ""


def checklist(
    test: ListedSplitTest, settings: CurrentSettings, missing_on: Sequence[str], now: datetime
) -> list[Finding]:
    """Return the findings, in the order in which a manager would ask.

    Args:
        test: its line of the list.
        settings: those in force.
        missing_on: live servers that do not have the newest config yet.
        now: the clock.
    """
    return [
        _code(test),
        _dates(settings, now),
        _servers(missing_on),
        _overlaps(settings),
        _power(settings),
    ]


def _code(test: ListedSplitTest) -> Finding:
    if test.code_deployed_at is not None:
        return Finding(mark="ok", found=f"The code is deployed: a production hit came at {_at(test.code_deployed_at)}.")
    return Finding(
        mark="bad",
        found="No hit from production yet: the code does not seem to be deployed.",
        why="Until it is, users of all variants see the old behaviour. Open the page as a test user to send a hit.",
    )


def _dates(settings: CurrentSettings, now: datetime) -> Finding:
    starts_at, ends_at = settings.starts_at, settings.ends_at
    if starts_at is None or ends_at is None:
        return Finding(mark="bad", found="There are no prepared settings.", why="Propose settings first.")
    if ends_at <= now:
        return Finding(
            mark="bad", found=f"The end, {_at(ends_at)}, has passed.", why="Propose settings that end later."
        )
    span = f"From {_at(starts_at)} to {_at(ends_at)}"
    if starts_at > now:
        return Finding(mark="warn", found=f"{span}: nobody gets a variant before the start date.")
    if ends_at - max(starts_at, now) < _SHORT:
        return Finding(mark="warn", found=f"{span}.", why="Less than a week is left: weekdays and weekends differ.")
    return Finding(mark="ok", found=f"{span}.")


def _servers(missing_on: Sequence[str]) -> Finding:
    if not missing_on:
        return Finding(mark="ok", found="The config is on all servers that are heard of.")
    return Finding(
        mark="warn",
        found=f"{len(missing_on)} servers do not have the newest config yet: {', '.join(missing_on[:5])}.",
        why="They catch up by themselves; a server that does not is an operator's matter.",
    )


def _overlaps(settings: CurrentSettings) -> Finding:
    same = [overlap for overlap in settings.overlaps if overlap.same_type]
    if same:
        names = ", ".join(readable.other_test(overlap) for overlap in same[:5])
        return Finding(
            mark="warn",
            found=f"It shares users with tests of the same type: {names}.",
            why="They may bend each other's results. Other dates, countries or fewer percents avoid it.",
        )
    if settings.overlaps:
        return Finding(mark="ok", found="It shares users only with tests of other types.")
    return Finding(mark="ok", found="It shares split groups with no other test.")


def _power(settings: CurrentSettings) -> Finding:
    if len([variant for variant in settings.variants if variant.groups]) < 2:  # noqa: PLR2004 - two to compare
        return Finding(mark="warn", found="Only one variant has users.", why="There is nothing to compare it with.")
    effects = [variant.smallest_effect for variant in settings.variants if variant.smallest_effect is not None]
    if effects and settings.base_rate is not None:
        smallest = readable.smallest_effect(max(effects), settings.base_rate)
        return Finding(
            mark="ok" if max(effects) <= settings.base_rate / _TENTH else "warn",
            found=f"The smallest effect that each of its variants can show: {smallest}.",
            why="Smaller ones drown in chance. More users or fewer variants show smaller ones.",
        )
    counted = [variant.users for variant in settings.variants if variant.users is not None]
    if not counted:
        return Finding(
            mark="warn",
            found="Nobody was counted, so it is not known how small an effect it can find.",
            why="An operator connects the users table: see docs/audience.md.",
        )
    return Finding(mark="ok", found=f"The smallest variant has {min(counted):,} users.")


def _at(moment: datetime) -> str:
    return readable.moment(moment)
