"""The broken rules of QA overrides.

OverrideRefused
├── MayNotOverride      this person may not force variants
├── WrongUnit           not `type:id` of a user, a device or a guest
├── WrongEnvironment    neither production nor devel
├── SplitTestIsOver     the test is finished or rejected: nothing of it can be forced any more
├── WrongUntil          an end that has passed, or that is too far ahead
├── SplitTestsNotDisabled  a test is to be enabled for a unit that takes part in all of them
├── NothingToForget     nothing was said of the unit, or nothing about this test
└── TooManyOverrides    more than one unit, or every server, can carry
"""

from collections.abc import Sequence
from datetime import datetime

from domain.errors import RuleBroken, moment_text


class OverrideRefused(RuleBroken):
    """The root of what can be wrong with an override."""


class MayNotOverride(OverrideRefused):
    """Overrides are for QA, developers and managers: in production they decide what real people see."""

    def __init__(self, actor: str) -> None:
        super().__init__(f"{actor} may not override variants; ask a superuser for the role of QA, or QA to do it")


class WrongUnit(OverrideRefused):
    """A unit is said by its type and its id."""

    def __init__(self, unit: str, detail: str) -> None:
        super().__init__(f"{unit!r:.120} is no unit: {detail}; give one such as user:42, device:ab-1 or guest:7f3a")


class WrongEnvironment(OverrideRefused):
    """An override belongs to one environment."""

    def __init__(self, environment: str, known: Sequence[str]) -> None:
        super().__init__(f"{environment!r:.100} is no environment of overrides; use {' or '.join(known)}")


class SplitTestIsOver(OverrideRefused):
    """What a finished or rejected test gives is decided."""

    def __init__(self, key: str, status: str) -> None:
        super().__init__(f"{key} is {status}, nothing of it can be forced any more; force another test")


class WrongUntil(OverrideRefused):
    """Every override ends, at a moment that can be waited for."""

    def __init__(self, until: datetime, earliest: datetime, latest: datetime) -> None:
        super().__init__(
            f"an override cannot end at {moment_text(until)}; give a moment after {moment_text(earliest)} "
            f"and not after {moment_text(latest)}"
        )


class SplitTestsNotDisabled(OverrideRefused):
    """Only where all tests are disabled can one be enabled."""

    def __init__(self, unit: str, environment: str) -> None:
        super().__init__(f"the tests are not disabled for {unit} in {environment}; disable them first")


class NothingToForget(OverrideRefused):
    """There is nothing that could be taken back."""

    def __init__(self, unit: str, environment: str, key: str = "") -> None:
        what = f"of {key} is forced" if key else "is overridden"
        super().__init__(f"nothing {what} for {unit} in {environment}; check the unit and the environment")


class TooManyOverrides(OverrideRefused):
    """All overrides are one document on every server."""

    def __init__(self, whose: str, most: int) -> None:
        super().__init__(f"{whose} would have more than {most:,} overrides; forget some first")
